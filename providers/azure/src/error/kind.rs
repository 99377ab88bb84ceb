//! What to do about a fault, and what a bad certificate asks for.

use fleetdns_core::Pause;

/// What to do about a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No connection: nothing was done.
    Unreachable,
    /// No answer, or one that cannot be read: a write may have been carried out.
    Away,
    /// A fault of Azure's own, about this call or about all.
    Broken,
    /// Make no call of this kind for so long; `None`: Azure does not say how long.
    Throttled(Option<Pause>),
    /// A person has to do this.
    Denied(String),
    /// The right is missing, for this record set or for all; the object id that Azure names.
    Forbidden(Option<String>),
    /// A lock is in the way, on this record set or on all.
    Locked,
    /// No zone, group or subscription of the name.
    Missing,
    /// Another write to the same thing is under way: try again soon.
    Queued,
    /// A CNAME and something else cannot stand at one name.
    Exclusive,
    /// The set is not any more as it was read.
    Changed,
    /// Azure does not take this, and never will.
    Invalid,
}

/// What a fault of a server's certificate asks for; `None` when the problem is another.
pub(super) fn certificate(problem: &str) -> Option<Kind> {
    let remedy = if problem.contains("Expired") {
        "renew the server's certificate, and look at this machine's clock"
    } else if problem.contains("NotValidForName") || problem.contains("not valid for name") {
        "use a name in resource-manager and authority-host that the server's certificate has"
    } else if problem.contains("UnknownIssuer") || problem.contains("invalid peer certificate") {
        "set ca-file to the certificate of the authority that signed the server's, or of the proxy between"
    } else {
        return None;
    };
    Some(Kind::Denied(remedy.to_owned()))
}
