//! Where the snapshots live: one writer at a time, readers that never wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use fleetdns_core::{DnsName, Label, Plan};
use tracing::{info, warn};

use crate::state::{self, Damage};
use crate::wire::{self, Key};
use crate::zone::{Written, Zone};

/// The newest snapshot of one zone, and what is known of its state file.
#[derive(Debug)]
pub(crate) struct Store {
    zone: RwLock<Arc<Zone>>,
    writer: Mutex<()>,
    saved: Arc<tokio::sync::Mutex<Saved>>,
    /// Why the state file could not be read as a whole.
    damage: Option<Damage>,
}

/// How the last writing of the state file went. Locked while it is written.
#[derive(Debug)]
struct Saved {
    /// `changes` of the zone that the file has; `None` when it was never written.
    changes: Option<u64>,
    failing: bool,
}

/// Seconds of Unix time, as far as a serial can count them.
pub(crate) fn now() -> u32 {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u32::try_from(clock & u64::from(u32::MAX)).unwrap_or(0)
}

impl Store {
    /// A zone as its state file has it, if there is one.
    pub(crate) fn new(zone: Zone, damage: Option<Damage>) -> Self {
        Self::with(Some(zone.changes), zone, damage)
    }

    /// A zone whose state file is to be written, whatever changes.
    pub(crate) fn unsaved(zone: Zone) -> Self {
        Self::with(None, zone, None)
    }

    fn with(changes: Option<u64>, zone: Zone, damage: Option<Damage>) -> Self {
        let saved = Arc::new(Saved { changes, failing: false }.into());
        Self { zone: RwLock::new(Arc::new(zone)), writer: Mutex::new(()), saved, damage }
    }

    /// Why the state file could not be read as a whole.
    pub(crate) const fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Cleans up after the process that had the state file before: what it left half written is removed, and a file that
    /// could not be read is set aside, with what could be read of it in its place.
    pub(crate) fn take_over(&self) {
        let zone = self.snapshot();
        if !zone.complete {
            info!(zone = %zone.settings.zone, "nothing to answer from yet: SERVFAIL until start-up has converged");
        }
        let Some(path) = zone.settings.state_file.as_deref() else { return };
        state::sweep(path);
        let Some(damage) = &self.damage else { return };
        let names = zone.entries().count();
        match state::set_aside(path).and_then(|aside| state::save(path, &zone).map(|()| aside)) {
            Ok(aside) => warn!(
                path = %path.display(), aside = %aside.display(), error = %damage, names,
                "state file damaged; set aside, going on with the names that could be read"
            ),
            Err(error) => warn!(
                path = %path.display(), error = %damage, cause = %error, names,
                "state file damaged and cannot be set aside; going on with the names that could be read"
            ),
        }
    }

    pub(crate) fn snapshot(&self) -> Arc<Zone> {
        self.zone.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Applies a plan in one swap.
    pub(crate) fn write(&self, plan: &Plan, owner: &Label) -> Vec<(DnsName, Written)> {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, outcomes) = self.snapshot().after(&plan.changes, owner, now());
        *self.zone.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        outcomes
    }

    /// From now on the zone is answered from what it holds.
    pub(crate) fn complete(&self) {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut zone = (*self.snapshot()).clone();
        if zone.complete {
            return;
        }
        info!(zone = %zone.settings.zone, names = zone.entries().count(), "zone complete: questions are answered");
        // The state file says so too.
        (zone.complete, zone.changes) = (true, zone.changes.wrapping_add(1));
        *self.zone.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(zone);
    }

    /// Writes the state file, when there is one and it is old. A fault here is said and no more: answers do not depend
    /// on it, and the next change tries again.
    pub(crate) async fn save(self: &Arc<Self>) {
        let Some(path) = self.snapshot().settings.state_file.clone() else { return };
        let mut saved = self.saved.clone().lock_owned().await;
        let store = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let zone = store.snapshot();
            if saved.changes == Some(zone.changes) {
                return;
            }
            match (state::save(&path, &zone), saved.failing) {
                (Ok(()), failing) => {
                    *saved = Saved { changes: Some(zone.changes), failing: false };
                    if failing {
                        info!(path = %path.display(), "state file is written again");
                    }
                }
                (Err(error), false) => {
                    saved.failing = true;
                    warn!(path = %path.display(), %error, "state file not written");
                }
                (Err(_), true) => {}
            }
        });
        if let Err(error) = task.await {
            warn!(%error, "writing of the state file broke off");
        }
    }
}

/// The zones of one server.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    zones: RwLock<Arc<HashMap<Key, Arc<Store>>>>,
}

impl Catalog {
    fn zones(&self) -> Arc<HashMap<Key, Arc<Store>>> {
        self.zones.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The zone that is closest to a name from above.
    pub(crate) fn zone_of(&self, key: &[u8]) -> Option<Arc<Zone>> {
        let zones = self.zones();
        wire::upwards(key).find_map(|name| zones.get(name)).map(|store| store.snapshot())
    }

    pub(crate) fn get(&self, zone: &DnsName) -> Option<Arc<Store>> {
        self.zones().get(&wire::of_name(zone)).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Store>> {
        self.zones().values().cloned().collect()
    }

    pub(crate) fn remove(&self, zone: &DnsName) {
        let mut zones = self.zones.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut zones).remove(&wire::of_name(zone));
    }

    pub(crate) fn add(&self, zone: &DnsName, store: Arc<Store>) {
        let mut zones = self.zones.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut zones).insert(wire::of_name(zone), store);
    }
}
