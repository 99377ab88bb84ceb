//! What a person orders is in force within a pass, or the answer says why not.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetdns_core::Hold;
use fleetdns_core::routing::Routing;
use fleetdns_core::{Address, DnsName, OverrideKind, Subject};

use crate::drive::Driver;
use crate::names::Meaning;
use crate::process::Told;
use crate::sim::Sim;
use crate::zone::Trouble;

/// Enough for a pass and what it writes.
const A_PASS: Duration = Duration::from_secs(1);

impl Driver {
    /// A person orders something; where nothing else is in the way it is looked at what follows.
    pub(crate) async fn obeys(
        &mut self,
        subject: Subject,
        kind: Option<OverrideKind>,
        span: Option<Duration>,
    ) {
        let free = self.is_free();
        let kept = self.kept(&subject);
        let answer = self.order(&subject, kind, span).await;
        if !free || answer.is_err() {
            return;
        }
        // Nothing of the fleet is watched meanwhile, and nothing else happens.
        tokio::time::sleep(A_PASS).await;
        if self.is_free() {
            let said = excused(&answer, kept);
            self.with(|sim| sim.judge_order(&said));
        }
    }

    /// Whether nothing is in the way of a write.
    fn is_free(&self) -> bool {
        let Some(run) = &self.run else { return false };
        let status = run.status.borrow();
        let good = status.fault.is_none() && status.startup.is_none() && status.observed.is_some();
        drop(status);
        good && self.with(|sim| {
            let zone = &sim.zone;
            let quiet = zone.trouble == Trouble::None && zone.slow == Duration::ZERO && !zone.is_writing();
            quiet && zone.refused.is_empty() && !zone.edited && sim.process.converged
        })
    }

    /// Names that have what they had because nothing better is left, or because the backend has refused them when something
    /// else than this was ordered.
    fn kept(&self, subject: &Subject) -> BTreeSet<DnsName> {
        let Some(run) = &self.run else { return BTreeSet::new() };
        let is_last = |reason: &Hold| matches!(reason, Hold::AllDown | Hold::Floor | Hold::Undecided);
        let status = run.status.borrow();
        let held = status.held.values().filter(|held| is_last(&held.reason)).map(|held| held.name.clone());
        let refused = status.refused.keys().filter_map(|name| name.parse().ok());
        self.with(|sim| held.chain(refused.filter(|name| !sim.is_about(subject, name))).collect())
    }
}

/// Names of which the answer says why they stay, or of which that was known before.
fn excused(answer: &Told, mut kept: BTreeSet<DnsName>) -> BTreeSet<DnsName> {
    let held = answer.iter().flat_map(|answer| &answer.effect.held);
    kept.extend(held.filter_map(|reason| reason.name.parse().ok()));
    kept
}

impl Sim {
    /// Whether an order changes what is wanted of an address at a name.
    fn is_about(&self, subject: &Subject, name: &DnsName) -> bool {
        let Some(meaning) = self.names.get(name) else { return false };
        let service = &meaning.service;
        let mut members = self.fleet.configured().filter(|member| meaning.speaks_of(member));
        match subject {
            Subject::Service(one) => one == service,
            Subject::ServiceIn(one, place) => one == service && members.any(|member| member.name == *place),
            Subject::Cluster(place) => members.any(|member| member.name == *place),
            Subject::Address(address) => members
                .any(|member| member.given(service, self.now()).is_some_and(|given| given.contains(address))),
        }
    }

    fn judge_order(&mut self, excused: &BTreeSet<DnsName>) {
        let mut found = Vec::new();
        for (name, meaning) in &self.names {
            if !excused.contains(name) && !self.foreign.contains_key(name) {
                found.extend(self.disobeyed(name, meaning));
            }
        }
        found.into_iter().for_each(|what| self.accuse(what));
    }

    /// Addresses at a name that are not as a person wants them.
    fn disobeyed(&self, name: &DnsName, meaning: &Meaning) -> Vec<String> {
        let (now, values) = (self.now(), self.values(name));
        let mut desired: BTreeSet<(Address, u16)> = BTreeSet::new();
        let (mut out, mut others) = (BTreeSet::new(), BTreeSet::new());
        for member in self.fleet.configured().filter(|member| meaning.speaks_of(member)) {
            for given in member.given(&meaning.service, now).into_iter().flatten() {
                let stands: Vec<Address> = self.stands_as(given);
                match self.kind(member, meaning, given) {
                    Some(OverrideKind::ForceIn) if self.routing == Routing::All => {
                        desired.extend(given.ip().map(|ip| (Address::from(ip), member.priority)));
                    }
                    Some(OverrideKind::Drain | OverrideKind::ForceOut) => out.extend(stands),
                    _ => others.extend(stands),
                }
            }
        }
        let is_there = |address: &Address| values.contains(&address.to_string());
        let retained = out.difference(&others).filter(|address| is_there(address));
        let retained =
            retained.map(|address| format!("override: {address} is ordered out and still at {name}"));
        let misses = desired.iter().filter(|(address, _)| !is_there(address));
        let misses =
            misses.map(|(address, _)| format!("override: {address} is ordered in and not at {name}"));
        retained.chain(misses).collect()
    }

    /// What an address that is given can look like at a name.
    fn stands_as(&self, given: &Address) -> Vec<Address> {
        let told =
            given.hostname().and_then(|name| self.net.names.get(name)).and_then(|name| name.told.as_ref());
        let ips = told.into_iter().flatten().map(|ip| Address::from(*ip));
        ips.chain([given.clone()]).collect()
    }
}
