//! The network as it really is: which address answers in which way, and whether the prober itself can hear anything.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use fleetdns_core::{DnsName, ProbeKey};
use fleetdns_probe::{Answer, Failure, Snag};

use crate::rng::mix;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);
/// A resolver returns up on a name server after this.
const NO_ANSWER: Duration = Duration::from_secs(10);

/// How an address answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Alive,
    Refuses,
    /// Every packet is dropped.
    Silent,
    /// Accepts, and then says nothing.
    Hangs,
    Status(u16),
    BadCertificate,
    /// Alive and silent in turn, each for so long.
    Flaps(Duration),
    /// So many percent of the probes are lost.
    Lossy(u64),
    /// So many probes in a row, of so many, are lost.
    Misses(u64, u64),
}

/// How the name server of a host name behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NameServer {
    #[default]
    Answers,
    /// Says at once that it cannot.
    Fails,
    /// Says nothing, until the resolver returns up.
    Silent,
    /// Each answer has so many other addresses.
    Rotates(u32),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct HostName {
    pub(crate) ips: BTreeSet<IpAddr>,
    pub(crate) server: NameServer,
    /// It stays as it is when all else is mended.
    pub(crate) is_hopeless: bool,
    /// What the prober was told last, and may believe.
    pub(crate) told: Option<BTreeSet<IpAddr>>,
    pub(crate) told_empty: u32,
    pub(crate) asked: u64,
}

/// The addresses of a host name with their TTL, or why they are not known.
pub(crate) type Resolved = Result<(BTreeSet<IpAddr>, Duration), String>;

/// The prober is cut off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// The own kernel says so.
    pub(crate) no_route: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) seed: u64,
    lives: BTreeMap<IpAddr, Life>,
    /// By port, where it differs.
    pub(crate) ports: BTreeMap<u16, Life>,
    pub(crate) names: BTreeMap<DnsName, HostName>,
    /// How often.
    asked: BTreeMap<IpAddr, u64>,
    /// This host has no route for IPv6.
    pub(crate) no_v6: bool,
    pub(crate) canaries: BTreeSet<IpAddr>,
    pub(crate) cut: Option<Cut>,
    /// All that is not a canary is dropped, since then.
    pub(crate) wall: Option<Duration>,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(crate) fn life(&self, ip: IpAddr) -> Life {
        self.lives.get(&ip).copied().unwrap_or(Life::Alive)
    }

    pub(crate) fn set(&mut self, ip: IpAddr, life: Life) {
        self.lives.insert(ip, life);
    }

    /// Whether this host has a route for the family of an address.
    pub(crate) const fn has_route(&self, ip: IpAddr) -> bool {
        !(self.no_v6 && ip.is_ipv6())
    }

    pub(crate) fn is_alive(&self, ip: IpAddr) -> bool {
        self.life(ip) == Life::Alive
    }

    /// How a probe that starts now ends, and when.
    pub(crate) fn answer(&mut self, key: &ProbeKey, now: Duration) -> (Duration, Answer) {
        let dice = self.dice(key, now);
        let quick = Duration::from_millis(1 + dice % 40);
        let silent = (TIMEOUT, Answer::Fail(Failure::NoConnection(TIMEOUT)));
        match self.cut {
            Some(Cut { no_route: true, .. }) => return (Duration::ZERO, Answer::Unclear(Snag::NoRoute)),
            Some(_) => return silent,
            None => {}
        }
        if !self.has_route(key.address) {
            return (Duration::ZERO, Answer::Unclear(Snag::NoRoute));
        }
        if self.wall.is_some() && !self.canaries.contains(&key.address) {
            return silent;
        }
        let elsewhere = key.spec.port().and_then(|port| self.ports.get(&port)).copied();
        let asked = self.asked.entry(key.address).or_default();
        *asked += 1;
        let asked = *asked;
        match elsewhere.unwrap_or_else(|| self.life(key.address)) {
            Life::Alive => (quick, Answer::Pass),
            Life::Refuses => (quick, Answer::Fail(Failure::Refused)),
            Life::Silent => silent,
            Life::Hangs => (TIMEOUT, Answer::Fail(Failure::NoAnswer(TIMEOUT))),
            Life::Status(status) => (quick, Answer::Fail(Failure::Status(status))),
            Life::BadCertificate => (quick, Answer::Fail(Failure::Certificate("has expired".into()))),
            Life::Flaps(period) if (now.as_millis() / period.as_millis()).is_multiple_of(2) => {
                (quick, Answer::Pass)
            }
            Life::Lossy(percent) if (dice >> 8) % 100 >= percent => (quick, Answer::Pass),
            Life::Misses(some, of) if asked % of >= some => (quick, Answer::Pass),
            Life::Flaps(_) | Life::Lossy(_) | Life::Misses(..) => silent,
        }
    }

    /// By chance, and the same for the same key at the same time: the order of probes does not count.
    fn dice(&self, key: &ProbeKey, now: Duration) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, key.address, now.as_millis()).hash(&mut hasher);
        mix(hasher.finish())
    }

    /// What a resolver says of a host name, and after how long.
    pub(crate) fn lookup(&mut self, name: &DnsName) -> (Duration, Resolved) {
        let cut = self.cut.is_some();
        let quick = Duration::from_millis(1 + mix(self.seed ^ name.as_str().len() as u64) % 20);
        let known = self.names.entry(name.clone()).or_default();
        known.asked += 1;
        let failed = || Err("no name server answers".to_owned());
        match known.server {
            NameServer::Silent => return (NO_ANSWER, failed()),
            NameServer::Fails => return (quick, failed()),
            _ if cut => return (quick, failed()),
            NameServer::Rotates(count) => {
                let first = mix(self.seed ^ known.asked) as u16;
                let ip = |n: u32| Ipv4Addr::from(0x6440_0000 + u32::from(first) * 16 + n);
                known.ips = (0..count).map(|n| IpAddr::V4(ip(n))).collect();
            }
            NameServer::Answers => {}
        }
        (quick, Ok((known.ips.clone(), Duration::from_secs(20))))
    }

    /// The prober hears an answer of [`Network::lookup`].
    pub(crate) fn tell(&mut self, name: &DnsName, answer: &Resolved) {
        let (Some(known), Ok((ips, _))) = (self.names.get_mut(name), answer) else { return };
        // What is said to be empty is believed the second time.
        known.told_empty = if ips.is_empty() { known.told_empty + 1 } else { 0 };
        if !ips.is_empty() || known.told_empty > 1 {
            known.told = Some(ips.clone());
        }
    }

    /// Ends everything that goes up and down by itself.
    pub(crate) fn calm(&mut self) {
        (self.cut, self.wall) = (None, None);
        for (ip, life) in &mut self.lives {
            let mut hasher = DefaultHasher::new();
            (self.seed, ip).hash(&mut hasher);
            let dead = mix(hasher.finish()) % 100 < 30;
            match life {
                Life::Flaps(_) | Life::Lossy(_) => *life = if dead { Life::Silent } else { Life::Alive },
                _ if !dead => *life = Life::Alive,
                _ => {}
            }
        }
        for name in self.names.values_mut().filter(|name| !name.is_hopeless) {
            name.server = NameServer::Answers;
        }
    }
}
