//! Services whose times are taken: what happens to them is the same with and without what is broken elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use fleetdns_core::{Address, DnsName, MemberName, OverrideKind, ServiceKey, Subject};

use crate::drive::Driver;
use crate::fleet::{Member, Truth};
use crate::names;
use crate::network::{HostName, Life};
use crate::rng::Rng;
use crate::sim::Sim;
use crate::zone::Trouble;

const SECOND: Duration = Duration::from_secs(1);
/// What dies comes back after this.
pub(crate) const LASTS: Duration = Duration::from_secs(45);

/// What happens to a victim.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A cluster dies, with all that any namespace has there; its API too or not.
    Cluster { member: usize, life: Life, api: bool },
    /// The addresses of one Service in one member die.
    Endpoints { service: ServiceKey, member: usize, life: Life },
    /// The same, and the backend does the next name by half.
    Halved { service: ServiceKey, member: usize },
    /// The same, while no process runs: it starts again 5 s later.
    Unseen { service: ServiceKey, member: usize, crash: bool },
    /// A new Service in two members.
    Appears { service: ServiceKey, members: [usize; 2] },
    /// A Service is deleted in one member.
    Gone { service: ServiceKey, member: usize },
    /// Its load balancer is another one.
    Moves { service: ServiceKey, member: usize },
    /// A person drains it.
    Drained { subject: Subject, service: ServiceKey, member: usize },
}

impl Step {
    /// Whether it is known only because the API of this member says so.
    pub(crate) fn is_told_by(&self, member: usize) -> bool {
        match self {
            Self::Appears { members, .. } => members.contains(&member),
            Self::Gone { member: of, .. } | Self::Moves { member: of, .. } => *of == member,
            _ => false,
        }
    }
}

/// What has to come true at a name, and how soon.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) what: String,
    pub(crate) from: Duration,
    pub(crate) name: DnsName,
    pub(crate) gone: BTreeSet<String>,
    pub(crate) there: BTreeSet<String>,
    pub(crate) budget: Duration,
}

impl Expected {
    /// There is no route for IPv6 from then on: what had not left by then stays, as its cluster says.
    pub(crate) fn loses_route(&mut self, at: Duration) {
        if (self.from..self.from + LASTS).contains(&at) {
            self.gone.retain(|ip| !ip.contains(':'));
        }
    }
}

/// Members and victims of a trial.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Members that are sound but for what happens in [`Step`]; one more is there, whose fate is another's.
    pub(crate) reachability: usize,
    pub(crate) services: BTreeMap<ServiceKey, BTreeMap<usize, BTreeSet<Address>>>,
    /// Services that come later.
    later: BTreeSet<ServiceKey>,
}

