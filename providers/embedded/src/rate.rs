//! How much a network may be sent that it has not asked with: response rate limiting.
//!
//! The source address of a datagram may be forged, and then somebody else gets the answer. What an answer is longer than
//! its question is counted for the network that it goes to; beyond its share the answer is cut to the question with the
//! hint that there is more over TCP, which nobody can forge. A real resolver loses nothing but a round trip.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Octets a second that one network is sent beyond what it asks with; and how many seconds' worth may be saved up.
const SHARE: u64 = 256 * 1024;
const SAVED: u64 = 4;
/// Networks that are counted at one time.
const NETWORKS: usize = 10_000;

/// From one sweep of a full table to the next.
const SWEEP: Duration = Duration::from_secs(1);

/// What each network was sent lately.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    spent: HashMap<u128, Spent>,
    /// When the quiet networks were last forgotten: not with each datagram of a flood.
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Spent {
    /// Octets, of which the share of each second is taken away again.
    octets: u64,
    at: Instant,
}

impl Spent {
    fn left(&self, now: Instant) -> u64 {
        let millis = u64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.octets.saturating_sub(SHARE.saturating_mul(millis) / 1000)
    }
}

impl Rates {
    /// Whether an answer may be this much longer than its question. This machine itself may be sent anything.
    pub(crate) fn admit(&self, ip: IpAddr, gain: usize) -> bool {
        gain == 0 || ip.to_canonical().is_loopback() || self.admit_at(network(ip), gain, Instant::now())
    }

    fn admit_at(&self, network: u128, gain: usize, now: Instant) -> bool {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.spent.len() >= NETWORKS && !table.spent.contains_key(&network) {
            if table.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP) {
                table.swept = Some(now);
                table.spent.retain(|_, spent| spent.left(now) > 0);
            }
            // So many networks at once are forged: no new one gets more than it asks with until some of them are quiet.
            if table.spent.len() >= NETWORKS {
                return false;
            }
        }
        let spent = table.spent.entry(network).or_insert(Spent { octets: 0, at: now });
        let octets = spent.left(now).saturating_add(u64::try_from(gain).unwrap_or(u64::MAX));
        if octets > SHARE * SAVED {
            return false;
        }
        *spent = Spent { octets, at: now };
        true
    }
}

/// Of IPv4 a /24, of IPv6 a /56, as BIND and Knot count them.
fn network(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits() >> 8),
        // No IPv6 network of global addresses is as small a number.
        IpAddr::V6(v6) => v6.to_bits() >> 72 << 72,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_gets_its_share_and_the_others_theirs() {
        let rates = Rates::default();
        let start = Instant::now();
        let admit = |ip: &str, seconds: u64| {
            rates.admit_at(network(ip.parse().unwrap()), 1024, start + Duration::from_secs(seconds))
        };
        let burst = SHARE * SAVED / 1024;
        assert_eq!((0..2 * burst).filter(|_| admit("192.0.2.1", 0)).count() as u64, burst);
        assert!(!admit("192.0.2.200", 0), "the whole /24 is one network");
        assert!(admit("192.0.3.1", 0) && admit("2001:db8::1", 0));
        assert_eq!((0..burst).filter(|_| admit("192.0.2.1", 1)).count() as u64, SHARE / 1024);
        assert!(admit("192.0.2.1", 100));
    }

    #[test]
    fn very_many_networks_take_no_more_room_than_many() {
        let rates = Rates::default();
        let now = Instant::now();
        for n in 0..30_000_u128 {
            assert_eq!(rates.admit_at(n, 1, now), n < NETWORKS as u128);
        }
        assert_eq!(rates.0.lock().unwrap().spent.len(), NETWORKS);
        assert!(rates.admit_at(77_777, 1, now + Duration::from_secs(1)), "the quiet ones are forgotten");
        assert!(Rates::default().admit("127.0.0.1".parse().unwrap(), usize::MAX), "nobody forges loopback");
    }
}
