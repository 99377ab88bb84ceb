//! The zone as a provider.

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, DnsName, Finding, Label, Listing, Outcome, Plan, Provider,
    ProviderError,
};
use tokio::sync::Mutex;

use crate::edit::{self, Edit, Unfit};
use crate::fault::{Action, Asked, Fault};
use crate::link::Link;
use crate::pack;
use crate::run::Run;
use crate::settings::Settings;
use crate::transfer::{self, Transfer};
use crate::view::Zone;

/// Twice this many values (before and after) with names of 255 octets fit into one update of 64 KiB.
const MAX_VALUES: usize = 100;

/// Listings in a row that go by the serial alone. A database edited behind its server need not move it.
const MAX_SKIPS: u32 = 9;

/// One zone of one server.
#[derive(Debug)]
pub(crate) struct Rfc2136 {
    pub(crate) zone: DnsName,
    owner: Label,
    pub(crate) settings: Settings,
    key: String,
    /// One call at a time: a server takes the updates of a zone one after the other anyway.
    seen: Mutex<Option<Seen>>,
}

/// The zone as it was last transferred, with what we wrote since.
#[derive(Debug)]
struct Seen {
    zone: Zone,
    /// `None` when it has moved since.
    serial: Option<u32>,
    skips: u32,
}

impl Rfc2136 {
    pub(crate) fn new(zone: DnsName, owner: Label, settings: Settings) -> Self {
        let key = crate::wire::text(settings.signer.signer_name());
        Self { zone, owner, settings, key, seen: Mutex::default() }
    }

    pub(crate) fn asked(&self, action: Action) -> Asked<'_> {
        Asked { server: &self.settings.server, zone: self.zone.as_str(), key: &self.key, action }
    }

    pub(crate) async fn link(&self) -> Result<Link<'_>, Fault> {
        Link::connect(&self.settings.server, &self.settings.apex, &self.settings.signer).await
    }

    async fn read(&self, seen: &mut Option<Seen>) -> Result<Listing, Fault> {
        let mut link = self.link().await?;
        if let Some(seen) = seen.as_mut().filter(|seen| seen.serial.is_some() && seen.skips < MAX_SKIPS) {
            let (serial, _) = transfer::serial(&mut link).await?;
            if seen.serial == Some(serial) {
                seen.skips += 1;
                return Ok(seen.zone.listing(&self.owner));
            }
        }
        let Transfer { zone, serial } = match transfer::transfer(&mut link, &self.zone).await {
            Ok(transfer) => transfer,
            Err(fault) => return Err(self.explain(fault).await),
        };
        let listing = zone.listing(&self.owner);
        *seen = Some(Seen { zone, serial: Some(serial), skips: 0 });
        Ok(listing)
    }

    /// A transfer is refused without the right to it, and without the zone; who asks for the SOA learns which it is.
    async fn explain(&self, fault: Fault) -> Fault {
        if !matches!(fault, Fault::Refused(_)) {
            return fault;
        }
        let Ok(mut link) = self.link().await else { return fault };
        match transfer::serial(&mut link).await {
            Err(Fault::NoZone) => Fault::NoZone,
            _ => fault,
        }
    }

    /// Edits that can be written, and the outcomes of the rest.
    fn edits(&self, plan: &Plan, zone: &Zone) -> (Vec<Edit>, Vec<(DnsName, Outcome)>) {
        let (mut edits, mut outcomes) = (Vec::new(), Vec::new());
        for change in &plan.changes {
            match edit::edit(&self.zone, &self.owner, change, &zone.at(&change.name)) {
                Ok(edit) if pack::octets(&edit) <= pack::MAX_OCTETS => edits.push(edit),
                Ok(edit) => {
                    let octets = pack::octets(&edit);
                    let problem = format!("it takes {octets} octets, and one update has at most 64 KiB");
                    outcomes.push((edit.name, Outcome::Failed(ProviderError::Rejected { problem })));
                }
                Err(Unfit::Stale) => outcomes.push((change.name.clone(), Outcome::Conflict)),
                Err(Unfit::Impossible(problem)) => {
                    let outcome = Outcome::Failed(ProviderError::Rejected { problem });
                    outcomes.push((change.name.clone(), outcome));
                }
            }
        }
        (edits, outcomes)
    }

    async fn write(&self, plan: &Plan, seen: &mut Seen) -> Vec<(DnsName, Outcome)> {
        let (edits, mut outcomes) = self.edits(plan, &seen.zone);
        if edits.is_empty() {
            return outcomes;
        }
        // Whatever comes of it, the next listing transfers the zone.
        seen.serial = None;
        let asked = self.asked(Action::Write);
        let link = match self.link().await {
            Ok(link) => link,
            Err(fault) => {
                let failed = |edit: Edit| (edit.name, Outcome::Failed(asked.error(&fault)));
                outcomes.extend(edits.into_iter().map(failed));
                return outcomes;
            }
        };
        let mut run = Run::new(link, asked);
        for batch in pack::pack(edits) {
            run.write(batch).await;
        }
        for written in run.written {
            let outcome = match written.outcome {
                Ok(after) => {
                    let sets = after.observed(&self.owner);
                    seen.zone.set(written.name.clone(), after);
                    Outcome::Done(sets)
                }
                Err(failed) => failed.into(),
            };
            outcomes.push((written.name, outcome));
        }
        outcomes
    }
}

#[async_trait]
impl Provider for Rfc2136 {
    fn capabilities(&self) -> Capabilities {
        Capabilities { max_values: MAX_VALUES, ..Capabilities::default() }
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        let mut seen = self.seen.lock().await;
        self.read(&mut seen).await.map_err(|fault| self.asked(Action::Read).error(&fault))
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let plan = plan.plan();
        match self.seen.lock().await.as_mut() {
            Some(seen) => Applied { names: self.write(plan, seen).await },
            // A plan on something that was never listed here.
            None => {
                let conflict = |name: DnsName| (name, Outcome::Conflict);
                Applied { names: plan.changes.iter().map(|change| conflict(change.name.clone())).collect() }
            }
        }
    }

    async fn check(&self, _suffix: &DnsName) -> Vec<Finding> {
        self.check_all().await
    }
}
