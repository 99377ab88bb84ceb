//! What went wrong with one call, by what the caller does next.

use std::error::Error as StdError;

use azure_core::error::ErrorKind;
use fleetdns_core::redact::backend_text;
use fleetdns_core::{Pause, ProviderError};
use thiserror::Error;

use crate::envelope::Envelope;

mod kind;
mod token;

pub(crate) use kind::Kind;
use kind::certificate;

/// A library's reason, its whole chain in one line.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub(crate) struct Reason(String);

/// A fault of one call.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) problem: String,
}

/// Who we are to Azure and which zone it is about, for remedies.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// Host, and port where it is not the usual one.
    pub(crate) endpoint: String,
    pub(crate) client: Option<String>,
    /// Resource id of the zone.
    pub(crate) scope: String,
    pub(crate) role: &'static str,
    /// The part of `az network` for these zones.
    pub(crate) command: &'static str,
}

impl Fault {
    pub(crate) fn away(problem: impl AsRef<str>) -> Self {
        Self { kind: Kind::Away, problem: backend_text(problem.as_ref(), &[]) }
    }

    /// Of an answer that is no success.
    pub(crate) fn of_answer(status: u16, wait: Option<Pause>, body: &[u8]) -> Self {
        let envelope = Envelope::read(body);
        let problem = backend_text(&envelope.text(status), &[]);
        let wait = wait.or_else(|| envelope.wait());
        let kind = match status {
            401 => Kind::Denied(
                "renew the credential, and see that tenant-id is the tenant of the subscription".to_owned(),
            ),
            403 => Kind::Forbidden(object_id(&envelope)),
            404 => Kind::Missing,
            408 => Kind::Broken,
            409 => conflict(&envelope),
            412 => Kind::Changed,
            429 => Kind::Throttled(wait),
            503 if wait.is_some() => Kind::Throttled(wait),
            500.. => Kind::Broken,
            _ => Kind::Invalid,
        };
        Self { kind, problem }
    }

    /// Of a call without an answer. The libraries wrap the cause several times.
    pub(crate) fn of_error(error: &azure_core::Error) -> Self {
        let problem = chain(error);
        let kind = match error.kind() {
            ErrorKind::Credential => token::kind(error, &problem),
            _ if problem.contains("(Connect)") => certificate(&problem).unwrap_or(Kind::Unreachable),
            _ => certificate(&problem).unwrap_or(Kind::Away),
        };
        Self { kind, problem: backend_text(&problem, &[]) }
    }

    /// Whether the zone is at fault, so that no other name can be written either.
    pub(crate) const fn is_of_the_zone(&self) -> bool {
        matches!(self.kind, Kind::Unreachable | Kind::Throttled(_) | Kind::Denied(_) | Kind::Missing)
    }

    /// Whether nobody knows what became of a write.
    pub(crate) const fn is_unsure(&self) -> bool {
        matches!(self.kind, Kind::Away)
    }

    /// Whether Azure answered that it takes this write as it is now not at all, so that nothing was done.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::Invalid | Kind::Forbidden(_) | Kind::Locked)
    }

    /// As the fault of one name: why it is refused, and what to do about it.
    pub(crate) fn into_rejection(self, who: &Who) -> ProviderError {
        let problem = match self.into_error(who, "write it") {
            ProviderError::Rejected { problem } => problem,
            ProviderError::Unavailable { endpoint, source: Some(source), .. } => {
                format!("{endpoint} cannot write it: {source}")
            }
            other => other.to_string(),
        };
        ProviderError::Rejected { problem }
    }

    pub(crate) fn into_error(self, who: &Who, action: &'static str) -> ProviderError {
        let Self { kind, problem } = self;
        let endpoint = who.endpoint.clone();
        let remedy = match kind {
            Kind::Unreachable | Kind::Away | Kind::Broken | Kind::Queued => {
                let source = Some(Box::new(Reason(problem)) as _);
                return ProviderError::Unavailable { endpoint, action, source };
            }
            Kind::Throttled(wait) => {
                let seconds = wait.map_or(1, |wait| wait.seconds().max(1));
                return ProviderError::Throttled { endpoint, seconds };
            }
            Kind::Invalid | Kind::Exclusive | Kind::Changed => {
                return ProviderError::Rejected { problem };
            }
            Kind::Denied(remedy) => remedy,
            Kind::Locked => "remove the lock with `az lock delete`, or lock less than the records".to_owned(),
            Kind::Forbidden(object) => who.grant(object.as_deref()),
            Kind::Missing => who.create(&problem),
        };
        ProviderError::Denied { endpoint, action, problem, remedy }
    }
}

impl Who {
    fn grant(&self, object: Option<&str>) -> String {
        let assignee = object.or(self.client.as_deref()).unwrap_or("CLIENT-OR-OBJECT-ID");
        format!(
            "grant it with `az role assignment create --assignee {assignee} --role \"{}\" --scope {}` and wait some \
             minutes",
            self.role, self.scope
        )
    }

    fn create(&self, problem: &str) -> String {
        let parts: Vec<&str> = self.scope.split('/').collect();
        let part = |index: usize| parts.get(index).copied().unwrap_or_default();
        let (subscription, group, zone) = (part(2), part(4), part(8));
        if problem.contains("SubscriptionNotFound") {
            return format!("look at subscription-id ({subscription}), and at tenant-id");
        }
        let command = self.command;
        let create = format!(
            "`az network {command} zone create --subscription {subscription} --resource-group {group} --name {zone}`"
        );
        if problem.contains("ResourceGroupNotFound") {
            return format!(
                "look at resource-group ({group}), or make the zone in a group that exists: {create}"
            );
        }
        format!("look at resource-group ({group}) and the zone's name, or make the zone with {create}")
    }
}

/// One status for three things that want three answers. What is not known is tried again, within bounds.
fn conflict(envelope: &Envelope) -> Kind {
    if envelope.code == "ScopeLocked" || envelope.says(&["scope", "locked"]) {
        return Kind::Locked;
    }
    let exclusive =
        envelope.code.contains("CNameNamingRestriction") || envelope.says(&["cname", "already exists"]);
    if exclusive { Kind::Exclusive } else { Kind::Queued }
}

/// `The client 'x' with object id 'y' does not have authorization …`
fn object_id(envelope: &Envelope) -> Option<String> {
    let (_, rest) = envelope.message.split_once("object id '")?;
    rest.split_once('\'').map(|(id, _)| id.to_owned()).filter(|id| !id.is_empty())
}

/// The messages of an error and of all its sources, each once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    // Says nothing of the cause, which follows.
    const NOISE: [&str; 3] = ["retry policy expired", "failed to execute", "non-transport error"];
    let (mut parts, mut source): (Vec<String>, _) = (Vec::new(), Some(error));
    while let Some(error) = source {
        let text = error.to_string();
        let text = text.split("\nTo troubleshoot").next().unwrap_or_default().trim();
        let noise = NOISE.iter().any(|noise| text.contains(noise)) && error.source().is_some();
        if !text.is_empty() && !noise && !parts.iter().any(|part| part.contains(text)) {
            parts.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        source = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests;
