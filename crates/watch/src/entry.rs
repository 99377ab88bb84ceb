//! One member's entry in the snapshot: everything said of it is said here, and nowhere else.
//!
//! Invariant: a change is sent before the call that brought it returns; no timer lies in between.
//! Invariant: what was adopted stands until a complete list replaces it that is believed.
//! Invariant: each change of state is logged once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::catalog::{Catalog, Changes, Listed, Patience};
use fleetdns_core::lines::Lines;
use fleetdns_core::{Guard, Inventory, MemberName, MemberView, Snapshot};
use fleetdns_planner::PublishSettings;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::api::ServiceList;
use crate::error::Fault;
use crate::place::Census;
use crate::settings::{MemberConfig, WatchSettings};
use crate::state::{MISSES, State};
use crate::wire::{Event, Item, Unreadable};

/// Writes one member into the snapshot.
pub(crate) struct Entry {
    config: MemberConfig,
    out: Arc<watch::Sender<Snapshot>>,
    born: Instant,
    startup_timeout: Duration,
    state: Arc<Mutex<State>>,
    /// A timer has to be set again.
    timers: Notify,
}

impl Entry {
    /// A pending entry, sent at once.
    pub(crate) fn new(
        config: MemberConfig,
        settings: &WatchSettings,
        out: Arc<watch::Sender<Snapshot>>,
    ) -> Self {
        let mut view = MemberView::pending(config.name.clone());
        view.region = config.region.clone();
        view.zones = config.zones.clone();
        let (publish, patience) = reading(&config, settings);
        let mut catalog = Catalog::new(publish, patience);
        out.send_modify(|snapshot| {
            // One that was removed and comes back has what it had until it is listed.
            if let Some(before) = snapshot.members.get(&view.name) {
                let _ = catalog.recall(&before.services, Duration::ZERO);
                view.services = catalog.services().clone();
            }
            snapshot.members.insert(view.name.clone(), Arc::new(view.clone()));
        });
        Self {
            config,
            out,
            born: Instant::now(),
            startup_timeout: settings.startup_timeout,
            state: Arc::new(Mutex::new(State::new(catalog, view))),
            timers: Notify::new(),
        }
    }

    /// The same member, watched in another way. What is known of it stands until it is listed again.
    pub(crate) fn reconfigured(&self, config: MemberConfig, settings: &WatchSettings) -> Self {
        let entry = Self {
            config,
            out: Arc::clone(&self.out),
            born: self.born,
            startup_timeout: settings.startup_timeout,
            state: Arc::clone(&self.state),
            timers: Notify::new(),
        };
        info!(member = %entry.name(), "member configuration changed; listing it again");
        let mut state = entry.state();
        let (publish, patience) = reading(&entry.config, settings);
        state.catalog.reconfigure(publish, patience);
        entry.send(&mut state, &Changes::default(), false);
        drop(state);
        entry
    }

    /// The member is not configured any more: what is known of it stands in the snapshot as `inventory`, and no later word
    /// of its API counts.
    pub(crate) fn remove(&self, inventory: Inventory) {
        let mut state = self.state();
        state.removed = true;
        info!(member = %self.name(), "member removed from the configuration");
        self.out.send_modify(|snapshot| {
            if let Some(view) = snapshot.members.get_mut(self.name()) {
                let view = Arc::make_mut(view);
                view.inventory = inventory;
                view.fault = None;
            }
        });
    }

    pub(crate) const fn config(&self) -> &MemberConfig {
        &self.config
    }

    pub(crate) const fn name(&self) -> &MemberName {
        &self.config.name
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.state().catalog.is_listed()
    }

    /// Whether neither its API nor a zone has ever told what it has.
    pub(crate) fn is_unknown(&self) -> bool {
        let state = self.state();
        !state.catalog.is_listed() && state.catalog.services().is_empty()
    }

    /// When a list has to be confirmed by another one.
    pub(crate) fn confirm_at(&self) -> Option<Instant> {
        self.state().catalog.unconfirmed().map(|self_check| self.born + self_check.due)
    }

    /// A complete list came in; `rebuilt` when it is the first one of another cluster than before.
    pub(crate) fn listed(&self, list: ServiceList, rebuilt: bool) {
        let mut state = self.state();
        let first = !state.catalog.is_listed();
        let distrusted = state.catalog.unconfirmed().is_some();
        let (catalog, now) = (&mut state.catalog, self.born.elapsed());
        let changes =
            if rebuilt { catalog.list_rebuilt(list.items, now) } else { catalog.list(list.items, now) };
        let before = std::mem::take(&mut state.unreadable);
        for bad in list.unreadable {
            self.say_unreadable(&mut state.lines, &before, &bad);
            state.unreadable.insert(bad.name, bad.reason);
        }
        self.report_self_check(&state, distrusted);
        if first {
            info!(member = %self.name(), services = state.catalog.services().len(), "member listed");
        }
        self.answered(&mut state);
        self.send(&mut state, &changes, first);
    }

