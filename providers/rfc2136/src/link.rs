//! Signed messages over TCP, and answers whose signature was looked at (RFC 8945).
//!
//! The framing is done here, and not by a ready-made client, as what is wrong with a key stands in an answer without a
//! signature: a client that looks at the signature first cannot tell it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::rdata::tsig::{TsigError, signed_bitmessage_to_buf};
use hickory_proto::rr::{Name, Record, RecordType, TSigner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fault::Fault;
use crate::settings::FUDGE;

/// For the connection, and for each message that comes.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);

/// Octets of the header of a message.
const HEADER: usize = 12;

/// A connection that is made anew for each call of the provider: an old one that the server closed cannot be told from
/// one on which an update was lost.
pub(crate) struct Link<'a> {
    stream: TcpStream,
    apex: &'a Name,
    signer: &'a TSigner,
}

/// The signatures of a request and of all messages of its answer.
pub(crate) struct Chain {
    id: u16,
    last: Vec<u8>,
    first: bool,
    /// Messages without a signature since the last one that had it; the next signature covers them too.
    pending: Vec<u8>,
}

/// One message of an answer.
pub(crate) struct Part {
    pub(crate) message: Message,
    /// Seconds that the server's clock is ahead of ours, when the message was signed.
    pub(crate) ahead: Option<i64>,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn ahead(theirs: u64) -> i64 {
    i64::try_from(theirs).unwrap_or(i64::MAX).saturating_sub(i64::try_from(now()).unwrap_or(0))
}

impl<'a> Link<'a> {
    pub(crate) async fn connect(server: &str, apex: &'a Name, signer: &'a TSigner) -> Result<Self, Fault> {
        let stream =
            timeout(CONNECT, TcpStream::connect(server)).await.map_err(|_| Fault::Silent(CONNECT))??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, apex, signer })
    }

    /// The records of a type at the zone's own name; the first part of the answer.
    pub(crate) async fn ask(&mut self, record_type: RecordType) -> Result<(Part, Chain), Fault> {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(self.apex.clone(), record_type));
        let mut chain = self.send(message).await?;
        let part = self.receive(&mut chain).await?;
        expect_no_error(part.message.metadata.response_code)?;
        Ok((part, chain))
    }

    /// An update (RFC 2136 §2); gives the server's answer, whatever it is.
    pub(crate) async fn update(&mut self, message: Message) -> Result<ResponseCode, Fault> {
        let mut chain = self.send(message).await?;
        let part = self.receive(&mut chain).await?;
        Ok(part.message.metadata.response_code)
    }

    pub(crate) fn update_message(&self, guards: Vec<Record>, updates: Vec<Record>) -> Message {
        let mut message = Message::new(Message::query().metadata.id, MessageType::Query, OpCode::Update);
        message.add_query(Query::query(self.apex.clone(), RecordType::SOA));
        message.insert_answers(guards);
        message.insert_authorities(updates);
        message
    }

    async fn send(&mut self, mut message: Message) -> Result<Chain, Fault> {
        let unfit = |error: hickory_proto::ProtoError| Fault::Nonsense(format!("cannot be sent: {error}"));
        message.finalize(self.signer, now()).map_err(unfit)?;
        let bytes = message.to_vec().map_err(unfit)?;
        let octets = u16::try_from(bytes.len()).map_err(|_| Fault::Nonsense("is too large".to_owned()))?;
        let mut framed = octets.to_be_bytes().to_vec();
        framed.extend(bytes);
        timeout(ANSWER, self.stream.write_all(&framed)).await.map_err(|_| Fault::Silent(ANSWER))??;
        let last = message.signature().map_or_else(Vec::new, |record| record.data.mac.clone());
        Ok(Chain { id: message.metadata.id, last, first: true, pending: Vec::new() })
    }

    /// The next message of an answer.
    pub(crate) async fn receive(&mut self, chain: &mut Chain) -> Result<Part, Fault> {
        let bytes = timeout(ANSWER, self.read()).await.map_err(|_| Fault::Silent(ANSWER))??;
        let nonsense = |error| Fault::Nonsense(format!("an answer that cannot be read: {error}"));
        let message = Message::from_vec(&bytes).map_err(nonsense)?;
        if message.metadata.id != chain.id || message.metadata.message_type != MessageType::Response {
            return Err(Fault::Nonsense("an answer to something else".to_owned()));
        }
        let ahead = chain.verify(self.signer, &message, &bytes)?;
        Ok(Part { message, ahead })
    }

    async fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.stream.read_u16().await?.into()];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }
}

pub(crate) fn expect_no_error(code: ResponseCode) -> Result<(), Fault> {
    if code == ResponseCode::NoError { Ok(()) } else { Err(Fault::Refused(code)) }
}

impl Chain {
    /// Whether the last message was covered by a signature.
    pub(crate) fn is_sealed(&self) -> bool {
        self.pending.is_empty()
    }

    /// RFC 8945 §5.3 and §5.3.1: the first message of an answer is signed, of the others not all have to be.
    fn verify(&mut self, signer: &TSigner, message: &Message, bytes: &[u8]) -> Result<Option<i64>, Fault> {
        let Some(signature) = message.signature() else {
            if self.first || bytes.len() < HEADER {
                return Err(Fault::Unsigned(message.metadata.response_code));
            }
            self.pending.extend(bytes);
            return Ok(None);
        };
        let tsig: &TSIG = &signature.data;
        if let Some(error) = tsig.error.filter(|error| u16::from(*error) != 0) {
            // Only the time of BADTIME is said, in 48 bits (RFC 8945 §5.2.3).
            let theirs = tsig.other.iter().fold(0, |time, octet| time << 8 | u64::from(*octet));
            let told = error == TsigError::BadTime && tsig.other.len() == 6;
            return Err(Fault::Signature { error, ahead: told.then(|| ahead(theirs)) });
        }
        let bad = || Fault::Nonsense("an answer whose signature is wrong".to_owned());
        let (mut covered, _) =
            signed_bitmessage_to_buf(bytes, Some(&self.last), self.first).map_err(|_| bad())?;
        let start = 2 + self.last.len();
        covered.splice(start..start, self.pending.drain(..));
        let same_key = signature.name == *signer.signer_name() && tsig.algorithm == *signer.algorithm();
        if !same_key || signer.verify(&covered, &tsig.mac).is_err() {
            return Err(bad());
        }
        let ahead = ahead(tsig.time);
        if ahead.unsigned_abs() > u64::from(FUDGE) {
            return Err(Fault::Signature { error: TsigError::BadTime, ahead: Some(ahead) });
        }
        self.last.clone_from(&tsig.mac);
        self.first = false;
        Ok(Some(ahead))
    }
}
