//! One probe over real sockets.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use fleetdns_core::{ProbeKey, ProbeSpec};
use futures::poll;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use crate::answer::{Answer, Failure, Snag, connect_error, local};
use crate::http::get;
use crate::pulse::LAG;
use crate::tls::Tls;

/// Probes a key to an end. All of it, from the first packet to the end of the headers, has to fit into `timeout`.
pub(crate) async fn probe(key: ProbeKey, tls: Tls, timeout: Duration) -> Answer {
    let deadline = Instant::now() + timeout;
    let (ProbeSpec::Tcp { port } | ProbeSpec::Http { port, .. }) = &*key.spec else {
        return Answer::Pass;
    };
    let address = SocketAddr::new(key.address, *port);
    let stream = match within(deadline, Failure::NoConnection(timeout), connect(address)).await {
        Ok(stream) => stream,
        Err(answer) => return answer,
    };
    let ProbeSpec::Http { tls: encrypted, path, host, .. } = &*key.spec else {
        return Answer::Pass;
    };
    // On the heap: most of what is in flight at one time hangs in the connect, and should not carry this along.
    let asked = Box::pin(async {
        if *encrypted {
            let stream = tls.shake(host.as_str(), stream).await?;
            get(stream, path, host.as_str()).await
        } else {
            get(stream, path, host.as_str()).await
        }
    });
    match within(deadline, Failure::NoAnswer(timeout), asked).await {
        Ok(status) if (200..400).contains(&status) => Answer::Pass,
        Ok(status) => Answer::Fail(Failure::Status(status)),
        Err(answer) => answer,
    }
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
