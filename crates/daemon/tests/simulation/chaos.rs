//! What happens in a world, drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{
    Address, Content, DnsName, NonEmpty, OverrideKind, Owner, RecordData, ServiceKey, Subject, Ttl,
};

use crate::drive::{Do, Driver};
use crate::fleet::Truth;
use crate::network::{Cut, Life, NameServer};
use crate::proof::Broken;
use crate::sim::Sim;
use crate::world::{broken, bulk, truth};
use crate::zone::Trouble;

const SECOND: Duration = Duration::from_secs(1);

impl Driver {
    /// Something happens.
    pub(crate) async fn chaos(&mut self) {
        if self.now() >= self.chaos_until {
            return;
        }
        let pause = match self.rng.below(3) {
            0 => self.rng.between(50, 1000),
            1 => self.rng.between(1000, 8000),
            _ => self.rng.between(8000, 30000),
        };
        self.after(Duration::from_millis(pause), Do::Chaos);
        if self.reloads.chance(5) && self.with(|sim| sim.broken == Broken::Nothing) {
            self.reload();
        }
        match self.rng.below(100) {
            0..24 => self.endpoint(),
            24..26 => self.bulk_dies(),
            26..28 => self.roll_out(),
            28..30 => self.route(),
            30..34 => self.network(),
            34..38 => self.person().await,
            38..46 => self.api(),
            46..56 => self.service(),
            56..60 => self.empty_status(),
            60..66 => self.host_name(),
            66..80 => self.provider(),
            80..87 => self.by_hand(),
            87..91 => self.confirm_outage(),
            91..97 => self.restart(false).await,
            _ => self.restart(true).await,
        }
        self.publish();
    }

    fn endpoint(&mut self) {
        let mut ips = self.ips();
        if self.rng.chance(80) {
            ips.retain(|ip| !ip.to_string().starts_with("10."));
        }
        let Some(ip) = self.rng.pick(&ips).copied() else { return };
        let rng = &mut self.rng;
        let life = match rng.below(12) {
            0..5 => Life::Alive,
            5 | 6 => Life::Refuses,
            7 | 8 => Life::Silent,
            9 => Life::Hangs,
            10 => Life::Flaps(SECOND * rng.between(3, 90) as u32),
            _ => Life::Lossy(rng.between(5, 80)),
        };
        self.with(|sim| {
            sim.net.set(ip, life);
            sim.say(format!("endpoint {ip} is {life:?}"));
        });
    }

    /// A part of the large namespace dies at once, or is back.
    fn bulk_dies(&mut self) {
        let (member, percent) = (self.member(), *self.rng.pick(&[100, 60, 20]).unwrap());
        let rng = &mut self.rng;
        let life = *rng.pick(&[Life::Alive, Life::Silent, Life::Refuses]).unwrap();
        let mut sim = self.sim.lock().unwrap();
        let Some(truth) = sim.fleet.members[member].services.get(&bulk()) else { return };
        let all: Vec<IpAddr> = truth.addresses.iter().filter_map(Address::ip).collect();
        for ip in all.into_iter().filter(|_| rng.chance(percent)) {
            sim.net.set(ip, life);
        }
        sim.strict_wall.clear();
        sim.say(format!("{percent} percent of the large namespace in m{member} are {life:?}"));
    }

    /// A new Service comes to every member, and does not answer in any.
    fn roll_out(&mut self) {
        let life = *self.rng.pick(&[Life::Silent, Life::Refuses, Life::Status(500)]).unwrap();
        self.with(|sim| {
            sim.strict_wall.clear();
            let now = sim.now();
            for (m, member) in sim.fleet.members.iter_mut().enumerate() {
                let ip: IpAddr = format!("203.0.{}.200", 113 + m).parse().unwrap();
                sim.net.set(ip, life);
                member.services.entry(broken()).or_insert_with(|| Truth::of([Address::from(ip)]));
                member.tell(&broken(), now);
            }
            sim.say(format!("a new Service is rolled out to all members, and is {life:?}"));
        });
    }

    /// This host loses its route for IPv6, or has one again.
    fn route(&mut self) {
        self.with(|sim| {
            sim.strict_wall.clear();
            sim.net.no_v6 = !sim.net.no_v6;
            let what = format!("a route for IPv6: {}", !sim.net.no_v6);
            sim.say(what);
        });
    }

