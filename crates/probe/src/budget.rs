//! How many probes one namespace may send to one address.
//!
//! Invariant: a namespace starts no more than [`RATE`] probes a second at one address, and [`RATE`] more at once; what one
//! uses up is not missed by another.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// Probes a second of one namespace at one address.
pub(crate) const RATE: u32 = 100;

/// So many accounts are kept before those that are settled are dropped.
const ROOMY: usize = 10_000;

/// When each namespace has paid for its probes of each address.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    paid_until: HashMap<(IpAddr, Option<Arc<str>>), Instant>,
}

impl Budget {
    /// Reserves a probe; returns when it may start, `now` or later.
    pub(crate) fn reserve(&mut self, address: IpAddr, namespace: Option<Arc<str>>, now: Instant) -> Instant {
        if self.paid_until.len() >= ROOMY {
            self.paid_until.retain(|_, until| *until > now);
        }
        let until = self.paid_until.entry((address, namespace)).or_insert(now);
        let free = (*until).max(now);
        *until = free + Duration::from_secs(1) / RATE;
        free.checked_sub(Duration::from_secs(1)).unwrap_or(now).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_gets_its_rate_at_an_address_and_another_its_own() {
        let (mut budget, now) = (Budget::default(), Instant::now() + Duration::from_secs(10));
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let starts: Vec<Instant> =
            (0..=2 * RATE).map(|_| budget.reserve(address, Some("big".into()), now)).collect();
        assert_eq!(starts.iter().filter(|start| **start == now).count(), RATE as usize + 1);
        assert_eq!(starts.last(), Some(&(now + Duration::from_secs(1))));
        assert_eq!(budget.reserve(address, Some("small".into()), now), now);
        assert_eq!(budget.reserve("10.0.0.2".parse().unwrap(), Some("big".into()), now), now);
    }
}
