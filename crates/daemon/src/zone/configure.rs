//! What a reload changes of a zone while its task runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{Brakes, MemberName, Provider};
use fleetdns_planner::{Scope, ZoneSettings};
use tokio::sync::mpsc;
use tracing::info;

use super::batch::Batch;
use super::dead::DeadNames;
use super::pause::Access;
use super::pending::Pending;
use super::reading::Reading;
use super::start_up::StartUp;
use super::status::{Measures, Times};
use super::unwritten::{ByVerb, Unwritten};
use super::{ZoneOptions, ZoneTask};

/// How a zone is kept: what a reload may change.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneTerms {
    /// As the planner takes it.
    pub settings: ZoneSettings,
    /// The brakes.
    pub brakes: Brakes,
    /// How often the zone is read again.
    pub drift: Duration,
    /// Members that the config names.
    pub configured: BTreeSet<MemberName>,
    /// As in [`ZoneOptions`].
    pub says_clusters: bool,
}

/// How a zone is kept from now on.
pub struct ZoneChange {
    /// The terms.
    pub terms: ZoneTerms,
    /// Name of the provider, and the provider; `None`: the one that it has serves on.
    pub provider: Option<(&'static str, Box<dyn Provider>)>,
}

impl ZoneOptions {
    /// What of the options a reload may change.
    pub fn terms(&self, settings: ZoneSettings) -> ZoneTerms {
        let Self { brakes, drift, configured, says_clusters, .. } = self;
        ZoneTerms {
            settings,
            brakes: brakes.clone(),
            drift: *drift,
            configured: configured.clone(),
            says_clusters: *says_clusters,
        }
    }
}

impl ZoneTask {
    /// Keeps the zone in another way from now on: everything is planned again, and what left lately still counts for the
    /// velocity brake.
    pub(super) fn configure(&mut self, ZoneChange { terms, provider }: ZoneChange) {
        let ZoneTerms { settings, brakes, drift, configured, says_clusters } = terms;
        info!(zone = %settings.zone, other_provider = provider.is_some(), "zone configuration changed");
        if let Some((name, provider)) = provider {
            self.set_provider(name, provider.into());
        }
        let capabilities = self.provider.capabilities();
        self.planner = self.planner.reconfigured(settings.clone(), capabilities, brakes);
        self.status.send_modify(|status| status.settings = settings);
        (self.drift, self.says_clusters) = (drift, says_clusters);
        self.configured = configured;
        (self.scope, self.changed) = (Scope::All, Scope::All);
    }

    /// Nothing is known of what another backend holds, and nothing has failed there.
    fn set_provider(&mut self, name: &'static str, provider: Arc<dyn Provider>) {
        self.provider = provider;
        self.reading = Reading::new();
        self.writing = Access::new("write");
        self.pending = Pending::default();
        self.unwritten = Unwritten::default();
        self.batch = Batch::default();
        self.observed = None;
        self.fence = self.shared_fence.of_zone(&self.provider.capabilities());
        self.start_up = StartUp::of(&self.provider.capabilities(), self.startup_timeout);
        let (capabilities, measures) = (self.provider.capabilities(), Measures(Arc::clone(&self.provider)));
        self.status.send_modify(|status| {
            status.provider = name.into();
            status.capabilities = capabilities;
            status.measures = measures;
            (status.observed, status.listed_at, status.written_at) = (None, None, None);
            status.unwritten = ByVerb::default();
            (status.times, status.calls) = (Times::default(), Arc::default());
            status.dead = DeadNames::new();
            (status.fault, status.write_fault) = (None, None);
        });
    }
}

/// The next change; never comes where nobody can make any.
pub(super) async fn next(changes: &mut Option<mpsc::UnboundedReceiver<ZoneChange>>) -> Option<ZoneChange> {
    match changes {
        Some(changes) => changes.recv().await,
        None => std::future::pending().await,
    }
}
