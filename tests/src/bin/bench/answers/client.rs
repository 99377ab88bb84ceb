//! A client that asks as fast as it is answered.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::zone::{ZONE, name};

/// Questions that are not answered yet.
pub(super) const WINDOW: usize = 64;
/// What is asked, in words.
pub(super) const MIX: &str =
    "eight of ten names exist, one has no AAAA (NODATA), one does not exist (NXDOMAIN)";
/// Questions that are prepared; each is asked again and again.
const QUESTIONS: u32 = 20_000;
/// An answer that takes so long is lost.
const LOST: Duration = Duration::from_millis(200);
/// How long a server may take to read its zone.
const START: Duration = Duration::from_secs(60);

/// What a server did in a round.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) answers: u32,
    pub(super) took: Duration,
    /// CPU time of the server.
    pub(super) cpu: Duration,
}

pub(super) struct Client {
    socket: UdpSocket,
    /// Each with the code and the number of answers that are right.
    questions: Vec<(Vec<u8>, ResponseCode, u8)>,
}

impl Client {
    pub(super) fn new(server: SocketAddr, names: u32) -> Self {
        let socket = UdpSocket::bind((server.ip(), 0)).expect("loopback has a free port");
        socket.connect(server).expect("the server is on loopback");
        socket.set_read_timeout(Some(LOST)).expect("a time limit can be set");
        Self { socket, questions: (0..QUESTIONS).map(|number| question(number, names)).collect() }
    }

    /// Waits until the server answers a name of the zone.
    pub(super) fn ready(&self) {
        let start = Instant::now();
        let mut buffer = [0; 1500];
        loop {
            let (question, ..) = &self.questions[2];
            let _ = self.socket.send(question);
            if let Ok(length) = self.socket.recv(&mut buffer)
                && buffer[..length][3] & 0x0f == 0
                && buffer[7] == 1
            {
                return;
            }
            assert!(start.elapsed() < START, "the server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asks for so long.
    ///
    /// # Panics
    /// When an answer is wrong.
    pub(super) fn ask(&self, time: Duration) -> Round {
        let (start, mut answers, mut next, mut waiting) = (Instant::now(), 0_u32, 0_usize, 0_usize);
        let mut buffer = [0; 1500];
        while start.elapsed() < time {
            while waiting < WINDOW {
                let (question, ..) = &self.questions[next % self.questions.len()];
                self.socket.send(question).expect("the server listens");
                (next, waiting) = (next + 1, waiting + 1);
            }
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    self.judge(&buffer[..length]);
                    (answers, waiting) = (answers + 1, waiting - 1);
                }
                // What is lost is not waited for.
                Err(error) if error.kind() == ErrorKind::WouldBlock => waiting = 0,
                Err(error) => panic!("the server is gone: {error}"),
            }
        }
        Round { answers, took: start.elapsed(), cpu: Duration::ZERO }
    }

    fn judge(&self, answer: &[u8]) {
        let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
        let (_, code, count) = &self.questions[id];
        let (said, records) = (answer[3] & 0x0f, answer[7]);
        assert!(said == code.low() && records == *count, "question {id} got code {said}, {records} answers");
    }
}

/// Every tenth has no AAAA, every tenth does not exist. Its number is its id.
fn question(number: u32, names: u32) -> (Vec<u8>, ResponseCode, u8) {
    // A prime, so that they are all over the zone.
    let label = name(number.wrapping_mul(7919) % names);
    let (label, kind, code, count) = match number % 10 {
        0 => (format!("no-{label}"), RecordType::A, ResponseCode::NXDomain, 0),
        1 => (label, RecordType::AAAA, ResponseCode::NoError, 0),
        _ => (label, RecordType::A, ResponseCode::NoError, 1),
    };
    let id = u16::try_from(number).expect("there are fewer than 65,536");
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(format!("{label}.{ZONE}.")).expect("a name"), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.edns = Some(edns);
    (message.to_vec().expect("it can be encoded"), code, count)
}