    /// A person overrides something of an address, a Service or a cluster, or takes it back.
    async fn person(&mut self) {
        let (ips, member) = (self.ips(), self.member());
        let services: Vec<ServiceKey> = self.with(|sim| sim.services.iter().cloned().collect());
        let name = self.with(|sim| sim.fleet.members[member].name.clone());
        let rng = &mut self.rng;
        let (Some(ip), Some(service)) = (rng.pick(&ips).copied(), rng.pick(&services).cloned()) else {
            return;
        };
        let subject = match rng.below(4) {
            0 => Subject::Cluster(name),
            1 => Subject::Service(service),
            2 => Subject::ServiceIn(service, name),
            _ => Subject::Address(Address::from(ip)),
        };
        let kind = *rng
            .pick(&[
                None,
                Some(OverrideKind::Drain),
                Some(OverrideKind::ForceIn),
                Some(OverrideKind::ForceOut),
            ])
            .unwrap();
        let span = rng.chance(60).then(|| Duration::from_secs(rng.between(1, 200)));
        self.obeys(subject, kind, span).await;
    }

    /// Every address that any Service has, or that a host name stands for.
    fn ips(&self) -> Vec<IpAddr> {
        self.with(|sim| {
            let truths = sim.fleet.members.iter().flat_map(|member| member.services.values());
            let named = sim.net.names.values().flat_map(|name| name.ips.iter().copied());
            let all: BTreeSet<IpAddr> = truths
                .flat_map(|truth| truth.addresses.iter().filter_map(Address::ip))
                .chain(named)
                .collect();
            all.into_iter().collect()
        })
    }

    fn network(&mut self) {
        let span = Duration::from_millis(self.rng.between(500, 120_000));
        let (cut, no_route) = (self.rng.chance(60), self.rng.chance(20));
        self.with(|sim| {
            let since = sim.now();
            if cut {
                sim.net.cut = Some(Cut { no_route });
                sim.say(format!("the prober is cut off for {span:?}"));
                return;
            }
            sim.strict_wall = sim.held_by_a_wall();
            sim.net.wall = Some(since);
            let what = format!("a wall comes up for {span:?}, strict for {:?}", sim.strict_wall);
            sim.say(what);
        });
        self.after(span, if cut { Do::Uncut } else { Do::Unwall });
    }

    fn member(&mut self) -> usize {
        let count = self.with(|sim| sim.fleet.members.len());
        self.rng.below(count as u64) as usize
    }

    fn api(&mut self) {
        if self.rng.chance(20) {
            return self.rebuild();
        }
        let (member, lies) = (self.member(), self.rng.chance(30));
        let span = Duration::from_millis(self.rng.between(200, 90_000));
        let silent = self.rng.chance(50);
        self.with(|sim| {
            sim.strict_wall.clear();
            let now = sim.now();
            let one = &mut sim.fleet.members[member];
            let api = one.api;
            if lies {
                one.lies = true;
            } else {
                one.lose(now);
                if silent {
                    sim.net.set(api, Life::Silent);
                }
            }
            sim.say(format!(
                "API of m{member} {} for {span:?}",
                if lies { "lists nothing" } else { "is away" }
            ));
        });
        if lies {
            self.list(member);
        }
        self.after(span, if lies { Do::Truthful(member) } else { Do::ApiBack(member) });
    }

    /// Another cluster comes up at the address of a member, and is filled by and by.
    fn rebuild(&mut self) {
        let member = self.member();
        let span = Duration::from_millis(self.rng.between(200, 90_000));
        self.with(|sim| {
            sim.strict_wall.clear();
            sim.fleet.members[member].rebuild();
            sim.say(format!("m{member} is rebuilt, and has all of its Services after {span:?}"));
        });
        self.list(member);
        self.after(span, Do::Filled(member));
    }

    fn service(&mut self) {
        let member = self.member();
        let services: Vec<ServiceKey> = self.with(|sim| sim.services.iter().cloned().collect());
        let Some(service) = self.rng.pick(&services).cloned() else { return };
        let add = self.rng.chance(60);
        let rng = &mut self.rng;
        let mut sim = self.sim.lock().unwrap();
        let sim = &mut *sim;
        sim.strict_wall.clear();
        let one = &mut sim.fleet.members[member];
        let what = match (one.services.contains_key(&service), add) {
            (true, false) => {
                one.services.remove(&service);
                "is deleted"
            }
            (_, true) => {
                let new = truth(rng, member as u64, &service, &mut sim.net.names);
                one.services.insert(service.clone(), new);
                "is as new"
            }
            (false, false) => return,
        };
        let now = sim.born.elapsed();
        one.tell(&service, now);
        let has = one.services.get(&service).map(|truth| truth.addresses.clone());
        sim.say(format!("service {} of m{member} {what}: {has:?}", service.name()));
    }

