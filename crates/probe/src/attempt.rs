//! One probe over real sockets.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fleetdns_core::probe::{Check, Expect, GrpcCheck, GuessCheck, HttpCheck};
use fleetdns_core::{AddressDenied, AddressPolicies, Guard, ProbeKey};
use futures::poll;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use crate::answer::{Answer, Failure, Snag, connect_error, local};
use crate::grpc;
use crate::http::get;
use crate::stall::LAG;
use crate::tls::{Alpn, Trusts};

/// Probes a key to an end, unless its address is denied: what it stands for may have changed since it was published. All of it, from the first packet to the end of the headers, has to fit into `timeout`.
pub(crate) async fn probe(
    key: ProbeKey,
    trusts: Trusts,
    addresses: Arc<AddressPolicies>,
    timeout: Duration,
) -> Answer {
    let deadline = Instant::now() + timeout;
    let Some(port) = key.spec.port() else { return Answer::Pass };
    if let Err(denied) = addresses.check(key.address, &key.spec) {
        return Answer::Fail(Failure::Denied(denied.to_string().into()));
    }
    let address = SocketAddr::new(key.address, port);
    let stream = match within(deadline, Failure::NoConnection(timeout), connect(address)).await {
        Ok(stream) => stream,
        Err(answer) => return answer,
    };
    // A listener of ours on every address of this machine: only the kernel knows which those are.
    let to_itself = || stream.local_addr().is_ok_and(|own| own.ip() == key.address);
    if addresses.is_open_port(port) && key.spec.guard != Guard::Operator && to_itself() {
        let denied = AddressDenied::Listener(address).to_string();
        return Answer::Fail(Failure::Denied(denied.into()));
    }
    let late = Failure::NoAnswer(timeout);
    // On the heap: most of what is in flight at one time hangs in the connect, and should not carry this along.
    let asked = match &key.spec.check {
        Check::None | Check::Cluster | Check::Tcp { .. } => return Answer::Pass,
        Check::Http(http) => within(deadline, late, Box::pin(ask_http(stream, &key, http, &trusts))).await,
        Check::Guess(guess) => {
            let asked = within(deadline, late, Box::pin(ask_guess(stream, guess, key.address))).await;
            asked.map_err(|answer| match answer {
                Answer::Fail(failure) => Answer::Open(failure),
                other => other,
            })
        }
        Check::Grpc(grpc) => within(deadline, late, Box::pin(ask_grpc(stream, &key, grpc, &trusts))).await,
    };
    asked.err().unwrap_or(Answer::Pass)
}

async fn ask_http(
    stream: TcpStream,
    key: &ProbeKey,
    http: &HttpCheck,
    trusts: &Trusts,
) -> Result<(), Answer> {
    let Some(trust) = &http.tls else {
        return expect(get(stream, &http.path, &http.host).await?, &http.expect);
    };
    let tls = trusts.of(trust)?;
    let (stream, session) = tls.shake((key, http.host.as_str()), stream, Alpn::Http1).await?;
    expect(get(stream, &http.path, &http.host).await?, &http.expect)?;
    tls.keep(key, session);
    Ok(())
}

/// As the cloud's load balancer asks: it knows addresses, and no names.
async fn ask_guess(stream: TcpStream, guess: &GuessCheck, address: IpAddr) -> Result<(), Answer> {
    let status = match address {
        IpAddr::V4(ip) => get(stream, &guess.path, ip).await?,
        IpAddr::V6(ip) => get(stream, &guess.path, format!("[{ip}]")).await?,
    };
    expect(status, &guess.expect)
}

async fn ask_grpc(
    stream: TcpStream,
    key: &ProbeKey,
    grpc: &GrpcCheck,
    trusts: &Trusts,
) -> Result<(), Answer> {
    let Some(trust) = &grpc.tls else { return grpc::check(stream, grpc).await };
    let tls = trusts.of(trust)?;
    let (stream, session) = tls.shake((key, grpc.host.as_str()), stream, Alpn::Http2).await?;
    grpc::check(stream, grpc).await?;
    tls.keep(key, session);
    Ok(())
}

fn expect(status: u16, expect: &Expect) -> Result<(), Answer> {
    if expect.takes(status) { Ok(()) } else { Err(Answer::Fail(Failure::Status(status))) }
}

/// Waits until the deadline, and does not blame the endpoint when our own timer woke us too late.
async fn within<T>(
    deadline: Instant,
    failure: Failure,
    work: impl Future<Output = Result<T, Answer>>,
) -> Result<T, Answer> {
    match timeout_at(deadline, work).await {
        Ok(result) => result,
        Err(_) => {
            let late = deadline.elapsed();
            Err(if late > LAG { Answer::Unclear(Snag::Stalled(late)) } else { Answer::Fail(failure) })
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Answer> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| local(&error))?;
    // Closing with a reset leaves no TIME_WAIT behind: thousands of probes a second would use up ports and memory.
    socket.set_zero_linger().map_err(|error| local(&error))?;
    let mut connecting = pin!(socket.connect(address));
    let (connected, at_once) = match poll!(connecting.as_mut()) {
        Poll::Ready(connected) => (connected, true),
        Poll::Pending => (connecting.await, false),
    };
    let stream = connected.map_err(|error| connect_error(&error, at_once))?;
    // A closed port of this machine's own, picked as the source port too, connects to itself (RFC 9293 §3.5).
    if address.ip().is_loopback() && stream.local_addr().ok() == Some(address) {
        return Err(Answer::Fail(Failure::Refused));
    }
    Ok(stream)
}

#[cfg(test)]
mod tests;
