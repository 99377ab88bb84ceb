//! What went wrong with etcd, by what the caller does next.

use std::error::Error as StdError;
use std::path::Path;

use etcd_client::Error;
use fleetdns_core::ProviderError;
use fleetdns_core::redact::backend_text;
use fleetdns_core::text::with_causes;
use thiserror::Error;

/// A library's reason, its whole chain in one line.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub(crate) struct Reason(pub(crate) String);

/// What to do about a fault.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Try another endpoint, or later.
    Unavailable,
    /// Etcd did not answer in time: as [`Kind::Unavailable`], but the call may have been carried out.
    Silent,
    /// The token is not good any more: log in again.
    StaleToken,
    /// Etcd has authentication switched off: log in without.
    NoAuthentication,
    /// The revision asked for was compacted away: begin again.
    Compacted,
    /// The database is full: only what writes nothing new is done, such as deletions.
    Full,
    /// The request is larger than etcd takes.
    TooLarge,
    /// The answer is larger than is taken: ask for less.
    AnswerTooLarge,
    /// Wait.
    Busy,
    /// A right is missing: for the whole zone, or for some of its keys. What to do about it.
    Forbidden(String),
    /// A person has to do this.
    Denied(String),
}

/// A fault of one call.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) endpoint: String,
    pub(crate) reason: Reason,
}

/// Whom we are to etcd and what we need there, for remedies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) user: Option<&'a str>,
    /// The zone's key.
    pub(crate) zone_key: &'a str,
}

impl Fault {
    pub(crate) fn of(error: &Error, who: Who<'_>) -> Self {
        let mut reason = chain(error);
        if is_cut_off(&reason) && who.endpoint.starts_with("https://") {
            // A refused certificate is often only seen as this: the alert comes after the handshake (RFC 8446 §4.4.2.4).
            reason.push_str("; if etcd wants client certificates, look at etcd-cert-file and etcd-key-file");
        }
        let kind = kind(error, &reason, who);
        Self { kind, endpoint: who.endpoint.to_owned(), reason: Reason(backend_text(&reason, &[])) }
    }

    pub(crate) fn silent(who: Who<'_>, seconds: u64) -> Self {
        let reason = Reason(format!("no answer within {seconds} s"));
        Self { kind: Kind::Silent, endpoint: who.endpoint.to_owned(), reason }
    }

    pub(crate) fn unreadable_file(who: Who<'_>, key: &str, file: &Path, error: &std::io::Error) -> Self {
        let remedy = format!("mend {key}, or let the user that fleetdns runs as read the file");
        Self {
            kind: Kind::Denied(remedy),
            endpoint: who.endpoint.to_owned(),
            reason: Reason(format!("{} cannot be read: {error}", file.display())),
        }
    }

    /// Whether etcd refuses one of the names of a transaction, so that others may pass.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::TooLarge | Kind::Forbidden(_) | Kind::Full)
    }

    /// Whether no connection stood, so that nothing can have been done.
    pub(crate) fn is_unsent(&self) -> bool {
        ["onnect error", "onnection refused", "dns error"].iter().any(|part| self.reason.0.contains(part))
    }

    pub(crate) fn into_error(self, action: &'static str) -> ProviderError {
        let Self { kind, endpoint, reason } = self;
        match kind {
            Kind::Denied(remedy) | Kind::Forbidden(remedy) => {
                ProviderError::Denied { endpoint, action, problem: reason.0, remedy }
            }
            Kind::Full => ProviderError::Denied {
                endpoint,
                action,
                problem: reason.0,
                remedy: "compact and defragment etcd, then `etcdctl alarm disarm`".to_owned(),
            },
            Kind::TooLarge => ProviderError::Rejected {
                problem: format!("etcd at {endpoint} takes no request so large ({reason})"),
            },
            Kind::Busy => ProviderError::Throttled { endpoint, seconds: 1 },
            Kind::Unavailable
            | Kind::Silent
            | Kind::StaleToken
            | Kind::NoAuthentication
            | Kind::Compacted
            | Kind::AnswerTooLarge => {
                ProviderError::Unavailable { endpoint, action, source: Some(Box::new(reason)) }
            }
        }
    }
}

/// The messages of an error and of all its sources. A gRPC status prints its metadata too, which nobody wants.
fn chain(error: &Error) -> String {
    let (text, source) = match error {
        Error::GRpcStatus(status) => (status.message().to_owned(), status.source()),
        Error::TransportError(transport) => (transport.to_string(), transport.source()),
        other => (other.to_string(), None),
    };
    with_causes(text, source)
}

fn is_cut_off(reason: &str) -> bool {
    ["broken pipe", "onnection reset", "closed"].iter().any(|part| reason.contains(part))
}

