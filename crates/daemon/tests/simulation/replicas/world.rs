//! The engine and the zone that all replicas share, and what is true.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetdns_core::{ObservedSet, RecordData};
use fleetdns_daemon::ha::{Document, Engine, Fence, Stored};
use futures::FutureExt;
use tokio::time::{Instant, sleep};

use super::NEWS;
use super::fleet::{GLOBAL, addresses, member_of};
use super::process::LEASE_TIME;
use crate::rng::Rng;
use crate::zone::Backend;

/// What all replicas share, and what is true.
pub(crate) struct World {
    pub(super) born: Instant,
    pub(super) zone: Backend,
    documents: HashMap<Document, Stored>,
    versions: u64,
    /// What the documents and their versions were.
    backup: (HashMap<Document, Stored>, u64),
    /// When a document was last deleted or put back.
    meddled: Option<Duration>,
    /// How often what is drained had been changed when that document was last deleted or put back, until a replica has written it
    /// again.
    lost: Option<u64>,
    pub(super) rng: Rng,
    /// How many of a hundred writes reach the backend and take effect later.
    pub(super) late: u64,
    /// How long the next write takes effect later.
    pub(super) next_late: Option<Duration>,
    pub(super) late_rng: Rng,
    /// Probers call an address dead that lives.
    pub(super) lies: bool,
    /// The fence of each replica, as the product makes it.
    pub(super) fences: BTreeMap<String, Fence>,
    /// Who cannot reach the engine at the moment; everybody when the name is empty.
    pub(super) cut: BTreeSet<String>,
    /// One of a hundred requests or answers is lost.
    pub(super) loses: bool,
    /// Addresses that are dead, or came back to life at that time.
    pub(super) dead: BTreeMap<IpAddr, Option<Duration>>,
    /// What is drained, or was until that time.
    pub(super) drained: BTreeMap<String, Option<Duration>>,
    /// Members of which a replica is told something, or was told while it was frozen: nobody knows when it is done.
    pub(super) unsure: BTreeMap<String, u32>,
    pub(super) wrong: Vec<String>,
    pub(super) log: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            born: Instant::now(),
            zone: Backend::new(seed),
            documents: HashMap::new(),
            versions: 0,
            backup: (HashMap::new(), 0),
            meddled: None,
            lost: None,
            rng: Rng::new(!seed),
            late: 0,
            next_late: None,
            late_rng: Rng::new(seed ^ 0xa5a5),
            lies: false,
            fences: BTreeMap::new(),
            cut: BTreeSet::new(),
            loses: true,
            dead: BTreeMap::new(),
            drained: BTreeMap::new(),
            unsure: BTreeMap::new(),
            wrong: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(super) fn say(&mut self, what: &str) {
        let line = format!("{:>9.3} {what}", self.born.elapsed().as_secs_f64());
        self.log.push(line);
    }

    pub(super) fn accuse(&mut self, what: &str) {
        self.say(&format!("WRONG {what}"));
        self.wrong.push(what.to_owned());
    }

    pub(super) fn holder(&self) -> Option<String> {
        let lease = self.documents.get(&Document::Lease)?;
        serde_json::from_str::<serde_json::Value>(&lease.text).ok()?["holder"].as_str().map(str::to_owned)
    }

    fn is_cut(&self, name: &str) -> bool {
        self.cut.contains(name) || self.cut.contains("")
    }

    pub(super) fn shared(&self) -> BTreeSet<String> {
        let text = self.documents.get(&Document::Overrides).map_or("{}", |stored| &stored.text);
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let entries = value["overrides"].as_array().cloned().unwrap_or_default();
        entries.iter().filter_map(|entry| entry["subject"].as_str().map(str::to_owned)).collect()
    }

    /// The engine as one replica reaches it.
    pub(crate) fn engine(world: &Arc<Mutex<Self>>, name: &str) -> Engine {
        let (reading, writing, reader, writer) =
            (Arc::clone(world), Arc::clone(world), name.to_owned(), name.to_owned());
        Engine::new(
            "engine",
            move |document| {
                let (world, name) = (Arc::clone(&reading), reader.clone());
                async move {
                    travel(&world, &name).await?;
                    let found = world.lock().unwrap().documents.get(&document).cloned();
                    travel(&world, &name).await?;
                    Ok(found)
                }
                .boxed()
            },
            move |document, text, over| {
                let (world, name) = (Arc::clone(&writing), writer.clone());
                async move {
                    travel(&world, &name).await?;
                    let written = world.lock().unwrap().put(document, text, over.as_deref());
                    travel(&world, &name).await?;
                    Ok(written)
                }
                .boxed()
            },
        )
    }

