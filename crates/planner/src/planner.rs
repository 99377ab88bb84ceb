//! Keeps what is wanted in one zone, name by name, and plans the names that changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::brakes::{BrakeInputs, Removal, budget};
use crate::decide::{Answer, Current, NameDecision, decide};
use crate::desired::{Desired, Part, ZoneSettings, names};
use crate::input::{Changes, Input};
use fleetdns_core::ClusterVerdict;
use fleetdns_core::address::Address;
use fleetdns_core::brakes::Brakes;
use fleetdns_core::hold::Hold;
use fleetdns_core::member::Inventory;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::Observed;
use fleetdns_core::ownership::Writer;
use fleetdns_core::plan::{Cause, Change, HeldChange, NameChange, Plan, Refused};
use fleetdns_core::probe::{Check, ProbeKey, ProbeSpec};
use fleetdns_core::provider::Capabilities;
use fleetdns_core::record::RecordSet;
use fleetdns_core::service::ServiceKey;

mod changes;
mod claims;
mod decide;
mod handover;
mod holder;
mod moves;
mod pass;
mod preview;
mod servable;

pub use handover::{Handover, Leave, Orphan, release};
pub(crate) use moves::addresses_of;
pub use moves::{Move, MoveCause, Way};
pub use pass::{Bench, Pass};
pub use preview::{Memory, Preview};

use claims::Claims;

/// Which names a pass looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// These, because something that they depend on changed.
    Names(BTreeSet<DnsName>),
}

impl Scope {
    /// Nothing to look at.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Names(names) if names.is_empty())
    }

    /// Whether a name is looked at.
    pub fn contains(&self, name: &DnsName) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(name),
        }
    }

    /// Both together.
    pub fn extend(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Names(mine), Self::Names(theirs)) => mine.extend(theirs),
        }
    }
}

/// The planner of one zone.
///
/// Invariant: a plan over the names that [`Planner::update`] gave equals a plan over all names, less the names that
/// were in order before.
#[derive(Debug)]
pub struct Planner {
    zone: ZoneSettings,
    capabilities: Capabilities,
    brakes: Brakes,
    input: Input,
    /// Addresses that the velocity brake keeps for now.
    waiting: BTreeSet<Address>,
    claims: Claims,
    /// Members whose verdict as a whole is another one since this was last taken.
    turned: BTreeSet<MemberName>,
    /// The process that writes what is planned.
    writer: Option<Writer>,
}

impl Planner {
    /// A planner that knows nothing yet and holds every removal until start-up has converged.
    pub fn new(zone: ZoneSettings, capabilities: Capabilities, brakes: Brakes) -> Self {
        Self {
            zone,
            capabilities,
            brakes,
            input: Input::default(),
            waiting: BTreeSet::new(),
            claims: Claims::default(),
            turned: BTreeSet::new(),
            writer: None,
        }
    }

    /// Of a process that writes its name into what it plans.
    #[must_use]
    pub fn with_writer(self, writer: Option<Writer>) -> Self {
        Self { writer, ..self }
    }

    /// Another pass begins.
    pub fn next_pass(&mut self) {
        self.writer = self.writer.map(Writer::next);
    }

    /// A planner of the same zone under another configuration, which knows what this one knows: what start-up has seen
    /// is not waited for again.
    pub fn reconfigured(&self, zone: ZoneSettings, capabilities: Capabilities, brakes: Brakes) -> Self {
        let mut next = Self::new(zone, capabilities, brakes).with_writer(self.writer);
        next.update(&self.input);
        // A name that is kept for its Service is kept over this too.
        next.claims.take_over(&self.claims);
        // It is no news what the verdict of each cluster is.
        next.turned.clone_from(&self.turned);
        next
    }

    /// The zone that is planned.
    pub const fn zone(&self) -> &ZoneSettings {
        &self.zone
    }

    /// What was taken in last.
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// What start-up still waits for.
    pub fn startup(&self) -> Option<&str> {
        self.input.startup()
    }

    /// Whether start-up waits for nothing any more, nor any name for a verdict on one of its addresses.
    pub fn has_converged(&self) -> bool {
        self.startup().is_none() && self.input.is_decided()
    }

    /// Takes in what is known now; returns the names that may have to change.
    pub fn update(&mut self, input: &Input) -> Scope {
        let Changes { services, verdicts, clusters, everything } = input.changes_since(&self.input);
        self.input = input.clone();
        let mut names: BTreeSet<DnsName> = services.iter().flat_map(|key| self.regroup(key)).collect();
        names.extend(self.beside(&names));
        names.extend(self.following(&clusters));
        for key in &verdicts {
            names.extend(self.claims.of(key).iter().cloned());
        }
        self.turned.extend(clusters);
        if everything { Scope::All } else { Scope::Names(names) }
    }

