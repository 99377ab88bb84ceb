//! A DNS server of ours that answers as a closure says, or not at all.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::{RData, Record, RecordType, rdata::A};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Answers a question for addresses of a name; `None`: it is never answered.
type Answer = dyn Fn(&str) -> Option<Vec<Ipv4Addr>> + Send + Sync;
type Asked = Arc<Mutex<HashMap<String, Vec<Instant>>>>;

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Resolver {
    address: SocketAddr,
    asked: Asked,
    task: JoinHandle<()>,
    /// Who asks over TCP is connected and never answered.
    _tcp: TcpListener,
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Resolver {
    /// Starts one. Every name has IPv4 addresses alone, with a TTL of 0 seconds.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(answer: impl Fn(&str) -> Option<Vec<Ipv4Addr>> + Send + Sync + 'static) -> Self {
        let address = crate::ports::free_address();
        let tcp = TcpListener::bind(address).expect("a free port");
        let socket = UdpSocket::bind(address).await.expect("a free port");
        let asked = Asked::default();
        let task = tokio::spawn(serve(socket, Arc::clone(&asked), Box::new(answer)));
        Self { address, asked, task, _tcp: tcp }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// When each name was asked for its IPv4 addresses, first question first.
    ///
    /// # Panics
    /// Never: no thread panics while it holds them.
    pub fn asked(&self) -> HashMap<String, Vec<Instant>> {
        self.asked.lock().expect("no thread panics with it").clone()
    }
}

async fn serve(socket: UdpSocket, asked: Asked, answer: Box<Answer>) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        if let Some(message) = reply(&question, &asked, &*answer) {
            let _ = socket.send_to(&message.to_vec().expect("an answer can be encoded"), client).await;
        }
    }
}

fn reply(question: &Message, asked: &Asked, answer: &Answer) -> Option<Message> {
    let query = question.queries.first()?;
    let name = query.name().to_string().trim_end_matches('.').to_ascii_lowercase();
    let is_v4 = query.query_type() == RecordType::A;
    if is_v4 {
        let mut asked = asked.lock().expect("no thread panics with it");
        asked.entry(name.clone()).or_default().push(Instant::now());
    }
    let addresses = answer(&name)?;
    let mut message = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    message.add_query(query.clone());
    for address in addresses.into_iter().filter(|_| is_v4) {
        message.add_answer(Record::from_rdata(query.name().clone(), 0, RData::A(A(address))));
    }
    Some(message)
}
