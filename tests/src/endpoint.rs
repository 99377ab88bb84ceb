//! An imitated load balancer endpoint: the calculator app of the Kubefed guide, which breaks on request.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{self, AddressFamily, Shutdown, SocketType};

use crate::ports;

/// How an endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Answers.
    Ok,
    /// Nothing listens: connections are refused.
    Refuse,
    /// Packets vanish: connecting hangs.
    BlackHole,
    /// Connections are accepted, and nothing is read or answered.
    Hang,
    /// Every request is answered with this status code.
    Status(u16),
    /// The answer comes, one byte each quarter of a second.
    Drip,
    /// The connection is reset in the middle of the answer's head.
    ResetInHead,
    /// The connection is reset in the middle of the answer's body; its head was whole, and good.
    ResetInBody,
}

/// A running endpoint. Dropping it closes it.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    mode: Mode,
    seen: Arc<Seen>,
    listening: Option<Listening>,
}

/// What came in so far.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    hosts: Mutex<Vec<String>>,
}

impl Endpoint {
    /// One that answers at `address`, any loopback address and port.
    ///
    /// # Panics
    /// When the address cannot be had.
    pub fn start(address: SocketAddr) -> Self {
        let mut endpoint = Self { address, mode: Mode::Refuse, seen: Arc::default(), listening: None };
        endpoint.set(Mode::Ok);
        endpoint
    }

    /// One that answers on `port` of a loopback address that is its own.
    ///
    /// # Panics
    /// When there is none left.
    pub fn on_port(port: u16) -> Self {
        Self::start(SocketAddr::new(ports::loopback_with(port), port))
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its IP address, as it stands in a Service's status.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// How it behaves now.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Makes it behave so; it does when this returns. Open connections are closed.
    ///
    /// # Panics
    /// When the address cannot be had again.
    pub fn set(&mut self, mode: Mode) {
        self.listening = None;
        let failed = |e: io::Error| -> Listening { panic!("cannot be {mode:?} at {}: {e}", self.address) };
        self.listening = match mode {
            Mode::Refuse => None,
            Mode::BlackHole => Some(Listening::black_hole(self.address).unwrap_or_else(failed)),
            Mode::Ok | Mode::Hang | Mode::Status(_) | Mode::Drip | Mode::ResetInHead | Mode::ResetInBody => {
                Some(Listening::accept(self.address, mode, &self.seen).unwrap_or_else(failed))
            }
        };
        self.mode = mode;
    }

    /// Makes it answer again.
    ///
    /// # Panics
    /// When the address cannot be had again.
    pub fn recover(&mut self) {
        self.set(Mode::Ok);
    }

    /// How many connections it accepted since it was started.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// The Host headers of the requests since it was started.
    ///
    /// # Panics
    /// Never: no thread panics while it holds them.
    pub fn hosts(&self) -> Vec<String> {
        self.seen.hosts.lock().expect("no thread panics with it").clone()
    }
}

/// A listener, and what keeps it as it is.
#[derive(Debug)]
struct Listening {
    listener: Arc<TcpListener>,
    ended: Arc<AtomicBool>,
    /// Accepts; not there for a black hole.
    acceptor: Option<JoinHandle<()>>,
    /// Fill the backlog of a black hole.
    _fillers: Vec<TcpStream>,
    /// Accepted, and open until this goes.
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Listening {
    /// A listener whose queue is full and stays so: the kernel drops further SYNs, as a dead network does.
    fn black_hole(address: SocketAddr) -> io::Result<Self> {
        let listener = listen(address, 0)?;
        let mut fillers = Vec::new();
        // A backlog of 0 has room for one; how many exactly is the kernel's business.
        for _ in 0..16 {
            match TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
                Ok(stream) => fillers.push(stream),
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    return Ok(Self {
                        listener: Arc::new(listener),
                        ended: Arc::default(),
                        acceptor: None,
                        _fillers: fillers,
                        open: Arc::default(),
                    });
                }
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::other("this kernel goes on accepting although the backlog is full"))
    }

    fn accept(address: SocketAddr, mode: Mode, seen: &Arc<Seen>) -> io::Result<Self> {
        let listener = Arc::new(listen(address, 1_024)?);
        let ended = Arc::new(AtomicBool::new(false));
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let acceptor = {
            let (listener, ended, open) = (Arc::clone(&listener), Arc::clone(&ended), Arc::clone(&open));
            let seen = Arc::clone(seen);
            std::thread::spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    if ended.load(Ordering::Acquire) {
                        return;
                    }
                    seen.connections.fetch_add(1, Ordering::Relaxed);
                    if mode == Mode::Hang {
                        open.lock().expect("no thread panics with it").push(stream);
                    } else {
                        let seen = Arc::clone(&seen);
                        std::thread::spawn(move || {
                            // A client that goes away, as a tcp probe does, is no fault.
                            let _ = serve(&stream, mode, &seen);
                        });
                    }
                }
            })
        };
        Ok(Self { listener, ended, acceptor: Some(acceptor), _fillers: Vec::new(), open })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // On Linux this ends the listening, and wakes the thread that accepts.
        let _ = net::shutdown(&*self.listener, Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in self.open.lock().expect("no thread panics with it").drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// The standard library's listener has a backlog of its own choice.
fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, net::SocketFlags::CLOEXEC, None)?;
    // Connections of the mode before may still be in TIME_WAIT.
    net::sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, backlog)?;
    Ok(socket.into())
}

/// One request and its answer.
fn serve(mut stream: &TcpStream, mode: Mode, seen: &Seen) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream).lines();
    let Some(request) = lines.next().transpose()? else { return Ok(()) };
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("host")
        {
            seen.hosts.lock().expect("no thread panics with it").push(value.trim().to_owned());
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match mode {
        Mode::Status(status) => (status, "out of order".to_owned()),
        _ => calculator(path),
    };
    // Where it leads answers: who follows it takes a redirect for something else.
    let place = if (300..400).contains(&status) { "Location: /\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} Status\r\n{place}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    match mode {
        Mode::Drip => (head + &body).bytes().try_for_each(|byte| {
            stream.write_all(&[byte])?;
            std::thread::sleep(Duration::from_millis(250));
            Ok(())
        }),
        Mode::ResetInHead => reset(stream, &head[..20]),
        Mode::ResetInBody => reset(stream, &(head + &body[..3])),
        _ => write!(stream, "{head}{body}"),
    }
}

/// Says so much, and resets the connection.
fn reset(mut stream: &TcpStream, said: &str) -> io::Result<()> {
    stream.write_all(said.as_bytes())?;
    // What has not been read when the reset comes is thrown away.
    std::thread::sleep(Duration::from_millis(50));
    net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).map_err(io::Error::from)
}

/// The guide's app: a welcome at `/`, a sum at `/add/A/B`.
fn calculator(path: &str) -> (u16, String) {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        [""] => (200, "Welcome to Calculator service!".to_owned()),
        ["add", a, b] => match (a.parse::<i64>(), b.parse::<i64>()) {
            (Ok(a), Ok(b)) => (200, (a + b).to_string()),
            _ => (400, "not two numbers".to_owned()),
        },
        _ => (404, "no such page".to_owned()),
    }
}
