//! DNS questions to a server of our choice, and waiting for an answer.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::eventually;

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often [`wait_for`] asks.
const PAUSE: Duration = Duration::from_millis(10);

/// One resource record, as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Owner name, lower case, without the final dot.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, …
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// As in a zone file; names in it are lower case, the last one without the final dot. Text is as it is.
    pub value: String,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The response code (RFC 1035 §4.1.1).
    pub rcode: ResponseCode,
    /// The AA bit.
    pub authoritative: bool,
    /// The TC bit.
    pub truncated: bool,
    /// The answer section, in the order of the server.
    pub answers: Vec<Record>,
    /// The authority section, in the order of the server.
    pub authorities: Vec<Record>,
}

impl Answer {
    /// The values of one type in the answer section, as a set.
    pub fn values(&self, record_type: &str) -> BTreeSet<String> {
        let of_type = |record: &&Record| record.record_type == record_type;
        self.answers.iter().filter(of_type).map(|record| record.value.clone()).collect()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rcode)?;
        for Record { name, record_type, ttl, value } in &self.answers {
            write!(f, "; {name} {ttl} {record_type} {value}")?;
        }
        Ok(())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoAnswer {}

/// Asks over UDP.
///
/// # Errors
/// No answer within 2 s, or none that can be read.
///
/// # Panics
/// When `name` or `record_type` is not one.
pub async fn query(server: SocketAddr, name: &str, record_type: &str) -> Result<Answer, NoAnswer> {
    let question = question(name, record_type);
    timed(server, async {
        let any = match server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any).await?;
        // Connected, so that a closed port is seen at once and nobody else can answer.
        socket.connect(server).await?;
        socket.send(&encode(&question)).await?;
        let mut buffer = vec![0; 65_535];
        let length = socket.recv(&mut buffer).await?;
        buffer.truncate(length);
        Ok(buffer)
    })
    .await
    .and_then(|bytes| decode(&question, &bytes))
}

/// Asks over TCP.
///
/// # Errors
/// No answer within 2 s, or none that can be read.
///
/// # Panics
/// When `name` or `record_type` is not one.
pub async fn query_tcp(server: SocketAddr, name: &str, record_type: &str) -> Result<Answer, NoAnswer> {
    let question = question(name, record_type);
    timed(server, async {
        let mut stream = TcpStream::connect(server).await?;
        let bytes = encode(&question);
        let length = u16::try_from(bytes.len()).expect("a question is short");
        stream.write_all(&[&length.to_be_bytes(), &bytes[..]].concat()).await?;
        let mut buffer = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut buffer).await?;
        Ok(buffer)
    })
    .await
    .and_then(|bytes| decode(&question, &bytes))
}

/// Asks every 10 ms until the records of `record_type` in the answer are `expected` and no others; returns how long
/// that took. Nothing expected means NOERROR or NXDOMAIN without such records: SERVFAIL is not an empty answer.
///
/// # Panics
/// When `budget` is over, with the last answer.
pub async fn wait_for(
    server: SocketAddr,
    name: &str,
    record_type: &str,
    expected: &[&str],
    budget: Duration,
) -> Duration {
    let expected: BTreeSet<String> = expected.iter().map(|&value| value.to_owned()).collect();
    let what = format!("{server} to answer {name} {record_type} with {expected:?}");
    let ((), took) = eventually(&what, budget, PAUSE, async || {
        let answer = query(server, name, record_type).await.map_err(|e| e.to_string())?;
        let sure = matches!(answer.rcode, ResponseCode::NoError | ResponseCode::NXDomain);
        if sure && answer.values(record_type) == expected { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    took
}

/// Asks every 10 ms for as long as `span`, and fails as soon as the records of `record_type` are not `expected`.
///
/// # Panics
/// Then, with the answer.
pub async fn assert_stays(
    server: SocketAddr,
    name: &str,
    record_type: &str,
    expected: &[&str],
    span: Duration,
) {
    let expected: BTreeSet<String> = expected.iter().map(|&value| value.to_owned()).collect();
    let start = std::time::Instant::now();
    while start.elapsed() < span {
        let answer = query(server, name, record_type).await;
        let answer = answer.unwrap_or_else(|e| panic!("{server} does not answer {name}: {e}"));
        assert!(
            answer.values(record_type) == expected,
            "{name} {record_type} was {expected:?} and after {:?} is: {answer}",
            start.elapsed()
        );
        tokio::time::sleep(PAUSE).await;
    }
}

async fn timed(
    server: SocketAddr,
    exchange: impl Future<Output = std::io::Result<Vec<u8>>>,
) -> Result<Vec<u8>, NoAnswer> {
    match tokio::time::timeout(TIMEOUT, exchange).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(NoAnswer(format!("no answer from {server}: {error}"))),
        Err(_) => Err(NoAnswer(format!("no answer from {server} in {TIMEOUT:?}"))),
    }
}

fn question(name: &str, record_type: &str) -> Message {
    let mut name = Name::from_str(name).unwrap_or_else(|e| panic!("{name:?} is not a domain name: {e}"));
    name.set_fqdn(true);
    let record_type =
        RecordType::from_str(record_type).unwrap_or_else(|e| panic!("{record_type:?} is not a type: {e}"));
    let mut message = Message::query();
    message.add_query(Query::query(name, record_type));
    message
}

fn encode(message: &Message) -> Vec<u8> {
    message.to_vec().expect("a question can be encoded")
}

fn decode(question: &Message, bytes: &[u8]) -> Result<Answer, NoAnswer> {
    let message =
        Message::from_vec(bytes).map_err(|e| NoAnswer(format!("an answer that is not DNS: {e}")))?;
    if message.metadata.id != question.metadata.id || message.queries != question.queries {
        return Err(NoAnswer(format!("an answer to another question: {message}")));
    }
    let record = |record: &hickory_proto::rr::Record| {
        // Only text is more than names and numbers, and is told apart by its case.
        let value = match record.record_type() {
            RecordType::TXT => record.data.to_string(),
            _ => lower(&record.data.to_string()),
        };
        let record_type = record.record_type().to_string();
        Record { name: lower(&record.name.to_string()), record_type, ttl: record.ttl, value }
    };
    Ok(Answer {
        rcode: message.metadata.response_code,
        authoritative: message.metadata.authoritative,
        truncated: message.metadata.truncation,
        answers: message.answers.iter().map(record).collect(),
        authorities: message.authorities.iter().map(record).collect(),
    })
}

fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}
