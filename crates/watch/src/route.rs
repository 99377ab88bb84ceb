//! Views that were adopted from the zones, on their way to the members that they belong to.

use std::sync::Arc;

use fleetdns_core::{Inventory, MemberName, MemberView, Snapshot};
use fleetdns_planner::adopt as core_adopt;
use tokio::sync::watch;
use tracing::info;

use crate::entry::Entry;

/// Why a member that only the zones know keeps its records.
const UNNAMED: &str =
    "no section and no source of clusters names it, and not all sources have been read; its records stand";

/// Hands each view to its member. Views of members that are not configured go into the snapshot: as removed, or as stale
/// while it is not known yet which members there are.
pub(crate) fn adopt<'a>(
    out: &watch::Sender<Snapshot>,
    entry: impl Fn(&MemberName) -> Option<&'a Entry>,
    views: Vec<MemberView>,
    complete: bool,
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
            (view.inventory, view.fault) =
                if complete { (Inventory::Removed, None) } else { (Inventory::Stale, Some(UNNAMED.into())) };
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

/// All members are known now: those that nobody has named are removed.
pub(crate) fn remove_unnamed(out: &watch::Sender<Snapshot>, named: impl Fn(&MemberName) -> bool) {
    out.send_if_modified(|snapshot| {
        let left = snapshot.members.values().filter(|view| view.inventory != Inventory::Removed);
        let left: Vec<MemberName> = left.map(|view| view.name.clone()).filter(|name| !named(name)).collect();
        for name in &left {
            info!(member = %name, "member removed: every source has been read and none names it");
            if let Some(view) = snapshot.members.get_mut(name) {
                let view = Arc::make_mut(view);
                (view.inventory, view.fault) = (Inventory::Removed, None);
            }
        }
        !left.is_empty()
    });
}
