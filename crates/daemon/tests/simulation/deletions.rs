//! Many Services are deleted at once, in some namespaces more than `max-delete` lets go.
//!
//! The laws: no plan deletes more than that; what a namespace deletes within the limit leaves in time whatever others
//! delete; and a dead address, a new Service and a drain do not wait for what is held.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleetdns_core::{Address, OverrideKind, ServiceKey, Subject};

use crate::drive::Driver;
use crate::fleet::{Member, Truth};
use crate::names;
use crate::network::Life;
use crate::proof::Broken;
use crate::rng::{Rng, mix};
use crate::schedule::Outcome;
use crate::sim::Sim;
use crate::trial::Took;
use crate::victim::Expected;

const SECOND: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_secs(100);
/// A process that starts may wait so long for its members.
const STARTS: Duration = Duration::from_secs(42);

struct Deletions {
    members: usize,
    /// Services of each namespace, and how many of them are deleted.
    namespaces: Vec<(String, usize, usize)>,
    max_delete: u8,
    /// While no process runs.
    unseen: bool,
    /// What is left of it dies by itself in one member, so long after.
    dies: Duration,
    appears: Duration,
    drained: Duration,
}

impl Deletions {
    fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(mix(seed ^ 0x6465_6c65_7465));
        let mut namespaces = Vec::new();
        for number in 0..rng.between(1, 5) {
            let count = rng.between(3, 25);
            let gone = count * *rng.pick(&[0, 10, 40, 100]).unwrap() / 100;
            namespaces.push((format!("n{number}"), count as usize, gone as usize));
        }
        // Nothing of it is deleted.
        namespaces.push(("shop".to_owned(), 3, 0));
        let mut soon = |from: u64| Duration::from_millis(rng.between(from, from + 6000));
        let (dies, appears, drained) = (soon(0), soon(0), soon(30_000));
        Self {
            members: rng.between(2, 4) as usize,
            max_delete: *rng.pick(&[10, 20, 30, 50, 80]).unwrap(),
            unseen: rng.chance(40),
            namespaces,
            dies,
            appears,
            drained,
        }
    }

    fn services(&self) -> impl Iterator<Item = (ServiceKey, usize, bool)> + '_ {
        self.namespaces.iter().flat_map(|(namespace, count, gone)| {
            (0..*count).map(move |n| (ServiceKey::new(namespace, &format!("s{n}")).unwrap(), n, n < *gone))
        })
    }

    fn build(&self, sim: &mut Sim) {
        for member in 0..self.members {
            let api = format!("192.0.2.{}", member + 1).parse().unwrap();
            sim.fleet.members.push(Member::new(&format!("m{member}"), None, None, 100, api));
        }
        for (place, (key, n, _)) in self.services().enumerate() {
            for member in 0..self.members {
                let ip: Address = format!("10.{member}.{}.{n}", place / 250).parse().unwrap();
                let ip = if key.namespace() == "shop" {
                    format!("203.0.{}.{n}", 113 + member).parse().unwrap()
                } else {
                    ip
                };
                sim.fleet.members[member].services.insert(key.clone(), Truth::of([ip]));
            }
        }
        sim.services = self.services().map(|(key, _, _)| key).chain([new()]).collect();
        sim.names = names::all(&sim.fleet, &sim.services);
        sim.brakes.max_delete = self.max_delete;
    }

    /// Namespaces whose deletions have to leave in time: those that are left when each that is too much by itself is held
    /// for itself, if they are not too much together.
    fn leaves(&self) -> BTreeSet<&str> {
        let owned: usize = self.namespaces.iter().map(|(_, count, _)| count).sum();
        let most = owned * usize::from(self.max_delete) / 100;
        let modest = self.namespaces.iter().filter(|(_, _, gone)| *gone <= most);
        let modest: BTreeMap<&str, usize> = modest.map(|(name, _, gone)| (name.as_str(), *gone)).collect();
        let fits = owned < 10 || modest.values().sum::<usize>() <= most;
        if fits { modest.into_keys().collect() } else { BTreeSet::new() }
    }
}

fn new() -> ServiceKey {
    ServiceKey::new("shop", "new").unwrap()
}

fn shop(name: &str) -> ServiceKey {
    ServiceKey::new("shop", name).unwrap()
}

pub(crate) fn run(seed: u64, broken: Broken, talks: bool) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(course(&Deletions::draw(seed), seed, broken, talks))
}

async fn course(plan: &Deletions, seed: u64, broken: Broken, talks: bool) -> Outcome {
    let mut driver = Driver::new(seed, talks);
    driver.with(|sim| {
        sim.broken = broken;
        plan.build(sim);
    });
    driver.start();
    driver.until_then(FIRST).await;
    let began = driver.now();
    if plan.unseen {
        driver.stop(false).await;
    }
    for (key, _, _) in plan.services().filter(|(_, _, gone)| *gone) {
        (0..plan.members).for_each(|member| driver.change(&key, member, None));
    }
    let more = if plan.unseen {
        driver.pass(SECOND * 3).await;
        driver.start();
        STARTS
    } else {
        Duration::ZERO
    };
    let mut all = Vec::new();
    let leaves = plan.leaves();
    for (key, _, _) in plan.services().filter(|(key, _, gone)| *gone && leaves.contains(key.namespace())) {
        let gone: BTreeSet<String> = driver.with(|sim| sim.values(&names::global(&key)));
        all.push(expected("is deleted", &key, (gone, BTreeSet::new()), (began, SECOND * 5 + more)));
    }
    driver.until_then(began + plan.dies).await;
    let dead = "203.0.113.0".to_owned();
    driver.with(|sim| sim.net.set(dead.parse().unwrap(), Life::Silent));
    let times = (driver.now(), SECOND * 12 + more);
    all.push(expected("dies in m0", &shop("s0"), ([dead].into(), BTreeSet::new()), times));
    driver.until_then(began + plan.appears.max(plan.dies)).await;
    let ip = "203.0.113.77".to_owned();
    driver.change(&new(), 0, Some(Truth::of([ip.parse().unwrap()])));
    let times = (driver.now(), SECOND * 5 + more);
    all.push(expected("is new", &new(), (BTreeSet::new(), [ip].into()), times));
    driver.until_then(began + plan.drained).await;
    let subject = Subject::ServiceIn(shop("s1"), "m1".parse().unwrap());
    driver.order(&subject, Some(OverrideKind::Drain), None).await.ok();
    let drained = ["203.0.114.1".to_owned()].into();
    let times = (driver.now(), SECOND + more);
    all.push(expected("is drained in m1", &shop("s1"), (drained, BTreeSet::new()), times));
    driver.pass(SECOND * 60 + more).await;
    driver.stop(false).await;
    driver.with(|sim| {
        for expected in all {
            sim.judge_time(&Took { took: sim.took(&expected), expected });
        }
    });
    driver.outcome()
}

fn expected(
    what: &str,
    service: &ServiceKey,
    (gone, there): (BTreeSet<String>, BTreeSet<String>),
    (from, budget): (Duration, Duration),
) -> Expected {
    Expected { what: format!("{service} {what}"), from, name: names::global(service), gone, there, budget }
}
