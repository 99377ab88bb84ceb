//! What a list changes: what the zone holds, and the members and overrides in its ownership records.

use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::ZoneTask;
use super::reading::Listed;
use fleetdns_core::{Listing, Observed};
use fleetdns_planner::Scope;
use fleetdns_planner::adopt::adopt;
use fleetdns_watch::Adopted;

/// Every so many lists the pass after it looks at all names.
const LISTS_TO_A_WHOLE_PASS: u32 = 10;

impl ZoneTask {
    /// Takes in a list that has ended.
    pub(super) async fn take_list(&mut self, listed: Listed) {
        let Listed { result, began, written, outdated } = listed;
        let zone = self.planner.zone().zone.clone();
        self.status.borrow().calls.list.listed(result.as_ref().err());
        let Listing { mut observed, unreadable } = match result {
            Ok(listing) => listing,
            Err(error) => {
                let news = self.reading.access.failed(&error, &zone, Instant::now());
                return self.report_fault(news);
            }
        };
        self.report_unreadable(unreadable);
        self.name_servers.set(&zone, observed.name_servers());
        self.name_servers.add_to(&mut observed);
        match &self.observed {
            None => self.adopt(&observed).await,
            Some(known) => {
                for name in written {
                    let sets = known.at(&name).to_vec();
                    observed.replace(name, sets);
                }
            }
        }
        self.look_for_other_writer(&observed);
        self.reading.access.works(&zone);
        let drift = if outdated { Duration::ZERO } else { self.drift };
        self.reading.drift_at = Instant::now() + drift;
        self.reading.lists = self.reading.lists.wrapping_add(1);
        let looked_at = self.names_to_recheck(&observed);
        self.changed.extend(looked_at.clone());
        self.scope.extend(looked_at);
        self.scope.extend(Scope::Names(self.pending.read(began)));
        self.observed = Some(observed.clone());
        self.status.send_modify(|status| {
            status.listed_at = Some(Instant::now());
            status.times.list.observe(began.elapsed().as_secs_f64());
            // Shown though writing rests: no pass may follow for long.
            status.observed = Some(observed);
        });
        self.report_fault(None);
    }

    /// Hands over the members and overrides in the zone's ownership records, before the first plan.
    async fn adopt(&self, observed: &Observed) {
        let members = adopt(self.planner.zone(), observed, &self.configured);
        debug!(zone = %self.planner.zone().zone, members = members.len(), "adopted what the zone says");
        let (adopted, taken) = Adopted::new(members);
        // Whoever takes it is gone only when the daemon is ending. Planned is on a snapshot that has it.
        if self.adopted.send(adopted).await.is_ok() {
            let _ = taken.await;
        }
        self.overrides.adopt(&self.planner.zone().zone, observed).await;
    }

    /// The names that a list returns cause to look at: those that are not as we left them, and those that are held or
    /// refused. All of them at the start, when what can be written at all is something else, and now and then, should
    /// anything have slipped.
    fn names_to_recheck(&self, listed: &Observed) -> Scope {
        let whole = self.reading.lists % LISTS_TO_A_WHOLE_PASS == 1;
        let same_rules = |before: &&Observed| before.same_limits(listed);
        match self.observed.as_ref().filter(|_| !whole).filter(same_rules) {
            None => Scope::All,
            Some(before) => {
                let status = self.status.borrow();
                let refused = status.refused.keys().filter_map(|name| name.parse().ok());
                let stuck = status.held.keys().cloned().chain(refused);
                Scope::Names(before.changed(listed).cloned().chain(stuck).collect())
            }
        }
    }
}