    /// The watch said something; all of it counts at once, as far as there is room for more Services. Returns whether
    /// there was.
    pub(crate) fn events(&self, events: Vec<Event>) -> bool {
        let mut state = self.state();
        let mut room = true;
        let mut changes = Changes::default();
        let now = self.born.elapsed();
        for event in events {
            let new = match &event {
                Event::Put(Item::Known(Listed::Service(service))) => service.key().ok(),
                Event::Put(Item::Unreadable(bad)) => bad.key.clone(),
                _ => None,
            };
            if new.is_some_and(|key| !state.has_room(&key, self.config.limits.objects)) {
                room = false;
                continue;
            }
            let one = match event {
                Event::Put(Item::Known(Listed::Service(service))) => {
                    if let Ok(key) = service.key() {
                        state.readable(&key);
                    }
                    state.catalog.put(service, now)
                }
                Event::Put(Item::Known(Listed::Gone(key))) | Event::Deleted(key) => {
                    state.readable(&key);
                    state.catalog.remove(&key, now)
                }
                Event::Put(Item::Unreadable(bad)) => {
                    // One whose name cannot be is none of those that there is room for.
                    if bad.key.is_some() || state.unreadable.len() < self.config.limits.objects {
                        let State { lines, unreadable, .. } = &mut *state;
                        self.say_unreadable(lines, unreadable, &bad);
                        state.unreadable.insert(bad.name, bad.reason);
                    }
                    continue;
                }
                Event::Put(Item::Known(Listed::Unreadable(_))) | Event::Bookmark | Event::Error { .. } => {
                    continue;
                }
            };
            changes.changed |= one.changed;
            changes.faulty.extend(one.faulty);
        }
        self.answered(&mut state);
        self.send(&mut state, &changes, false);
        room
    }

    /// The API answered: what is known is fresh.
    pub(crate) fn alive(&self) {
        let mut state = self.state();
        self.answered(&mut state);
        self.send(&mut state, &Changes::default(), false);
    }

    /// A request gave nothing.
    pub(crate) fn missed(&self, fault: &Fault) {
        let mut state = self.state();
        // One that sent too much is not asked again for a while.
        let weight = if matches!(fault, Fault::TooMuch { .. }) { MISSES } else { 1 };
        state.misses = state.misses.saturating_add(weight);
        let away = state.misses >= MISSES;
        state.catalog.set_away(away, self.born.elapsed());
        let text = fault.to_string();
        if state.api_fault.as_deref() != Some(&*text) {
            warn!(member = %self.name(), error = %text, "member cannot be watched; its last inventory stands");
            state.api_fault = Some(text.into());
        }
        self.send(&mut state, &Changes::default(), false);
    }

    /// The nodes were read.
    pub(crate) fn placed(&self, census: Census) {
        let mut state = self.state();
        // A list without a node says nothing of where the cluster is.
        if !census.is_empty() {
            state.learnt = Some(census.place(self.config.region.as_ref()));
        }
        self.say_nodes(&mut state, census.refused);
    }

    /// The nodes cannot be read. What was learnt of them stands, or what the zones' marks say.
    pub(crate) fn unplaced(&self, fault: &Fault) {
        let mut state = self.state();
        if !fault.is_forbidden() {
            return;
        }
        let text = format!("region and zones are unknown: {fault}; or set region and zones of this cluster");
        self.say_nodes(&mut state, BTreeSet::from([text]));
    }

    /// What a zone says of the member.
    pub(crate) fn adopt(&self, view: MemberView) {
        let mut state = self.state();
        let place = state.adopted.get_or_insert_default();
        place.region = place.region.take().or(view.region);
        place.zones.extend(view.zones);
        let distrusted = state.catalog.unconfirmed().is_some();
        let changes = state.catalog.recall(&view.services, self.born.elapsed());
        self.report_self_check(&state, distrusted);
        self.send(&mut state, &changes, false);
    }

    /// Says that a list is not believed yet, if it was before.
    fn report_self_check(&self, state: &State, distrusted: bool) {
        if let (false, Some(self_check)) = (distrusted, state.catalog.unconfirmed()) {
            let (missing, known) = (self_check.missing.len(), self_check.known);
            warn!(member = %self.name(), missing, known, "list misses many services; waiting for a second one");
        }
    }

