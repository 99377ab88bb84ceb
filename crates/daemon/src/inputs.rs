//! What every decision is made from, worked out once for all that read it: the zones, the admin API and the journal.

use std::sync::{Arc, Mutex, PoisonError};

use fleetdns_core::{Health, Overrides, Snapshot};
use fleetdns_planner::Input;
use tokio::sync::watch;

/// The latest members, verdicts and overrides. Each clone sees every change once.
#[derive(Debug, Clone)]
pub struct Inputs {
    snapshots: watch::Receiver<Snapshot>,
    health: watch::Receiver<Health>,
    overrides: watch::Receiver<Overrides>,
    shared: Arc<Mutex<Input>>,
}

impl Inputs {
    /// From what is watched, what is probed and what operators set.
    pub fn new(
        snapshots: watch::Receiver<Snapshot>,
        health: watch::Receiver<Health>,
        overrides: watch::Receiver<Overrides>,
    ) -> Self {
        Self { snapshots, health, overrides, shared: Arc::default() }
    }

    /// The latest; [`Inputs::changed`] waits for another one.
    pub fn latest(&mut self) -> Input {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: nobody takes the shared one back to what it was.
        let (snapshot, health) = (self.snapshots.borrow_and_update(), self.health.borrow_and_update());
        shared.update(&snapshot, &health, &self.overrides.borrow_and_update());
        shared.clone()
    }

    /// The latest, for a reader that waits for nothing.
    pub fn current(&self) -> Input {
        self.clone().latest()
    }

    /// Returns when there is another one than the last that was taken; `None` when the daemon is ending.
    pub async fn changed(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            Ok(()) = self.snapshots.changed() => Some(()),
            Ok(()) = self.health.changed() => Some(()),
            Ok(()) = self.overrides.changed() => Some(()),
            else => None,
        }
    }

    /// Whether there is another one than the last that was taken.
    pub fn has_changed(&self) -> bool {
        // A sender that is gone changes nothing.
        self.snapshots.has_changed().unwrap_or(false)
            || self.health.has_changed().unwrap_or(false)
            || self.overrides.has_changed().unwrap_or(false)
    }
}
