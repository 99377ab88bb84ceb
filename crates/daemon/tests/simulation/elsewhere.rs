//! What is broken elsewhere while the times of victims are taken: in the fleet, in a tenant's namespace, at the backend.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use fleetdns_core::{Address, DnsName, ServiceKey};

use crate::drive::{Do, Driver};
use crate::fleet::Truth;
use crate::names;
use crate::network::{HostName, Life, NameServer};
use crate::rng::Rng;
use crate::victim::{Step, World};
use crate::zone::Trouble;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// Where it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Fleet,
    Tenant,
    Refused,
    All,
}

/// One thing that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The last member is dead and has been from the start, or dies by itself; its API too.
    DeadMember { life: Life, after: Option<Duration> },
    /// The API of a member is away.
    ApiAway { member: usize },
    /// So many Services are in all members, and never answer.
    RolledOut { count: u64, life: Life, v6: bool },
    /// This host has no route for IPv6.
    NoRoute,
    /// The zone cannot be listed any more.
    Unlisted { stalls: bool },
    /// The backend refuses so many names of others.
    Refuses { count: usize },
    /// A namespace has so many addresses in each of these members.
    Bulk { members: BTreeSet<usize>, count: u64 },
    /// So many percent of them die in these members, and are back after a while.
    BulkDies { members: BTreeSet<usize>, percent: u64, life: Life, span: Option<Duration> },
    /// So many load balancers whose host names are like this.
    HostNames { count: u64, server: NameServer },
    /// A Service asks for so many host names.
    Asks { count: u64 },
    /// A Service comes and goes.
    Churns { number: u64 },
    /// All Services of the tenant are deleted.
    DeletesAll,
}

/// All that is broken, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Elsewhere {
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// How long the backend takes for each name that it writes, in both runs.
    pub(crate) slow_name: Duration,
}

impl Elsewhere {
    pub(crate) fn draw(rng: &mut Rng, kind: Kind, world: &World, steps: &[(Duration, Step)]) -> Self {
        let mut all = Self::default();
        if rng.chance(30) {
            all.slow_name = MILLI * rng.between(1, 20) as u32;
        }
        if matches!(kind, Kind::Fleet | Kind::All) {
            all.fleet(rng, world, steps);
        }
        if matches!(kind, Kind::Tenant | Kind::All) {
            all.tenant(rng, world, steps);
        }
        if matches!(kind, Kind::Refused | Kind::All) {
            let count = *rng.pick(&[1, 5, 20]).unwrap();
            all.add(Duration::ZERO, Fault::Asks { count: 25 });
            let at = if rng.chance(50) { SECOND } else { near(rng, steps) };
            all.add(at, Fault::Refuses { count });
            for _ in 0..rng.below(6) {
                let number = rng.below(5);
                all.add(near(rng, steps), Fault::Churns { number });
            }
        }
        all.faults.sort_by_key(|(at, _)| *at);
        all
    }

    /// When this host loses its route for IPv6.
    pub(crate) fn loses_route(&self) -> Option<Duration> {
        self.faults.iter().find(|(_, fault)| *fault == Fault::NoRoute).map(|(at, _)| *at)
    }

    fn add(&mut self, at: Duration, fault: Fault) {
        self.faults.push((at, fault));
    }

    fn fleet(&mut self, rng: &mut Rng, world: &World, steps: &[(Duration, Step)]) {
        let life = |rng: &mut Rng| *rng.pick(&[Life::Silent, Life::Refuses, Life::Status(500)]).unwrap();
        let restarts = steps.iter().any(|(_, step)| matches!(step, Step::Unseen { .. }));
        if rng.chance(50) {
            let after = rng.chance(50).then(|| SECOND * rng.between(5, 20) as u32);
            self.add(Duration::ZERO, Fault::DeadMember { life: life(rng), after });
        }
        let member = rng.below(world.reachability as u64) as usize;
        // What an API says while it is away nobody hears.
        if rng.chance(30) && !steps.iter().any(|(_, step)| step.is_told_by(member)) {
            self.add(SECOND * 40, Fault::ApiAway { member });
        }
        if rng.chance(60) {
            let at = if rng.chance(50) { Duration::ZERO } else { near(rng, steps) };
            let (count, v6) = (rng.between(1, 12), rng.chance(50));
            self.add(at, Fault::RolledOut { count, life: life(rng), v6 });
        }
        if rng.chance(40) {
            let at = if rng.chance(70) { Duration::ZERO } else { near(rng, steps) };
            self.add(at, Fault::NoRoute);
        }
        if rng.chance(30) && !restarts {
            self.add(SECOND * 50, Fault::Unlisted { stalls: rng.chance(50) });
        }
        if rng.chance(40) {
            let server = *rng.pick(&[NameServer::Fails, NameServer::Silent]).unwrap();
            self.add(Duration::ZERO, Fault::HostNames { count: rng.between(1, 5), server });
        }
    }

