//! Why there is no token, and what to do about it.

use std::error::Error as StdError;

use azure_core::error::ErrorKind;

use super::kind::{Kind, certificate};

/// Codes of Microsoft Entra ID and what each asks for.
const CODES: [(&str, &str); 9] = [
    (
        "7000222",
        "the secret has expired: make a new one with `az ad app credential reset --id CLIENT-ID --append` and set secret",
    ),
    ("7000215", "set secret to the secret's value, not to its id"),
    ("700016", "look at client-id, and see that tenant-id is the tenant in which the application is"),
    ("90002", "look at tenant-id: there is no such tenant in this cloud"),
    ("900023", "look at tenant-id: it is a GUID or a domain"),
    ("700027", "give the application the certificate that signs for it"),
    ("70021", "add a federated credential for this service account to the application or identity"),
    ("700213", "add a federated credential for this service account to the application or identity"),
    ("7000112", "enable the application in its tenant"),
];

/// A token that is refused is for a person to mend; one that cannot be asked for now comes later.
pub(super) fn kind(error: &azure_core::Error, problem: &str) -> Kind {
    if let Some(kind) = certificate(problem) {
        return kind;
    }
    if let Some((_, remedy)) = CODES.iter().find(|(code, _)| problem.contains(&format!("AADSTS{code}:"))) {
        return Kind::Denied((*remedy).to_owned());
    }
    match cause(error) {
        Some(ErrorKind::HttpResponse { status, .. }) => match u16::from(*status) {
            429 => Kind::Throttled(None),
            408 | 410 | 500.. => Kind::Unreachable,
            _ => Kind::Denied("look at tenant-id, client-id and the credential".to_owned()),
        },
        Some(ErrorKind::Connection | ErrorKind::Io) => Kind::Unreachable,
        // A local matter: a file, or the az command, or an identity that this machine does not have.
        _ => Kind::Denied("look at credential and the keys that belong to it".to_owned()),
    }
}

/// The innermost kind that says more than "credential".
fn cause(error: &azure_core::Error) -> Option<&ErrorKind> {
    let (mut found, mut source): (_, Option<&(dyn StdError + 'static)>) = (None, Some(error));
    while let Some(error) = source {
        match error.downcast_ref::<azure_core::Error>().map(azure_core::Error::kind) {
            Some(ErrorKind::Credential | ErrorKind::Other) | None => {}
            Some(kind) => found = Some(kind),
        }
        source = error.source();
    }
    found
}
