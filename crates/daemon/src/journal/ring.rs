//! The events that are kept: so many, of which no namespace takes the place of the others.
//!
//! Invariant: when it is full, the oldest event of the namespace with the most of them makes room.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Event;

/// Events by number, bounded.
#[derive(Debug)]
pub(crate) struct Ring {
    most: usize,
    events: BTreeMap<u64, Arc<Event>>,
    /// The numbers of the events of each namespace; what is of none has a share too.
    shares: HashMap<Arc<str>, BTreeSet<u64>>,
    /// How many each namespace has.
    sizes: BTreeSet<(usize, Arc<str>)>,
}

impl Ring {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, events: BTreeMap::new(), shares: HashMap::new(), sizes: BTreeSet::new() }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Events after this number, in their order.
    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = &Arc<Event>> {
        self.events.range(seq.saturating_add(1)..).map(|(_, event)| event)
    }

    /// The number of the oldest event.
    pub(super) fn first(&self) -> Option<u64> {
        self.events.keys().next().copied()
    }

    /// Keeps an event; whether another one had to make room.
    pub(crate) fn push(&mut self, event: Arc<Event>) -> bool {
        self.change(&event.what.namespace.clone(), |numbers| {
            numbers.insert(event.seq);
        });
        self.events.insert(event.seq, event);
        if self.events.len() <= self.most {
            return false;
        }
        let largest = self.sizes.last().map(|(_, namespace)| Arc::clone(namespace));
        let oldest = largest.and_then(|namespace| self.shares.get(&namespace)?.first().copied());
        oldest.is_some_and(|seq| self.remove(seq).is_some())
    }

    /// Takes out the oldest events.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Arc<Event>> {
        let numbers: Vec<u64> = self.events.keys().take(count).copied().collect();
        numbers.into_iter().filter_map(|seq| self.remove(seq)).collect()
    }

    fn remove(&mut self, seq: u64) -> Option<Arc<Event>> {
        let event = self.events.remove(&seq)?;
        self.change(&event.what.namespace.clone(), |numbers| {
            numbers.remove(&seq);
        });
        Some(event)
    }

    fn change(&mut self, namespace: &Option<String>, change: impl FnOnce(&mut BTreeSet<u64>)) {
        let name: Arc<str> = namespace.as_deref().unwrap_or_default().into();
        let numbers = self.shares.entry(Arc::clone(&name)).or_default();
        self.sizes.remove(&(numbers.len(), Arc::clone(&name)));
        change(numbers);
        if numbers.is_empty() {
            self.shares.remove(&name);
        } else {
            self.sizes.insert((numbers.len(), name));
        }
    }
}
