//! A prober without a network: probes by the clock, judges, and publishes as the engine does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::state::{HealthState, Outcome};
use crate::{KeyId, Place, Probed, Reachability, Transition, VantageMonitor, VantageSettings, Weight};
use fleetdns_core::Thresholds;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::probe::Verdict;

pub(super) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) interval: u64,
    pub(super) fast: u64,
    pub(super) timeout: u64,
    pub(super) fall: u32,
}

impl Times {
    pub(super) const DEFAULT: Self = Self { interval: 5000, fast: 2000, timeout: 2000, fall: 3 };

    const fn thresholds(&self) -> Thresholds {
        Thresholds { fall: self.fall, rise: 2 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Pass,
    Refused,
    /// An answer that is wrong: a status, a certificate.
    Wrong,
    Silent,
}

impl Reply {
    const fn reachability(self) -> Reachability {
        match self {
            Self::Pass | Self::Wrong => Reachability::Reached,
            Self::Refused => Reachability::Refused,
            Self::Silent => Reachability::Unreached,
        }
    }
}

#[derive(Debug)]
struct Target {
    members: BTreeSet<usize>,
    canary: Option<usize>,
    phase: u64,
    health_state: HealthState,
    /// When the probe under way started, and how it will end.
    under_way: Option<(u64, Reply)>,
    published: Verdict,
}

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) at: u64,
    pub(super) key: usize,
    pub(super) verdict: Verdict,
}

pub(super) struct Prober {
    times: Times,
    pub(super) vantage: VantageMonitor,
    targets: Vec<Target>,
    /// When something happens to which key.
    events: BTreeSet<(u64, usize)>,
    /// What may have to be published.
    fresh: BTreeSet<usize>,
    pub(super) said: Vec<Said>,
    /// Each time that doubt changed.
    pub(super) self_checks: Vec<(u64, Option<&'static str>)>,
    pub(super) probes: usize,
    now: u64,
}

impl Prober {
    /// With so many canaries that belong to no member.
    pub(super) fn new(times: Times, canaries: usize) -> Self {
        Self::with(times, &vec![None; canaries], Some(600_000))
    }

    /// With canaries of these members, and the longest time of a correlation.
    pub(super) fn with(times: Times, canaries: &[Option<usize>], hold: Option<u64>) -> Self {
        let settings =
            VantageSettings { gap: ms(times.fast), patience: ms(2 * times.timeout), hold: hold.map(ms) };
        let vantage = VantageMonitor::new(settings, canaries.iter().map(|member| member.map(member_name)));
        let mut prober = Self {
            times,
            vantage,
            targets: Vec::new(),
            events: BTreeSet::new(),
            fresh: BTreeSet::new(),
            said: Vec::new(),
            self_checks: Vec::new(),
            probes: 0,
            now: 0,
        };
        for canary in 0..canaries.len() {
            let key = prober.add(&[], canary as u64 * 777);
            prober.targets[key].canary = Some(canary);
            prober.vantage.set_canary(canary, id(key), true);
        }
        prober
    }

    /// A key of these members, with its place in the interval.
    pub(super) fn add(&mut self, members: &[usize], phase: u64) -> usize {
        let places: Vec<(usize, &str)> = members.iter().map(|member| (*member, "default")).collect();
        self.add_in(&places, phase)
    }

    /// The same in these namespaces of theirs.
    pub(super) fn add_in(&mut self, places: &[(usize, &str)], phase: u64) -> usize {
        let key = self.targets.len();
        self.events.insert((self.now + phase % self.times.interval, key));
        for (member, namespace) in places {
            self.vantage.join(id(key), &place(*member, namespace));
        }
        self.targets.push(Target {
            members: places.iter().map(|(member, _)| *member).collect(),
            canary: None,
            phase: phase % self.times.interval,
            health_state: HealthState::default(),
            under_way: None,
            published: Verdict::Unknown,
        });
        key
    }

    /// The next probe of a key never ends.
    pub(super) fn hang(&mut self, key: usize) {
        self.events.retain(|(_, one)| *one != key);
        self.targets[key].under_way = Some((0, Reply::Silent));
    }

    pub(super) fn is_canary(&self, key: usize) -> bool {
        self.targets[key].canary.is_some()
    }

