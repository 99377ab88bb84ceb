//! What went wrong with a call, by what the caller does next.

use std::error::Error as StdError;
use std::sync::Arc;

use aws_sdk_route53::error::SdkError;
use fleetdns_core::ProviderError;
use fleetdns_core::redact::backend_text;
use fleetdns_core::text::with_causes;
use thiserror::Error;

use crate::said::Said;

/// A library's reason, its whole chain in one line.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub(crate) struct Reason(pub(crate) Arc<str>);

/// What to do about a fault.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Try later; nothing was done.
    Unavailable,
    /// Try later; a write may have been carried out.
    Unknown,
    /// Route 53 answers that it failed, at this batch or at all: a write may have been carried out.
    Broken,
    /// Wait: the account's rate, or another change of the zone that is under way.
    Busy,
    /// The batch was not taken, because of one or more of its records.
    Refused(Said),
    /// The hosted zone is not there.
    NoZone,
    /// A right is missing: for the zone, or for one of the names of a batch. The answer does not say for which.
    NoRight,
    /// A person has to do this.
    Denied(String),
}

/// A fault of one call.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) reason: Reason,
}

/// How long the caller waits after a storm that outlasted our own patience.
const WAIT: u64 = 10;

/// Codes of answers about who we are.
const IDENTITY: [&str; 8] = [
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "InvalidSignatureException",
];
const THROTTLE: [&str; 6] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
];

impl Fault {
    pub(crate) fn new(kind: Kind, reason: impl AsRef<str>) -> Self {
        Self { kind, reason: Reason(backend_text(reason.as_ref(), &[]).into()) }
    }

    pub(crate) fn of<E: StdError + Send + Sync + 'static>(error: &SdkError<E>) -> Self {
        if let SdkError::ServiceError(answer) = error {
            let said = Said::read(answer.raw().body().bytes().unwrap_or_default());
            return Self::said(answer.raw().status().as_u16(), said);
        }
        let reason = with_causes(error.to_string(), error.source());
        if reason.contains("credential") {
            return Self::of_credentials(error);
        }
        // Before a connection stands, nothing can have been done.
        let sent = !reason.contains("(Connect)") && !matches!(error, SdkError::ConstructionFailure(_));
        Self::new(if sent { Kind::Unknown } else { Kind::Unavailable }, reason)
    }

    /// Whether the answer is about the records of the batch, so that others may pass.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self.kind, Kind::Refused(_) | Kind::NoRight | Kind::Broken)
    }

    /// There are no credentials, or they could not be had.
    pub(crate) fn of_credentials(error: &dyn StdError) -> Self {
        let remedy = "set profile and credentials-file, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the \
                      machine or the pod a role; with role-arn, let its trust policy name us";
        Self::new(Kind::Denied(remedy.to_owned()), with_causes(error.to_string(), error.source()))
    }

    fn said(status: u16, said: Said) -> Self {
        let reason = said.text();
        let code = said.code.as_str();
        let kind = match (status, code) {
            _ if THROTTLE.contains(&code) || code == "PriorRequestNotComplete" || status == 429 => Kind::Busy,
            (_, "NoSuchHostedZone") => Kind::NoZone,
            _ if IDENTITY.contains(&code) => {
                Kind::Denied("renew the credentials that profile or the environment gives".to_owned())
            }
            (_, "RequestExpired" | "RequestTimeTooSkewed") => {
                Kind::Denied("set this machine's clock right".to_owned())
            }
            (401 | 403, _) | (_, "AccessDenied" | "AccessDeniedException") => Kind::NoRight,
            (400..500, "") => {
                Kind::Denied("look at endpoint-url: this does not speak as Route 53 does".to_owned())
            }
            (400..500, _) => Kind::Refused(said),
            (503, _) => Kind::Unavailable,
            (500.., _) => Kind::Broken,
            _ => Kind::Unknown,
        };
        Self::new(kind, reason)
    }

    pub(crate) fn into_error(self, whom: &Whom<'_>, action: &'static str) -> ProviderError {
        let (endpoint, problem) = (whom.endpoint.to_owned(), self.reason.0.to_string());
        let denied =
            |remedy| ProviderError::Denied { endpoint: whom.endpoint.to_owned(), action, problem, remedy };
        match self.kind {
            Kind::Unavailable | Kind::Unknown | Kind::Broken => {
                ProviderError::Unavailable { endpoint, action, source: Some(Box::new(self.reason)) }
            }
            Kind::Busy => ProviderError::Throttled { endpoint, seconds: WAIT },
            Kind::NoZone => denied("create the hosted zone, or set zone-id to one that is there".to_owned()),
            Kind::NoRight => denied(whom.policy()),
            Kind::Denied(remedy) => denied(remedy),
            Kind::Refused(_) => denied("look at what it says".to_owned()),
        }
    }
}