    /// Start-up no longer waits for this member.
    pub(crate) fn give_up_waiting(&self) {
        let mut state = self.state();
        if state.timed_out || state.catalog.is_listed() {
            return;
        }
        state.timed_out = true;
        let adopted = state.catalog.services().len();
        warn!(member = %self.name(), adopted, "member was not listed in time; going on without its list");
        self.send(&mut state, &Changes::default(), false);
    }

    /// Ends graces and the wait for the first list when they are over. Never returns.
    pub(crate) async fn clock(&self) -> std::convert::Infallible {
        loop {
            let next = {
                let state = self.state();
                let startup =
                    (!state.timed_out && !state.catalog.is_listed()).then_some(self.startup_timeout);
                startup.into_iter().chain(state.catalog.next_tick()).min()
            };
            let over = async {
                match next {
                    Some(at) => tokio::time::sleep_until(self.born + at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.timers.notified() => continue,
                () = over => {}
            }
            let now = self.born.elapsed();
            if now >= self.startup_timeout {
                self.give_up_waiting();
            }
            let mut state = self.state();
            let changes = state.catalog.tick(now);
            self.send(&mut state, &changes, false);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it is held ends the process through the task that panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self, state: &mut State) {
        if state.misses >= MISSES {
            state.catalog.set_away(false, self.born.elapsed());
            self.timers.notify_one();
        }
        state.misses = 0;
        if state.api_fault.take().is_some() {
            info!(member = %self.name(), "member is watched again");
        }
    }

    /// What has no name that Kubernetes allows has one share of the log lines together.
    fn say_unreadable(&self, lines: &mut Lines, before: &BTreeMap<String, String>, bad: &Unreadable) {
        let namespace = bad.key.as_ref().map_or("", |key| key.namespace());
        if before.get(&bad.name) != Some(&bad.reason) && lines.admit(namespace, self.born.elapsed()) {
            warn!(member = %self.name(), service = %bad.name, error = %bad.reason, "service cannot be read; skipped");
        }
    }

    fn say_nodes(&self, state: &mut State, faults: BTreeSet<String>) {
        for text in faults.difference(&state.node_faults) {
            warn!(member = %self.name(), problem = %text, "nodes give no region or zone");
        }
        state.node_faults = faults;
        self.send(state, &Changes::default(), false);
    }

    /// Sends what is different from what was sent.
    fn send(&self, state: &mut State, changes: &Changes, services_changed: bool) {
        for published in &changes.faulty {
            for fault in &published.faults {
                if state.lines.admit(published.key.namespace(), self.born.elapsed()) {
                    warn!(member = %self.name(), service = %published.key, %fault, "service has a fault");
                }
            }
        }
        for (namespace, lines) in state.lines.left_out(self.born.elapsed()) {
            let member = self.name();
            warn!(%member, %namespace, lines, "log lines of a noisy namespace left out; status has what they said");
        }
        let mut view = state.header(&self.config);
        self.timers.notify_one();
        let services_changed = services_changed || changes.changed;
        if state.removed || (!services_changed && same_header(&view, &state.sent)) {
            return;
        }
        if view.inventory != state.sent.inventory {
            info!(member = %self.name(), inventory = %view.inventory, "inventory changed");
        }
        view.services = state.catalog.services().clone();
        view.absent = state.catalog.absent().clone();
        state.sent = view.clone();
        let (name, view) = (view.name.clone(), Arc::new(view));
        self.out.send_modify(|snapshot| {
            snapshot.members.insert(name, view);
        });
    }
}

/// How the Services of a member are read, and how long it is not believed when it says that something is gone.
fn reading(config: &MemberConfig, settings: &WatchSettings) -> (Arc<PublishSettings>, Patience) {
    let mut publish = settings.publish.clone();
    if let Some(probe) = &config.probe {
        publish.probe = probe.clone();
    }
    if publish.addresses.members.contains_key(&config.name) {
        publish.guard = Guard::Member(Box::new(config.name.clone()));
    }
    let patience = Patience {
        grace: settings.grace,
        confirm_after: settings.confirm_after,
        hostname_grace: settings.hostname_grace,
    };
    (Arc::new(publish), patience)
}

/// All but the services, which may be many.
fn same_header(one: &MemberView, other: &MemberView) -> bool {
    one.inventory == other.inventory
        && one.listed == other.listed
        && one.region == other.region
        && one.zones == other.zones
        && one.fault == other.fault
}
