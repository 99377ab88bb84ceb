//! How endpoints are probed, and its one-word form.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use super::{Expect, Pace};
use crate::member_name::MemberName;
use crate::name::DnsName;

/// How the endpoints of one Service are probed. Endpoints with one address and different specs are probed apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeSpec {
    /// What is asked.
    pub check: Check,
    /// How often, where not as everywhere.
    pub pace: Pace,
    /// Which policy says what addresses may be probed so.
    pub guard: Guard,
}

/// What one probe asks, and what answer passes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// Nothing: always taken for healthy.
    None,
    /// Nothing: there is no TCP port to ask on, and the verdict is that of the member's other endpoints.
    Cluster,
    /// A TCP connection that is accepted.
    Tcp {
        /// TCP port.
        port: u16,
    },
    /// A GET that is answered with one of the expected statuses; redirects are not followed.
    Http(Box<HttpCheck>),
    /// As the annotations of a cloud's load balancer have it, of which nobody knows whether it holds outside: a GET with
    /// the address as Host. Until it passed once, a connection that is accepted is enough.
    Guess(Box<GuessCheck>),
    /// `grpc.health.v1.Health/Check` that says SERVING.
    Grpc(Box<GrpcCheck>),
}

/// See [`Check::Http`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HttpCheck {
    /// TCP port.
    pub port: u16,
    /// `https`: who may have signed the certificate for `host`.
    pub tls: Option<Trust>,
    /// Begins with `/`.
    pub path: Arc<str>,
    /// Host header and SNI: the published name.
    pub host: DnsName,
    /// Statuses that pass.
    pub expect: Expect,
}

/// See [`Check::Guess`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuessCheck {
    /// TCP port.
    pub port: u16,
    /// Begins with `/`.
    pub path: Arc<str>,
    /// Statuses that pass.
    pub expect: Expect,
}

/// See [`Check::Grpc`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrpcCheck {
    /// TCP port.
    pub port: u16,
    /// `grpcs`: who may have signed the certificate for `host`. Without it, HTTP/2 in the clear.
    pub tls: Option<Trust>,
    /// The service that is asked for; empty for the server as a whole.
    pub service: Arc<str>,
    /// `:authority` and SNI: the published name.
    pub host: DnsName,
}

/// Whose word on certificates counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trust {
    /// What holds for the fleet.
    #[default]
    Fleet,
    /// What the config says for one member.
    Member(MemberName),
}

/// Which policy says what addresses may be published and probed; see [`crate::policy::AddressPolicies`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// What holds for the fleet.
    #[default]
    Fleet,
    /// What the config says for one member.
    Member(Box<MemberName>),
    /// The operator named the address: nothing is denied.
    Operator,
}

impl ProbeSpec {
    /// Not probed, always healthy.
    pub const NONE: Self = Self::of(Check::None);
    /// Not probed, as healthy as the member's other endpoints.
    pub const CLUSTER: Self = Self::of(Check::Cluster);

    /// A TCP connection.
    pub const fn tcp(port: u16) -> Self {
        Self::of(Check::Tcp { port })
    }

    /// Asked as often as everything else.
    pub const fn of(check: Check) -> Self {
        let pace = Pace { interval: None, timeout: None, fall: None, rise: None };
        Self { check, pace, guard: Guard::Fleet }
    }

    /// The TCP port that is asked on.
    pub const fn port(&self) -> Option<u16> {
        match &self.check {
            Check::None | Check::Cluster => None,
            Check::Tcp { port } => Some(*port),
            Check::Http(http) => Some(http.port),
            Check::Guess(guess) => Some(guess.port),
            Check::Grpc(grpc) => Some(grpc.port),
        }
    }

    /// Whether there is anything to probe: it has probe keys.
    pub const fn is_probed(&self) -> bool {
        self.port().is_some()
    }
}

/// What must not stand bare in the one-line form of the ownership record.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b';').add(b',').add(b'%').add(b'"').add(b'\\');
/// The same before the port.
const BEFORE_PORT: &AsciiSet = &RESERVED.add(b'!').add(b':');