    fn tenant(&mut self, rng: &mut Rng, world: &World, steps: &[(Duration, Step)]) {
        let members = |rng: &mut Rng| -> BTreeSet<usize> {
            let count = rng.between(1, world.reachability as u64);
            (0..count).map(|_| rng.below(world.reachability as u64) as usize).collect()
        };
        if rng.chance(70) {
            let count = *rng.pick(&[10, 40, 100]).unwrap();
            self.add(Duration::ZERO, Fault::Bulk { members: members(rng), count });
            for _ in 0..rng.between(1, 4) {
                let life = match rng.below(4) {
                    0 => Life::Flaps(SECOND * rng.between(3, 20) as u32),
                    1 => Life::Refuses,
                    _ => Life::Silent,
                };
                let percent = *rng.pick(&[100, 100, 60, 20]).unwrap();
                let span = Some(SECOND * rng.between(5, 60) as u32);
                self.add(near(rng, steps), Fault::BulkDies { members: members(rng), percent, life, span });
            }
        }
        if rng.chance(40) {
            let server = match rng.below(3) {
                0 => NameServer::Silent,
                1 => NameServer::Fails,
                _ => NameServer::Rotates(rng.between(4, 64) as u32),
            };
            let count =
                if matches!(server, NameServer::Rotates(_)) { 5 } else { *rng.pick(&[10, 400]).unwrap() };
            let at = if rng.chance(50) { Duration::ZERO } else { near(rng, steps) };
            self.add(at, Fault::HostNames { count, server });
        }
        if rng.chance(40) {
            let at = if rng.chance(50) { Duration::ZERO } else { near(rng, steps) };
            self.add(at, Fault::Asks { count: *rng.pick(&[20, 150]).unwrap() });
        }
        if rng.chance(40) {
            let (count, v6) = (rng.between(1, 12), rng.chance(50));
            self.add(near(rng, steps), Fault::RolledOut { count, life: Life::Silent, v6 });
        }
        for _ in 0..rng.below(12) {
            let number = rng.below(5);
            self.add(near(rng, steps), Fault::Churns { number });
        }
        if rng.chance(30) {
            self.add(near(rng, steps), Fault::DeletesAll);
        }
    }
}

/// Mostly shortly before or after something happens to a victim.
fn near(rng: &mut Rng, steps: &[(Duration, Step)]) -> Duration {
    let (at, _) = rng.pick(steps).unwrap();
    match rng.below(3) {
        0 => Duration::from_millis(rng.between(1000, 400_000)),
        _ => (*at + MILLI * rng.below(12_000) as u32).saturating_sub(SECOND * 6),
    }
}

fn tenant(name: impl std::fmt::Display) -> ServiceKey {
    ServiceKey::new("bulk", &name.to_string()).unwrap()
}

impl Driver {
    pub(crate) fn elsewhere(&mut self, elsewhere: &Elsewhere) {
        let (now, later): (Vec<_>, Vec<_>) = elsewhere.faults.iter().partition(|(at, _)| at.is_zero());
        now.iter().for_each(|(_, fault)| self.fault(fault));
        later.into_iter().for_each(|(at, fault)| self.at(*at, Do::Fault(fault.clone())));
    }

