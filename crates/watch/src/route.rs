//! Views that were adopted from the zones, on their way to the members that they belong to.

use std::sync::Arc;

use fleetdns_core::{Inventory, MemberName, MemberView, Snapshot};
use fleetdns_planner::adopt as core_adopt;
use tokio::sync::watch;

use crate::entry::Entry;

/// Hands each view to its member; views of members that are not configured go into the snapshot as removed.
pub(crate) fn adopt<'a>(
    out: &watch::Sender<Snapshot>,
    entry: impl Fn(&MemberName) -> Option<&'a Entry>,
    views: Vec<MemberView>,
) {
    let mut removed = Vec::new();
    for view in views {
        match entry(&view.name) {
            Some(entry) => entry.adopt(view),
            None => removed.push(view),
        }
    }
    if removed.is_empty() {
        return;
    }
    out.send_if_modified(|snapshot| {
        let mut modified = false;
        for mut view in removed {
            view.inventory = Inventory::Removed;
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
