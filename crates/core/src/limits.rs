//! How much a backend may answer: bounds for one answer and for a listing of many pages.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use thiserror::Error;

/// Largest single answer of a backend, in bytes.
pub const ANSWER_BYTES: usize = 64 << 20;

/// Most values in one answer in JSON: what is made of it takes a hundred times the memory of its shortest values.
pub const ANSWER_VALUES: usize = 2_000_000;

/// Sees, before an answer in JSON is parsed, that it has not so many values that what is made of them harms us. Costs no
/// memory, whatever the answer is.
///
/// # Errors
/// When it has more than `most`.
pub fn json_values(body: &[u8], most: usize) -> Result<(), Excess> {
    let (mut values, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values = values.saturating_add(1),
            _ => {}
        }
    }
    if values > most { Err(Excess { limit: most, unit: "values in one answer" }) } else { Ok(()) }
}

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
    fn the_values_of_an_answer_are_counted_without_parsing_it() {
        for (text, values) in
            [("{}", 1), ("[{},{},[1,2]]", 7), (r#"{"a":"[,{\",,","b":[]}"#, 3), (r#""\\",,"#, 2), ("", 0)]
        {
            let fits = |most: usize| json_values(text.as_bytes(), most).is_ok();
            assert!(fits(values) && (values == 0 || !fits(values - 1)), "{text}");
        }
        let error = json_values(b"[[]]", 1).unwrap_err();
        assert_eq!(error.to_string(), "the listing has more than 1 values in one answer");
    }

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