    fn empty_status(&mut self) {
        let member = self.member();
        let span = Duration::from_millis(self.rng.between(500, 60_000));
        let services: Vec<ServiceKey> =
            self.with(|sim| sim.fleet.members[member].services.keys().cloned().collect());
        let Some(service) = self.rng.pick(&services).cloned() else { return };
        self.with(|sim| {
            sim.strict_wall.clear();
            let now = sim.now();
            let one = &mut sim.fleet.members[member];
            if let Some(truth) = one.services.get_mut(&service) {
                truth.emptied.get_or_insert(now);
            }
            one.tell(&service, now);
            sim.say(format!("status of {} of m{member} is empty for {span:?}", service.name()));
        });
        self.after(span, Do::Refill(member, service));
    }

    fn host_name(&mut self) {
        let names: Vec<DnsName> = self.with(|sim| sim.net.names.keys().cloned().collect());
        let Some(name) = self.rng.pick(&names).cloned() else { return };
        let rng = &mut self.rng;
        let server = match rng.below(10) {
            0..3 => NameServer::Fails,
            3 => NameServer::Silent,
            4 => NameServer::Rotates(rng.between(1, 20) as u32),
            _ => NameServer::Answers,
        };
        let (hopeless, last) = (rng.chance(20), rng.below(250));
        self.with(|sim| {
            sim.strict_wall.clear();
            let known = sim.net.names.entry(name.clone()).or_default();
            if known.is_hopeless {
                // For ever is for ever.
                return;
            }
            known.server = server;
            if server == NameServer::Answers {
                known.ips = [format!("198.18.9.{}", last + 1).parse().unwrap()].into();
            }
            known.is_hopeless |= hopeless && matches!(server, NameServer::Fails | NameServer::Silent);
            let what =
                format!("host name {name}: {server:?}, {:?}, for ever: {}", known.ips, known.is_hopeless);
            sim.say(what);
        });
        if server != NameServer::Answers {
            let span = Duration::from_millis(self.rng.between(1000, 90_000));
            self.after(span, Do::Resolve(name));
        }
    }

    fn provider(&mut self) {
        let names: Vec<DnsName> = self.with(|sim| sim.names.keys().cloned().collect());
        let rng = &mut self.rng;
        let span = Duration::from_millis(rng.between(500, 100_000));
        let trouble = match rng.below(11) {
            0 => Trouble::Unavailable,
            1 => Trouble::ListFails,
            2 => Trouble::Throttled(rng.between(1, 60)),
            3 => Trouble::Conflicts(rng.between(20, 100)),
            4 => Trouble::Partial(rng.between(20, 80)),
            5 => Trouble::AnswerLost,
            6 => Trouble::ListStalls,
            7 => Trouble::Half(rng.between(20, 100)),
            8 => Trouble::Stops(rng.below(4) as usize),
            _ => Trouble::None,
        };
        let refused: BTreeSet<DnsName> = match rng.below(4) {
            0 => rng.pick(&names).into_iter().cloned().collect(),
            1 => (0..20).filter_map(|_| rng.pick(&names).cloned()).collect(),
            _ => BTreeSet::new(),
        };
        let slow = Duration::from_millis(if rng.chance(40) { rng.between(10, 9000) } else { 0 });
        self.with(|sim| {
            sim.say(format!("provider: {trouble:?}, refuses {}, {slow:?} slow, for {span:?}", refused.len()));
            (sim.zone.trouble, sim.zone.slow, sim.zone.refused) = (trouble, slow, refused);
        });
        self.after(span, Do::Untrouble);
    }

    /// A person edits the zone.
    fn by_hand(&mut self) {
        let dice = self.rng.below(4);
        let mut sim = self.sim.lock().unwrap();
        let owned: Vec<DnsName> = sim.zone.observed.owned().cloned().collect();
        let Some(name) = self.rng.pick(&owned).cloned() else { return };
        let mut sets = sim.zone.observed.at(&name).to_vec();
        let Some(at) = sets.iter().position(|set| set.claim.is_ours()) else { return };
        let version = sim.zone.version();
        match dice {
            0 => {
                sets.remove(at);
                sim.zone.cut_by_hand.insert(name.clone());
            }
            1 => sets[at].ttl = Ttl::new(777).unwrap(),
            _ if !matches!(sets[at].content.data(), Some(RecordData::A(_))) => return,
            2 => {
                let values = NonEmpty::new(["198.51.100.99".parse().unwrap()]).unwrap();
                sets[at].content = Content::Known(RecordData::A(values));
            }
            _ => {
                sets[at].claim = Owner::Ours(None);
                sim.zone.unmarked.insert(name.clone());
            }
        }
        if dice > 0 {
            sets[at].version = version;
        }
        sim.zone.edited = true;
        sim.say(format!("by hand ({dice}): {name}"));
        sim.zone.observed.replace(name, sets);
    }

