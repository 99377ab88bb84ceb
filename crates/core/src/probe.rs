//! What is probed, and what probing says of it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use crate::address::Address;
use crate::name::DnsName;

/// How the endpoints of one Service are probed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeSpec {
    /// Not probed: always taken for healthy.
    None,
    /// A TCP connection that is accepted.
    Tcp {
        /// TCP port.
        port: u16,
    },
    /// `GET path` that is answered with 200 to 399; redirects are not followed.
    Http {
        /// TCP port.
        port: u16,
        /// `https`: certificates are verified against `host`.
        tls: bool,
        /// Begins with `/`.
        path: Arc<str>,
        /// Host header and SNI: the published name.
        host: DnsName,
    },
}

/// What is really probed. Many endpoints may share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeKey {
    /// The address that is connected to.
    pub address: IpAddr,
    /// Port, protocol, path and host.
    pub spec: Arc<ProbeSpec>,
}

/// An endpoint as the prober gets it: a host name stands for several probe keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Address or host name.
    pub address: Address,
    /// How it is probed.
    pub spec: Arc<ProbeSpec>,
}

/// What probing says of a probe key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Verdict {
    /// Never probed to an end.
    #[default]
    Unknown,
    /// Answers.
    Healthy,
    /// Failed, but not often enough: still published.
    Suspect,
    /// Failed `fall` times in a row: taken out.
    Unhealthy,
    /// Answers again, but not often enough: still out.
    Recovering,
}

impl Verdict {
    /// `unknown`, `healthy`, `suspect`, `unhealthy` or `recovering`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Suspect => "suspect",
            Self::Unhealthy => "unhealthy",
            Self::Recovering => "recovering",
        }
    }

    /// Whether an endpoint with this verdict belongs in DNS; `None` while there is no verdict.
    pub const fn is_in(self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Healthy | Self::Suspect => Some(true),
            Self::Unhealthy | Self::Recovering => Some(false),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not one of the five verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is none of unknown, healthy, suspect, unhealthy, recovering")]
pub struct UnknownVerdict(pub String);

impl FromStr for Verdict {
    type Err = UnknownVerdict;

    fn from_str(text: &str) -> Result<Self, UnknownVerdict> {
        [Self::Unknown, Self::Healthy, Self::Suspect, Self::Unhealthy, Self::Recovering]
            .into_iter()
            .find(|verdict| verdict.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownVerdict(text.to_owned()))
    }
}

/// What must not stand bare in the one-line form of the ownership evidence.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b';').add(b',').add(b'%').add(b'"').add(b'\\');

/// One word without spaces, `;` and `,`: `none`, `tcp:5001`, `http:8080@www.example.com/healthz`.
impl fmt::Display for ProbeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Tcp { port } => write!(f, "tcp:{port}"),
            Self::Http { port, tls, path, host } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "{scheme}:{port}@{host}{}", utf8_percent_encode(path, RESERVED))
            }
        }
    }
}

/// Not the one-word form of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no probe; tcp:PORT, http:PORT@HOST/PATH, https:PORT@HOST/PATH or none would be")]
pub struct BadProbeSpec(pub String);

impl FromStr for ProbeSpec {
    type Err = BadProbeSpec;

    fn from_str(text: &str) -> Result<Self, BadProbeSpec> {
        let bad = || BadProbeSpec(text.to_owned());
        if text == "none" {
            return Ok(Self::None);
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(bad)?;
        if scheme == "tcp" {
            return rest.parse().map(|port| Self::Tcp { port }).map_err(|_| bad());
        }
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(bad()),
        };
        let (port, rest) = rest.split_once('@').ok_or_else(bad)?;
        let slash = rest.find('/').ok_or_else(bad)?;
        let (host, path) = rest.split_at(slash);
        let path = percent_decode_str(path).decode_utf8().map_err(|_| bad())?;
        Ok(Self::Http {
            port: port.parse().map_err(|_| bad())?,
            tls,
            path: path.as_ref().into(),
            host: host.parse().map_err(|_| bad())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_read_back_as_it_was_written() {
        let specs = [
            ProbeSpec::None,
            ProbeSpec::Tcp { port: 5001 },
            ProbeSpec::Http {
                port: 443,
                tls: true,
                path: "/healthz?a=1,2;b c%20\"".into(),
                host: "www.example.com".parse().unwrap(),
            },
        ];
        for spec in specs {
            let text = spec.to_string();
            assert!(!text.contains([' ', ';', ',', '"']), "{text}");
            assert_eq!(text.parse::<ProbeSpec>().unwrap(), spec);
        }
        for bad in ["", "tcp", "tcp:x", "tcp:70000", "udp:53", "http:80", "http:80@h", "http:80@/x"] {
            assert!(bad.parse::<ProbeSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    fn suspect_is_published_and_recovering_is_not() {
        let published = |text: &str| text.parse::<Verdict>().unwrap().is_in();
        assert_eq!(published("unknown"), None);
        assert_eq!(published("healthy"), Some(true));
        assert_eq!(published("SUSPECT"), Some(true));
        assert_eq!(published("unhealthy"), Some(false));
        assert_eq!(published("recovering"), Some(false));
        assert!("dead".parse::<Verdict>().is_err());
    }
}
