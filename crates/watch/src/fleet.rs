//! The tasks of all members: one for each, started and ended as the configuration changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;

use fleetdns_core::{Inventory, MemberName, MemberView, Snapshot};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};

use crate::entry::Entry;
use crate::error::WatchError;
use crate::feed::Feed;
use crate::settings::{Completeness, MemberConfig, Members, Turns, WatchSettings};
use crate::{nodes, route};

/// A member that is watched.
struct Running {
    entry: Arc<Entry>,
    settings: Arc<WatchSettings>,
    task: AbortHandle,
}

/// All members that are watched.
pub(crate) struct Fleet {
    out: Arc<watch::Sender<Snapshot>>,
    turns: Turns,
    completeness: Completeness,
    /// Members that came when others left: any may be one of those under another name, until it is listed.
    newcomers: BTreeSet<MemberName>,
    running: BTreeMap<MemberName, Running>,
    tasks: JoinSet<Infallible>,
    names: HashMap<Id, MemberName>,
}

impl Fleet {
    /// Nobody is watched yet.
    pub(crate) fn new(out: Arc<watch::Sender<Snapshot>>, turns: Turns) -> Self {
        Self {
            out,
            turns,
            completeness: Completeness::default(),
            newcomers: BTreeSet::new(),
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            names: HashMap::new(),
        }
    }

    pub(crate) fn entry(&self, name: &MemberName) -> Option<&Entry> {
        self.running.get(name).map(|running| &*running.entry)
    }

    /// Takes in what a zone says of members.
    pub(crate) fn adopt(&mut self, views: Vec<MemberView>) {
        route::adopt(&self.out, |name| self.entry(name), views);
        self.resolve();
    }

    /// Whether a member has to be listed before those that left are removed.
    pub(crate) fn awaits_newcomers(&self) -> bool {
        !self.newcomers.is_empty()
    }

    /// Removes members that nobody names, unless they have to wait.
    pub(crate) fn resolve(&mut self) {
        let running = &self.running;
        self.newcomers.retain(|name| running.get(name).is_some_and(|one| one.entry.is_unknown()));
        route::resolve(&self.out, running.keys(), self.completeness, self.newcomers.first());
    }

    /// Watches these members and no others. A member that stays as it is goes on undisturbed.
    pub(crate) fn configure(&mut self, Members { members, settings, completeness }: &Members) {
        let named = |name: &MemberName| members.iter().any(|member| member.name == *name);
        let gone: Vec<MemberName> = self.running.keys().filter(|name| !named(name)).cloned().collect();
        let new = members.iter().map(|member| &member.name).filter(|name| !self.running.contains_key(*name));
        // At the start any member may be one that a zone knows by another name.
        if !gone.is_empty() || self.running.is_empty() {
            self.newcomers.extend(new.cloned());
        }
        let inventory = if self.newcomers.is_empty() { Inventory::Removed } else { Inventory::Stale };
        for name in gone {
            self.remove(&name, inventory);
        }
        let settings = Arc::new(settings.clone());
        for member in members {
            let before = self.running.get(&member.name);
            if before.is_some_and(|had| had.entry.config() == member && had.settings == settings) {
                continue;
            }
            let entry = match before.map(|before| (before.task.abort(), &before.entry)) {
                Some(((), before)) => before.reconfigured(member.clone(), &settings),
                None => self.entry_of(member.clone(), &settings),
            };
            self.start(Arc::new(entry), &settings);
        }
        self.completeness = *completeness;
        self.resolve();
    }

    /// A new member; one that only the zones knew so far has what they say of it.
    fn entry_of(&self, member: MemberConfig, settings: &WatchSettings) -> Entry {
        let known = self.out.borrow().members.get(&member.name).cloned();
        let entry = Entry::new(member, settings, Arc::clone(&self.out));
        if let Some(view) = known.filter(|view| !view.listed && view.inventory == Inventory::Stale) {
            entry.adopt((*view).clone());
        }
        entry
    }

    fn start(&mut self, entry: Arc<Entry>, settings: &Arc<WatchSettings>) {
        let name = entry.name().clone();
        let task = watch_member(Arc::clone(&entry), Arc::clone(settings), self.turns.clone());
        let task = self.tasks.spawn(task);
        self.names.retain(|_, other| *other != name);
        self.names.insert(task.id(), name.clone());
        self.running.insert(name, Running { entry, settings: Arc::clone(settings), task });
    }

    fn remove(&mut self, name: &MemberName, inventory: Inventory) {
        let Some(running) = self.running.remove(name) else { return };
        running.task.abort();
        running.entry.remove(inventory);
        self.names.retain(|_, other| other != name);
    }

    /// Waits until the task of a member ends though nobody asked it to.
    pub(crate) async fn ended(&mut self) -> WatchError {
        loop {
            let (id, reason) = match self.tasks.join_next_with_id().await {
                None => std::future::pending().await,
                Some(Ok((_, never))) => match never {},
                Some(Err(error)) => (error.id(), error.to_string()),
            };
            // A task that was asked to end is not named any more.
            if let Some(member) = self.names.remove(&id) {
                return WatchError::Ended { member, reason };
            }
        }
    }
}

/// Everything that one member needs, in one task: a fault in it ends as that task's.
async fn watch_member(entry: Arc<Entry>, settings: Arc<WatchSettings>, turns: Turns) -> Infallible {
    let api = watch::Sender::new(None);
    let placed = watch::Sender::new(false);
    let feed = Feed::new(&entry, &settings, &api, placed.subscribe(), turns);
    tokio::select! {
        never = feed.run() => never,
        never = nodes::follow(&entry, &settings, api.subscribe(), &placed) => never,
        never = entry.clock() => never,
    }
}
