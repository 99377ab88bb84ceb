//! When a backend that has a copy of its own may answer from it: start-up has converged, or has waited long enough.

use std::time::Duration;

use fleetdns_core::Capabilities;
use tokio::time::Instant;

use super::ZoneTask;

/// From one look to the next, when looking takes no time.
const LOOK: Duration = Duration::from_millis(20);

/// A start-up that has not converged.
#[derive(Debug)]
pub(super) struct StartUp {
    /// When it is looked at again.
    pub(super) look_at: Instant,
    /// When it is over, whatever it still waits for.
    ends_at: Instant,
}

impl StartUp {
    /// Of a zone of which each replica has a copy of its own; other backends answer whatever happens here.
    pub(super) fn of(capabilities: &Capabilities, timeout: Duration) -> Option<Self> {
        let now = Instant::now();
        capabilities.own_copy.then(|| Self { look_at: now, ends_at: now + timeout })
    }
}

impl ZoneTask {
    /// Tells the provider, once, that all that start-up has found is written.
    pub(super) async fn end_start_up(&mut self) {
        let now = Instant::now();
        let Some(start_up) = self.start_up.as_mut().filter(|start_up| start_up.look_at <= now) else {
            return;
        };
        if self.observed.is_none() {
            return;
        }
        let is_whole = self.scope.is_empty() && self.overrides.is_known() && self.planner.has_converged();
        if is_whole || now >= start_up.ends_at {
            self.start_up = None;
            self.provider.converged().await;
            // What the provider could not write shows now.
            return self.reading.soon();
        }
        // Looking at all endpoints of a large fleet takes its time, and may not take that of others.
        start_up.look_at = Instant::now() + LOOK.max(now.elapsed() * 10);
    }
}