    pub(crate) fn confirm_outage(&mut self) {
        self.with(|sim| {
            sim.strict_wall.clear();
            sim.say("an operator confirms the outage");
        });
        if let Some(run) = &self.run {
            run.confirm_outage.send_modify(|count| *count += 1);
        }
    }

    /// A new process; now and then with another member in the config, or without one.
    async fn restart(&mut self, crash: bool) {
        self.stop(crash).await;
        let pause = Duration::from_millis(self.rng.between(0, 20_000));
        let (member, leaves) = (self.member(), self.rng.chance(40));
        self.with(|sim| {
            sim.strict_wall.clear();
            let left = sim.fleet.configured().count();
            let one = &mut sim.fleet.members[member];
            if leaves && (left > 1 || !one.configured) {
                one.configured = !one.configured;
                let (name, configured) = (one.name.clone(), one.configured);
                sim.say(format!("{name} is in the config: {configured}"));
            }
        });
        if self.rng.chance(20) {
            self.delete_many();
        }
        // Nothing of the fleet is watched meanwhile; the world goes on at once afterwards.
        tokio::time::sleep(pause).await;
        self.start();
    }

    /// Services are deleted by the dozen while nobody watches.
    fn delete_many(&mut self) {
        let rng = &mut self.rng;
        let mut sim = self.sim.lock().unwrap();
        for member in &mut sim.fleet.members {
            member.services.retain(|_, _| rng.chance(25));
        }
        sim.say("most Services are deleted");
    }

    /// No more faults from now on. A person raises the limit for what deletes many names.
    pub(crate) async fn calm(&mut self) {
        if self.with(|sim| std::mem::replace(&mut sim.brakes.max_delete, 100)) < 100 {
            self.stop(false).await;
            self.start();
        }
        self.forget_plans();
        self.with(|sim| {
            sim.say("calm");
            sim.net.calm();
            let now = sim.now();
            for member in &mut sim.fleet.members {
                sim.net.set(member.api, Life::Alive);
                (member.lies, member.reachable) = (false, true);
                member.unfilled.clear();
                for truth in member.services.values_mut() {
                    truth.emptied = None;
                }
                for key in member.services.keys().cloned().collect::<Vec<_>>() {
                    member.tell(&key, now);
                }
            }
            sim.zone.trouble = Trouble::None;
            sim.zone.slow = Duration::ZERO;
            sim.zone.refused.clear();
        });
        for member in 0..self.with(|sim| sim.fleet.members.len()) {
            self.list(member);
        }
    }
}

impl Sim {
    /// Namespaces of which it is beyond doubt that they are held when all falls silent: what ever answered answers, and
    /// whichever single other namespace is left out, the rest is in several members.
    fn held_by_a_wall(&self) -> BTreeSet<Arc<str>> {
        let (mut well, mut places) = (BTreeSet::new(), BTreeMap::<Arc<str>, BTreeSet<usize>>::new());
        for (place, member) in self.fleet.configured().enumerate() {
            // What a cluster is said to have no longer is no longer asked, and no cluster's loss is seen beside another's.
            if member.lies || !member.unfilled.is_empty() || !member.is_certain() {
                return BTreeSet::new();
            }
            let view = member.view();
            for (key, published) in &view.services {
                let names = |name: &DnsName| {
                    self.net.names.get(name).and_then(|name| name.told.clone()).unwrap_or_default()
                };
                for (target, ip) in published.targets().flat_map(|target| {
                    let own = || target.address.ip().into_iter().collect();
                    let ips: BTreeSet<IpAddr> = target.address.hostname().map_or_else(own, names);
                    ips.into_iter().map(|ip| (target.clone(), ip)).collect::<Vec<_>>()
                }) {
                    if !self.net.has_route(ip) {
                        continue;
                    }
                    let account = self.ledger.at(ip, &target.spec);
                    if !account.has_answered() {
                        continue;
                    }
                    if !account.is_well() || !self.net.is_alive(ip) {
                        return BTreeSet::new();
                    }
                    well.insert(ip);
                    places.entry(key.namespace().into()).or_default().insert(place);
                }
            }
        }
        let several = |left_out: Option<&Arc<str>>| {
            let rest = places.iter().filter(|(namespace, _)| Some(*namespace) != left_out);
            rest.flat_map(|(_, places)| places).collect::<BTreeSet<_>>().len() > 1
        };
        let held =
            |one: &&Arc<str>| places.keys().filter(|other| other != one).all(|other| several(Some(other)));
        let held = places.keys().filter(held).cloned().collect();
        if well.len() > 3 && several(None) { held } else { BTreeSet::new() }
    }
}
