//! What is said of a pass, in the log and to the rest of the daemon: each change of state once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::plan::{Held, Hold, Refused};
use fleetdns_core::{ClusterVerdict, DnsName, Move, NameChange, Scope, Way};
use tracing::{debug, info, warn};

use super::ZoneTask;

/// Plans of more names than this are said in one line.
const MANY: usize = 50;

impl ZoneTask {
    pub(super) fn say_written(&self, changes: &[NameChange], written: &BTreeSet<DnsName>, took: Duration) {
        let zone = &self.planner.zone().zone;
        let took_ms = took.as_millis();
        if written.len() > MANY {
            info!(%zone, names = written.len(), took_ms, "many names written");
        }
        for change in changes.iter().filter(|change| written.contains(&change.name)) {
            for one in &change.changes {
                let (verb, record_type, name) = (one.verb(), one.record_type(), &change.name);
                let values = one.after().map(|(set, _)| set.data.values().join(" ")).unwrap_or_default();
                if written.len() > MANY {
                    debug!(%zone, verb, %name, %record_type, %values, "record set written");
                } else {
                    info!(%zone, verb, %name, %record_type, %values, took_ms, "record set written");
                }
            }
        }
    }

    /// Says which addresses came and went, and why.
    pub(super) fn say_moved(&self, moves: &[Move], written: &BTreeSet<DnsName>) {
        let zone = &self.planner.zone().zone;
        for one in moves.iter().filter(|one| written.contains(&one.name)) {
            let (name, address, cause) = (&one.name, &one.address, one.cause.as_str());
            let members = one.members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            match one.way {
                _ if written.len() > MANY => {
                    debug!(%zone, %name, %address, way = ?one.way, cause, members, "address moved");
                }
                Way::In => debug!(%zone, %name, %address, cause, members, "address in"),
                Way::Out => info!(%zone, %name, %address, cause, members, "address out"),
            }
        }
    }

    /// Says which clusters have another verdict as a whole.
    pub(super) fn tell_clusters(&mut self) {
        let turned = self.planner.turned();
        for (cluster, verdict) in turned.iter().filter(|_| self.says_clusters) {
            match verdict {
                ClusterVerdict::Out => warn!(%cluster, %verdict, "every endpoint of the cluster is out"),
                ClusterVerdict::In => info!(%cluster, %verdict, "the cluster has endpoints that answer"),
                ClusterVerdict::Unknown | ClusterVerdict::Unprobed => {
                    debug!(%cluster, %verdict, "the cluster has no verdict as a whole");
                }
            }
        }
    }

    /// Says what is newly held or refused, and what no longer is.
    pub(super) fn tell(&self, scope: &Scope, held: &[Held], refused: &[Refused]) {
        let zone = &self.planner.zone().zone;
        let in_scope = |name: &str| match scope {
            Scope::All => true,
            Scope::Names(names) => name.parse().is_ok_and(|name: DnsName| names.contains(&name)),
        };
        let new_held: BTreeMap<DnsName, Held> =
            held.iter().map(|one| (one.name.clone(), one.clone())).collect();
        let mut new_refused: BTreeMap<Arc<str>, Vec<Refused>> = BTreeMap::new();
        // What Services say of themselves is not bound to a name in scope: it is always told anew.
        let faults: Vec<Refused> = match scope {
            Scope::All => Vec::new(),
            Scope::Names(_) => self.planner.faults().cloned().collect(),
        };
        for one in refused.iter().chain(&faults) {
            new_refused.entry(Arc::clone(&one.name)).or_default().push(one.clone());
        }
        self.status.send_modify(|status| {
            let before = status.held.iter().filter(|(name, _)| in_scope(name.as_str()));
            self.scribe.holds(before, &new_held);
            for (name, one) in &new_held {
                match &one.reason {
                    reason if status.held.get(name).is_some_and(|before| before.reason == *reason) => {}
                    // Every new address passes through this, most for milliseconds.
                    reason @ Hold::Undecided => debug!(%zone, %name, %reason, "kept for now"),
                    reason => info!(%zone, %name, %reason, "kept for now"),
                }
            }
            for (name, all) in &new_refused {
                for one in
                    all.iter().filter(|one| !status.refused.get(name).is_some_and(|old| old.contains(one)))
                {
                    warn!(%zone, %name, reason = %one.reason, "not written");
                }
            }
            status.held.retain(|name, _| !in_scope(name.as_str()));
            status.held.extend(new_held);
            let is_name = |text: &str| text.parse::<DnsName>().is_ok() && !text.contains('/');
            status.refused.retain(|name, _| is_name(name) && !in_scope(name));
            status.refused.extend(new_refused);
        });
    }

    pub(super) fn tell_startup(&self) {
        let startup = self.planner.startup().map(str::to_owned);
        if self.status.borrow().startup != startup {
            if startup.is_none() {
                info!(zone = %self.planner.zone().zone, "start-up has converged, removals are possible from now on");
            }
            self.status.send_modify(|status| status.startup = startup);
        }
    }
}
