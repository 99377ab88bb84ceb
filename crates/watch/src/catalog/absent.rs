//! Services that are gone, for as long as the host names that they had are kept for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;

use fleetdns_core::service::{Published, ServiceKey};

/// What was deleted lately.
#[derive(Debug, Default)]
pub(super) struct Absent {
    services: OrdMap<ServiceKey, Arc<Published>>,
    /// When each of them is forgotten.
    until: BTreeMap<ServiceKey, Duration>,
    /// The same in the order of time: the next one is asked for with every event.
    order: BTreeSet<(Duration, ServiceKey)>,
    /// Host names of them by namespace.
    hostnames: BTreeMap<Arc<str>, usize>,
}

impl Absent {
    pub(super) const fn services(&self) -> &OrdMap<ServiceKey, Arc<Published>> {
        &self.services
    }

    /// When the next one is forgotten.
    pub(super) fn next(&self) -> Option<Duration> {
        self.order.first().map(|(until, _)| *until)
    }

    /// Remembers a Service that has host names, unless its namespace would have more of them than `most`. Returns whether
    /// it is remembered.
    pub(super) fn note(&mut self, service: &Arc<Published>, until: Duration, most: usize) -> bool {
        let key = &service.key;
        self.back(key);
        let count =
            self.hostnames.get(key.namespace()).copied().unwrap_or_default() + service.hostnames.len();
        if service.hostnames.is_empty() || count > most {
            return false;
        }
        self.hostnames.insert(key.namespace().into(), count);
        self.services.insert(key.clone(), Arc::clone(service));
        self.until.insert(key.clone(), until);
        self.order.insert((until, key.clone()));
        true
    }

    /// Forgets a Service: it is there again, or it was away for too long. Returns whether it was remembered.
    pub(super) fn back(&mut self, key: &ServiceKey) -> bool {
        let Some(service) = self.services.remove(key) else { return false };
        if let Some(until) = self.until.remove(key) {
            self.order.remove(&(until, key.clone()));
        }
        if let Some(count) = self.hostnames.get_mut(key.namespace()) {
            *count = count.saturating_sub(service.hostnames.len());
            if *count == 0 {
                self.hostnames.remove(key.namespace());
            }
        }
        true
    }

    /// Forgets those whose time is over. Returns whether there were any.
    pub(super) fn tick(&mut self, now: Duration) -> bool {
        let over = self.order.iter().take_while(|(until, _)| *until <= now);
        let over: Vec<ServiceKey> = over.map(|(_, key)| key.clone()).collect();
        for key in &over {
            self.back(key);
        }
        !over.is_empty()
    }

    /// Returns all of them as long again, where their member was away.
    pub(super) fn extend(&mut self, until: Duration) {
        self.until.values_mut().for_each(|one| *one = (*one).max(until));
        self.order = self.until.iter().map(|(key, until)| (*until, key.clone())).collect();
    }
}
