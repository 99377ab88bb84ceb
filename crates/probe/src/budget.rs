//! How many probes one namespace may send: to one address, and in all.
//!
//! Invariant: a namespace starts no more than [`RATE`] probes a second at one address, and no more than its own rate in all;
//! as many more at once. What one uses up is not missed by another.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// Probes a second of one namespace at one address.
pub(crate) const RATE: u32 = 100;

/// So many accounts are kept before those that are settled are dropped.
const ROOMY: usize = 10_000;

const SECOND: Duration = Duration::from_secs(1);

/// An address, or all (`None`), and a namespace.
type Account = (Option<IpAddr>, Arc<str>);

/// When each namespace has paid for its probes.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Probes a second of one namespace in all.
    rate: NonZeroU32,
    paid_until: HashMap<Account, Instant>,
}

/// A probe that has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Later {
    /// When it may start.
    pub(crate) start: Instant,
    /// The namespace that pays for it.
    pub(crate) namespace: Arc<str>,
    /// Whether the address has its share, and not the namespace as a whole.
    pub(crate) of_address: bool,
}

impl Budget {
    pub(crate) fn new(rate: NonZeroU32) -> Self {
        Self { rate, paid_until: HashMap::new() }
    }

    pub(crate) const fn set_rate(&mut self, rate: NonZeroU32) {
        self.rate = rate;
    }

    /// Reserves a probe, for that of the namespaces which may start it first; `None`: it may start now. What belongs to no
    /// namespace always may.
    pub(crate) fn reserve(
        &mut self,
        address: IpAddr,
        namespaces: impl Iterator<Item = Arc<str>>,
        now: Instant,
    ) -> Option<Later> {
        if self.paid_until.len() >= ROOMY {
            self.paid_until.retain(|_, until| *until > now);
        }
        let start =
            |account: &Account| self.paid_until.get(account).map_or(now, |until| earliest(*until, now));
        let offers = namespaces.map(|namespace| {
            let mut account = (Some(address), namespace);
            let there = start(&account);
            account.0 = None;
            let in_all = start(&account);
            let of_address = there > in_all;
            Later { start: there.max(in_all), namespace: account.1, of_address }
        });
        let later = offers.min_by_key(|offer| offer.start)?;
        for (of, rate) in [(Some(address), RATE), (None, self.rate.get())] {
            let until = self.paid_until.entry((of, Arc::clone(&later.namespace))).or_insert(now);
            *until = (*until).max(now) + SECOND / rate;
        }
        (later.start > now).then_some(later)
    }
}

/// An account may be ahead by a second.
fn earliest(paid_until: Instant, now: Instant) -> Instant {
    paid_until.checked_sub(SECOND).unwrap_or(now).max(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u32 = 150;

    struct Bench {
        budget: Budget,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now() + Duration::from_secs(10);
            Self { budget: Budget::new(NonZeroU32::new(ALL).unwrap()), now }
        }

        /// How long a probe of these namespaces has to wait, and for whose sake.
        fn wait(&mut self, address: &str, namespaces: &[&str]) -> (Duration, bool) {
            let namespaces = namespaces.iter().map(|name| Arc::from(*name));
            let later = self.budget.reserve(address.parse().unwrap(), namespaces, self.now);
            later.map_or((Duration::ZERO, false), |later| (later.start - self.now, later.of_address))
        }

        fn at_once(&mut self, address: impl Fn(u32) -> String) -> usize {
            (0..1000).filter(|n| self.wait(&address(*n), &["big"]).0.is_zero()).count()
        }
    }

    #[test]
    fn a_namespace_gets_its_rate_at_an_address_and_another_its_own() {
        let mut bench = Bench::new();
        let waits: Vec<_> = (0..=2 * RATE).map(|_| bench.wait("10.0.0.1", &["big"])).collect();
        assert_eq!(waits.iter().filter(|(wait, _)| wait.is_zero()).count(), RATE as usize + 1);
        assert_eq!(waits.last(), Some(&(SECOND, true)));
        assert_eq!(bench.wait("10.0.0.1", &["small"]).0, Duration::ZERO);
        assert_eq!(bench.wait("10.0.0.1", &[]).0, Duration::ZERO, "a canary");
    }

    #[test]
    fn a_namespace_gets_its_rate_over_all_addresses_and_another_its_own() {
        let mut bench = Bench::new();
        let address = |n: u32| format!("10.1.{}.{}", n / 250, n % 250);
        assert_eq!(bench.at_once(address), ALL as usize + 1);
        let (wait, of_address) = bench.wait("10.0.0.9", &["big"]);
        assert!(wait > SECOND * 5 && !of_address, "{wait:?}");
        assert_eq!(bench.wait("10.0.0.9", &["small"]).0, Duration::ZERO);
        bench.now += SECOND * 100;
        assert_eq!(bench.at_once(address), ALL as usize + 1);
    }

    #[test]
    fn who_shares_an_endpoint_with_a_greedy_namespace_does_not_wait_for_it() {
        let mut bench = Bench::new();
        bench.at_once(|n| format!("10.1.{}.{}", n / 250, n % 250));
        for namespaces in [["big", "small"], ["small", "big"]] {
            assert_eq!(bench.wait("10.0.0.9", &namespaces).0, Duration::ZERO);
        }
    }
}
