//! Signed messages over TCP, and answers whose signature was looked at (RFC 8945).
//!
//! The framing is done here, and not by a ready-made client, as what is wrong with a key stands in an answer without a
//! signature: a client that looks at the signature first cannot tell it.
//!
//! Invariant: every wait for the server ends.

use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::chain::{Chain, now};
use crate::dial::Dial;
use crate::error::Fault;
use crate::message;
use crate::settings::Settings;

/// For the first message of an answer: a server reads a large zone, or writes and signs many names.
const ANSWER: Duration = Duration::from_secs(20);
/// For each further message.
const PROGRESS: Duration = Duration::from_secs(10);

/// A connection that is made again for each call of the provider: an old one that the server closed cannot be told from
/// one on which an update was lost.
pub(crate) struct Link<'a> {
    stream: TcpStream,
    dial: &'a Dial,
    settings: &'a Settings,
}

/// One message of an answer.
pub(crate) struct Part {
    pub(crate) message: Message,
    /// Octets that it had.
    pub(crate) octets: usize,
    /// Seconds that the server's clock is ahead of ours, when the message was signed.
    pub(crate) ahead: Option<i64>,
}

impl<'a> Link<'a> {
    pub(crate) async fn connect(dial: &'a Dial, settings: &'a Settings) -> Result<Self, Fault> {
        Ok(Self { stream: dial.connect().await?, dial, settings })
    }

    /// Connects again, in place of a connection that broke.
    pub(crate) async fn reconnect(&mut self) -> Result<(), Fault> {
        self.stream = self.dial.connect().await?;
        Ok(())
    }

    /// The records of a type at the zone's own name; the first part of the answer.
    pub(crate) async fn ask(&mut self, record_type: RecordType) -> Result<(Part, Chain), Fault> {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(self.settings.apex.clone(), record_type));
        let mut chain = self.send(message).await?;
        let part = self.receive(&mut chain, ANSWER).await?;
        expect_no_error(part.message.metadata.response_code)?;
        Ok((part, chain))
    }

    /// The next part of an answer.
    pub(crate) async fn next(&mut self, chain: &mut Chain) -> Result<Part, Fault> {
        let part = self.receive(chain, PROGRESS).await?;
        expect_no_error(part.message.metadata.response_code)?;
        Ok(part)
    }

    /// An update (RFC 2136 §2) with these prerequisites and changes; returns the server's answer, whatever it is.
    pub(crate) async fn update(
        &mut self,
        guards: Vec<Record>,
        updates: Vec<Record>,
    ) -> Result<ResponseCode, Fault> {
        let mut message = Message::new(Message::query().metadata.id, MessageType::Query, OpCode::Update);
        message.add_query(Query::query(self.settings.apex.clone(), RecordType::SOA));
        message.insert_answers(guards);
        message.insert_authorities(updates);
        let mut chain = self.send(message).await?;
        let part = self.receive(&mut chain, ANSWER).await?;
        Ok(part.message.metadata.response_code)
    }

    async fn send(&mut self, mut message: Message) -> Result<Chain, Fault> {
        let unfit = |error: hickory_proto::ProtoError| Fault::Nonsense(format!("cannot be sent: {error}"));
        message.finalize(&self.settings.signer, now()).map_err(unfit)?;
        let bytes = message.to_vec().map_err(unfit)?;
        let octets = u16::try_from(bytes.len()).map_err(|_| Fault::Nonsense("is too large".to_owned()))?;
        let mut framed = octets.to_be_bytes().to_vec();
        framed.extend(bytes);
        let sent = timeout(ANSWER, self.stream.write_all(&framed)).await;
        sent.map_err(|_| self.silent(ANSWER))??;
        let signature = message.signature().map_or_else(Vec::new, |record| record.data.mac.clone());
        Ok(Chain::new(message.metadata.id, signature))
    }

    async fn receive(&mut self, chain: &mut Chain, patience: Duration) -> Result<Part, Fault> {
        let received = timeout(patience, self.read()).await;
        let bytes = received.map_err(|_| self.silent(patience))??;
        let nonsense = |error| Fault::Nonsense(format!("an answer that cannot be read: {error}"));
        let signed = message::read(&bytes).map_err(nonsense)?;
        let message = &signed.message;
        if message.metadata.id != chain.id || message.metadata.message_type != MessageType::Response {
            return Err(Fault::Nonsense("an answer to something else".to_owned()));
        }
        let ahead = chain.verify(&self.settings.signer, &signed, &bytes)?;
        Ok(Part { message: signed.message, octets: bytes.len(), ahead })
    }

    async fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.stream.read_u16().await?.into()];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    fn silent(&self, patience: Duration) -> Fault {
        self.dial.was_silent(self.stream.peer_addr().ok());
        Fault::Silent(patience)
    }
}

fn expect_no_error(code: ResponseCode) -> Result<(), Fault> {
    if code == ResponseCode::NoError { Ok(()) } else { Err(Fault::Refused(code)) }
}
