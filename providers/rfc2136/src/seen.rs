//! What is known of the zone: read by a listing, used and changed by a write, which may go on at the same time.
//!
//! Invariant: the lock is held for no I/O, so that a listing that stalls holds up no write.
//! Invariant: what was written while a transfer was under way is not taken back by what the transfer says.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fleetdns_core::{DnsName, Label, Listing};

use crate::listing::Zone;
use crate::transfer::Transfer;
use crate::view::Known;

/// Listings in a row that go by the serial alone. A database edited behind its server need not move it.
const MAX_SKIPS: u32 = 9;

/// The zone as it was last transferred, with what we wrote since.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    zone: Option<(Zone, Listing)>,
    /// `None` when it has moved since.
    serial: Option<u32>,
    skips: u32,
    /// Counts writes: when each begins, and each name that one has written.
    clock: u64,
    /// When a name was written, unless a listing that began later has come.
    written: HashMap<DnsName, u64>,
}

/// When a listing began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun(u64);

impl Seen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A listing begins. With the serial at which what is known is as good as a transfer.
    pub(crate) fn begin(&self) -> (Begun, Option<u32>) {
        let state = self.state();
        (Begun(state.clock), state.serial.filter(|_| state.zone.is_some() && state.skips < MAX_SKIPS))
    }

    /// What is known, when it still is as good as a transfer at this serial.
    pub(crate) fn unchanged(&self, serial: u32) -> Option<Listing> {
        let mut state = self.state();
        if state.serial != Some(serial) {
            return None;
        }
        state.skips += 1;
        state.zone.as_ref().map(|(_, listing)| listing.clone())
    }

    /// A listing ends with this.
    pub(crate) fn transferred(&self, begun: Begun, transfer: Transfer, owner: &Label) -> Listing {
        let Transfer { mut zone, serial } = transfer;
        let mut listing = zone.listing(owner);
        let mut state = self.state();
        state.written.retain(|_, when| *when > begun.0);
        if let Some((now, _)) = &state.zone {
            for name in state.written.keys() {
                let known = now.at(name);
                listing.observed.replace(name.clone(), known.observed(owner));
                zone.set(name.clone(), known);
            }
        }
        state.serial = (state.clock == begun.0).then_some(serial);
        state.skips = 0;
        // The old zone is let go without the lock.
        let old = state.zone.replace((zone, listing.clone()));
        drop(state);
        drop(old);
        listing
    }

    /// A write begins, which will make the next listing a transfer, whatever comes of it. Returns what is known of these
    /// names, and whether the zone is signed; `None` when it was never listed.
    pub(crate) fn write(&self, names: &[&DnsName]) -> Option<(Vec<Known>, bool)> {
        let mut state = self.state();
        let (zone, _) = state.zone.as_ref()?;
        let known = (names.iter().map(|name| zone.at(name)).collect(), zone.signed);
        state.serial = None;
        state.clock += 1;
        Some(known)
    }

    /// What is known of a name.
    pub(crate) fn at(&self, name: &DnsName) -> Known {
        self.state().zone.as_ref().map(|(zone, _)| zone.at(name)).unwrap_or_default()
    }

    /// A name was written.
    pub(crate) fn wrote(&self, name: &DnsName, known: Known, owner: &Label) {
        let mut state = self.state();
        state.clock += 1;
        state.serial = None;
        let clock = state.clock;
        state.written.insert(name.clone(), clock);
        if let Some((zone, listing)) = &mut state.zone {
            listing.observed.replace(name.clone(), known.observed(owner));
            zone.set(name.clone(), known);
        }
    }
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
