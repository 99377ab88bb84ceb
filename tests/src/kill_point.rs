//! Kills a process at a chosen request on its way to a server: before the server has it, or when the server has answered
//! and the process does not know yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetdns_fakes::conformance::Moment;
use rustix::process::{Pid, Signal, kill_process};

/// How messages follow each other on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC without TLS: frames of HTTP/2 (RFC 9113 4.1).
    Grpc,
    /// DNS over TCP (RFC 1035 4.2.2).
    Dns,
}

/// Which request it is, by its body.
pub type Which = fn(&[u8]) -> bool;

/// Kills at one request.
#[derive(Debug)]
struct KillPoint {
    which: Which,
    moment: Moment,
    /// Requests still to pass before it.
    left: usize,
    pid: u32,
    /// How often the road was armed or disarmed before.
    turn: u64,
}

impl KillPoint {
    fn strike(self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("a process id");
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// The kill point of a road, if it has one now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Armed(Arc<Mutex<Arming>>);

#[derive(Debug, Default)]
struct Arming {
    turn: u64,
    point: Option<KillPoint>,
}

impl Armed {
    fn lock(&self) -> MutexGuard<'_, Arming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the process at the `hit`th request from now on, counted from 1.
    pub(crate) fn arm(&self, which: Which, moment: Moment, hit: usize, pid: u32) {
        let mut armed = self.lock();
        let turn = armed.turn + 1;
        *armed = Arming { turn, point: Some(KillPoint { which, moment, left: hit - 1, pid, turn }) };
    }

    pub(crate) fn disarm(&self) {
        let mut armed = self.lock();
        *armed = Arming { turn: armed.turn + 1, point: None };
    }

    /// The kill point, when this request is the one that it waits for.
    fn take(&self, body: &[u8]) -> Option<KillPoint> {
        let mut armed = self.lock();
        let point = armed.point.as_mut().filter(|point| (point.which)(body))?;
        if point.left == 0 {
            return armed.point.take();
        }
        point.left -= 1;
        None
    }

    /// Puts a kill point back whose request was never answered: the next such request is as good.
    fn put_back(&self, point: KillPoint) {
        let mut armed = self.lock();
        if armed.turn == point.turn {
            armed.point = Some(point);
        }
    }
}

/// One connection: what has been seen of both directions.
#[derive(Debug)]
pub(crate) struct Watched {
    armed: Armed,
    requests: Splitter,
    answers: Splitter,
    /// The request whose answer is waited for.
    awaited: Option<(u32, KillPoint)>,
}

/// The process was killed, and nothing more passes.
pub(crate) struct Killed;

impl Watched {
    pub(crate) fn new(protocol: Protocol, armed: Armed) -> Self {
        let (requests, answers) = (Splitter::new(protocol, true), Splitter::new(protocol, false));
        Self { armed, requests, answers, awaited: None }
    }

    /// Sees what goes to the server, before it does.
    pub(crate) fn request(&mut self, bytes: &[u8]) -> Result<(), Killed> {
        for (id, body) in self.requests.split(bytes) {
            let Some(body) = body else { continue };
            match self.armed.take(&body) {
                None => {}
                Some(point) if point.moment == Moment::Before => {
                    point.strike();
                    return Err(Killed);
                }
                Some(point) => self.awaited = Some((id, point)),
            }
        }
        Ok(())
    }

    /// Sees what comes back, before the process does.
    pub(crate) fn answer(&mut self, bytes: &[u8]) -> Result<(), Killed> {
        for (id, _) in self.answers.split(bytes) {
            if let Some((_, point)) = self.awaited.take_if(|(awaited, _)| *awaited == id) {
                point.strike();
                return Err(Killed);
            }
        }
        Ok(())
    }
}

/// A client on a slow machine may have given up before the answer came.
impl Drop for Watched {
    fn drop(&mut self) {
        if let Some((_, point)) = self.awaited.take() {
            self.armed.put_back(point);
        }
    }
}

/// Whose a message is, by the number of its stream or the id that it has, and the beginning of the body where it begins.
type Message = (u32, Option<Vec<u8>>);

/// Cuts the bytes of one direction into messages.
#[derive(Debug)]
struct Splitter {
    protocol: Protocol,
    /// Octets of the preface of HTTP/2 that are still to come.
    preface: usize,
    rest: Vec<u8>,
    /// The last stream with a body: the further frames of a large one say nothing.
    last: u32,
}

const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
/// Before a message of gRPC: whether it is compressed, and its length.
const GRPC_HEAD: usize = 5;

impl Splitter {
    const fn new(protocol: Protocol, requests: bool) -> Self {
        let preface = if requests && matches!(protocol, Protocol::Grpc) { PREFACE } else { 0 };
        Self { protocol, preface, rest: Vec::new(), last: 0 }
    }

    /// The messages that are complete with these bytes.
    fn split(&mut self, bytes: &[u8]) -> Vec<Message> {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        self.rest.extend_from_slice(&bytes[skipped..]);
        let mut found = Vec::new();
        while let Some((length, message)) = self.next() {
            self.rest.drain(..length);
            found.extend(message);
        }
        found
    }

    /// The first message and its length; no message where the protocol only speaks of itself.
    fn next(&mut self) -> Option<(usize, Option<Message>)> {
        match self.protocol {
            Protocol::Dns => {
                let length = 2 + usize::from(u16::from_be_bytes([*self.rest.first()?, *self.rest.get(1)?]));
                let message = self.rest.get(2..length)?;
                let id = u32::from(u16::from_be_bytes([*message.first()?, *message.get(1)?]));
                Some((length, Some((id, Some(message.to_vec())))))
            }
            Protocol::Grpc => {
                let head = self.rest.get(..FRAME_HEAD)?;
                let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let id = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
                let (kind, length) = (head[3], FRAME_HEAD + usize::try_from(size).ok()?);
                let body = self.rest.get(FRAME_HEAD..length)?;
                let begins = kind == DATA && id != self.last && body.len() > GRPC_HEAD;
                let body = begins.then(|| body[GRPC_HEAD..].to_vec());
                if begins {
                    self.last = id;
                }
                Some((length, matches!(kind, DATA | HEADERS).then_some((id, body))))
            }
        }
    }
}

/// Whether a request of etcd's KV service is a transaction that has this in its first frame. All other calls begin with a key.
pub fn is_transaction(body: &[u8], part: &str) -> bool {
    const FIRST_FIELD: u8 = 0x0a;
    // Tag and length of the first field; a key is shorter than 16 kB, and begins with a slash.
    let value = match body {
        [FIRST_FIELD, length, rest @ ..] if *length < 0x80 => rest,
        [FIRST_FIELD, _, _, rest @ ..] => rest,
        _ => return false,
    };
    value.first() != Some(&b'/') && body.windows(part.len()).any(|window| window == part.as_bytes())
}

/// Whether a DNS message is an UPDATE (RFC 2136 1.3).
pub fn is_update(message: &[u8]) -> bool {
    const UPDATE: u8 = 5;
    message.get(2).is_some_and(|flags| flags >> 3 & 0xf == UPDATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, id: u8, body: &[u8]) -> Vec<u8> {
        let length = u8::try_from(body.len()).unwrap();
        [&[0, 0, length, kind, 0, 0, 0, 0, id][..], body].concat()
    }

    fn put(id: u8) -> Vec<u8> {
        frame(DATA, id, &[&[0, 0, 0, 0, 8, 0x0a, 6, 0x10, 1][..], b"/key"].concat())
    }

    /// A process that only waits to be killed.
    struct Victim(std::process::Child);

    impl Victim {
        fn armed(moment: Moment, hit: usize) -> (Watched, Self) {
            let child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
            let armed = Armed::default();
            armed.arm(|body| is_transaction(body, "/key"), moment, hit, child.id());
            (Watched::new(Protocol::Grpc, armed), Self(child))
        }

        fn lives(&mut self) -> bool {
            self.0.try_wait().unwrap().is_none()
        }
    }

    impl Drop for Victim {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn the_second_transaction_is_met_wherever_the_stream_is_cut() {
        let read = frame(DATA, 1, &[&[0, 0, 0, 0, 6, 0x0a, 4][..], b"/key"].concat());
        let before: Vec<u8> = [vec![b'P'; PREFACE], read, put(3), frame(HEADERS, 5, b"x")].concat();
        for cut in 0..before.len() {
            let (mut watched, mut victim) = Victim::armed(Moment::Before, 2);
            assert!(watched.request(&before[..cut]).is_ok() && watched.request(&before[cut..]).is_ok());
            assert!(victim.lives(), "the first one passes");
            assert!(watched.request(&put(5)).is_err());
            victim.0.wait().unwrap();
        }
    }

    #[test]
    fn the_answer_to_another_request_passes() {
        let (mut watched, mut victim) = Victim::armed(Moment::After, 1);
        assert!(watched.request(&[vec![b'P'; PREFACE], put(3)].concat()).is_ok());
        assert!(watched.answer(&frame(HEADERS, 1, b"ok")).is_ok() && victim.lives());
        assert!(watched.answer(&frame(HEADERS, 3, b"ok")).is_err());
        victim.0.wait().unwrap();
    }

    #[test]
    fn a_request_that_is_never_answered_leaves_the_next_one_to_be_met() {
        let (mut watched, mut victim) = Victim::armed(Moment::After, 1);
        let begin = [vec![b'P'; PREFACE], put(3)].concat();
        assert!(watched.request(&begin).is_ok());
        let armed = watched.armed.clone();
        drop(watched);
        let mut watched = Watched::new(Protocol::Grpc, armed.clone());
        assert!(watched.request(&begin).is_ok() && victim.lives());
        assert!(watched.answer(&frame(HEADERS, 3, b"ok")).is_err());
        victim.0.wait().unwrap();
        // What was armed before is over with the next turn.
        let (mut watched, victim) = Victim::armed(Moment::After, 1);
        assert!(watched.request(&begin).is_ok());
        let armed = watched.armed.clone();
        armed.disarm();
        drop(watched);
        assert!(armed.take(&put(3)[9..]).is_none());
        drop(victim);
    }

    #[test]
    fn an_update_of_dns_is_told_from_a_question() {
        let (question, update) = ([0, 1, 0x01, 0, 0, 1], [0, 1, 0x28, 0, 0, 1]);
        assert!(!is_update(&question) && is_update(&update));
    }
}