    /// Somebody deletes documents, keeps a copy of them, or puts that back.
    pub(super) fn meddle(&mut self, dice: u64) {
        let changes = self.changes();
        match dice {
            0 => drop(self.documents.remove(&Document::Lease)),
            1 => drop(self.documents.remove(&Document::Overrides)),
            2 => self.documents.clear(),
            3 | 4 => return self.backup = (self.documents.clone(), self.versions),
            _ => {
                // A lease that was given back cannot be told from a new one by a replica that has just started.
                let (mut documents, versions) = self.backup.clone();
                documents.retain(|document, stored| {
                    *document != Document::Lease || !stored.text.contains("\"holder\":null")
                });
                (self.documents, self.versions) = (documents, versions);
            }
        }
        self.say(&format!("the engine's documents are otherwise: {dice}"));
        self.meddled = Some(self.born.elapsed());
        if self.changes() < changes {
            self.lost = self.lost.max(Some(changes));
        }
    }

    /// Whether a document was deleted or put back so lately that the lease says nothing.
    fn was_meddled_with(&self) -> bool {
        self.meddled.is_some_and(|at| self.born.elapsed() < at + LEASE_TIME)
    }

    /// Whether what is drained is in the memory of replicas alone.
    pub(super) fn is_torn(&self) -> bool {
        self.lost.is_some()
    }

    /// How often what is drained has been changed.
    fn changes(&self) -> u64 {
        let text = self.documents.get(&Document::Overrides).map_or("{}", |stored| &stored.text);
        serde_json::from_str::<serde_json::Value>(text).unwrap()["changes"].as_u64().unwrap_or(0)
    }

    /// A replica sends a write to the backend: nobody else may.
    pub(super) fn sends(&mut self, by: &str) {
        let holder = self.holder();
        if holder.as_deref() != Some(by) && !self.was_meddled_with() {
            self.accuse(&format!("writer: {by} writes, and the leader is {holder:?}"));
        }
        let other = self.fences.iter().find(|(name, fence)| *name != by && fence.is_open());
        if let Some(other) = other.map(|(name, _)| name.clone()) {
            self.accuse(&format!("writer: {by} writes, and {other} may write too"));
        }
    }

    fn put(&mut self, document: Document, text: String, over: Option<&str>) -> Option<Arc<str>> {
        if self.documents.get(&document).map(|stored| &*stored.version) != over {
            return None;
        }
        self.versions += 1;
        let version: Arc<str> = self.versions.to_string().into();
        self.documents.insert(document, Stored { text, version: Arc::clone(&version) });
        if self.lost.is_some_and(|lost| self.changes() > lost) {
            self.lost = None;
        }
        Some(version)
    }

    /// What stands at the name of all members.
    pub(super) fn values(&self) -> BTreeSet<IpAddr> {
        let sets = self.zone.observed.at(&GLOBAL.parse().unwrap());
        let values = sets.iter().filter_map(ObservedSet::ours).flat_map(RecordData::values);
        values.filter_map(|value| value.parse().ok()).collect()
    }

    pub(super) fn is_unsure(&self, member: &str) -> bool {
        self.unsure.get(member).is_some_and(|orders| *orders > 0)
    }

    /// Whether an address may be taken out: it is dead or drained, or was until a moment ago.
    pub(super) fn may_go(&self, address: IpAddr) -> bool {
        let now = self.born.elapsed();
        let lately = |until: Option<&Option<Duration>>| {
            until.is_some_and(|until| until.is_none_or(|until| now < until + NEWS * 3))
        };
        let member = member_of(address);
        lately(self.dead.get(&address)) || lately(self.drained.get(member)) || self.is_unsure(member)
    }

    /// Which addresses ought to stand there in the end.
    pub(super) fn expected(&self) -> BTreeSet<IpAddr> {
        let drained = self.shared();
        let goes = |address: &IpAddr| {
            self.dead.get(address) == Some(&None)
                || drained.contains(&format!("cluster/{}", member_of(*address)))
        };
        addresses().filter(|address| !goes(address)).collect()
    }
}

/// A request or an answer on its way: it takes its time, or is lost.
async fn travel(world: &Arc<Mutex<World>>, name: &str) -> Result<(), String> {
    let (pause, lost) = {
        let mut world = world.lock().unwrap();
        let dice = world.rng.below(100);
        let cut = world.is_cut(name);
        (Duration::from_millis(if dice < 5 { 1500 } else { dice }), cut || (world.loses && dice == 99))
    };
    sleep(pause).await;
    if lost || world.lock().unwrap().is_cut(name) {
        sleep(Duration::from_secs(60)).await;
        return Err("the engine does not answer".to_owned());
    }
    Ok(())
}