    pub(super) fn belongs_to(&self, key: usize, member: usize) -> bool {
        self.targets[key].members.contains(&member)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = usize> {
        (0..self.targets.len()).filter(|key| !self.is_canary(*key))
    }

    pub(super) fn published(&self, key: usize) -> Verdict {
        self.targets[key].published
    }

    /// Goes on up to this time. `network` says how a probe ends that starts at a time.
    pub(super) fn run(&mut self, to: u64, network: &dyn Fn(usize, u64) -> Reply) {
        loop {
            let turn = self.vantage.next_turn().map(|at| u64::try_from(at.as_millis()).unwrap());
            let event = self.events.first().map(|(at, _)| *at);
            let Some(now) = event.into_iter().chain(turn).min().filter(|now| *now <= to) else {
                self.now = to;
                return;
            };
            while let Some((_, key)) = self.events.first().copied().filter(|(at, _)| *at <= now) {
                self.events.pop_first();
                match self.targets[key].under_way.take() {
                    Some((started, reply)) => self.land(key, started, reply, now),
                    None => self.start(key, now, network),
                }
            }
            for asked in self.vantage.ask(ms(now)) {
                let key = asked.0 as usize;
                if self.targets[key].under_way.is_none() {
                    self.events.retain(|(_, one)| *one != key);
                    self.start(key, now, network);
                }
            }
            self.publish(now);
        }
    }

    fn start(&mut self, key: usize, now: u64, network: &dyn Fn(usize, u64) -> Reply) {
        self.probes += 1;
        let reply = network(key, now);
        let took = if reply == Reply::Silent { self.times.timeout } else { 5 };
        self.targets[key].under_way = Some((now, reply));
        self.events.insert((now + took, key));
    }

    fn land(&mut self, key: usize, started: u64, reply: Reply, now: u64) {
        let Times { interval, fast, .. } = self.times;
        let weight = match reply {
            Reply::Pass => Weight::Counts,
            _ => self.vantage.weigh(id(key), reply.reachability(), ms(started)),
        };
        let target = &mut self.targets[key];
        let outcome = match (reply, weight) {
            (Reply::Pass, _) => Outcome::Pass,
            (_, Weight::Void) => Outcome::Inconclusive,
            _ => Outcome::Fail,
        };
        if weight == Weight::Fresh {
            target.health_state.reset_failures();
        }
        let thresholds = self.times.thresholds();
        if target.health_state.record(outcome, ms(now), &thresholds, weight == Weight::Held).is_some() {
            self.fresh.insert(key);
        }
        let turning = target.health_state.is_turning(&thresholds);
        let pause = if turning { fast } else { interval };
        let slow = target.phase + (started + interval - target.phase) / interval * interval;
        let mut due = if pause < interval { started + pause } else { slow }.max(now);
        let probed = Probed {
            started: ms(started),
            ended: ms(now),
            reachability: reply.reachability(),
            verdict: target.health_state.verdict(),
            failures: target.health_state.failures(),
            calm: !turning,
            prompt: true,
        };
        if self.vantage.take(id(key), &probed) {
            due = now;
        }
        self.events.insert((due, key));
    }

    fn publish(&mut self, now: u64) {
        let before = self.vantage.self_check().map(fleetdns_core::SelfCheckFailure::kind);
        self.vantage.check(ms(now));
        self.apply_overrides();
        let self_check = self.vantage.self_check().map(fleetdns_core::SelfCheckFailure::kind);
        if self_check != before {
            self.self_checks.push((now, self_check));
        }
        let vantage = &self.vantage;
        self.fresh.retain(|key| {
            let target = &mut self.targets[*key];
            let verdict = target.health_state.verdict();
            if verdict == Verdict::Unhealthy && target.published != verdict && !vantage.may_go_out(id(*key)) {
                return true;
            }
            if target.published != verdict && target.canary.is_none() {
                target.published = verdict;
                self.said.push(Said { at: now, key: *key, verdict });
            }
            false
        });
    }

    /// An operator confirms it.
    pub(super) fn confirm_outage(&mut self, now: u64) -> Option<Transition> {
        let turn = self.vantage.confirm_outage(ms(now));
        self.apply_overrides();
        turn
    }

    fn apply_overrides(&mut self) {
        for key in self.vantage.take_back() {
            if self.targets[key.0 as usize].health_state.hold() {
                self.fresh.insert(key.0 as usize);
            }
        }
        for key in self.vantage.take_freed() {
            self.targets[key.0 as usize].health_state.reset_failures();
        }
    }

    /// When a key was first taken for out.
    pub(super) fn out_at(&self, key: usize) -> Option<u64> {
        self.said
            .iter()
            .find(|said| said.key == key && said.verdict == Verdict::Unhealthy)
            .map(|said| said.at)
    }

    /// When something was first taken for out while there was no doubt, and what.
    pub(super) fn taken_out(&self) -> Option<(u64, BTreeSet<usize>)> {
        let mut times: BTreeMap<u64, (Vec<Said>, Option<Option<&str>>)> = BTreeMap::new();
        for said in &self.said {
            times.entry(said.at).or_default().0.push(*said);
        }
        for (at, self_check) in &self.self_checks {
            times.entry(*at).or_default().1 = Some(*self_check);
        }
        let (mut out, mut self_check) = (BTreeSet::new(), None);
        for (at, (said, change)) in times {
            self_check = change.unwrap_or(self_check);
            for Said { key, verdict, .. } in said {
                if is_out(verdict) {
                    out.insert(key)
                } else {
                    out.remove(&key)
                };
            }
            if self_check.is_none() && !out.is_empty() {
                return Some((at, out));
            }
        }
        None
    }
}

const fn is_out(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Unhealthy | Verdict::Recovering)
}

pub(super) const fn id(key: usize) -> KeyId {
    KeyId(key as u32)
}

pub(super) fn place(member: usize, namespace: &str) -> Place {
    Place { member: member_name(member), namespace: namespace.into() }
}

pub(super) fn member_name(member: usize) -> MemberName {
    format!("m{member}").parse().unwrap()
}
