//! How one probe ended, in words for a person.

use std::io;
use std::time::Duration;

use fleetdns_health::Reachability;
use fleetdns_health::state::Outcome;
use rustix::io::Errno;
use thiserror::Error;

/// How one probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As it should be.
    Pass,
    /// The endpoint is at fault.
    Fail(Failure),
    /// The connection was accepted, and a guess that never held yet does not hold: as good as a success.
    Open(Failure),
    /// We are at fault: nothing was learnt.
    Unclear(Snag),
}

/// What is wrong with an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// A reset in answer to the first packet: the host is there, the port is closed.
    #[error("connection refused")]
    Refused,
    /// Not accepted in time, most often because packets are dropped.
    #[error("no connection within {0:?}")]
    NoConnection(Duration),
    /// Accepted, and then no complete answer in time.
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
    /// Reset after the connection was made.
    #[error("connection reset")]
    Reset,
    /// Closed before the answer was complete.
    #[error("connection closed before the answer was complete")]
    Closed,
    /// A router on the way says that there is no way.
    #[error("the network says that the host cannot be reached")]
    Unreachable,
    /// An HTTP status that is not expected.
    #[error("status {0}")]
    Status(u16),
    /// Something else than HTTP/1.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// Something else than HTTP/2.
    #[error("the answer is not HTTP/2")]
    NotHttp2,
    /// HTTP/2, and not gRPC in it.
    #[error("the answer is not gRPC")]
    NotGrpc,
    /// What the gRPC health service said, or why it said nothing: `NOT_SERVING`, `UNIMPLEMENTED`.
    #[error("gRPC health check: {0}")]
    Health(Box<str>),
    /// The certificate does not stand up to verification.
    #[error("certificate {0}")]
    Certificate(Box<str>),
    /// TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(Box<str>),
    /// The address may not be probed; nothing was sent.
    #[error("{0}")]
    Denied(Box<str>),
    /// Anything else that happened on the connection.
    #[error("{0}")]
    Other(Box<str>),
}

/// What is wrong on our side.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Snag {
    /// This machine has no route to the address.
    #[error("this machine has no route to the address")]
    NoRoute,
    /// No descriptors, ports, memory or permission, or another refusal of the own kernel.
    #[error("this machine could not connect: {0}")]
    Local(Box<str>),
    /// Started so much too late.
    #[error("the probe started {0:?} late")]
    Late(Duration),
    /// The prober itself stalled for so long.
    #[error("the prober stalled for {0:?}")]
    Stalled(Duration),
    /// The probe cannot be asked as it is configured.
    #[error("the probe cannot be made: {0}")]
    Unaskable(Box<str>),
}

impl Answer {
    /// What the judge makes of it.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Pass | Self::Open(_) => Outcome::Pass,
            Self::Fail(_) => Outcome::Fail,
            Self::Unclear(_) => Outcome::Inconclusive,
        }
    }

    /// What came back over the network. A router's word that there is no way is none of the endpoint's, and what cannot be
    /// told apart from silence is taken for it. A firewall may refuse, reset or close in the endpoint's name.
    pub const fn reachability(&self) -> Reachability {
        match self {
            Self::Unclear(_) | Self::Fail(Failure::Denied(_)) => Reachability::Inconclusive,
            Self::Fail(Failure::NoConnection(_) | Failure::Unreachable | Failure::Other(_)) => {
                Reachability::Unreached
            }
            Self::Fail(Failure::Refused | Failure::Reset | Failure::Closed) => Reachability::Refused,
            Self::Fail(Failure::NoAnswer(_)) => Reachability::Hung,
            Self::Pass | Self::Open(_) | Self::Fail(_) => Reachability::Reached,
        }
    }

    /// The error as text; `None` after a success without reserve.
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Pass => None,
            Self::Fail(failure) => Some(failure.to_string()),
            Self::Open(failure) => {
                Some(format!("connected; the cloud's path was never answered yet: {failure}"))
            }
            Self::Unclear(snag) => Some(snag.to_string()),
        }
    }
}

impl Failure {
    /// Whether a slow prober could not have caused it. Everything else may come of our own delay: the endpoint gave up
    /// on us, or answered and we did not look in time.
    pub const fn is_proof(&self) -> bool {
        matches!(self, Self::Refused)
    }
}

/// Sorts an error of making a connection. `at_once`: the call itself failed, before any packet could have come back.
///
/// Only so can "no route" of our own be told from a router's: Linux returns both the same number, but looks up the route
/// within the call. What failed at once and is not a refusal is ours.
pub(crate) fn connect_error(error: &io::Error, at_once: bool) -> Answer {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::NetworkDown if at_once => {
            Answer::Unclear(Snag::NoRoute)
        }
        // On loopback the refusal comes back within the call.
        Kind::ConnectionRefused | Kind::ConnectionReset | Kind::ConnectionAborted => {
            Answer::Fail(Failure::Refused)
        }
        _ if at_once => local(error),
        _ => stream_error(error),
    }
}

/// Sorts an error of a connection that was made, or that failed later than at once.
pub(crate) fn stream_error(error: &io::Error) -> Answer {
    use io::ErrorKind as Kind;
    let failure = match error.kind() {
        Kind::PermissionDenied | Kind::OutOfMemory | Kind::AddrNotAvailable | Kind::NetworkDown => {
            return local(error);
        }
        _ if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => return local(error),
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::NotConnected => {
            Failure::Reset
        }
        Kind::UnexpectedEof => Failure::Closed,
        Kind::NetworkUnreachable | Kind::HostUnreachable => Failure::Unreachable,
        _ => Failure::Other(error.to_string().into()),
    };
    Answer::Fail(failure)
}

pub(crate) fn local(error: &io::Error) -> Answer {
    Answer::Unclear(Snag::Local(error.to_string().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_our_own_are_no_failures() {
        let at_once = |errno: Errno| connect_error(&errno.into(), true);
        for errno in [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::NETDOWN] {
            assert_eq!(at_once(errno), Answer::Unclear(Snag::NoRoute), "{errno}");
        }
        let ours = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::ACCESS,
            Errno::PERM,
            Errno::INVAL,
        ];
        for errno in ours {
            assert_eq!(at_once(errno).outcome(), Outcome::Inconclusive, "{errno}");
        }
        for errno in [Errno::NOBUFS, Errno::NOMEM, Errno::PERM, Errno::ACCESS, Errno::ADDRNOTAVAIL] {
            assert_eq!(connect_error(&errno.into(), false).outcome(), Outcome::Inconclusive, "{errno}");
        }
    }

    #[test]
    fn what_came_back_over_the_network_is_a_failure() {
        let later = |errno: Errno| connect_error(&errno.into(), false);
        assert_eq!(later(Errno::HOSTUNREACH), Answer::Fail(Failure::Unreachable));
        assert_eq!(later(Errno::NETUNREACH), Answer::Fail(Failure::Unreachable));
        assert_eq!(later(Errno::CONNREFUSED), Answer::Fail(Failure::Refused));
        assert_eq!(connect_error(&Errno::CONNREFUSED.into(), true), Answer::Fail(Failure::Refused));
        assert_eq!(later(Errno::TIMEDOUT).outcome(), Outcome::Fail);
        assert_eq!(stream_error(&Errno::CONNRESET.into()), Answer::Fail(Failure::Reset));
    }
}
