//! Questions to the DNS server, asked over UDP as any client would.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use thiserror::Error;
use tokio::net::UdpSocket;

/// One question may take so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// What stands at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    /// A records.
    Addresses(BTreeSet<Ipv4Addr>),
    /// A CNAME record.
    Alias(String),
}

impl Data {
    /// The record type.
    pub(super) const fn record_type(&self) -> &'static str {
        match self {
            Self::Addresses(_) => "A",
            Self::Alias(_) => "CNAME",
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(all) => {
                let all: Vec<String> = all.iter().map(Ipv4Addr::to_string).collect();
                f.write_str(&all.join(" "))
            }
            Self::Alias(name) => f.write_str(name),
        }
    }
}

/// The record set of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    /// Seconds.
    pub(super) ttl: u32,
    pub(super) data: Data,
}

/// An answer to a question for A records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// What stands at the name itself; nothing where it does not exist.
    pub(super) set: Option<Set>,
    /// Where the name leads to in the end, CNAMEs followed.
    pub(super) addresses: BTreeSet<Ipv4Addr>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum NoAnswer {
    /// The name is none, or the answer is no DNS message.
    #[error("the DNS message cannot be made or read")]
    Message(#[from] hickory_proto::ProtoError),
    /// Same, for what came in.
    #[error("the DNS message cannot be read")]
    Unreadable(#[from] hickory_proto::serialize::binary::DecodeError),
    /// The server cannot be reached.
    #[error("the DNS server at {server} cannot be asked")]
    Unreachable {
        /// Which server.
        server: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The server is silent.
    #[error("the DNS server at {server} does not answer")]
    Silent {
        /// Which server.
        server: SocketAddr,
    },
    /// The server does not serve the name, or has a fault.
    #[error("the DNS server answers {0}")]
    Refused(ResponseCode),
    /// The answer belongs to another question.
    #[error("the DNS server answers another question")]
    Astray,
}

/// Asks for the A records of a name.
///
/// # Errors
/// When there is no answer, or one that is neither NOERROR nor NXDOMAIN.
pub(super) async fn ask(server: SocketAddr, name: &str) -> Result<Answer, NoAnswer> {
    let mut question = Message::query();
    let mut asked = Name::from_ascii(name)?;
    asked.set_fqdn(true);
    question.add_query(Query::query(asked, RecordType::A));
    let sent = question.to_vec()?;
    let exchange = async {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        // Connected, so that a closed port is noticed and nobody else can answer.
        socket.connect(server).await?;
        socket.send(&sent).await?;
        let mut buffer = vec![0; 4096];
        let length = socket.recv(&mut buffer).await?;
        buffer.truncate(length);
        Ok(buffer)
    };
    let received = match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(received) => received.map_err(|source| NoAnswer::Unreachable { server, source })?,
        Err(_) => return Err(NoAnswer::Silent { server }),
    };
    read(&question, &Message::from_vec(&received)?)
}

fn read(question: &Message, message: &Message) -> Result<Answer, NoAnswer> {
    let Some(asked) = question.queries.first().filter(|_| message.queries == question.queries) else {
        return Err(NoAnswer::Astray);
    };
    if message.metadata.id != question.metadata.id {
        return Err(NoAnswer::Astray);
    }
    if !matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(NoAnswer::Refused(message.metadata.response_code));
    }
    let mut answer = Answer::default();
    for record in &message.answers {
        let own = record.name == asked.name;
        match &record.data {
            RData::A(address) => {
                answer.addresses.insert(address.0);
                if own {
                    let data = Data::Addresses(answer.addresses.clone());
                    answer.set = Some(Set { ttl: record.ttl, data });
                }
            }
            RData::CNAME(target) if own => {
                let target = target.0.to_ascii().trim_end_matches('.').to_lowercase();
                answer.set = Some(Set { ttl: record.ttl, data: Data::Alias(target) });
            }
            _ => {}
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::MessageType;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    /// Answers one question over UDP with these records, and returns what was understood.
    async fn asked(code: ResponseCode, records: Vec<Record>) -> Result<Answer, NoAnswer> {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serving = async {
            let mut buffer = [0; 512];
            let (length, client) = server.recv_from(&mut buffer).await.unwrap();
            let mut message = Message::from_vec(&buffer[..length]).unwrap();
            message.metadata.message_type = MessageType::Response;
            message.metadata.response_code = code;
            message.add_answers(records);
            server.send_to(&message.to_vec().unwrap(), client).await.unwrap();
        };
        tokio::join!(ask(address, "a.example.com"), serving).0
    }

    #[tokio::test]
    async fn an_address_an_alias_and_nothing_are_told_apart() {
        let address =
            |owner: &str, last| Record::from_rdata(name(owner), 30, RData::A(A::new(192, 0, 2, last)));
        let alias =
            Record::from_rdata(name("a.example.com."), 20, RData::CNAME(CNAME(name("B.example.com."))));

        let answer =
            asked(ResponseCode::NoError, vec![address("a.example.com.", 2), address("a.example.com.", 1)]);
        let set = answer.await.unwrap().set.unwrap();
        assert_eq!(
            (set.ttl, set.data.record_type(), set.data.to_string().as_str()),
            (30, "A", "192.0.2.1 192.0.2.2")
        );

        let answer = asked(ResponseCode::NoError, vec![alias, address("b.example.com.", 1)]).await.unwrap();
        assert_eq!(answer.set, Some(Set { ttl: 20, data: Data::Alias("b.example.com".to_owned()) }));
        assert_eq!(answer.addresses, BTreeSet::from([Ipv4Addr::new(192, 0, 2, 1)]));

        assert_eq!(asked(ResponseCode::NXDomain, vec![]).await.unwrap(), Answer::default());
        assert!(matches!(asked(ResponseCode::ServFail, vec![]).await, Err(NoAnswer::Refused(_))));
    }
}
