//! A listing and what was known before it, in one memory.

use std::cmp::Ordering;
use std::ops::Bound;

use imbl::OrdMap;

use super::{Observed, Sets};
use crate::name::DnsName;

/// Puts a listing into the memory of what is known already, as far as the two are alike: whoever compares them afterwards
/// pays for what differs. In parts, since a zone may be large.
#[derive(Debug)]
pub struct SharedListing {
    listed: Observed,
    known: Observed,
    shared: OrdMap<DnsName, Sets>,
    /// The name that was compared last, in canonical order.
    last: Option<DnsName>,
}

impl SharedListing {
    /// Nothing is compared yet.
    pub fn new(listed: Observed, known: Observed) -> Self {
        Self { shared: known.names.clone(), listed, known, last: None }
    }

    /// Compares the next names; returns whether there are more.
    pub fn step(&mut self, names: usize) -> bool {
        let from = || self.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let mut listed = self.listed.names.range::<_, DnsName>((from(), Bound::Unbounded)).peekable();
        let mut known = self.known.names.range::<_, DnsName>((from(), Bound::Unbounded)).peekable();
        let (mut last, mut changed) = (None, Vec::new());
        for _ in 0..names {
            let order = match (listed.peek(), known.peek()) {
                (Some((one, _)), Some((other, _))) => one.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let is = if order.is_le() { listed.next() } else { None };
            let was = if order.is_ge() { known.next() } else { None };
            let name = is.or(was).map(|(name, _)| name);
            let (is, was) = (is.map(|(_, sets)| sets), was.map(|(_, sets)| sets));
            if is != was {
                changed.extend(name.map(|name| (name.clone(), is.cloned())));
            }
            last = name;
        }
        let last = last.cloned();
        for (name, sets) in changed {
            match sets {
                Some(sets) => drop(self.shared.insert(name, sets)),
                None => drop(self.shared.remove(&name)),
            }
        }
        let more = last.is_some();
        self.last = last;
        more
    }

    /// The listing, and its own memory, which takes its time to give back.
    pub fn finish(self) -> (Observed, impl Send + 'static) {
        let (shared, mut listed) = (self.shared, self.listed);
        let memory = std::mem::replace(&mut listed.names, shared);
        (listed, (memory, self.known))
    }
}