fn kind(error: &Error, reason: &str, who: Who<'_>) -> Kind {
    let has = |part: &str| reason.contains(part);
    if let Some(remedy) = tls_remedy(&has) {
        return Kind::Denied(remedy.to_owned());
    }
    let known = match error {
        Error::GRpcStatus(_) => message_kind(&has, who),
        Error::InvalidUri(_) | Error::InvalidArgs(_) => {
            Some(Kind::Denied("mend etcd-endpoints and the certificate files".to_owned()))
        }
        _ => None,
    };
    known.unwrap_or(Kind::Unavailable)
}

/// etcd says what is wrong in its message; its status codes are shared by very different faults.
fn message_kind(has: &impl Fn(&str) -> bool, who: Who<'_>) -> Option<Kind> {
    let Who { user, zone_key, .. } = who;
    let denied = |remedy: String| Some(Kind::Denied(remedy));
    if has("permission denied") {
        let user = user.unwrap_or("the user named in our client certificate");
        return Some(Kind::Forbidden(format!(
            "give {user} a role with `etcdctl role grant-permission ROLE --prefix=true readwrite {zone_key}`"
        )));
    }
    if has("invalid auth token") || has("revision of auth store is old") {
        return Some(Kind::StaleToken);
    }
    if has("authentication is not enabled") {
        return Some(Kind::NoAuthentication);
    }
    if has("invalid user ID or password") {
        return denied("mend etcd-username or etcd-password".to_owned());
    }
    if has("user name is empty") || has("user name not found") {
        return denied("set etcd-username and etcd-password, or etcd-cert-file and etcd-key-file".to_owned());
    }
    if has("corrupt") {
        return denied("mend or replace this etcd member".to_owned());
    }
    let table = [
        ("required revision has been compacted", Kind::Compacted),
        ("database space exceeded", Kind::Full),
        ("request is too large", Kind::TooLarge),
        ("too many operations", Kind::TooLarge),
        ("larger than max", Kind::TooLarge),
        ("too many requests", Kind::Busy),
        // Of the client's library: https://docs.rs/tonic (Codec).
        ("decoded message length too large", Kind::AnswerTooLarge),
    ];
    table.into_iter().find(|(part, _)| has(part)).map(|(_, kind)| kind)
}

fn tls_remedy(has: &impl Fn(&str) -> bool) -> Option<&'static str> {
    if has("NotValidForName") || has("not valid for name") {
        return Some("use a name or address that etcd's certificate has, or give etcd such a certificate");
    }
    if has("Expired") || has("certificate expired") {
        return Some("renew etcd's certificate");
    }
    if has("invalid peer certificate") || has("UnknownIssuer") {
        return Some("set etcd-ca-file to the certificate of the authority that signed etcd's");
    }
    if has("CertificateRequired") || has("certificate required") {
        return Some("set etcd-cert-file and etcd-key-file: etcd wants a client certificate");
    }
    if has("BadCertificate") || has("UnknownCA") || has("CertificateUnknown") || has("DecryptError") {
        return Some("set etcd-cert-file and etcd-key-file to a client certificate that etcd trusts");
    }
    if has("InvalidContentType") || has("corrupt message") {
        return Some("use http:// in etcd-endpoints: this etcd does not speak TLS");
    }
    if has("private key") || has("PEM") || has("KeyMismatch") {
        return Some(
            "mend etcd-ca-file, etcd-cert-file and etcd-key-file: PEM, and key and certificate of one pair",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Who<'_> = Who { endpoint: "http://e:1", user: Some("dns"), zone_key: "/skydns/com/example" };

    #[track_caller]
    fn check(message: &str, expected: &str) {
        let kind = message_kind(&|part| message.contains(part), WHO);
        let text = format!("{kind:?}");
        assert!(text.contains(expected), "{message}: {text}");
    }

    #[test]
    fn what_etcd_says_decides_what_is_done() {
        check("etcdserver: permission denied", "give dns a role");
        check("etcdserver: permission denied", "readwrite /skydns/com/example");
        check("etcdserver: invalid auth token", "StaleToken");
        check("etcdserver: authentication failed, invalid user ID or password", "mend etcd-username");
        check("etcdserver: user name is empty", "set etcd-username");
        check("etcdserver: mvcc: required revision has been compacted", "Compacted");
        check("etcdserver: request is too large", "TooLarge");
        check("etcdserver: too many requests", "Busy");
        check("etcdserver: mvcc: database space exceeded", "Full");
        check("etcdserver: no leader", "None");
    }

    #[test]
    fn an_error_says_who_what_and_why_once() {
        let error = Fault::silent(WHO, 5).into_error("list the zone");
        assert_eq!(error.to_string(), "http://e:1 does not answer while trying to list the zone");
        assert_eq!(error.source().unwrap().to_string(), "no answer within 5 s");
    }
}
