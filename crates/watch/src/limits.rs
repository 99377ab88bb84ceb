//! How much is taken from one API server.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::time::Duration;

use tokio::time::Instant;

/// How much one member's API may send. Far above what a cluster has, and below what harms the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Services of one member, and nodes.
    pub objects: usize,
    /// Bytes of one object.
    pub object_size: usize,
    /// Bytes of one list, all its pages together, unpacked.
    pub list_size: u64,
}

impl Default for Limits {
    /// 100,000 objects of at most 2 MiB, and 1 GiB for a list.
    fn default() -> Self {
        Self { objects: 100_000, object_size: 2 << 20, list_size: 1 << 30 }
    }
}

/// Pages of one list. With 500 objects a page, the default limit of objects is reached after 200.
const PAGES: u32 = 10_000;

/// What is left of the limits while a list is read.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    objects: usize,
    bytes: u64,
    pages: u32,
}

impl Budget {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { limits, objects: limits.objects, bytes: limits.list_size, pages: PAGES }
    }

    /// So many bytes came in; says what limit they pass.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<(), String> {
        let left = u64::try_from(count).ok().and_then(|count| self.bytes.checked_sub(count));
        self.bytes = left.ok_or_else(|| {
            format!("a list of more than {}; max-list-size allows more", size(self.limits.list_size))
        })?;
        Ok(())
    }

    /// One object came in.
    pub(crate) fn object(&mut self) -> Result<(), String> {
        self.objects = self.objects.checked_sub(1).ok_or_else(|| too_many(self.limits.objects))?;
        Ok(())
    }

    /// One page came in, and says that there is another.
    pub(crate) fn page(&mut self) -> Result<(), String> {
        self.pages = self.pages.checked_sub(1).ok_or_else(|| format!("a list of more than {PAGES} pages"))?;
        Ok(())
    }
}

pub(crate) fn too_many(objects: usize) -> String {
    format!("more than {objects} objects; max-services allows more")
}

pub(crate) fn too_large(object_size: usize) -> String {
    let size = size(u64::try_from(object_size).unwrap_or(u64::MAX));
    format!("an object of more than {size}; max-object-size allows more")
}

fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 30 && bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

/// How fast the events of one watch are taken: what is more waits in the network.
///
/// Invariant: over any time t, at most `BURST` and t events are taken, each counted as `EVENT`.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When everything taken so far is paid for.
    paid: Instant,
}

/// 5,000 events a second, and 50,000 at once.
const EVENT: Duration = Duration::from_micros(200);
const BURST: Duration = Duration::from_secs(10);
/// So many bytes count as one more event.
const BYTES: usize = 4096;

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { paid: now.checked_sub(BURST).unwrap_or(now) }
    }

    /// When the next events may be taken.
    pub(crate) const fn next(&self) -> Instant {
        self.paid
    }

    /// Counts what was taken.
    pub(crate) fn take(&mut self, events: usize, bytes: usize, now: Instant) {
        let units = events.saturating_add(bytes / BYTES).saturating_add(1);
        let cost = EVENT.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX));
        let start = self.paid.max(now.checked_sub(BURST).unwrap_or(now));
        self.paid = start.checked_add(cost).unwrap_or(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_at_once_and_a_flood_is_slowed_down() {
        let start = Instant::now() + BURST;
        let mut pace = Pace::new(start);
        let mut taken = 0;
        for millisecond in 0..20_000 {
            let now = start + Duration::from_millis(millisecond);
            while pace.next() <= now {
                pace.take(99, 0, now);
                taken += 100;
            }
        }
        assert!((150_000..=150_200).contains(&taken), "{taken}");
        let later = start + Duration::from_secs(1000);
        assert!(pace.next() < later);
    }

    #[test]
    fn each_limit_says_which_key_allows_more() {
        let mut budget = Budget::new(Limits { objects: 2, object_size: 2048, list_size: 10 });
        assert!(budget.bytes(10).is_ok());
        assert_eq!(budget.bytes(1).unwrap_err(), "a list of more than 10 bytes; max-list-size allows more");
        assert!(budget.object().is_ok() && budget.object().is_ok());
        assert_eq!(budget.object().unwrap_err(), "more than 2 objects; max-services allows more");
        assert_eq!(too_large(2048), "an object of more than 2 KiB; max-object-size allows more");
        assert!((0..PAGES).all(|_| budget.page().is_ok()) && budget.page().is_err());
    }
}
