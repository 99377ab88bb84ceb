//! The replicas and what happens to them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetdns_core::{OverrideKind, Subject};
use fleetdns_daemon::overrides::OverrideRequest;
use tokio::time::sleep;

use super::Broken;
use super::fleet::{MEMBERS, addresses, health, snapshot, subjects};
use super::process::Running;
use super::world::World;
use crate::rng::Rng;

/// The replicas and what happens to them.
pub(crate) struct Group {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) replicas: Vec<Running>,
    pub(super) rng: Rng,
    /// Of what becomes of the engine's documents.
    meddling: Rng,
    started: u64,
    broken: Broken,
}

impl Group {
    pub(crate) fn new(seed: u64, count: u64, broken: Broken) -> Self {
        let world = Arc::new(Mutex::new(World::new(seed)));
        let mut group = Self {
            world,
            replicas: Vec::new(),
            rng: Rng::new(seed),
            meddling: Rng::new(seed ^ 0x5a5a),
            started: 0,
            broken,
        };
        (0..count).for_each(|_| group.start());
        group
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        work(&mut self.world.lock().unwrap())
    }

    pub(crate) fn start(&mut self) {
        self.started += 1;
        let rate = u32::try_from(self.rng.between(950, 1050)).unwrap();
        let replica = Running::start(&self.world, &format!("r{}", self.started), rate, self.broken);
        replica.snapshots.send_replace(snapshot());
        replica.health.send_replace(self.with(|world| health(world)));
        self.replicas.push(replica);
    }

    pub(crate) fn leader(&self) -> Option<usize> {
        self.replicas.iter().position(Running::leads)
    }

    /// Every replica's prober sees it, each in its own time.
    fn tell_health(&mut self) {
        if self.broken == Broken::Deaf {
            return;
        }
        for replica in &self.replicas {
            let (world, health_out) = (Arc::clone(&self.world), replica.health.clone());
            let pause = Duration::from_millis(self.rng.below(3000));
            tokio::spawn(async move {
                sleep(pause).await;
                let now = health(&world.lock().unwrap());
                health_out.send_replace(now);
            });
        }
    }

    pub(crate) fn set_dead(&mut self, address: IpAddr, dead: bool) {
        self.with(|world| {
            world.say(&format!("{address} {}", if dead { "dies" } else { "lives" }));
            let until = (!dead).then(|| world.born.elapsed());
            world.dead.insert(address, until);
        });
        self.tell_health();
    }

    /// Tells one replica to drain a member, or to take that back.
    pub(crate) async fn order(&mut self, replica: usize, member: &'static str, drain: bool) -> bool {
        let subject = format!("cluster/{member}");
        let request = OverrideRequest {
            subjects: vec![subject.parse::<Subject>().unwrap()],
            kind: drain.then_some(OverrideKind::Drain),
            by: "root".into(),
            reason: String::new(),
            span: None,
        };
        // Also when the answer is lost it may be in force.
        self.with(|world| {
            *world.unsure.entry(member.to_owned()).or_default() += 1;
        });
        let overrides = self.replicas[replica].overrides.clone();
        let done = tokio::time::timeout(Duration::from_secs(20), overrides.request(request)).await;
        let done = matches!(done, Ok(Ok(_)));
        self.with(|world| {
            let now = world.born.elapsed();
            world.say(&format!("order {drain} {member}: {done}"));
            if done && world.shared().contains(&subject) != drain && self.broken == Broken::Nothing {
                world.accuse("override: accepted and not in the engine");
            }
            if done {
                *world.unsure.entry(member.to_owned()).or_default() -= 1;
                world.drained.insert(member.to_owned(), if drain { None } else { Some(now) });
            }
        });
        done
    }

    pub(super) async fn chaos(&mut self) {
        if self.meddling.chance(15) {
            let dice = self.meddling.below(8);
            self.with(|world| world.meddle(dice));
        }
        let count = self.replicas.len();
        // What no document has is lost with the last replica that knows it.
        let may_end = count > 2 && !self.with(|world| world.is_torn());
        let one = usize::try_from(self.rng.below(count as u64)).unwrap();
        match self.rng.below(12) {
            0 if may_end => {
                let gone = self.replicas.remove(one);
                self.with(|world| world.say(&format!("{} is killed", gone.name)));
                gone.kill();
            }
            1 if may_end => {
                let gone = self.replicas.remove(one);
                self.with(|world| world.say(&format!("{} is stopped", gone.name)));
                gone.freezer.thaw();
                gone.stop();
            }
            2 if count < 4 => self.start(),
            3 | 4 => {
                let (freezer, name) = (self.replicas[one].freezer.clone(), self.replicas[one].name.clone());
                let longest = if self.rng.chance(20) { 300 } else { 60 };
                let span = Duration::from_secs(self.rng.between(1, longest));
                self.with(|world| world.say(&format!("{name} freezes for {span:?}")));
                freezer.freeze();
                tokio::spawn(async move {
                    sleep(span).await;
                    freezer.thaw();
                });
            }
            5 | 6 => {
                let name = if self.rng.chance(30) { String::new() } else { self.replicas[one].name.clone() };
                let (world, span) = (Arc::clone(&self.world), Duration::from_secs(self.rng.between(1, 60)));
                self.with(|world| {
                    world.say(&format!("the engine is away for '{name}' for {span:?}"));
                    world.cut.insert(name.clone());
                });
                tokio::spawn(async move {
                    sleep(span).await;
                    world.lock().unwrap().cut.remove(&name);
                });
            }
            7..=9 => {
                let all: Vec<IpAddr> = addresses().collect();
                let address = *self.rng.pick(&all).unwrap();
                let dead = self.with(|world| world.dead.get(&address) == Some(&None));
                self.set_dead(address, !dead);
            }
            _ => {
                let member = *self.rng.pick(&MEMBERS).unwrap();
                let drain = self.rng.chance(50);
                self.order(one, member, drain).await;
            }
        }
    }

    /// Nothing fails any more.
    pub(super) async fn calm(&mut self) {
        self.with(|world| {
            world.say("calm");
            world.cut.clear();
            (world.loses, world.late) = (false, 0);
        });
        for replica in &self.replicas {
            replica.freezer.thaw();
        }
        self.tell_health();
        sleep(Duration::from_secs(150)).await;
        let leaders = self.replicas.iter().filter(|replica| replica.leads()).count();
        let told: Vec<BTreeSet<String>> =
            self.replicas.iter().map(|replica| subjects(&replica.overrides.receiver().borrow())).collect();
        self.with(|world| {
            if leaders != 1 {
                world.accuse(&format!("leader: {leaders} replicas lead"));
            }
            let shared = world.shared();
            if told.iter().any(|told| *told != shared) {
                world.accuse(&format!("override: the replicas have {told:?}, the engine {shared:?}"));
            }
            for (member, state) in world.drained.clone() {
                let told = state.is_none();
                if told != shared.contains(&format!("cluster/{member}")) && !world.is_unsure(&member) {
                    world.accuse(&format!("override: {member} was told {state:?} and that is lost"));
                }
            }
            let (expected, values) = (world.expected(), world.values());
            if !expected.is_empty() && expected != values {
                world.accuse(&format!("converge: {values:?} and not {expected:?}"));
            }
        });
    }
}
