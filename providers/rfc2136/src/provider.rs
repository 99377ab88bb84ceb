//! The zone as a provider.

use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, DnsName, Finding, Label, Listing, NameChange, Outcome, Provider,
    ProviderError, Refusals,
};
use tokio::sync::Mutex;

use crate::apply::{Fate, Run};
use crate::changes::{self, Edit, Unfit};
use crate::client::Link;
use crate::dial::Dial;
use crate::error::{Action, Asked, Fault};
use crate::pack;
use crate::seen::Seen;
use crate::settings::Settings;
use crate::transfer;

/// Twice this many values (before and after) with names of 255 octets fit into one update of 64 KiB.
const MAX_VALUES: usize = 100;

/// One zone of one server.
#[derive(Debug)]
pub(crate) struct Rfc2136 {
    pub(crate) zone: DnsName,
    pub(crate) owner: Label,
    pub(crate) settings: Settings,
    dial: Dial,
    key: String,
    seen: Seen,
    /// One write at a time: a server takes the updates of a zone one after the other anyway. A listing needs none of it.
    refusals: Mutex<Refusals>,
    /// See [`Run`].
    plain: AtomicBool,
}

impl Rfc2136 {
    pub(crate) fn new(zone: DnsName, owner: Label, settings: Settings) -> Self {
        let key = crate::wire::text(settings.signer.signer_name());
        let dial = Dial::new(&settings.server);
        Self {
            zone,
            owner,
            settings,
            dial,
            key,
            seen: Seen::default(),
            refusals: Mutex::default(),
            plain: AtomicBool::new(false),
        }
    }

    pub(crate) fn asked(&self, action: Action) -> Asked<'_> {
        Asked { server: &self.settings.server, zone: self.zone.as_str(), key: &self.key, action }
    }

    pub(crate) async fn link(&self) -> Result<Link<'_>, Fault> {
        Link::connect(&self.dial, &self.settings).await
    }

    async fn read(&self) -> Result<Listing, Fault> {
        let (begun, serial) = self.seen.begin();
        let mut link = self.link().await?;
        if serial.is_some() {
            let (serial, _) = transfer::serial(&mut link).await?;
            if let Some(listing) = self.seen.unchanged(serial) {
                return Ok(listing);
            }
        }
        match transfer::transfer(&mut link, &self.zone, self.settings.max_records).await {
            Ok(transfer) => Ok(self.seen.transferred(begun, transfer, &self.owner)),
            Err(fault) => Err(self.explain(fault).await),
        }
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

    /// Edits that can be written; the outcomes of the rest are added to those that there are.
    fn edits(&self, changes: &[&NameChange], outcomes: &mut Vec<(DnsName, Outcome)>) -> Vec<Edit> {
        let names: Vec<&DnsName> = changes.iter().map(|change| &change.name).collect();
        let Some((known, signed)) = self.seen.write(&names) else {
            // A plan on something that was never listed here.
            outcomes.extend(names.into_iter().map(|name| (name.clone(), Outcome::Conflict)));
            return Vec::new();
        };
        let mut edits = Vec::new();
        for (change, known) in changes.iter().zip(&known) {
            let rejected = |problem| Outcome::Failed(ProviderError::Rejected { problem });
            let outcome =
                match changes::edit(&self.zone, &self.owner, change, (known, &|name| self.seen.at(name))) {
                    Ok(mut edit) if pack::octets(&edit) <= pack::MAX_OCTETS => {
                        if !signed {
                            edit.signatures.clear();
                        }
                        edits.push(edit);
                        continue;
                    }
                    Ok(edit) => {
                        let octets = pack::octets(&edit);
                        rejected(format!("it takes {octets} octets, and one update has at most 64 KiB"))
                    }
                    Err(Unfit::Stale) => Outcome::Conflict,
                    Err(Unfit::Impossible(problem)) => rejected(problem),
                };
            outcomes.push((change.name.clone(), outcome));
        }
        edits
    }

    /// Writes what loses addresses first, and what was refused lately last, each for itself.
    async fn write(&self, changes: &[NameChange], refusals: &mut Refusals) -> Vec<(DnsName, Outcome)> {
        let mut outcomes = Vec::new();
        let order = refusals.order(changes);
        let mut batches = Vec::new();
        for changes in [order.removals, order.others] {
            batches.extend(pack::pack(self.edits(&changes, &mut outcomes)));
        }
        batches.extend(self.edits(&order.refused, &mut outcomes).into_iter().map(|edit| vec![edit]));
        if batches.is_empty() {
            return outcomes;
        }
        let asked = self.asked(Action::Write);
        let link = match self.link().await {
            Ok(link) => link,
            Err(fault) => {
                let failed = |edit: Edit| (edit.name, Outcome::Failed(asked.error(&fault)));
                outcomes.extend(batches.into_iter().flatten().map(failed));
                return outcomes;
            }
        };
        let mut run = Run::new(link, asked, &self.plain);
        for batch in batches {
            run.write(batch).await;
        }
        let written = run.written.into_iter().map(|(name, fate)| {
            let outcome = self.learn(&name, fate, refusals);
            (name, outcome)
        });
        outcomes.extend(written);
        outcomes
    }

    fn learn(&self, name: &DnsName, fate: Fate, refusals: &mut Refusals) -> Outcome {
        match &fate {
            Fate::Refused(_) => refusals.refuse(name),
            Fate::Done(_) | Fate::Conflict => refusals.forget(name),
            Fate::Zone(_) | Fate::Incomplete(_) | Fate::NotTried => {}
        }
        match fate {
            Fate::Done(known) => {
                let sets = known.observed(&self.owner);
                self.seen.wrote(name, known, &self.owner);
                Outcome::Done(sets.into())
            }
            fate => fate.into(),
        }
    }
}

#[async_trait]
impl Provider for Rfc2136 {
    fn capabilities(&self) -> Capabilities {
        Capabilities { max_values: MAX_VALUES, ..Capabilities::default() }
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        self.read().await.map_err(|fault| self.asked(Action::Read).error(&fault))
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let mut refusals = self.refusals.lock().await;
        Applied { names: self.write(&plan.plan().changes, &mut refusals).await }
    }

    async fn check(&self, suffix: &DnsName) -> Vec<Finding> {
        self.check_all(suffix).await
    }
}