impl World {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let reachability = rng.between(3, 5) as usize;
        let mut services = BTreeMap::new();
        let mut number = 0;
        for namespace in ["shop", "pay", "team"] {
            for _ in 0..rng.between(1, 2) {
                number += 1;
                let first = rng.below(reachability as u64) as usize;
                let count = rng.between(2, reachability as u64) as usize;
                let mut places: BTreeSet<usize> = (0..count).map(|n| (first + n) % reachability).collect();
                if rng.chance(50) {
                    places.insert(reachability);
                }
                let mut all = BTreeMap::new();
                for member in places {
                    let ip = |n: u64| format!("203.0.{}.{}", 113 + member, number * 4 + n).parse().unwrap();
                    let mut addresses: BTreeSet<Address> = (0..rng.between(1, 2)).map(ip).collect();
                    if rng.chance(25) {
                        addresses.insert(format!("2001:db8:{member}::{number}").parse().unwrap());
                    }
                    if rng.chance(15) {
                        addresses.insert(format!("lb-{member}-{number}.elb.example.net").parse().unwrap());
                    }
                    all.insert(member, addresses);
                }
                services.insert(ServiceKey::new(namespace, &format!("v{number}")).unwrap(), all);
            }
        }
        let later = (20..24).map(|n| ServiceKey::new("team", &format!("v{n}")).unwrap()).collect();
        Self { reachability, services, later }
    }

    /// Puts members and Services there.
    pub(crate) fn build(&self, sim: &mut Sim) {
        for m in 0..=self.reachability {
            let api = format!("192.0.2.{}", m + 1).parse().unwrap();
            sim.fleet.members.push(Member::new(&format!("m{m}"), None, None, 100, api));
        }
        for (service, all) in &self.services {
            for (member, addresses) in all {
                for host in addresses.iter().filter_map(Address::hostname) {
                    let number = service.name().trim_start_matches('v');
                    let ips = [format!("198.18.{member}.{number}").parse().unwrap()].into();
                    sim.net.names.insert(host.clone(), HostName { ips, ..HostName::default() });
                }
                let truth = Truth::of(addresses.iter().cloned());
                sim.fleet.members[*member].services.insert(service.clone(), truth);
            }
        }
        sim.services = self.services.keys().chain(&self.later).cloned().collect();
        sim.names = names::all(&sim.fleet, &sim.services);
    }

    /// What happens, in order. Nothing dies twice: it would flap.
    pub(crate) fn steps(&self, rng: &mut Rng, count: u64) -> Vec<Step> {
        let mut later: Vec<ServiceKey> = self.later.iter().cloned().collect();
        let mut used: BTreeSet<(ServiceKey, usize)> = BTreeSet::new();
        let mut steps = Vec::new();
        while steps.len() < count as usize {
            let service = rng.pick(&self.services.keys().cloned().collect::<Vec<_>>()).unwrap().clone();
            let member = rng.below(self.reachability as u64) as usize;
            let life = *rng.pick(&[Life::Silent, Life::Refuses, Life::Hangs, Life::Status(503)]).unwrap();
            let here = self.services.keys().filter(|one| self.services[*one].contains_key(&member));
            let here: BTreeSet<_> = here.map(|one| (one.clone(), member)).collect();
            let pair = (service.clone(), member);
            let fresh = here.contains(&pair) && !used.contains(&pair);
            let step = match rng.below(16) {
                0..5 if !here.is_empty() && here.is_disjoint(&used) => {
                    used.extend(here);
                    steps.push(Step::Cluster { member, life, api: rng.chance(50) });
                    continue;
                }
                5..7 => {
                    let Some(service) = later.pop() else { continue };
                    let other = (member + 1) % self.reachability;
                    steps.push(Step::Appears { service, members: [member, other] });
                    continue;
                }
                _ if !fresh => continue,
                7..9 => Step::Endpoints { service, member, life },
                9 => Step::Halved { service, member },
                10 => Step::Unseen { service, member, crash: rng.chance(50) },
                11 => Step::Gone { service, member },
                12 => Step::Moves { service, member },
                13..16 => {
                    let name: MemberName = format!("m{member}").parse().unwrap();
                    let subject = match rng.below(2) {
                        0 => Subject::Cluster(name),
                        _ => Subject::ServiceIn(service.clone(), name),
                    };
                    Step::Drained { subject, service, member }
                }
                _ => continue,
            };
            used.insert(pair);
            steps.push(step);
        }
        steps
    }
}

/// How soon an endpoint that dies so is out, by the design.
const fn budget(life: Life) -> Duration {
    match life {
        Life::Refuses | Life::Status(_) => Duration::from_secs(10),
        _ => Duration::from_secs(12),
    }
}