/// One word without spaces, `;` and `,`: `none`, `cluster`, `tcp:5001`, `http:8080@www.example.com/healthz`,
/// `guess:80/healthz`, `grpc:50051@www.example.com/SERVICE`; what differs from the usual after a `!`, as in
/// `https!expect=200+204!trust=west!interval=10s!timeout=1s!fall=2!rise=5:443@www.example.com/`.
impl fmt::Display for ProbeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Expect::default();
        let (scheme, expect, trust) = match &self.check {
            Check::None => return f.write_str("none"),
            Check::Cluster => return f.write_str("cluster"),
            Check::Tcp { .. } => ("tcp", &usual, None),
            Check::Http(http) => {
                (if http.tls.is_some() { "https" } else { "http" }, &http.expect, http.tls.as_ref())
            }
            Check::Guess(guess) => ("guess", &guess.expect, None),
            Check::Grpc(grpc) => {
                (if grpc.tls.is_some() { "grpcs" } else { "grpc" }, &usual, grpc.tls.as_ref())
            }
        };
        f.write_str(scheme)?;
        if !expect.is_default() {
            write!(f, "!expect={}", expect.to_string().replace(',', "+"))?;
        }
        if let Some(Trust::Member(member)) = trust {
            write!(f, "!trust={}", utf8_percent_encode(member.as_str(), BEFORE_PORT))?;
        }
        if let Guard::Member(member) = &self.guard {
            write!(f, "!addresses={}", utf8_percent_encode(member.as_str(), BEFORE_PORT))?;
        }
        let Pace { interval, timeout, fall, rise } = self.pace;
        word(f, "interval", interval)?;
        word(f, "timeout", timeout)?;
        word(f, "fall", fall)?;
        word(f, "rise", rise)?;
        match &self.check {
            Check::None | Check::Cluster => Ok(()),
            Check::Tcp { port } => write!(f, ":{port}"),
            Check::Http(http) => {
                write!(f, ":{}@{}{}", http.port, http.host, utf8_percent_encode(&http.path, RESERVED))
            }
            Check::Guess(guess) => write!(f, ":{}{}", guess.port, utf8_percent_encode(&guess.path, RESERVED)),
            Check::Grpc(grpc) => {
                write!(f, ":{}@{}/{}", grpc.port, grpc.host, utf8_percent_encode(&grpc.service, RESERVED))
            }
        }
    }
}

fn word(f: &mut fmt::Formatter<'_>, key: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, "!{key}={value}"))
}

/// Not the one-word form of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{0}' is no probe; tcp:PORT, http:PORT@HOST/PATH, https:PORT@HOST/PATH, grpc:PORT@HOST/SERVICE, cluster or none \
     would be"
)]
pub struct BadProbeSpec(pub String);

impl FromStr for ProbeSpec {
    type Err = BadProbeSpec;

    fn from_str(text: &str) -> Result<Self, BadProbeSpec> {
        read(text).ok_or_else(|| BadProbeSpec(text.to_owned()))
    }
}

