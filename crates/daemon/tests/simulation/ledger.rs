//! What probes said, kept beside the product and counted again: the evidence that a removal has to have.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{ProbeKey, ProbeSpec};
use fleetdns_health::state::Outcome;

pub(crate) const FALL: usize = 3;
pub(crate) const RISE: u32 = 2;

/// Why a probe may have failed through no fault of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    Endpoint,
    Cut,
    Wall,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) landed: u32,
    /// The last failures in a row, at most [`FALL`].
    failures: Vec<Blame>,
    successes: u32,
    passed: bool,
    pub(crate) out: bool,
    /// What each [`FALL`] failures in a row since it last answered were due to, when that was nothing of its own.
    pub(crate) excuse: Option<Blame>,
    has_own_faults: bool,
    doublings: u32,
    last_pass: Option<Duration>,
    went_out: Option<Duration>,
}

impl Account {
    fn take(&mut self, outcome: Outcome, blame: Blame, now: Duration) {
        self.landed += 1;
        match outcome {
            Outcome::Inconclusive => {}
            Outcome::Pass => self.pass(now),
            Outcome::Fail => self.fail(blame, now),
        }
    }

    fn pass(&mut self, now: Duration) {
        self.last_pass = Some(now);
        (self.passed, self.has_own_faults) = (true, false);
        self.failures.clear();
        self.successes += 1;
        if self.out && self.successes >= RISE << self.doublings {
            self.out = false;
        }
    }

    fn fail(&mut self, blame: Blame, now: Duration) {
        self.successes = 0;
        self.failures.push(blame);
        if self.failures.len() > FALL {
            self.failures.remove(0);
        }
        if self.failures.len() < FALL {
            return;
        }
        let all_due_to_us = blame != Blame::Endpoint && self.failures.iter().all(|one| *one == blame);
        self.has_own_faults |= !all_due_to_us;
        self.excuse = (!self.has_own_faults).then_some(blame);
        if self.out {
            return;
        }
        self.out = true;
        // What was due to us is no flap.
        if self.passed && self.has_own_faults {
            let again = self.went_out.is_some_and(|before| now - before < Duration::from_secs(600));
            self.doublings = if again { (self.doublings + 1).clamp(4, 6) } else { 0 };
            self.went_out = Some(now);
        }
    }

    /// Whether it is out by all that is known, and has not answered for as long as it takes to be out.
    pub(crate) fn is_dead(&self) -> bool {
        self.out && self.failures.len() == FALL
    }

    /// Whether it may count as alive: failures that fell into a doubt do not count, and those are not told apart here.
    pub(crate) fn may_be_alive(&self, now: Duration) -> bool {
        !self.is_dead() || self.last_pass.is_some_and(|at| now < at + Duration::from_secs(300))
    }

    pub(crate) const fn has_answered(&self) -> bool {
        self.passed
    }

    pub(crate) fn is_well(&self) -> bool {
        self.passed && !self.out && self.failures.is_empty()
    }
}

/// All accounts of one run of the prober.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: HashMap<ProbeKey, Account>,
    /// Probes under way: an account is not closed before they have landed.
    under_way: HashMap<ProbeKey, u32>,
    undesired: HashSet<ProbeKey>,
}

impl Ledger {
    pub(crate) fn start(&mut self, key: &ProbeKey) {
        *self.under_way.entry(key.clone()).or_default() += 1;
    }

    pub(crate) fn land(&mut self, key: &ProbeKey, outcome: Outcome, blame: Blame, now: Duration) {
        self.accounts.entry(key.clone()).or_default().take(outcome, blame, now);
        match self.under_way.get_mut(key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.under_way.remove(key)),
        }
        if self.undesired.remove(key) {
            self.accounts.remove(key);
        }
    }

    pub(crate) fn at(&self, ip: IpAddr, spec: &Arc<ProbeSpec>) -> Account {
        self.accounts.get(&ProbeKey { address: ip, spec: Arc::clone(spec) }).cloned().unwrap_or_default()
    }

    /// The prober forgets what nobody wants any more.
    pub(crate) fn keep(&mut self, desired: impl Fn(&ProbeKey) -> bool) {
        let Self { accounts, under_way, undesired } = self;
        undesired.retain(|key| !desired(key));
        accounts.retain(|key, _| {
            let keeps = desired(key) || under_way.contains_key(key);
            if keeps && !desired(key) {
                undesired.insert(key.clone());
            }
            keeps
        });
    }
}