impl Driver {
    /// Lets a step happen; returns what has to follow.
    pub(crate) async fn take(&mut self, world: &World, step: &Step) -> Vec<Expected> {
        self.with(|sim| sim.say(format!("step {step:?}")));
        match step {
            Step::Cluster { member, life, api } => self.cluster_dies(*member, *life, *api),
            Step::Endpoints { service, member, life } => self.endpoints_die(service, *member, *life),
            Step::Halved { service, member } => {
                self.with(|sim| sim.zone.trouble = Trouble::HalfOnce);
                let mut all = self.endpoints_die(service, *member, Life::Refuses);
                // Read again and written again at once, but never before it was tried.
                all.iter_mut().for_each(|one| one.budget += SECOND);
                all
            }
            Step::Unseen { service, member, crash } => {
                self.stop(*crash).await;
                let mut all = self.endpoints_die(service, *member, Life::Refuses);
                self.pass(SECOND * 5).await;
                self.start();
                let now = self.now();
                // A member may be waited for as long as that.
                all.iter_mut().for_each(|one| (one.from, one.budget) = (now, SECOND * 42));
                all
            }
            Step::Appears { service, members } => self.appears(service, members),
            Step::Gone { service, member } => {
                let gone = self.served(service, Some(*member));
                self.change(service, *member, None);
                self.expect(
                    service,
                    format!("{service} is deleted in m{member}"),
                    gone,
                    BTreeSet::new(),
                    SECOND,
                )
            }
            Step::Moves { service, member } => {
                let gone = self.served(service, Some(*member));
                let ip = format!("198.51.{member}.{}", 1 + world.services.len());
                self.change(service, *member, Some(Truth::of([ip.parse().unwrap()])));
                let what = format!("{service} moves in m{member}");
                self.expect(service, what, gone, [ip].into(), SECOND * 15)
            }
            Step::Drained { subject, service, member } => {
                let mut gone = self.served(service, Some(*member));
                // The last addresses of a name stay.
                if self.served(service, None).is_subset(&gone) {
                    gone.clear();
                }
                self.order(subject, Some(OverrideKind::Drain), None).await.ok();
                let what = format!("{subject} is drained");
                self.expect(service, what, gone, BTreeSet::new(), SECOND)
            }
        }
    }

    /// Undoes a step; returns what has to follow.
    pub(crate) async fn undo(&mut self, step: &Step) -> Vec<Expected> {
        self.with(|sim| sim.say(format!("over: {step:?}")));
        let back = match step {
            Step::Cluster { member, api, .. } => {
                let services = self.with(|sim| sim.fleet.members[*member].services.clone());
                self.with(|sim| {
                    let ips = ips_of(sim, services.values().flat_map(|truth| &truth.addresses));
                    ips.into_iter().for_each(|ip| sim.net.set(ip, Life::Alive));
                    if *api {
                        let api = sim.fleet.members[*member].api;
                        sim.net.set(api, Life::Alive);
                        sim.fleet.members[*member].reachable = true;
                    }
                });
                self.list(*member);
                services.into_keys().map(|service| (service, *member)).collect()
            }
            Step::Endpoints { service, member, .. }
            | Step::Halved { service, member }
            | Step::Unseen { service, member, .. } => {
                self.with(|sim| {
                    if sim.zone.trouble == Trouble::HalfOnce {
                        sim.zone.trouble = Trouble::None;
                    }
                    let truth = sim.fleet.members[*member].services.get(service).cloned();
                    let ips = ips_of(sim, truth.iter().flat_map(|truth| &truth.addresses));
                    ips.into_iter().for_each(|ip| sim.net.set(ip, Life::Alive));
                });
                vec![(service.clone(), *member)]
            }
            Step::Drained { subject, service, member } => {
                self.order(subject, None, None).await.ok();
                let there = self.served(service, Some(*member));
                let what = format!("{subject} is drained no more");
                return self.expect(service, what, BTreeSet::new(), there, SECOND);
            }
            Step::Appears { .. } | Step::Gone { .. } | Step::Moves { .. } => Vec::new(),
        };
        let mut all = Vec::new();
        for (service, member) in back.iter().filter(|(service, _)| is_victim(service)) {
            let there = self.served(service, Some(*member));
            let what = format!("{service} is back in m{member}");
            all.extend(self.expect(service, what, BTreeSet::new(), there, SECOND * 12));
        }
        all
    }

    fn cluster_dies(&mut self, member: usize, life: Life, api: bool) -> Vec<Expected> {
        let services = self.with(|sim| sim.fleet.members[member].services.clone());
        let mut all = Vec::new();
        for service in services.keys().filter(|service| is_victim(service)) {
            all.extend(self.dies(service, member, budget(life)));
        }
        self.with(|sim| {
            let ips = ips_of(sim, services.values().flat_map(|truth| &truth.addresses));
            ips.into_iter().for_each(|ip| sim.net.set(ip, life));
            if api {
                let now = sim.now();
                let one = &mut sim.fleet.members[member];
                one.lose(now);
                let ip = one.api;
                sim.net.set(ip, if life == Life::Silent { life } else { Life::Refuses });
            }
        });
        self.publish();
        all
    }

