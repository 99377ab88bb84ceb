//! What is known of one member, from which its view is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::Catalog;
use fleetdns_core::lines::Lines;
use fleetdns_core::{Inventory, MemberView, ServiceKey};

use crate::place::Place;
use crate::settings::MemberConfig;

/// So many requests in a row without an answer, and the inventory is stale.
pub(crate) const MISSES: u32 = 2;
/// So many objects are named in a fault; the log names all.
const NAMED: usize = 3;

pub(crate) struct State {
    pub(crate) catalog: Catalog,
    /// Where zones said that the member is.
    pub(crate) adopted: Option<Place>,
    /// What its nodes said; kept while its API is away.
    pub(crate) learnt: Option<Place>,
    /// Start-up does not wait any longer.
    pub(crate) timed_out: bool,
    /// Requests in a row that gave nothing.
    pub(crate) misses: u32,
    pub(crate) api_fault: Option<Arc<str>>,
    pub(crate) node_faults: BTreeSet<String>,
    /// Objects that cannot be read, and why.
    pub(crate) unreadable: BTreeMap<String, String>,
    /// Log lines of each namespace.
    pub(crate) lines: Lines,
    /// The configuration does not name it any more.
    pub(crate) removed: bool,
    /// What was sent last.
    pub(crate) sent: MemberView,
}

impl State {
    pub(crate) fn new(catalog: Catalog, sent: MemberView) -> Self {
        Self {
            catalog,
            adopted: None,
            learnt: None,
            timed_out: false,
            misses: 0,
            api_fault: None,
            node_faults: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            lines: Lines::default(),
            removed: false,
            sent,
        }
    }

    pub(crate) fn readable(&mut self, key: &ServiceKey) {
        if !self.unreadable.is_empty() {
            self.unreadable.remove(&key.to_string());
        }
    }

    /// Whether an object may be taken in: it is known already, or there are fewer than so many.
    pub(crate) fn has_room(&self, key: &ServiceKey, most: usize) -> bool {
        let known = self.catalog.services();
        known.len().saturating_add(self.unreadable.len()) < most
            || known.contains_key(key)
            || self.unreadable.contains_key(&key.to_string())
    }

    /// The view without its services.
    pub(crate) fn header(&self, config: &MemberConfig) -> MemberView {
        let mut view = MemberView::pending(config.name.clone());
        view.listed = self.catalog.is_listed();
        view.inventory = match (view.listed, self.timed_out, self.misses) {
            (true, _, 0..MISSES) => Inventory::Live,
            (false, false, _) => Inventory::Pending,
            _ => Inventory::Stale,
        };
        let seen = self.place();
        view.region = config.region.clone().or(seen.region);
        view.zones = if config.zones.is_empty() { seen.zones } else { config.zones.clone() };
        view.fault = self.fault();
        view
    }

    fn place(&self) -> Place {
        self.learnt.clone().or_else(|| self.adopted.clone()).unwrap_or_default()
    }

    fn fault(&self) -> Option<Arc<str>> {
        let mut parts: Vec<String> = self.api_fault.iter().map(ToString::to_string).collect();
        if let Some(self_check) = self.catalog.unconfirmed() {
            let (missing, known) = (self_check.missing.len(), self_check.known);
            parts.push(format!(
                "the last list misses {missing} of {known} services; they stand until another list misses them too"
            ));
        }
        parts.extend(self.node_faults.iter().cloned());
        let named = self.unreadable.iter().take(NAMED);
        parts.extend(
            named.map(|(name, reason)| format!("service {name} cannot be read and is skipped: {reason}")),
        );
        if self.unreadable.len() > NAMED {
            parts.push(format!(
                "{} more services cannot be read; the log names them",
                self.unreadable.len() - NAMED
            ));
        }
        (!parts.is_empty()).then(|| parts.join(" · ").into())
    }
}
