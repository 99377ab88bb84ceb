//! What should stand at each name once nothing goes wrong any more: worked out again, from the truth alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fleetdns_core::routing::Routing;
use fleetdns_core::{Address, AllDown, DnsName, OverrideKind};

use crate::names::{Level, Meaning};
use crate::sim::Sim;

/// How the addresses begin that host names resolve to.
const HOST_NAMES: &str = "198.18.";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Exactly these values.
    Is(BTreeSet<String>),
    /// These, and any of the addresses that host names have: one of its host names is never resolved again, and which
    /// of them it stands for depends on what was known when it was lost.
    ButHosts(BTreeSet<String>),
    /// At least these, and others that a brake may keep.
    AtLeast(BTreeSet<String>),
    /// Something: which one depends on what was there last.
    Something,
    Anything,
}

struct Candidate {
    priority: u16,
    /// By address: whether it is in.
    ips: BTreeMap<IpAddr, bool>,
    alive: bool,
    sent_out: bool,
}

impl Sim {
    /// The names that are not as they should be, in words.
    pub(crate) fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        let standing = self.zone.observed.owned().filter(|name| !self.names.contains_key(*name));
        found.extend(standing.map(|name| format!("{name} is ours and should not be")));
        for (name, meaning) in &self.names {
            let values = self.values(name);
            let expected = self.expected(name, meaning);
            let good = match &expected {
                Expected::Is(set) => values == *set,
                Expected::ButHosts(set) => {
                    values.symmetric_difference(set).all(|value| value.starts_with(HOST_NAMES))
                }
                Expected::AtLeast(set) => values.is_superset(set),
                Expected::Something => !values.is_empty(),
                Expected::Anything => true,
            };
            if !good {
                found.push(format!("{name} has {values:?}, expected {expected:?}"));
            }
        }
        found
    }

    fn expected(&self, name: &DnsName, meaning: &Meaning) -> Expected {
        if self.foreign.contains_key(name) {
            return Expected::Anything;
        }
        let members: Vec<_> = self
            .fleet
            .configured()
            .filter(|member| member.services.contains_key(&meaning.service) && !member.believed)
            .collect();
        if !members.iter().any(|member| meaning.speaks_of(member)) {
            return Expected::Is(BTreeSet::new());
        }
        let empty = |one: &&crate::fleet::Member| {
            one.services
                .get(&meaning.service)
                .is_none_or(|truth| truth.emptied.is_some() || truth.addresses.is_empty())
        };
        // A Service without any address says nothing that has to stand.
        if members.iter().all(empty) {
            return Expected::Anything;
        }
        let here = members.into_iter().filter(|member| meaning.speaks_of(member));
        let mut candidates: BTreeMap<&Address, Candidate> = BTreeMap::new();
        for member in here {
            let Some(truth) = member.services.get(&meaning.service).filter(|truth| truth.emptied.is_none())
            else {
                continue;
            };
            for address in &truth.addresses {
                let mut there = self.overrides.concerning(&member.name, &meaning.service, address);
                let new = self.candidate(address, member.priority, there.next().map(|entry| entry.kind));
                match candidates.get_mut(address) {
                    // One claim that is in is enough; a person who wants it in wins.
                    Some(known) => {
                        known.priority = match (known.alive, new.alive) {
                            (true, false) => known.priority,
                            (false, true) => new.priority,
                            _ => known.priority.min(new.priority),
                        };
                        known.alive |= new.alive;
                        known.sent_out &= new.sent_out;
                        for (ip, alive) in new.ips {
                            *known.ips.entry(ip).or_default() |= alive;
                        }
                    }
                    None => drop(candidates.insert(address, new)),
                }
            }
        }
        self.decision(candidates, meaning)
    }

    fn candidate(&self, address: &Address, priority: u16, kind: Option<OverrideKind>) -> Candidate {
        let ips: BTreeSet<IpAddr> = match address {
            Address::Hostname(name) => {
                self.net.names.get(name).map(|name| name.ips.clone()).unwrap_or_default()
            }
            other => other.ip().into_iter().collect(),
        };
        let alive = |ip: &IpAddr| match kind {
            Some(kind) => kind == OverrideKind::ForceIn,
            // What cannot be probed from here is published as its cluster says.
            None => self.net.is_alive(*ip) || !self.net.has_route(*ip),
        };
        let ips: BTreeMap<IpAddr, bool> = ips.into_iter().map(|ip| (ip, alive(&ip))).collect();
        let any = ips.values().any(|alive| *alive) || kind == Some(OverrideKind::ForceIn);
        Candidate { priority, alive: any, ips, sent_out: kind == Some(OverrideKind::ForceOut) }
    }

    fn decision(&self, mut candidates: BTreeMap<&Address, Candidate>, meaning: &Meaning) -> Expected {
        if self.routing == Routing::Failover {
            let best = candidates.values().filter(|one| one.alive).map(|one| one.priority).min();
            candidates.retain(|_, one| best.is_none_or(|best| one.priority <= best));
        }
        if let [(Address::Hostname(host), Candidate { alive: true, .. })] =
            candidates.iter().collect::<Vec<_>>().as_slice()
        {
            return Expected::Is([host.to_string()].into());
        }
        let alive: BTreeSet<String> = candidates
            .values()
            .flat_map(|one| &one.ips)
            .filter(|(_, alive)| **alive)
            .map(|(ip, _)| ip.to_string())
            .collect();
        if let (true, Some(up)) = (alive.is_empty(), &meaning.up) {
            return Expected::Is([up.to_string()].into());
        }
        let top = matches!(meaning.level, Level::Global | Level::Asked(_));
        if !alive.is_empty() {
            let few = top && alive.len() < self.brakes.min_kept;
            let lost = |host: &DnsName| self.net.names.get(host).is_some_and(|name| name.is_hopeless);
            return match few {
                true => Expected::AtLeast(alive),
                false if candidates.keys().filter_map(|one| one.hostname()).any(lost) => {
                    Expected::ButHosts(alive)
                }
                false => Expected::Is(alive),
            };
        }
        if candidates.values().all(|one| one.sent_out) {
            return Expected::Is(BTreeSet::new());
        }
        match self.brakes.all_down {
            AllDown::Empty => Expected::Is(BTreeSet::new()),
            // A new Service that never answered has nothing that could be kept.
            AllDown::Keep => Expected::Anything,
            AllDown::All => Expected::Something,
        }
    }
}
