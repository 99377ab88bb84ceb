//! How much a backend may answer: bounds for one answer and for a listing of many pages.

use thiserror::Error;

/// Largest single answer of a backend, in bytes.
pub const ANSWER_BYTES: usize = 64 << 20;

/// What to do about a backend that answers more than is taken.
pub const REMEDY: &str = "see that this is the right server, and divide the zone if it is really so large";

/// What is left of the bounds of one listing.
#[derive(Debug, Clone)]
pub struct Allowance {
    pages: usize,
    records: usize,
    bytes: usize,
}

/// A listing that is larger than is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the listing has more than {limit} {unit}")]
pub struct Excess {
    limit: usize,
    unit: &'static str,
}

impl Allowance {
    /// Most pages of a listing.
    pub const PAGES: usize = 20_000;
    /// Most record sets, or keys, of a listing.
    pub const RECORDS: usize = 2_000_000;
    /// Most bytes of a listing.
    pub const BYTES: usize = 1 << 30;

    /// The bounds of a listing that has not begun.
    pub const fn new() -> Self {
        Self { pages: Self::PAGES, records: Self::RECORDS, bytes: Self::BYTES }
    }

    /// Takes off a page.
    ///
    /// # Errors
    /// When the listing is larger now than is taken.
    pub fn take(&mut self, records: usize, bytes: usize) -> Result<(), Excess> {
        let excess = |limit, unit| Excess { limit, unit };
        self.pages = self.pages.checked_sub(1).ok_or(excess(Self::PAGES, "pages"))?;
        self.records = self.records.checked_sub(records).ok_or(excess(Self::RECORDS, "records"))?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(excess(Self::BYTES, "bytes"))?;
        Ok(())
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_bounded_in_pages_records_and_bytes() {
        let mut endless = Allowance::new();
        let pages = (0..).take_while(|_| endless.take(1, 1).is_ok()).count();
        assert_eq!(pages, Allowance::PAGES);
        let excess = Allowance::new().take(usize::MAX, 0).unwrap_err();
        assert_eq!(excess.to_string(), "the listing has more than 2000000 records");
        assert!(Allowance::new().take(1, usize::MAX).is_err());
        assert!(Allowance::new().take(Allowance::RECORDS, Allowance::BYTES).is_ok());
    }
}
