//! Who is connected to a listener: how many in all, and how many of one peer.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// One peer: an IPv4 address, or an IPv6 network of /64, in which one machine has as many addresses as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(v6) => Self(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// Admits connections up to a number in all, and of one peer. Cheap to clone.
#[derive(Clone)]
pub struct PeerLimit<K> {
    seated: Arc<Mutex<HashMap<K, usize>>>,
    most: usize,
    of_peer: usize,
}

/// The place of one connection, which is free again when this is dropped.
pub struct Permit<K: Hash + Eq> {
    seated: Arc<Mutex<HashMap<K, usize>>>,
    peer: K,
}

impl<K: Hash + Eq + Clone> PeerLimit<K> {
    /// Nobody yet.
    pub fn new(most: usize, of_peer: usize) -> Self {
        Self { seated: Arc::default(), most, of_peer }
    }

    /// A place for one more, or `None` when there is none left for it.
    pub fn admit(&self, peer: K) -> Option<Permit<K>> {
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = seated.get(&peer).copied().unwrap_or_default();
        if of_peer >= self.of_peer || seated.values().sum::<usize>() >= self.most {
            return None;
        }
        seated.insert(peer.clone(), of_peer + 1);
        Some(Permit { seated: Arc::clone(&self.seated), peer })
    }
}

impl<K: Hash + Eq> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = seated.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                seated.remove(&self.peer);
            }
        }
    }
}

impl<K> fmt::Debug for PeerLimit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd")
            .field("most", &self.most)
            .field("of_peer", &self.of_peer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peer_takes_the_places_of_all() {
        let limit: PeerLimit<Peer> = PeerLimit::new(3, 2);
        let peer = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        let one = limit.admit(peer("192.0.2.1")).unwrap();
        let _two = limit.admit(peer("::ffff:192.0.2.1")).unwrap();
        assert!(limit.admit(peer("192.0.2.1")).is_none(), "the mapped form is the same peer");
        let _three = limit.admit(peer("2001:db8::1")).unwrap();
        assert!(limit.admit(peer("192.0.2.2")).is_none(), "full");
        drop(one);
        let _four = limit.admit(peer("2001:db8::ffff")).unwrap();
        assert!(limit.admit(peer("2001:db8::2")).is_none(), "a /64 is one peer");
        assert_eq!(limit.seated.lock().unwrap().len(), 2, "who has gone leaves nothing");
    }
}
