//! Views that were adopted from the zones, on their way to the members that they belong to.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetdns_core::{Inventory, MemberName, MemberView, Snapshot};
use fleetdns_planner::adopt as core_adopt;
use tokio::sync::watch;
use tracing::info;

use crate::entry::Entry;
use crate::settings::Completeness;

/// Why a member that only the zones know keeps its records.
const UNREAD: &str =
    "no section and no source of clusters names it, and not all sources have been read; its records stand";
const MOST: &str = "no section and no source of clusters names it, nor most of those that the zones know; its records stand until \
                    `fleetdns reload` or SIGHUP confirms that it is gone";

/// Why a member that has left keeps its records: the new one may be the same cluster under another name.
fn renamed(newcomer: &MemberName) -> Arc<str> {
    format!("it is not configured any more; its records stand until {newcomer} is listed, which may be the same cluster").into()
}

/// Hands each view to its member. Views of members that are not configured go into the snapshot: as stale, until
/// [`resolve`] finds that they are removed.
pub(crate) fn adopt<'a>(
    out: &watch::Sender<Snapshot>,
    entry: impl Fn(&MemberName) -> Option<&'a Entry>,
    views: Vec<MemberView>,
) {
    let mut unnamed = Vec::new();
    for view in views {
        match entry(&view.name) {
            Some(entry) => entry.adopt(view),
            None => unnamed.push(view),
        }
    }
    if unnamed.is_empty() {
        return;
    }
    out.send_if_modified(|snapshot| {
        let mut modified = false;
        for mut view in unnamed {
            (view.inventory, view.fault) = (Inventory::Stale, Some(UNREAD.into()));
            let known = snapshot.members.get(&view.name);
            let merged = match known {
                None => view,
                Some(known) => core_adopt::merge((**known).clone(), &view),
            };
            if known.is_none_or(|known| **known != merged) {
                modified = true;
                snapshot.members.insert(merged.name.clone(), Arc::new(merged));
            }
        }
        modified
    });
}

/// Removes the members that nobody names, as far as it is known that nobody does, and while no `newcomer` has to be listed
/// first.
pub(crate) fn resolve<'a>(
    out: &watch::Sender<Snapshot>,
    named: impl Iterator<Item = &'a MemberName>,
    completeness: Completeness,
    newcomer: Option<&MemberName>,
) {
    let named: BTreeSet<&MemberName> = named.collect();
    out.send_if_modified(|snapshot| {
        let left = snapshot.members.values().filter(|view| view.inventory != Inventory::Removed);
        let left: Vec<MemberName> =
            left.map(|view| view.name.clone()).filter(|name| !named.contains(name)).collect();
        let most = left.len() > 1 && left.len() > named.len();
        let (inventory, fault) = match (completeness, newcomer) {
            (Completeness::Unread, _) => (Inventory::Stale, Some(UNREAD.into())),
            (_, Some(newcomer)) => (Inventory::Stale, Some(renamed(newcomer))),
            (Completeness::Read, _) if most => (Inventory::Stale, Some(MOST.into())),
            (Completeness::Read | Completeness::Confirmed, _) => (Inventory::Removed, None),
        };
        let mut modified = false;
        for name in &left {
            let Some(view) = snapshot.members.get_mut(name) else { continue };
            if (view.inventory, &view.fault) == (inventory, &fault) {
                continue;
            }
            info!(member = %name, %inventory, "no section and no source of clusters names this member");
            let view = Arc::make_mut(view);
            (view.inventory, view.fault) = (inventory, fault.clone());
            modified = true;
        }
        modified
    });
}
