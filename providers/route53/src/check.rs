//! Looking whether the zone can be read and written, without changing it.

use std::hash::{BuildHasher, RandomState};

use aws_sdk_route53::config::{Credentials, ProvideCredentials};
use fleetdns_core::{DnsName, Finding, ProviderError};

use crate::changes::Delta;
use crate::error::{Fault, Kind};
use crate::names::{mark_name, write_text};
use crate::provider::{Zone, kind};
use crate::shape::{Body, Raw};

/// Most names of ours with which the right to write is tried.
const SAMPLES: usize = 3;

impl Zone {
    pub(crate) async fn check_all(&self, suffix: &DnsName) -> Vec<Finding> {
        let mut findings = Vec::new();
        let credentials = self.check_credentials().await;
        let known = credentials.good;
        findings.push(credentials);
        if !known {
            return findings;
        }
        let hosted = match self.id().await {
            Ok(hosted) => hosted,
            Err(fault) => {
                findings.push(self.bad(fault, "find the hosted zone").await);
                return findings;
            }
        };
        let sets = hosted.sets.map(|sets| format!(", {sets} record sets")).unwrap_or_default();
        findings.push(good(format!(
            "hosted zone {} ({}, {}{sets})",
            self.name,
            hosted.id,
            kind(hosted.private)
        )));
        findings.push(match self.first(&hosted.id).await {
            Ok(()) => good("the zone can be listed".to_owned()),
            Err(fault) => self.bad(fault, "list the zone").await,
        });
        findings.push(self.writing(suffix).await);
        if self.insync.is_some() {
            findings.push(match self.try_to_follow().await {
                Ok(()) => good("batches can be followed to the name servers".to_owned()),
                Err(fault) => self.bad(fault, "see what became of a batch").await,
            });
        }
        findings
    }

    async fn check_credentials(&self) -> Finding {
        let Some(provider) = &self.link.connection().await.credentials else {
            return Finding {
                good: false,
                text: "there are no credentials; set profile or role-arn".to_owned(),
            };
        };
        match provider.provide_credentials().await {
            Ok(credentials) => {
                good(who(&credentials, self.link.settings.role.as_ref().map(|role| &*role.arn)))
            }
            Err(error) => {
                let fault = Fault::of_credentials(&error);
                self.bad(fault, "find credentials").await
            }
        }
    }

    /// One record set, which every zone has.
    async fn first(&self, id: &str) -> Result<(), Fault> {
        let list = self
            .link
            .call(|client| client.list_resource_record_sets().hosted_zone_id(id).max_items(1).send());
        list.await.map(|_| ())
    }

    /// Tries a new name below `suffix`. A policy may name single record sets: then a name of ours is enough.
    async fn writing(&self, suffix: &DnsName) -> Finding {
        let Ok(name) = suffix.prepend("_fleetdns-check") else {
            return good(format!("{suffix} is too long to try a name below it"));
        };
        let fault = match self.try_to_write(name).await {
            Ok(()) => return good(format!("names below {suffix} can be written")),
            Err(fault) => fault,
        };
        if matches!(fault.kind, Kind::NoRight)
            && let Some(name) = self.some_writable().await
        {
            let problem = fault.reason;
            return good(format!("{name} can be written; a new name below {suffix} cannot: {problem}"));
        }
        self.bad(fault, "write the zone").await
    }

    /// A name of ours that can be written, out of the first ones.
    async fn some_writable(&self) -> Option<DnsName> {
        let listing = self.list_whole().await.ok()?;
        for name in listing.observed.owned().take(SAMPLES) {
            if self.try_to_write(mark_name(name).ok()?).await.is_ok() {
                return Some(name.clone());
            }
        }
        None
    }

    /// Deletes a TXT that cannot be there: who may not write is told so, who may is told that it is not there.
    async fn try_to_write(&self, name: DnsName) -> Result<(), Fault> {
        let random = RandomState::new();
        let never = format!("fleetdns check {:016x}{:016x}", random.hash_one(1), random.hash_one(2));
        let raw = Raw { ttl: 0, values: vec![write_text(&never)] };
        match self.send(&[&Delta { delete: true, name, record_type: None, body: Body::Values(raw) }]).await {
            Ok(()) => Ok(()),
            Err(Fault { kind: Kind::Refused(said), .. }) if said.text().contains("not found") => Ok(()),
            Err(Fault { kind: Kind::Refused(said), .. }) if said.code == "InvalidChangeBatch" => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Asks after a change that cannot be there.
    async fn try_to_follow(&self) -> Result<(), Fault> {
        match self.link.is_insync("C00000000000000000000").await {
            Err(Fault { kind: Kind::Refused(said), .. }) if said.code == "NoSuchChange" => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn bad(&self, fault: Fault, action: &'static str) -> Finding {
        let error = self.error(fault, action).await;
        let reason = match &error {
            ProviderError::Unavailable { source: Some(source), .. } => format!(": {source}"),
            _ => String::new(),
        };
        Finding { good: false, text: format!("{error}{reason}") }
    }
}

fn good(text: String) -> Finding {
    Finding { good: true, text }
}

/// The account is a name. Of the access key id, which counts as secret, the last letters tell one from another.
fn who(credentials: &Credentials, role: Option<&str>) -> String {
    let account = credentials.account_id().map(|id| format!(", account {}", id.as_str())).unwrap_or_default();
    let role = role.map(|arn| format!(" as {arn}")).unwrap_or_default();
    format!(
        "credentials from {}{role}: access key …{}{account}",
        source(credentials),
        last(credentials.access_key_id())
    )
}

fn last(id: &str) -> &str {
    id.char_indices().nth_back(3).and_then(|(at, _)| id.get(at..)).unwrap_or_default()
}

/// Which part of the SDK's chain gave them. It says so in its debug form only.
fn source(credentials: &Credentials) -> String {
    let text = format!("{credentials:?}");
    let name = text.split("provider_name: \"").nth(1).and_then(|rest| rest.split('"').next());
    name.unwrap_or("the SDK's credential chain").to_owned()
}
