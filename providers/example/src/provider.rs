//! The zone as a provider.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, DnsName, Finding, Label, Listing, Outcome, Provider, ProviderError,
};

use crate::apply::apply;
use crate::check::check;
use crate::client;

const READ: &str = "read the zone";
const WRITE: &str = "write the zone";

/// One zone, for one owner.
#[derive(Debug)]
pub(crate) struct Example {
    zone: DnsName,
    owner: Label,
    file: PathBuf,
}

impl Example {
    pub(crate) fn new(zone: DnsName, owner: Label, file: PathBuf) -> Self {
        Self { zone, owner, file }
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Path, &Label) -> T + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (file, owner) = (self.file.clone(), self.owner.clone());
        let unavailable = |error: tokio::task::JoinError| ProviderError::Unavailable {
            endpoint: self.file.display().to_string(),
            action,
            source: Some(Box::new(error)),
        };
        tokio::task::spawn_blocking(move || work(&file, &owner)).await.map_err(unavailable)
    }
}

#[async_trait]
impl Provider for Example {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        self.blocking(READ, |file, owner| match client::read(file) {
            Ok(zone) => Ok(zone.listing(owner)),
            Err(fault) => Err(fault.error(file, READ)),
        })
        .await?
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let (work, zone) = (plan.plan().clone(), self.zone.clone());
        let write = move |file: &Path, owner: &Label| {
            client::update(file, |there| apply(there, &work, &zone, owner)).unwrap_or_else(|fault| {
                // A fault of the zone: nothing was written, and each name says why.
                let failed = |name: &DnsName| (name.clone(), Outcome::Failed(fault.error(file, WRITE)));
                work.changes.iter().map(|change| failed(&change.name)).collect()
            })
        };
        let names = self.blocking(WRITE, write).await.unwrap_or_else(|error| {
            // It is not known what was written.
            let incomplete =
                |name: &DnsName| (name.clone(), Outcome::Incomplete { problem: error.to_string() });
            plan.plan().changes.iter().map(|change| incomplete(&change.name)).collect()
        });
        Applied { names }
    }

    async fn check(&self, _suffix: &DnsName) -> Vec<Finding> {
        self.blocking("check the zone", check)
            .await
            .unwrap_or_else(|error| vec![Finding { good: false, text: error.to_string() }])
    }
}
