//! The Services of one member as its own API says them: lists and watch events go in, what counts comes out.
//!
//! Time is given by the caller, as the time since any moment of its choice.
//!
//! Invariant: a Service leaves at once only where the API said so itself: deleted on the watch, being deleted, of another
//! type, opted out. One that is merely missing from a list leaves at once while less than half of them are missing, and the
//! cluster was not rebuilt.
//! Invariant: what the zones' marks say was there counts as known, so that the first list is believed no more than others.
//! Invariant: nothing leaves while the API is away.
//! Invariant: what did not change keeps its `Arc`.

mod absent;
mod doubt;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;

use fleetdns_core::probe::{Check, ProbeSpec};
use fleetdns_core::service::{Ingress, Published, Service, ServiceKey};
use fleetdns_core::service_fault::ServiceFault;
use fleetdns_planner::adopt::both;
use fleetdns_planner::publish::{Before, PublishSettings, publish_after};

use absent::Absent;
use doubt::{Reading, believe, is_much};

pub use doubt::Unconfirmed;

/// One item of a complete list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A Service of type LoadBalancer.
    Service(Service),
    /// It exists, but counts as deleted: of another type, or on its way out behind a finalizer.
    Gone(ServiceKey),
    /// It exists, but could not be read: what was known of it stands.
    Unreadable(ServiceKey),
}

/// How long a member is not believed when it says that something is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// An emptied load balancer status keeps its addresses for so long.
    pub grace: Duration,
    /// A list that misses half of the Services or more has to be confirmed by another one so much later.
    pub confirm_after: Duration,
    /// The host names of a Service that was deleted are kept for it for so long.
    pub hostname_grace: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            confirm_after: Duration::from_secs(30),
            hostname_grace: Duration::from_secs(120),
        }
    }
}

/// What a step changed.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Changes {
    /// Whether [`Catalog::services`] is another one now.
    pub changed: bool,
    /// Services whose faults are new, to be said once.
    pub faulty: Vec<Arc<Published>>,
}

/// What is known of the Services of one member.
#[derive(Debug)]
pub struct Catalog {
    settings: Arc<PublishSettings>,
    patience: Patience,
    services: OrdMap<ServiceKey, Arc<Published>>,
    /// Services of which only the zones' marks tell.
    recalled: BTreeSet<ServiceKey>,
    /// Services with an emptied load balancer status: when their grace ends.
    emptied: BTreeMap<ServiceKey, Duration>,
    unconfirmed: Option<Unconfirmed>,
    listed: bool,
    away: bool,
    /// Host names by namespace.
    hostnames: BTreeMap<Arc<str>, usize>,
    /// Services with fewer host names than they ask for, because of what their namespace has: the next list looks again.
    crowded: BTreeSet<ServiceKey>,
    absent: Absent,
    /// How the last Service is probed: most are probed alike, and share it.
    probe: Arc<ProbeSpec>,
}

impl Catalog {
    /// Nothing is known yet.
    pub fn new(settings: Arc<PublishSettings>, patience: Patience) -> Self {
        Self {
            settings,
            patience,
            services: OrdMap::new(),
            recalled: BTreeSet::new(),
            emptied: BTreeMap::new(),
            unconfirmed: None,
            listed: false,
            away: false,
            hostnames: BTreeMap::new(),
            crowded: BTreeSet::new(),
            absent: Absent::default(),
            probe: Arc::new(ProbeSpec::of(Check::None)),
        }
    }

    /// Reads Services in another way from now on. Those that are known stand until the next list reads them so.
    pub fn reconfigure(&mut self, settings: Arc<PublishSettings>, patience: Patience) {
        self.settings = settings;
        self.patience = patience;
        self.recalled.extend(self.services.keys().cloned());
    }

    /// The Services that count: until there is a list, those of which the zones' marks tell.
    pub const fn services(&self) -> &OrdMap<ServiceKey, Arc<Published>> {
        &self.services
    }

    /// Services that were deleted lately, whose host names are kept for them.
    pub const fn absent(&self) -> &OrdMap<ServiceKey, Arc<Published>> {
        self.absent.services()
    }

    /// Whether a complete list came in.
    pub const fn is_listed(&self) -> bool {
        self.listed
    }

    /// What the last list missed, as long as it is not confirmed.
    pub const fn unconfirmed(&self) -> Option<&Unconfirmed> {
        self.unconfirmed.as_ref()
    }

