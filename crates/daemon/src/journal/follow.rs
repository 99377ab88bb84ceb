//! What happens in the fleet as a whole, for the journal.

use std::collections::BTreeMap;

use fleetdns_core::{Inventory, MemberName, Override, Overrides, Snapshot, Subject};
use tokio_util::sync::CancellationToken;

use super::{Journal, Kind, What};
use crate::inputs::Inputs;

/// Follows the clusters and the prober's self-check until `shutdown`.
pub async fn follow(journal: Journal, mut inputs: Inputs, shutdown: CancellationToken) {
    journal.record([What::new(Kind::Started, format!("fleetdns {}", env!("CARGO_PKG_VERSION")))]);
    let mut clusters = Clusters::default();
    let mut self_check = None;
    let mut said = Overrides::default();
    loop {
        let input = inputs.latest();
        let events = clusters.take(input.fleet());
        journal.record(events);
        let now = input.health().self_check.clone();
        let (was, is) = (
            self_check.as_ref().map(fleetdns_core::SelfCheckFailure::kind),
            now.as_ref().map(fleetdns_core::SelfCheckFailure::kind),
        );
        if was != is {
            journal.record(was.map(|kind| What::new(Kind::SelfCheckPassed, kind)));
            journal.record(
                now.as_ref().map(|self_check| What::new(Kind::SelfCheckFailed, self_check.to_string())),
            );
            self_check = now;
        }
        let now = input.overrides().clone();
        journal.record(override_events(&said, &now));
        said = now;
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(()) = inputs.changed() => {}
            // The senders are gone: the daemon is ending.
            else => return,
        }
    }
}

/// Overrides that were set, and those that are over.
fn override_events(before: &Overrides, now: &Overrides) -> Vec<What> {
    let event = |kind, entry: &Override, text: String| {
        let what = What::new(kind, text);
        match &entry.subject {
            Subject::Cluster(name) | Subject::ServiceIn(_, name) => what.clusters([name]),
            Subject::Service(_) | Subject::Address(_) => what,
        }
    };
    let mut events = Vec::new();
    for entry in before.iter().filter(|entry| now.get(&entry.subject).is_none()) {
        events.push(event(Kind::OverrideOver, entry, format!("{} of {}", entry.kind, entry.subject)));
    }
    for entry in now.iter().filter(|entry| before.get(&entry.subject) != Some(entry)) {
        events.push(event(Kind::Override, entry, entry.to_string()));
    }
    events
}

/// The state of each cluster when it was last said.
#[derive(Debug, Default)]
struct Clusters(BTreeMap<MemberName, Inventory>);

impl Clusters {
    fn take(&mut self, snapshot: &Snapshot) -> Vec<What> {
        let mut events = Vec::new();
        for (name, member) in &snapshot.members {
            let before = self.0.insert(name.clone(), member.inventory);
            if before == Some(member.inventory) {
                continue;
            }
            let from = before.map(|before| format!("{before} → ")).unwrap_or_default();
            let fault = member.fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default();
            let text = format!("{from}{}{fault}", member.inventory);
            events.push(What::new(Kind::Cluster, text).clusters([name]));
        }
        let gone: Vec<MemberName> =
            self.0.keys().filter(|name| !snapshot.members.contains_key(*name)).cloned().collect();
        for name in gone {
            self.0.remove(&name);
            events.push(What::new(Kind::Cluster, "gone").clusters([&name]));
        }
        events
    }
}
