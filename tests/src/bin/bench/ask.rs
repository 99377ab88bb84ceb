//! DNS questions over UDP on one socket, as fast as they are answered: the clock of the benchmark.
//!
//! Blocking, so that no scheduler stands between the answer and the time that is taken of it.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};

/// An answer that takes longer is asked for again.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Between two questions: the finest step, and the coarsest that a long wait grows to.
const PAUSE: Duration = Duration::from_micros(300);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// Questions in flight while many names are asked for.
const WINDOW: usize = 32;

/// A socket connected to one server.
#[derive(Debug)]
pub(crate) struct Asker {
    socket: UdpSocket,
    id: u16,
}

impl Asker {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a UDP socket");
        socket.connect(server).expect("a loopback address can be connected to");
        socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout that is not zero");
        Self { socket, id: 0 }
    }

    /// Asks for A records until `address` is among them; returns the time of that answer, or nothing at `deadline`.
    ///
    /// The pause between two questions is 0.3 ms, and half a percent of the wait so far once that is longer: what is
    /// fast is measured finely, and what is slow does not have its servers kept busy for seconds.
    pub(crate) fn wait_for(&mut self, name: &str, address: Ipv4Addr, deadline: Instant) -> Option<Instant> {
        let mut question = question(name);
        let start = Instant::now();
        loop {
            let answer = self.ask(&mut question);
            let now = Instant::now();
            if answer.is_some_and(|message| addresses(&message).any(|ip| ip == address)) {
                return Some(now);
            }
            if now >= deadline {
                return None;
            }
            std::thread::sleep((start.elapsed() / 200).clamp(PAUSE, LONGEST_PAUSE));
        }
    }

    /// Asks for A records of all `names` until each has some; returns the time of the last answer, or the names that
    /// still have none at `deadline`.
    pub(crate) fn wait_for_all(
        &mut self,
        names: &[String],
        deadline: Instant,
    ) -> Result<Instant, Vec<String>> {
        let mut questions: Vec<Vec<u8>> = names.iter().map(|name| question(name)).collect();
        let mut pending: Vec<usize> = (0..names.len()).collect();
        // One at a time until there is one: the first zone is not to wait for the servers that are asked about it.
        let mut window = 1;
        while !pending.is_empty() {
            let answered = self.answered(&mut questions, &pending[..pending.len().min(window)]);
            let now = Instant::now();
            pending.retain(|index| !answered.contains(index));
            if pending.is_empty() {
                return Ok(now);
            }
            if now >= deadline {
                return Err(pending.into_iter().map(|index| names[index].clone()).collect());
            }
            window = if answered.is_empty() { 1 } else { WINDOW };
            if answered.is_empty() {
                // Others may be there before the one in front.
                pending.rotate_left(1);
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(Instant::now())
    }

    /// Which of these few have an A record.
    fn answered(&mut self, questions: &mut [Vec<u8>], window: &[usize]) -> BTreeSet<usize> {
        let first = self.id.wrapping_add(1);
        for &index in window {
            self.send(&mut questions[index]);
        }
        let mut answered = BTreeSet::new();
        let mut left = window.len();
        while left > 0 {
            let Some(message) = self.receive() else { break };
            let turn = usize::from(message.metadata.id.wrapping_sub(first));
            let Some(&index) = window.get(turn) else { continue };
            left -= 1;
            if addresses(&message).next().is_some() {
                answered.insert(index);
            }
        }
        answered
    }

    fn ask(&mut self, question: &mut [u8]) -> Option<Message> {
        self.send(question);
        loop {
            let message = self.receive()?;
            if message.metadata.id == self.id {
                return Some(message);
            }
        }
    }

    fn send(&mut self, question: &mut [u8]) {
        self.id = self.id.wrapping_add(1);
        question[..2].copy_from_slice(&self.id.to_be_bytes());
        match self.socket.send(question) {
            // A server that does not listen yet: its refusal comes with the next call.
            Err(e) if e.kind() != io::ErrorKind::ConnectionRefused => panic!("cannot ask: {e}"),
            _ => {}
        }
    }

    /// The next answer, if it comes in time.
    fn receive(&mut self) -> Option<Message> {
        let mut buffer = [0; 4_096];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Some(Message::from_vec(&buffer[..length]).expect("the server speaks DNS")),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::ConnectionRefused
                ) =>
            {
                None
            }
            Err(e) => panic!("cannot ask: {e}"),
        }
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut name = Name::from_str(name).expect("our own names are names");
    name.set_fqdn(true);
    let mut message = Message::query();
    message.add_query(Query::query(name, RecordType::A));
    message.to_vec().expect("a question can be encoded")
}

fn addresses(message: &Message) -> impl Iterator<Item = Ipv4Addr> {
    message.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    })
}
