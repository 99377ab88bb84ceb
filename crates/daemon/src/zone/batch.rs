//! How many names are handed to the provider at once.

use std::time::Duration;

/// How many names are handed to the provider at once: as many as it writes in a moment, so that what dies meanwhile does
/// not wait for a long list.
#[derive(Debug)]
pub(super) struct Batch(pub(super) usize);

impl Batch {
    const LEAST: usize = 100;
    const MOST: usize = 10_000;
    const MOMENT: Duration = Duration::from_secs(2);

    /// So many names did not end: fewer are tried next, down to one.
    pub(super) fn shrink(&mut self, names: usize) {
        self.0 = (names / 2).max(1);
    }

    pub(super) fn learn(&mut self, names: usize, took: Duration) {
        if took > Self::MOMENT {
            self.0 = (self.0 / 2).max(Self::LEAST.min(self.0));
        } else if took * 4 < Self::MOMENT && names >= self.0 {
            self.0 = (self.0 * 2).min(Self::MOST);
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self(250)
    }
}
