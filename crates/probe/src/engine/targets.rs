//! What has to be probed comes and goes: from snapshots, and from what host names resolve to.

use std::future::Future;
use std::sync::Arc;

use fleetdns_core::{Address, DnsName, ProbeKey, ProbeSpec, Snapshot, Target, Verdict};
use fleetdns_health::Place;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Engine;
use crate::answer::{Answer, Snag};
use crate::canary::Canary;
use crate::names::Keys;
use crate::resolve::{Families, Resolved};
use crate::schedule::{Row, Slot};

impl<P, F, L, G> Engine<P, L, G>
where
    P: Fn(ProbeKey) -> F,
    F: Future<Output = Answer> + Send + 'static,
    L: Fn(DnsName) -> G,
    G: Future<Output = (DnsName, Families)>,
{
    pub(super) fn take_snapshot(&mut self, snapshot: &Snapshot) {
        let changes = self.targets.update(snapshot);
        // First what comes, so that a key that only changes hands is not dropped in between.
        for target in &changes.added {
            self.add(target);
        }
        for (target, place) in &changes.joined {
            self.keys_of(target).iter().for_each(|key| self.join(key, place));
        }
        for (target, place) in &changes.left {
            self.keys_of(target).iter().for_each(|key| self.leave(key, place));
        }
        for target in &changes.removed {
            self.remove(target);
        }
        self.schedule.schedule_fresh(Instant::now());
        if !changes.added.is_empty() || !changes.removed.is_empty() {
            debug!(
                added = changes.added.len(),
                removed = changes.removed.len(),
                keys = self.schedule.len(),
                "targets changed"
            );
        }
    }

    pub(super) fn add(&mut self, Target { address, spec }: &Target) {
        let keys = match address {
            Address::Hostname(name) => {
                let (new, keys) = self.names.want(name, spec);
                if new {
                    let target = Target { address: address.clone(), spec: Arc::clone(spec) };
                    let place = self.targets.places(&target).next();
                    let namespace = place.map_or_else(|| "".into(), |place| Arc::clone(&place.namespace));
                    self.resolver.watch(name.clone(), namespace);
                }
                keys
            }
            address => key_of(address, spec).into_iter().collect(),
        };
        keys.into_iter().for_each(|key| self.schedule.want(key));
    }

    fn remove(&mut self, Target { address, spec }: &Target) {
        let keys = match address {
            Address::Hostname(name) => {
                let (gone, keys) = self.names.unwant(name, spec);
                if gone {
                    self.resolver.forget(name);
                    self.reports.set_resolve_error(name, None);
                    self.changes.forgotten(name.clone());
                }
                keys
            }
            address => key_of(address, spec).into_iter().collect(),
        };
        keys.iter().for_each(|key| self.unwant(key));
    }

    /// The keys that a target stands for now.
    pub(super) fn keys_of(&self, Target { address, spec }: &Target) -> Vec<ProbeKey> {
        match address {
            Address::Hostname(name) => self.names.keys(name, spec),
            address => key_of(address, spec).into_iter().collect(),
        }
    }

    /// An endpoint of a place has the key. What is known of it already is published when it is the first.
    fn join(&mut self, key: &ProbeKey, place: &Place) {
        let Some(slot) = self.schedule.slot(key) else { return };
        let Some(row) =
            self.schedule.row(slot).filter(|_| self.watcher.self_check().join(slot.into(), place))
        else {
            return;
        };
        if row.unprobeable {
            self.changes.unprobeable(key.clone(), (true, false), &Answer::Unclear(Snag::NoRoute));
        } else if row.health_state.verdict() != Verdict::Unknown {
            self.changes.known(key.clone(), row.health_state.verdict());
        }
    }

    fn leave(&mut self, key: &ProbeKey, place: &Place) {
        let Some(slot) = self.schedule.slot(key) else { return };
        let Some(row) =
            self.schedule.row(slot).filter(|_| self.watcher.self_check().leave(slot.into(), place))
        else {
            return;
        };
        if row.unprobeable {
            self.changes.unprobeable(key.clone(), (false, false), &Answer::Pass);
        } else if row.health_state.verdict() != Verdict::Unknown {
            self.changes.gone(key.clone());
        }
        self.watcher.hide(slot);
    }

    pub(super) fn seat_canary(&mut self, target: &Target, key: &ProbeKey, is: bool) {
        if let Some(slot) = self.schedule.slot(key) {
            self.watcher.set_canary(target, key, slot, is);
        }
    }

    pub(super) fn take_resolved(&mut self, resolved: Resolved) {
        let Resolved { name, addresses, mut error } = resolved;
        if let Some(addresses) = &addresses {
            error = error.or_else(|| self.names.denied(&name, addresses));
        }
        if self.reports.set_resolve_error(&name, error.as_deref()) {
            let payer = self.resolver.payer(&name);
            let loud = payer.is_none() || self.changes.admits(&mut payer.into_iter());
            match &error {
                Some(error) if !loud => debug!(%name, error, "host name does not resolve as it should"),
                None if !loud => debug!(%name, "host name resolves again"),
                Some(error) if addresses.is_some() => {
                    warn!(%name, error, "host name resolves to an address that is left out");
                }
                Some(error) => {
                    warn!(%name, error, "host name does not resolve, its last addresses stand");
                }
                None => info!(%name, "host name resolves again"),
            }
        }
        let Some(addresses) = addresses else {
            if self.names.failed(&name) == self.timing.thresholds.fall.max(1) {
                self.changes.unresolvable(name.clone(), true);
            }
            self.watcher.set_unresolved(&name, error.is_some());
            return;
        };
        self.watcher.set_unresolved(&name, addresses.is_empty());
        let Some(keys) = self.names.resolved(&name, &addresses) else { return };
        // Not said louder: the answers of some load balancers change all the time.
        debug!(%name, addresses = addresses.len(), "host name resolved");
        self.take_keys(&name, keys);
        self.changes.resolved(name, addresses);
    }

    /// Probes what a host name stands for now.
    pub(super) fn take_keys(&mut self, name: &DnsName, keys: Keys) {
        let target =
            |key: &ProbeKey| Target { address: Address::Hostname(name.clone()), spec: Arc::clone(&key.spec) };
        for key in keys.desired {
            let target = target(&key);
            self.schedule.want(key.clone());
            self.seat_canary(&target, &key, true);
            let places: Vec<Place> = self.targets.places(&target).cloned().collect();
            places.iter().for_each(|place| self.join(&key, place));
        }
        for key in keys.undesired {
            let target = target(&key);
            self.seat_canary(&target, &key, false);
            let places: Vec<Place> = self.targets.places(&target).cloned().collect();
            places.iter().for_each(|place| self.leave(&key, place));
            self.unwant(&key);
        }
        self.schedule.schedule_fresh(Instant::now());
    }

    /// Makes these the canaries, and no others.
    pub(super) fn set_canaries(&mut self, canaries: &[Canary]) {
        let (new, gone) = self.watcher.set_canaries(canaries);
        for target in new {
            if self.targets.pin(target.clone()) {
                self.add(&target);
            }
            for key in self.keys_of(&target) {
                self.seat_canary(&target, &key, true);
            }
        }
        for target in gone {
            if self.targets.unpin(&target) {
                self.remove(&target);
            }
        }
        self.schedule.schedule_fresh(Instant::now());
    }

    fn unwant(&mut self, key: &ProbeKey) {
        let Some(slot) = self.schedule.slot(key) else { return };
        if let Some(row) = self.schedule.unwant(key) {
            self.drop_row(slot, &row);
        }
    }

    pub(super) fn drop_row(&mut self, slot: Slot, row: &Row) {
        self.set_unclear(row.unclear > 0, false, None);
        self.reports.forget(&row.key);
        self.watcher.forget(slot);
    }
}

fn key_of(address: &Address, spec: &Arc<ProbeSpec>) -> Option<ProbeKey> {
    address.ip().map(|address| ProbeKey { address, spec: Arc::clone(spec) })
}
