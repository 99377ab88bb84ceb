//! An embedded zone as a provider.

use std::io::ErrorKind;
use std::sync::Arc;

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, Finding, Label, Listing, Measure, Outcome, Provider, ProviderError,
};

use crate::site::{Site, bind};
use crate::state;
use crate::store::Store;
use crate::wire;
use crate::zone::{Written, Zone};

/// With more values a response could outgrow 64 KiB: the encoder compresses the first names of a message only, and
/// then each AAAA record takes up to 281 octets.
const MAX_VALUES: usize = 250;

/// A zone, for one owner.
pub(crate) struct Embedded {
    site: Arc<Site>,
    store: Arc<Store>,
    owner: Label,
}

impl Embedded {
    pub(crate) fn new(site: Arc<Site>, store: Arc<Store>, owner: Label) -> Self {
        Self { site, store, owner }
    }

    async fn check_listen(&self) -> Finding {
        let zone = &self.store.snapshot().settings.zone;
        if let Some(address) = self.site.bound() {
            return Finding { good: true, text: format!("this process serves {zone} on {address}") };
        }
        match bind(self.site.listen).await {
            Ok(_) => Finding { good: true, text: format!("{} is free, UDP and TCP", self.site.listen) },
            Err(error) if error.source.kind() == ErrorKind::AddrInUse && self.site.is_served() => Finding {
                good: true,
                text: format!("the daemon that runs here serves {zone} on {}", self.site.listen),
            },
            Err(error) => Finding { good: false, text: error.to_string() },
        }
    }
}

#[async_trait]
impl Provider for Embedded {
    fn capabilities(&self) -> Capabilities {
        Capabilities { max_values: MAX_VALUES, own_copy: true, ..Capabilities::default() }
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        let (zone, owner) = (self.store.snapshot(), self.owner.clone());
        // A large zone takes its time.
        let observed = tokio::task::spawn_blocking(move || zone.observed(&owner)).await;
        let observed = observed.map_err(|error| ProviderError::Unavailable {
            endpoint: "the embedded server".into(),
            action: "list the zone",
            source: Some(Box::new(error)),
        })?;
        // A state file that a reload has named, or that could not be written, is written without a change too.
        self.store.save().await;
        Ok(Listing { observed, unreadable: Vec::new() })
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let outcomes = self.store.write(plan.plan(), &self.owner);
        self.store.save().await;
        let names = outcomes.into_iter().map(|(name, written)| {
            let outcome = match written {
                Written::Done(sets) => Outcome::Done(sets),
                Written::Conflict => Outcome::Conflict,
                Written::Rejected(problem) => Outcome::Failed(ProviderError::Rejected { problem }),
            };
            (name, outcome)
        });
        Applied { names: names.collect() }
    }

    async fn converged(&self) {
        self.store.complete();
        self.store.save().await;
    }

    fn measures(&self) -> Vec<Measure> {
        self.site.counters.measures()
    }

    async fn check(&self, _suffix: &fleetdns_core::DnsName) -> Vec<Finding> {
        let zone = self.store.snapshot();
        let mut findings = vec![self.check_listen().await];
        findings.extend(check_name_servers(&zone));
        findings.extend(check_state_file(&zone));
        findings.extend(self.store.damage().map(|damage| Finding {
            good: false,
            text: format!("state-file: {damage}; the daemon sets it aside and goes on with the rest"),
        }));
        findings
    }
}

/// A name server in the zone whose addresses the zone does not tell cannot be found.
fn check_name_servers(zone: &Zone) -> Option<Finding> {
    let settings = &zone.settings;
    let lost = settings.servers.iter().find(|server| {
        let sets =
            server.name.is_within(&settings.zone).then(|| zone.find(wire::of_name(&server.name).octets()));
        sets.flatten().is_some_and(<[_]>::is_empty)
    })?;
    let name = &lost.name;
    let text = format!("name server {name} has no address; give it: ns = {name} 203.0.113.53");
    Some(Finding { good: false, text })
}

fn check_state_file(zone: &Zone) -> Option<Finding> {
    let path = zone.settings.state_file.as_deref()?;
    let directory = state::directory(path);
    // Has no name and is gone at once.
    Some(match tempfile::tempfile_in(directory) {
        Ok(_) => Finding { good: true, text: format!("{} can be written", directory.display()) },
        Err(error) => Finding {
            good: false,
            text: format!(
                "{} cannot be written: {error}; mend its rights or 'state-file'",
                directory.display()
            ),
        },
    })
}
