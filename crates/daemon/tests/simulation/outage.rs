//! Mass failures that are real: most of the fleet falls silent at once, and stays so.
//!
//! The laws: nothing of it leaves DNS before `correlation-hold` is over; then all of it leaves, at the pace of the speed
//! limit; and what dies by itself meanwhile leaves within the budget.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use fleetdns_core::{Address, DnsName, ServiceKey};

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
const MINUTE: Duration = Duration::from_secs(60);
/// Start-up is over by then, and the minute in which what died before counts.
const FIRST: Duration = Duration::from_secs(100);
/// Until the failure is seen, and after the end of the hold until it has failed again.
const SEEN_TWICE: Duration = Duration::from_secs(12 + 15);

/// The plan of an outage: all of it follows from the seed.
struct Outage {
    /// All addresses of each Service, by member.
    services: BTreeMap<ServiceKey, Vec<BTreeSet<IpAddr>>>,
    members: usize,
    survivor: usize,
    hold: Duration,
    at: Duration,
    life: Life,
    /// The APIs of the members fall silent with their endpoints.
    apis: bool,
    /// An address of the survivor that dies by itself, this long after the others.
    alone: Option<(Duration, ServiceKey, IpAddr, Life)>,
    slow_name: Duration,
}

impl Outage {
    fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(mix(seed ^ 0x006f_7574_6167_6500));
        let members = rng.between(3, 6) as usize;
        let mut services = BTreeMap::new();
        for number in 1..=rng.between(1, 5) {
            let namespace = *rng.pick(&["shop", "pay", "team"]).unwrap();
            let (count, six) = (rng.between(1, 2), rng.chance(25));
            let of = |member: usize| -> BTreeSet<IpAddr> {
                let four = (0..count).map(|n| format!("203.0.{}.{}", 113 + member, number * 4 + n));
                let six = six.then(|| format!("2001:db8:{member}::{number}"));
                four.chain(six).map(|ip| ip.parse().unwrap()).collect()
            };
            let key = ServiceKey::new(namespace, &format!("v{number}")).unwrap();
            services.insert(key, (0..members).map(of).collect::<Vec<_>>());
        }
        let survivor = rng.below(members as u64) as usize;
        let hold = SECOND * rng.between(60, 900) as u32;
        let all: Vec<(ServiceKey, IpAddr)> = services
            .iter()
            .filter(|(_, all)| all[survivor].len() > 1)
            .map(|(key, all)| (key.clone(), *all[survivor].first().unwrap()))
            .collect();
        let later = SECOND * rng.between(20, hold.as_secs() - 20) as u32;
        let life = *rng.pick(&[Life::Silent, Life::Refuses, Life::Status(503)]).unwrap();
        let alone = rng.pick(&all).map(|(key, ip)| (later, key.clone(), *ip, life));
        Self {
            alone: alone.filter(|_| rng.chance(70)),
            at: FIRST + Duration::from_millis(rng.below(5000)),
            life: *rng.pick(&[Life::Silent, Life::Hangs]).unwrap(),
            apis: rng.chance(40),
            slow_name: Duration::from_millis(if rng.chance(30) { rng.between(1, 20) } else { 0 }),
            services,
            members,
            survivor,
            hold,
        }
    }

    fn build(&self, sim: &mut Sim) {
        for member in 0..self.members {
            let api = format!("192.0.2.{}", member + 1).parse().unwrap();
            let mut one = Member::new(&format!("m{member}"), None, None, 100, api);
            for (key, all) in &self.services {
                let truth = Truth::of(all[member].iter().copied().map(Address::from));
                one.services.insert(key.clone(), truth);
            }
            sim.fleet.members.push(one);
        }
        sim.services = self.services.keys().cloned().collect();
        sim.names = names::all(&sim.fleet, &sim.services);
        sim.hold = Some(self.hold);
        sim.zone.slow_name = self.slow_name;
    }

    /// What falls silent of each Service, by its name in DNS.
    fn dead(&self) -> BTreeMap<DnsName, BTreeSet<String>> {
        let dead = |all: &Vec<BTreeSet<IpAddr>>| -> BTreeSet<String> {
            let others = all.iter().enumerate().filter(|(member, _)| *member != self.survivor);
            others.flat_map(|(_, ips)| ips).map(ToString::to_string).collect()
        };
        self.services.iter().map(|(key, all)| (names::global(key), dead(all))).collect()
    }

    /// When all of it has to be out: the speed limit lets one member's worth go in a minute.
    fn budget(&self) -> Duration {
        self.hold + SEEN_TWICE + MINUTE * self.members as u32
    }
}