    /// Whether the API is away. What it said last stands then; a grace begins again when it is back, as it may say
    /// otherwise by now.
    pub fn set_away(&mut self, away: bool, now: Duration) {
        if self.away && !away {
            let again = now + self.patience.grace;
            self.emptied.values_mut().for_each(|until| *until = (*until).max(again));
            self.absent.extend(now + self.patience.hostname_grace);
        }
        self.away = away;
    }

    /// When [`Catalog::tick`] has something to do.
    pub fn next_tick(&self) -> Option<Duration> {
        let emptied = self.emptied.values().min().copied();
        emptied.into_iter().chain(self.absent.next()).min().filter(|_| !self.away)
    }

    /// Takes what the marks of a zone say that the member had. What a list has missed already is doubted as if it had gone
    /// missing now.
    pub fn recall(&mut self, marked: &OrdMap<ServiceKey, Arc<Published>>, now: Duration) -> Changes {
        let mut changes = Changes::default();
        let missing: BTreeSet<ServiceKey> =
            marked.keys().filter(|key| self.listed && !self.services.contains_key(*key)).cloned().collect();
        let much = is_much(missing.len(), marked.len());
        for key in missing.iter().filter(|_| !much) {
            if let Some(theirs) = marked.get(key) {
                changes.changed |= self.note_absent(theirs, now);
            }
        }
        for (key, theirs) in marked.iter().filter(|(key, _)| much || !missing.contains(*key)) {
            match self.services.get(key).cloned() {
                Some(known) if self.listed && !self.recalled.contains(key) => {
                    self.refill(&known, theirs, now, &mut changes);
                }
                known => {
                    self.store(key, both(known.as_ref(), theirs));
                    self.recalled.insert(key.clone());
                    changes.changed = true;
                }
            }
        }
        if much {
            let due = now + self.patience.confirm_after;
            let none = Unconfirmed { missing: BTreeSet::new(), known: self.services.len(), due };
            let unconfirmed = self.unconfirmed.get_or_insert(none);
            unconfirmed.missing.extend(missing);
            unconfirmed.due = due;
        }
        changes
    }

    /// A status that is empty, and was not when the marks were written, has its grace from now on.
    fn refill(&mut self, known: &Published, marked: &Published, now: Duration, changes: &mut Changes) {
        let has = |one: &Published| one.addresses.as_ref().is_some_and(|all| !all.is_empty());
        if has(known) || !has(marked) {
            return;
        }
        let service = Service { ingress: marked.said().ingress, ..known.said() };
        self.put_into(service, now, changes);
        self.emptied.insert(known.key.clone(), now + self.patience.grace);
    }

    /// Takes a complete list: every page of it, at one moment.
    pub fn list(&mut self, items: impl IntoIterator<Item = Listed>, now: Duration) -> Changes {
        self.read(items, false, now)
    }

    /// Takes the first complete list of a cluster that is another one than before, at the same address.
    pub fn list_rebuilt(&mut self, items: impl IntoIterator<Item = Listed>, now: Duration) -> Changes {
        self.read(items, true, now)
    }

    fn read(&mut self, items: impl IntoIterator<Item = Listed>, rebuilt: bool, now: Duration) -> Changes {
        let mut changes = Changes::default();
        let mut present = BTreeSet::new();
        let known: BTreeSet<ServiceKey> = self.services.keys().cloned().collect();
        for item in items {
            match item {
                Listed::Service(service) => {
                    present.extend(service.key());
                    self.put_into(service, now, &mut changes);
                }
                Listed::Gone(key) => {
                    changes.changed |= self.forget(&key, now);
                    present.insert(key);
                }
                Listed::Unreadable(key) => {
                    present.insert(key);
                }
            }
        }
        let missing: BTreeSet<ServiceKey> = known.difference(&present).cloned().collect();
        let reading = Reading { known: known.len(), rebuilt, now, due: now + self.patience.confirm_after };
        let (gone, unconfirmed) = believe(self.unconfirmed.take(), missing, reading);
        self.unconfirmed = unconfirmed;
        for key in gone {
            changes.changed |= self.forget(&key, now);
        }
        self.listed = true;
        changes
    }

    /// Takes a Service of type LoadBalancer that was added or changed.
    pub fn put(&mut self, service: Service, now: Duration) -> Changes {
        let mut changes = Changes::default();
        self.put_into(service, now, &mut changes);
        changes
    }

    /// Takes a deletion that the API itself reported.
    pub fn remove(&mut self, key: &ServiceKey, now: Duration) -> Changes {
        Changes { changed: self.forget(key, now), faulty: Vec::new() }
    }