    pub(crate) fn fault(&mut self, fault: &Fault) {
        self.with(|sim| sim.say(format!("elsewhere: {fault:?}")));
        match fault {
            Fault::DeadMember { life, after } => self.member_dies(*life, *after),
            Fault::ApiAway { member } => self.with(|sim| {
                let now = sim.now();
                sim.fleet.members[*member].lose(now);
            }),
            Fault::RolledOut { count, life, v6 } => self.rolls_out(*count, *life, *v6),
            Fault::NoRoute => self.with(|sim| sim.net.no_v6 = true),
            Fault::Unlisted { stalls } => self.with(|sim| {
                sim.zone.trouble = if *stalls { Trouble::ListStalls } else { Trouble::ListFails };
            }),
            Fault::Refuses { count } => self.with(|sim| {
                let of_tenant = sim.names.iter().filter(|(_, meaning)| meaning.service.namespace() == "bulk");
                sim.zone.refused = of_tenant.map(|(name, _)| name.clone()).take(*count).collect();
            }),
            Fault::Bulk { members, count } => self.bulk(members, *count),
            Fault::BulkDies { members, percent, life, span } => {
                self.bulk_is(members, *percent, *life);
                if let Some(span) = *span {
                    let (members, percent, life) = (members.clone(), 100, Life::Alive);
                    self.after(span, Do::Fault(Fault::BulkDies { members, percent, life, span: None }));
                }
            }
            Fault::HostNames { count, server } => self.host_names(*count, *server),
            Fault::Asks { count } => {
                let asked = (0..*count).map(|n| format!("a{n}.bulk.example.com").parse().unwrap());
                let truth = Truth { asked: asked.collect(), ..Truth::of(["10.0.200.1".parse().unwrap()]) };
                self.have(&tenant("asks"), 0, truth);
            }
            Fault::Churns { number } => self.churns(*number),
            Fault::DeletesAll => {
                let all: Vec<(usize, ServiceKey)> = self.with(|sim| {
                    let members = sim.fleet.members.iter().enumerate();
                    let keys =
                        members.flat_map(|(m, one)| one.services.keys().map(move |key| (m, key.clone())));
                    keys.filter(|(_, key)| key.namespace() == "bulk").collect()
                });
                all.iter().for_each(|(member, service)| self.change(service, *member, None));
            }
        }
        self.publish();
    }

    /// A member has a Service of the tenant.
    fn have(&mut self, service: &ServiceKey, member: usize, truth: Truth) {
        self.change(service, member, Some(truth));
        self.with(|sim| {
            sim.services.insert(service.clone());
            let more = names::of(&sim.fleet, service);
            sim.names.extend(more);
        });
    }

    fn member_dies(&mut self, life: Life, after: Option<Duration>) {
        let member = self.with(|sim| sim.fleet.members.len() - 1);
        if let Some(after) = after {
            return self.after(after, Do::Fault(Fault::DeadMember { life, after: None }));
        }
        self.with(|sim| {
            let now = sim.now();
            let one = &mut sim.fleet.members[member];
            one.lose(now);
            let ips: Vec<IpAddr> = one
                .services
                .values()
                .flat_map(|truth| truth.addresses.iter().filter_map(Address::ip))
                .collect();
            let api = one.api;
            ips.into_iter().chain([api]).for_each(|ip| sim.net.set(ip, life));
        });
    }

    fn rolls_out(&mut self, count: u64, life: Life, v6: bool) {
        let members = self.with(|sim| sim.fleet.members.len());
        for number in 0..count {
            for member in 0..members {
                let ip: IpAddr = format!("10.{member}.100.{number}").parse().unwrap();
                let six: IpAddr = format!("2001:db8:{member}::100:{number}").parse().unwrap();
                let ips = [ip].into_iter().chain(v6.then_some(six));
                self.with(|sim| ips.clone().for_each(|ip| sim.net.set(ip, life)));
                self.have(&tenant(format!("r{number}")), member, Truth::of(ips.map(Address::from)));
            }
        }
    }

    fn bulk(&mut self, members: &BTreeSet<usize>, count: u64) {
        for member in members {
            let ip = |n: u64| format!("10.{member}.0.{}", n + 1).parse().unwrap();
            self.have(&tenant("bulk"), *member, Truth::of((0..count).map(ip)));
        }
    }

    fn bulk_is(&mut self, members: &BTreeSet<usize>, percent: u64, life: Life) {
        self.with(|sim| {
            let all = members.iter().filter_map(|m| sim.fleet.members[*m].services.get(&tenant("bulk")));
            let ips: Vec<IpAddr> = all.flat_map(|one| one.addresses.iter().filter_map(Address::ip)).collect();
            let some = ips.into_iter().enumerate().filter(|(n, _)| *n as u64 % 100 < percent);
            some.for_each(|(_, ip)| sim.net.set(ip, life));
        });
    }

    fn host_names(&mut self, count: u64, server: NameServer) {
        for number in 0..count {
            let host: DnsName = format!("h{number}.bulk.example.net").parse().unwrap();
            let name = HostName { server, is_hopeless: true, ..HostName::default() };
            self.with(|sim| drop(sim.net.names.insert(host.clone(), name)));
            self.have(&tenant(format!("h{number}")), 0, Truth::of([Address::Hostname(host)]));
        }
    }

    fn churns(&mut self, number: u64) {
        let service = tenant(format!("c{number}"));
        let has = self.with(|sim| sim.fleet.members[1].services.contains_key(&service));
        if has {
            self.change(&service, 1, None);
        } else {
            self.have(&service, 1, Truth::of([format!("10.1.201.{number}").parse().unwrap()]));
        }
    }
}
