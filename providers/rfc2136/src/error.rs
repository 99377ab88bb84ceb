//! What went wrong with the server, by what the caller does next.

use std::io;
use std::time::Duration;

use fleetdns_core::{DnsName, ProviderError};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigError;
use thiserror::Error;

/// One exchange that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Fault {
    /// No connection, or it broke.
    #[error("{0}")]
    Io(String),
    /// Nothing came.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// Something came all the time, and not the end of it.
    #[error("a transfer without an end after {0:?}")]
    Endless(Duration),
    /// More came than is read.
    #[error("{0}")]
    TooLarge(String),
    /// Something came that is no answer to what was asked, or whose signature is wrong.
    #[error("{0}")]
    Nonsense(String),
    /// The server does not take our signature (RFC 8945 §5.2).
    #[error("{error:?}")]
    Signature {
        /// What it says of it.
        error: TsigError,
        /// Seconds that its clock is ahead of ours, when it says so.
        ahead: Option<i64>,
    },
    /// An answer without a signature.
    #[error("an answer without a signature, {0}")]
    Unsigned(ResponseCode),
    /// A signed refusal to tell of the zone what everybody may know.
    #[error("no such zone")]
    NoZone,
    /// A signed refusal.
    #[error("{0}")]
    Refused(ResponseCode),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
}

impl Action {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "transfer the zone",
            Self::Write => "update the zone",
        }
    }
}

/// Whom we asked, with what and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) server: &'a str,
    pub(crate) zone: &'a str,
    pub(crate) key: &'a str,
    pub(crate) action: Action,
}

impl Asked<'_> {
    pub(crate) fn error(&self, fault: &Fault) -> ProviderError {
        match fault {
            Fault::Io(_) | Fault::Silent(_) | Fault::Endless(_) | Fault::Nonsense(_) => self.unavailable(fault),
            Fault::TooLarge(how) => self.denied(
                format!("the zone is too large: {how}"),
                "raise max-records, or give what fleetdns writes a zone of its own".to_owned(),
            ),
            Fault::Signature { error, ahead } => self.bad_signature(*error, *ahead),
            Fault::Unsigned(ResponseCode::Refused | ResponseCode::NotAuth) => self.denied(
                "it refuses, and signs nothing".to_owned(),
                format!(
                    "most often the secret of the key {} is another one there, or there is no zone {} there, or the key \
                     may not do this: {}",
                    self.key,
                    self.zone,
                    self.grant()
                ),
            ),
            Fault::Unsigned(code) => self.denied(
                format!("its answer ({code}) is not signed"),
                format!("make the key {} known to it, with the same secret and algorithm", self.key),
            ),
            Fault::NoZone => self.denied(
                format!("there is no zone {} there (REFUSED)", self.zone),
                "make the zone there, or name its primary name server in `server`".to_owned(),
            ),
            Fault::Refused(code) => self.refused(*code, fault),
        }
    }

    fn refused(&self, code: ResponseCode, fault: &Fault) -> ProviderError {
        match code {
            ResponseCode::Refused if self.action == Action::Write => self.denied(
                format!(
                    "it takes no update at all (REFUSED): the zone is frozen (`rndc freeze`), or this server is a secondary \
                     of it, or the key {} may not update the zone",
                    self.key
                ),
                format!(
                    "`rndc thaw {}` ends a freeze; `server` has to name the primary; a right is given {}",
                    self.zone,
                    self.grant()
                ),
            ),
            ResponseCode::Refused => {
                self.denied(format!("the key {} may not do this (REFUSED)", self.key), self.grant())
            }
            ResponseCode::NotAuth | ResponseCode::NotZone => self.denied(
                format!("it is not the primary of {} ({code:?})", self.zone),
                format!(
                    "name the zone's primary name server in `server`, or make the zone {} there",
                    self.zone
                ),
            ),
            ResponseCode::NotImp => self.denied(
                "it has no dynamic updates (NOTIMP)".to_owned(),
                "switch them on, or name a server that has them".to_owned(),
            ),
            _ => self.unavailable(fault),
        }
    }

    /// Why a name is not written while the server takes other updates.
    pub(crate) fn refuses(&self, name: &DnsName, fault: &Fault) -> ProviderError {
        let (server, key) = (self.server, self.key);
        let why = match fault {
            Fault::Refused(ResponseCode::Refused) if name.as_str().contains('_') => format!(
                "(REFUSED); BIND takes '_' in the names of addresses only with `check-names ignore;` in the zone, and \
                 the key {key} needs a right to the name"
            ),
            Fault::Refused(ResponseCode::Refused) => format!(
                "(REFUSED); most often the key {key} has no right to this name or its types (BIND's update-policy), or \
                 something above or beside the name forbids it, such as a DNAME"
            ),
            Fault::Signature { error: TsigError::BadKey, .. } => {
                format!(
                    "(BADKEY); most often no acl of Knot's lets the key {key} update this name or its types"
                )
            }
            Fault::Refused(code) => format!("({code}); its log says why"),
            other => format!("({other})"),
        };
        ProviderError::Rejected { problem: format!("{server} takes other updates and refuses {name} {why}") }
    }

    fn bad_signature(&self, error: TsigError, ahead: Option<i64>) -> ProviderError {
        let key = self.key;
        match (error, ahead) {
            (TsigError::BadSig, _) => self.denied(
                format!("the secret of the key {key} is another one there (BADSIG)"),
                "give the server's secret in tsig-secret".to_owned(),
            ),
            (TsigError::BadKey, _) => self.denied(
                format!("the key {key} is not known there, or may not do this (BADKEY)"),
                format!(
                    "compare tsig-key-name and tsig-algorithm with the server's, and then: {}",
                    self.grant()
                ),
            ),
            (TsigError::BadTime, Some(ahead)) => self.denied(
                format!("its clock is {} (BADTIME), and 300 s are the most", apart(ahead)),
                "set the clock of this machine, and of the server, by NTP".to_owned(),
            ),
            (error, _) => self.denied(
                format!("it does not take the signature ({error:?})"),
                "set both clocks by NTP, and compare the key's algorithm".to_owned(),
            ),
        }
    }

    /// How rights are given.
    fn grant(&self) -> String {
        let (key, zone) = (self.key, self.zone);
        match self.action {
            Action::Read => format!(
                "for BIND `allow-transfer {{ key {key}; }};` in zone {zone}, for Knot an acl with `key: {key}` and \
                 `action: transfer`, for PowerDNS `pdnsutil set-meta {zone} TSIG-ALLOW-AXFR {key}`"
            ),
            Action::Write => format!(
                "for BIND `update-policy {{ grant {key}. zonesub A AAAA CNAME TXT; }};` in zone {zone}, for Knot an \
                 acl with `key: {key}` and `action: update`, for PowerDNS dnsupdate=yes and `pdnsutil set-meta \
                 {zone} TSIG-ALLOW-DNSUPDATE {key}`"
            ),
        }
    }

    fn denied(&self, problem: String, remedy: String) -> ProviderError {
        ProviderError::Denied {
            endpoint: self.server.to_owned(),
            action: self.action.as_str(),
            problem,
            remedy,
        }
    }

    fn unavailable(&self, fault: &Fault) -> ProviderError {
        ProviderError::Unavailable {
            endpoint: self.server.to_owned(),
            action: self.action.as_str(),
            source: Some(Box::new(fault.clone())),
        }
    }
}

/// `7 s ahead of ours` or `7 s behind ours`.
pub(crate) fn apart(ahead: i64) -> String {
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    format!("{} s {side} ours", ahead.unsigned_abs())
}