fn read(text: &str) -> Option<ProbeSpec> {
    match text {
        "none" => return Some(ProbeSpec::NONE),
        "cluster" => return Some(ProbeSpec::CLUSTER),
        _ => {}
    }
    let (head, rest) = text.split_once(':')?;
    let mut words = head.split('!');
    let scheme = words.next()?;
    let (mut expect, mut trust, mut pace) = (Expect::default(), Trust::Fleet, Pace::default());
    let mut guard = Guard::Fleet;
    for word in words {
        let (key, value) = word.split_once('=')?;
        match key {
            "expect" => expect = value.replace('+', ",").parse().ok()?,
            "trust" => trust = Trust::Member(decoded(value)?.parse().ok()?),
            "addresses" => guard = Guard::Member(Box::new(decoded(value)?.parse().ok()?)),
            "interval" => pace.interval = Some(value.parse().ok()?),
            "timeout" => pace.timeout = Some(value.parse().ok()?),
            "fall" => pace.fall = Some(value.parse().ok()?),
            "rise" => pace.rise = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    let check = match scheme {
        "tcp" => Check::Tcp { port: rest.parse().ok()? },
        "http" | "https" => {
            let (port, host, path) = located(rest)?;
            let tls = (scheme == "https").then_some(trust);
            Check::Http(Box::new(HttpCheck { port, tls, path: path.into(), host, expect }))
        }
        "guess" => {
            let (port, path) = rest.split_at(rest.find('/')?);
            let path = decoded(path)?.into();
            Check::Guess(Box::new(GuessCheck { port: port.parse().ok()?, path, expect }))
        }
        "grpc" | "grpcs" => {
            let (port, host, path) = located(rest)?;
            let tls = (scheme == "grpcs").then_some(trust);
            let service = path.strip_prefix('/')?.into();
            Check::Grpc(Box::new(GrpcCheck { port, tls, service, host }))
        }
        _ => return None,
    };
    Some(ProbeSpec { check, pace, guard })
}

/// `PORT@HOST/PATH`.
fn located(text: &str) -> Option<(u16, DnsName, String)> {
    let (port, rest) = text.split_once('@')?;
    let (host, path) = rest.split_at(rest.find('/')?);
    Some((port.parse().ok()?, host.parse().ok()?, decoded(path)?))
}

fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.chars().any(char::is_control)).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn there_and_back(spec: &ProbeSpec) {
        let text = spec.to_string();
        assert!(!text.contains([' ', ';', ',', '"']), "{text}");
        assert_eq!(text.parse::<ProbeSpec>().as_ref(), Ok(spec), "{text}");
    }

    #[test]
    fn a_probe_is_read_back_as_it_was_written() {
        let host: DnsName = "www.example.com".parse().unwrap();
        let arn = Trust::Member("arn:aws:eks:us-east-1:1:cluster/prod!%".parse().unwrap());
        let pace = Pace {
            interval: "10s".parse().ok(),
            timeout: "1500ms".parse().ok(),
            fall: "2".parse().ok(),
            rise: "100".parse().ok(),
        };
        let path: Arc<str> = "/healthz?a=1,2;b c%20\"!x:@".into();
        let expect: Expect = "200,204,300-399".parse().unwrap();
        let mut checks = vec![Check::None, Check::Cluster, Check::Tcp { port: 5001 }];
        for tls in [None, Some(Trust::Fleet), Some(arn)] {
            let (path, host) = (path.clone(), host.clone());
            let http =
                HttpCheck { port: 443, tls: tls.clone(), path, host: host.clone(), expect: expect.clone() };
            checks.push(Check::Http(Box::new(HttpCheck { expect: Expect::default(), ..http.clone() })));
            checks.push(Check::Http(Box::new(http)));
            for service in ["", "my.pkg.Greeter"] {
                let (tls, host) = (tls.clone(), host.clone());
                checks.push(Check::Grpc(Box::new(GrpcCheck {
                    port: 50051,
                    tls,
                    service: service.into(),
                    host,
                })));
            }
        }
        checks.push(Check::Guess(Box::new(GuessCheck { port: 80, path, expect })));
        for check in checks {
            if check != Check::None && check != Check::Cluster {
                let guard = Guard::Member(Box::new("a!b:c".parse().unwrap()));
                there_and_back(&ProbeSpec { check: check.clone(), pace, guard });
            }
            there_and_back(&ProbeSpec::of(check));
        }
    }

    #[test]
    fn texts_stay_as_marks_in_zones_have_them() {
        for text in [
            "none",
            "cluster",
            "tcp:5001",
            "http:8080@www.example.com/healthz",
            "https:443@www.example.com/a%2Cb%20c",
            "https!expect=200+204!trust=west!interval=10s!timeout=1s!fall=2!rise=5:443@www.example.com/",
            "guess!expect=200:80/healthz",
            "grpc:50051@www.example.com/",
            "grpcs!trust=arn%3Aaws:50051@www.example.com/a.B",
            "tcp!interval=500ms:80",
        ] {
            assert_eq!(text.parse::<ProbeSpec>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "tcp",
            "tcp:x",
            "tcp:70000",
            "udp:53",
            "http:80",
            "http:80@h",
            "http:80@/x",
            "guess:80",
            "grpc:1@h",
            "tcp!fall=0:80",
            "tcp!fall:80",
            "tcp!speed=9:80",
            "http!expect=99:80@h/",
            "https!trust=:80@h/",
        ] {
            assert!(bad.parse::<ProbeSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_most_common_spec_is_small() {
        assert!(size_of::<ProbeSpec>() <= 48, "{}", size_of::<ProbeSpec>());
    }
}