    fn endpoints_die(&mut self, service: &ServiceKey, member: usize, life: Life) -> Vec<Expected> {
        let all = self.dies(service, member, budget(life));
        self.with(|sim| {
            let truth = sim.fleet.members[member].services.get(service).cloned();
            let ips = ips_of(sim, truth.iter().flat_map(|truth| &truth.addresses));
            ips.into_iter().for_each(|ip| sim.net.set(ip, life));
        });
        all
    }

    /// What a Service has in a member is out in time, where anything else is left that answers.
    fn dies(&mut self, service: &ServiceKey, member: usize, budget: Duration) -> Vec<Expected> {
        let mut gone = self.served(service, Some(member));
        let others = self.with(|sim| {
            // What cannot be probed from here stays.
            gone.retain(|ip| ip.parse::<IpAddr>().is_ok_and(|ip| sim.net.has_route(ip)));
            let others = sim.fleet.members.iter().enumerate().filter(|(m, _)| *m != member);
            let truths = others.filter_map(|(_, one)| one.services.get(service));
            let ips = ips_of(sim, truths.flat_map(|truth| &truth.addresses));
            ips.into_iter().any(|ip| sim.net.is_alive(ip) && sim.net.has_route(ip))
        });
        if !others {
            return Vec::new();
        }
        self.expect(service, format!("{service} dies in m{member}"), gone, BTreeSet::new(), budget)
    }

    fn appears(&mut self, service: &ServiceKey, members: &[usize; 2]) -> Vec<Expected> {
        let number = service.name().trim_start_matches('v').to_owned();
        let mut there = BTreeSet::new();
        for member in members {
            let ip = format!("198.51.{}.{number}", 200 + member);
            self.change(service, *member, Some(Truth::of([ip.parse().unwrap()])));
            there.insert(ip);
        }
        self.expect(service, format!("{service} is new"), BTreeSet::new(), there, SECOND * 5)
    }

    /// A member has a Service in another way, or no more.
    pub(crate) fn change(&mut self, service: &ServiceKey, member: usize, truth: Option<Truth>) {
        self.with(|sim| {
            let now = sim.now();
            let one = &mut sim.fleet.members[member];
            match truth {
                Some(truth) => drop(one.services.insert(service.clone(), truth)),
                None => drop(one.services.remove(service)),
            }
            one.tell(service, now);
        });
        self.publish();
    }

    /// The IP addresses of a Service that only this member has.
    fn served(&self, service: &ServiceKey, member: Option<usize>) -> BTreeSet<String> {
        self.with(|sim| {
            let members = sim.fleet.members.iter().enumerate();
            let here = members.filter(|(m, _)| member.is_none_or(|member| member == *m));
            let truths = here.filter_map(|(_, one)| one.services.get(service));
            ips_of(sim, truths.flat_map(|truth| &truth.addresses)).iter().map(ToString::to_string).collect()
        })
    }

    fn expect(
        &self,
        service: &ServiceKey,
        what: String,
        gone: BTreeSet<String>,
        there: BTreeSet<String>,
        budget: Duration,
    ) -> Vec<Expected> {
        let name = names::global(service);
        if gone.is_empty() && there.is_empty() {
            return Vec::new();
        }
        vec![Expected { what, from: self.now(), name, gone, there, budget }]
    }
}

pub(crate) fn is_victim(service: &ServiceKey) -> bool {
    ["shop", "pay", "team"].contains(&service.namespace())
}

/// Addresses as IP addresses: what host names stand for.
fn ips_of<'a>(sim: &Sim, addresses: impl Iterator<Item = &'a Address>) -> BTreeSet<IpAddr> {
    let of = |address: &Address| -> Vec<IpAddr> {
        match address.hostname() {
            Some(host) => {
                sim.net.names.get(host).map(|host| host.ips.iter().copied().collect()).unwrap_or_default()
            }
            None => address.ip().into_iter().collect(),
        }
    };
    addresses.flat_map(of).collect()
}