    /// Why nothing is removed at the moment, whatever the cause.
    fn freeze(&self) -> Option<Hold> {
        self.brakes(&|_| true).hold(Removal::Wanted)
    }

    const fn brakes<'a>(&'a self, proven: &'a dyn Fn(&ProbeSpec) -> bool) -> BrakeInputs<'a> {
        BrakeInputs { input: &self.input, settings: &self.brakes, waiting: &self.waiting, proven }
    }

    /// The names of services that have no verdict of their own in these members.
    fn following<'a>(&'a self, members: &'a BTreeSet<MemberName>) -> impl Iterator<Item = DnsName> + 'a {
        let members = members.iter().filter_map(|name| self.input.snapshot.members.get(name));
        let services = members.flat_map(|member| &member.services);
        let following = services.filter(|(_, service)| service.probe.check == Check::Cluster);
        following.flat_map(|(key, _)| self.claims.of(key).iter().cloned())
    }

    /// The members whose verdict as a whole has changed since this was last asked, each with the verdict as it stands.
    pub fn turned(&mut self) -> Vec<(MemberName, ClusterVerdict)> {
        let turned = std::mem::take(&mut self.turned);
        let verdict = |name: &MemberName| self.input.health.clusters.get(name).copied().unwrap_or_default();
        turned.into_iter().map(|name| (name.clone(), verdict(&name))).collect()
    }

    /// The names above and below these that somebody wants, where the backend cannot serve both.
    fn beside(&self, names: &BTreeSet<DnsName>) -> Vec<DnsName> {
        let mut beside = Vec::new();
        for name in names.iter().filter(|_| self.capabilities.answers_subtree) {
            let mut above = name.parent();
            while let Some(upper) = above.filter(|upper| upper.is_below(&self.zone.zone)) {
                above = upper.parent();
                beside.extend((!self.claims.at(&upper).is_empty()).then_some(upper));
            }
            beside.extend(self.claims.below(name).map(|(below, _)| below.clone()));
        }
        beside
    }

    /// Works out what one service of the fleet wants again; returns the names it wanted before and those it wants now.
    fn regroup(&mut self, key: &ServiceKey) -> Vec<DnsName> {
        let snapshot = &self.input.snapshot;
        let absent = snapshot.members.values().filter_map(|member| member.absent.get(key));
        self.claims.replace(key, names(key, &self.input.parts(key), absent, &self.zone))
    }

    /// Plans the names in scope against what exists.
    pub fn plan(&self, scope: &Scope, observed: &Observed) -> Plan {
        let mut plan = self.empty_plan(observed);
        for name in self.in_scope(scope, observed) {
            self.plan_name(&name, observed, &mut plan);
        }
        if *scope == Scope::All {
            plan.refused.extend(self.claims.refused().cloned());
        }
        plan
    }

    /// The names that a scope covers: of everything, those that somebody wants and those that are ours.
    pub(crate) fn in_scope(&self, scope: &Scope, observed: &Observed) -> Vec<DnsName> {
        match scope {
            Scope::All => {
                let names: BTreeSet<&DnsName> = self.claims.names().chain(observed.owned()).collect();
                names.into_iter().cloned().collect()
            }
            Scope::Names(names) => names.iter().cloned().collect(),
        }
    }

    /// A plan that changes nothing.
    fn empty_plan(&self, observed: &Observed) -> Plan {
        Plan {
            zone: self.zone.zone.clone(),
            changes: Vec::new(),
            held: Vec::new(),
            refused: Vec::new(),
            owned: observed.owned_count(),
        }
    }

    /// Names that somebody wants, whether they can have them or not.
    pub fn names(&self) -> impl Iterator<Item = &DnsName> {
        self.claims.names()
    }

    /// The names that these Services want.
    pub(crate) fn names_of(&self, services: &BTreeSet<ServiceKey>) -> BTreeSet<DnsName> {
        services.iter().flat_map(|service| self.claims.of(service)).cloned().collect()
    }

    /// What Services say that cannot be used; independent of the zone's state.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Refused> {
        self.claims.refused()
    }

    /// The namespace of whoever wants a name, whether it can have it or not.
    pub fn namespace_at(&self, name: &DnsName) -> Option<Arc<str>> {
        self.service_at(name).map(|service| service.namespace().into())
    }

    /// The first Service that wants a name, whether it can have it or not.
    pub fn service_at(&self, name: &DnsName) -> Option<ServiceKey> {
        self.claims.at(name).first().map(|claim| claim.service.clone())
    }

    /// Services whose faults are others since this was last asked, each with its faults as they are now: what a Service
    /// says that cannot be used, independent of the zone's state.
    pub fn changed_faults(&mut self) -> Vec<(ServiceKey, Vec<Refused>)> {
        self.claims.changed_faults()
    }
}

#[cfg(test)]
mod tests;