/// Whom we speak to and about which hosted zone, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whom<'a> {
    pub(crate) endpoint: &'a str,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub(crate) partition: &'a str,
    pub(crate) zone_id: Option<&'a str>,
    /// Whether changes are asked after too.
    pub(crate) wait_insync: bool,
}

impl Whom<'_> {
    /// What to grant.
    pub(crate) fn policy(&self) -> String {
        let Self { partition, .. } = self;
        let zone = self.zone_id.unwrap_or("*");
        let change = if self.wait_insync {
            format!(
                ",{{\"Effect\":\"Allow\",\"Action\":\"route53:GetChange\",\"Resource\":\"arn:{partition}:route53:::change/*\"}}"
            )
        } else {
            String::new()
        };
        format!(
            "grant this policy: {{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":\
             [\"route53:GetHostedZone\",\"route53:ListResourceRecordSets\",\"route53:ChangeResourceRecordSets\"],\
             \"Resource\":\"arn:{partition}:route53:::hostedzone/{zone}\"}},{{\"Effect\":\"Allow\",\"Action\":\
             \"route53:ListHostedZonesByName\",\"Resource\":\"*\"}}{change}]}}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, code: &str, expected: &str) {
        let messages = vec!["said".to_owned()];
        let fault = Fault::said(status, Said { code: code.to_owned(), messages });
        let text = format!("{:?}", fault.kind);
        assert!(text.contains(expected), "{status} {code}: {text}");
    }

    #[test]
    fn what_route_53_says_decides_what_is_done() {
        check(400, "Throttling", "Busy");
        check(400, "ThrottlingException", "Busy");
        check(429, "", "Busy");
        check(400, "PriorRequestNotComplete", "Busy");
        check(400, "InvalidChangeBatch", "Refused");
        check(400, "InvalidInput", "Refused");
        check(404, "NoSuchHostedZone", "NoZone");
        check(403, "AccessDenied", "NoRight");
        check(403, "InvalidClientTokenId", "renew the credentials");
        check(403, "SignatureDoesNotMatch", "renew the credentials");
        check(400, "RequestExpired", "clock");
        check(404, "", "endpoint-url");
        check(503, "ServiceUnavailable", "Unavailable");
        check(500, "", "Broken");
    }

    #[test]
    fn a_missing_right_names_the_policy() {
        let fault =
            Fault::said(403, Said { code: "AccessDenied".to_owned(), messages: vec!["no".to_owned()] });
        let whom = Whom { endpoint: "Route 53", partition: "aws-cn", zone_id: Some("Z1"), wait_insync: true };
        let text = fault.into_error(&whom, "list the zone").to_string();
        assert!(
            text.starts_with("Route 53 refuses to list the zone: AccessDenied: no; grant this policy: {"),
            "{text}"
        );
        assert!(text.contains("\"arn:aws-cn:route53:::hostedzone/Z1\""), "{text}");
        assert!(
            text.contains("\"route53:GetChange\",\"Resource\":\"arn:aws-cn:route53:::change/*\"}]}"),
            "{text}"
        );
    }
}