    /// Ends what is over at `now`.
    pub fn tick(&mut self, now: Duration) -> Changes {
        let mut changes = Changes::default();
        if self.away {
            return changes;
        }
        let over: Vec<ServiceKey> =
            self.emptied.iter().filter(|(_, until)| **until <= now).map(|(key, _)| key.clone()).collect();
        for key in over {
            if let Some(known) = self.services.get(&key) {
                let mut service = known.said();
                service.ingress = None;
                self.put_into(service, now, &mut changes);
            }
            self.emptied.remove(&key);
        }
        changes.changed |= self.absent.tick(now);
        changes
    }

    fn put_into(&mut self, mut service: Service, now: Duration, changes: &mut Changes) {
        let Ok(key) = service.key() else { return };
        service.bound(self.settings.limits.annotation);
        service.ingress = self.ingress(&key, service.ingress.take(), now);
        // What a mark tells of a Service is no more than its addresses.
        let had = self.services.get(&key).map(|had| had.hostnames.clone()).unwrap_or_default();
        let known = self.services.get(&key).filter(|_| !self.recalled.remove(&key));
        if known.is_some_and(|known| known.service == (&service).into()) && !self.crowded.contains(&key) {
            return;
        }
        let others = self.hostnames.get(key.namespace()).copied().unwrap_or_default() - had.len();
        let room = self.settings.limits.namespace_hostnames.saturating_sub(others);
        let before = Before { hostnames: &had, room };
        let Some(mut published) = publish_after(&service, &self.settings, before) else {
            // It opted out: nothing is kept for it.
            changes.changed |= self.forget(&key, now) | self.absent.back(&key);
            return;
        };
        changes.changed |= self.absent.back(&key);
        if published.probe == self.probe {
            published.probe = Arc::clone(&self.probe);
        }
        self.probe = Arc::clone(&published.probe);
        let said = known.is_some_and(|known| known.faults == published.faults);
        let published = Arc::new(published);
        if !published.faults.is_empty() && !said {
            changes.faulty.push(Arc::clone(&published));
        }
        let full = |fault: &ServiceFault| matches!(fault, ServiceFault::TooManyHostnames { .. });
        if published.faults.iter().any(full) {
            self.crowded.insert(key.clone());
        } else {
            self.crowded.remove(&key);
        }
        if known.is_some_and(|known| **known == *published) {
            return;
        }
        self.store(&key, published);
        changes.changed = true;
    }

    fn store(&mut self, key: &ServiceKey, published: Arc<Published>) {
        let new = published.hostnames.len();
        let old = self.services.insert(published.key.clone(), published).map_or(0, |old| old.hostnames.len());
        self.recount(key, old, new);
    }

    fn recount(&mut self, key: &ServiceKey, old: usize, new: usize) {
        if old == new {
            return;
        }
        let count = self.hostnames.entry(key.namespace().into()).or_default();
        *count = *count + new - old;
        if *count == 0 {
            self.hostnames.remove(key.namespace());
        }
    }

    /// The status that counts: an emptied one keeps what it had until its grace is over.
    fn ingress(
        &mut self,
        key: &ServiceKey,
        given: Option<Vec<Ingress>>,
        now: Duration,
    ) -> Option<Vec<Ingress>> {
        let given = given.filter(|items| !items.is_empty());
        if given.is_some() {
            self.emptied.remove(key);
            return given;
        }
        let had = self.services.get(key)?.said().ingress?;
        if had.is_empty() {
            return Some(Vec::new());
        }
        let until = *self.emptied.entry(key.clone()).or_insert(now + self.patience.grace);
        if until <= now {
            self.emptied.remove(key);
            return Some(Vec::new());
        }
        Some(had)
    }

    /// Keeps the host names of a Service for it. Returns whether it has any.
    fn note_absent(&mut self, service: &Arc<Published>, now: Duration) -> bool {
        let grace = self.patience.hostname_grace;
        let most = self.settings.limits.namespace_hostnames;
        !grace.is_zero() && self.absent.note(service, now + grace, most)
    }

    fn forget(&mut self, key: &ServiceKey, now: Duration) -> bool {
        self.emptied.remove(key);
        self.recalled.remove(key);
        if let Some(unconfirmed) = &mut self.unconfirmed {
            unconfirmed.missing.remove(key);
            if unconfirmed.missing.is_empty() {
                self.unconfirmed = None;
            }
        }
        self.crowded.remove(key);
        let old = self.services.remove(key);
        if let Some(old) = &old {
            let _ = self.note_absent(old, now);
        }
        self.recount(key, old.as_ref().map_or(0, |old| old.hostnames.len()), 0);
        old.is_some()
    }
}

#[cfg(test)]
mod tests;
