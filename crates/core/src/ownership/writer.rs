//! Which process wrote a record, and in which of its passes, so that two daemons with one owner find each other: what a
//! person edits keeps the text of an earlier pass.

use std::fmt;
use std::str::FromStr;

use super::BadEvidence;

/// One process. The one that started first comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer {
    /// When it started, in seconds of Unix time; 0: it is one of several replicas that know of each other.
    pub started: u64,
    /// Drawn at its start.
    pub number: u32,
    /// Its passes so far.
    pub pass: u32,
}

impl Writer {
    /// Whether it is one of several replicas that know of each other.
    pub const fn is_replica(self) -> bool {
        self.started == 0
    }

    /// The same at its next pass.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { pass: self.pass.wrapping_add(1), ..self }
    }

    /// Whether both are one process.
    pub const fn is_same(self, other: Self) -> bool {
        self.started == other.started && self.number == other.number
    }
}

/// `1764421137-01f2e3d4-17`
impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}-{}", self.started, self.number, self.pass)
    }
}

impl FromStr for Writer {
    type Err = BadEvidence;

    fn from_str(text: &str) -> Result<Self, BadEvidence> {
        let mut parts = text.splitn(3, '-');
        let mut read = || {
            let started = parts.next()?.parse().ok()?;
            let number = u32::from_str_radix(parts.next()?, 16).ok()?;
            Some(Self { started, number, pass: parts.next()?.parse().ok()? })
        };
        let parsed = read();
        // There is one text for each.
        parsed.filter(|writer| writer.to_string() == text).ok_or_else(|| {
            let text = crate::text::printable(text).into_owned();
            BadEvidence { part: text.clone(), text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_the_same_in_each_of_its_passes() {
        let writer = Writer { started: 1_764_421_137, number: 7, pass: u32::MAX };
        assert_eq!(writer.next(), Writer { pass: 0, ..writer });
        let others = [writer.next(), Writer { number: 8, ..writer }, Writer { started: 0, ..writer }];
        assert_eq!(others.map(|other| writer.is_same(other)), [true, false, false]);
        assert_eq!(others.map(Writer::is_replica), [false, false, true]);
    }
}