pub(crate) fn run(seed: u64, broken: Broken, talks: bool) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(course(&Outage::draw(seed), seed, broken, talks))
}

async fn course(outage: &Outage, seed: u64, broken: Broken, talks: bool) -> Outcome {
    let mut driver = Driver::new(seed, talks);
    driver.with(|sim| {
        sim.broken = broken;
        outage.build(sim);
    });
    driver.start();
    driver.until_then(outage.at).await;
    let began = driver.now();
    driver.with(|sim| sim.falls_silent(outage));
    driver.publish();
    let mut alone = None;
    if let Some((after, service, ip, life)) = &outage.alone {
        driver.until_then(began + *after).await;
        driver.with(|sim| {
            sim.say(format!("{ip} of {service} dies by itself: {life:?}"));
            sim.net.set(*ip, *life);
        });
        alone = Some(Expected {
            what: format!("{ip} of {service} dies by itself while a correlation stands"),
            from: driver.now(),
            name: names::global(service),
            gone: [ip.to_string()].into(),
            there: BTreeSet::new(),
            budget: SECOND * 12,
        });
    }
    driver.until_then(began + outage.budget()).await;
    driver.stop(false).await;
    driver.with(|sim| {
        sim.judge_outage(outage, began);
        if let Some(expected) = alone {
            sim.judge_time(&Took { took: sim.took(&expected), expected });
        }
    });
    driver.outcome()
}

impl Sim {
    fn falls_silent(&mut self, outage: &Outage) {
        let now = self.now();
        let (survivor, life) = (outage.survivor, outage.life);
        self.say(format!("all members but m{survivor} are {life:?}, hold {:?}", outage.hold));
        let ips = outage.services.values().flat_map(|all| all.iter().enumerate());
        for (_, ips) in ips.filter(|(member, _)| *member != survivor) {
            ips.iter().for_each(|ip| self.net.set(*ip, life));
        }
        if outage.apis {
            for member in (0..outage.members).filter(|member| *member != survivor) {
                let one = &mut self.fleet.members[member];
                one.lose(now);
                self.net.set(one.api, Life::Silent);
            }
        }
    }

    fn judge_outage(&mut self, outage: &Outage, began: Duration) {
        let mut found = Vec::new();
        for (name, dead) in outage.dead() {
            let mut left = dead.clone();
            let mut last = Duration::ZERO;
            for write in self.written.iter().filter(|one| one.name == name && one.at >= began) {
                let gone: BTreeSet<_> = left.difference(&write.values).cloned().collect();
                if !gone.is_empty() && write.at < began + outage.hold {
                    let after = write.at - began;
                    found.push(format!("hold: {gone:?} left {name} after {after:?} of {:?}", outage.hold));
                }
                left.retain(|ip| write.values.contains(ip));
                last = write.at - began;
            }
            if !left.is_empty() {
                let budget = outage.budget();
                found.push(format!("correlation-hold: {left:?} still at {name} after {budget:?}"));
            }
            self.say(format!("{name}: last written {last:?} after it began, hold {:?}", outage.hold));
        }
        found.into_iter().for_each(|what| self.accuse(what));
    }
}
