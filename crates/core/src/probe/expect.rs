//! Which HTTP statuses pass.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// What passes unless something else is asked for: a redirect is an answer, and is not followed.
const DEFAULT: [(u16, u16); 1] = [(200, 399)];

/// The statuses that pass: 200 to 399 unless others are asked for.
///
/// Invariant: two that take the same statuses are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expect(Option<Arc<[(u16, u16)]>>);

/// Not a list of statuses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid statuses '{0}'; expected 200 to 599, such as 200,204,300-399")]
pub struct BadExpect(pub String);

impl Expect {
    /// Whether a final status passes.
    pub fn takes(&self, status: u16) -> bool {
        self.ranges().iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// Whether it is what passes unless something else is asked for.
    pub const fn is_default(&self) -> bool {
        self.0.is_none()
    }

    fn ranges(&self) -> &[(u16, u16)] {
        self.0.as_deref().unwrap_or(&DEFAULT)
    }
}

/// Statuses and ranges with `,` between them.
impl FromStr for Expect {
    type Err = BadExpect;

    fn from_str(text: &str) -> Result<Self, BadExpect> {
        let bad = || BadExpect(text.to_owned());
        let status = |text: &str| {
            let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u16>().ok().filter(|status| digits && (200..600).contains(status))
        };
        let mut ranges = Vec::new();
        for item in text.split(',').map(str::trim) {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            match (status(first.trim()), status(last.trim())) {
                (Some(first), Some(last)) if first <= last => ranges.push((first, last)),
                _ => return Err(bad()),
            }
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Ok(Self((merged != DEFAULT).then(|| merged.into())))
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_statuses_are_put_in_order() {
        for (text, shown) in [
            ("200", "200"),
            ("200,204,300-399", "200,204,300-399"),
            ("301, 200 - 204 ,203", "200-204,301"),
            ("300-399,200-299", "200-399"),
            ("404,404", "404"),
            ("200,201,202", "200-202"),
        ] {
            let expect: Expect = text.parse().unwrap();
            assert_eq!(expect.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<Expect>().unwrap(), expect);
        }
        assert_eq!("399,200-398".parse::<Expect>().unwrap(), Expect::default());
        for bad in [
            "", ",", "200,", "20", "2000", "199", "600", "100-200", "300-200", "2xx", "200-", "+20",
            "200;204",
        ] {
            assert!(bad.parse::<Expect>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_listed_passes() {
        let takes = |text: &str, status| text.parse::<Expect>().unwrap().takes(status);
        assert!(takes("200,300-302", 200) && takes("200,300-302", 301) && takes("404", 404));
        assert!(!takes("200,300-302", 204) && !takes("200,300-302", 303) && !takes("404", 200));
        let default = Expect::default();
        assert_eq!([199, 200, 399, 400].map(|status| default.takes(status)), [false, true, true, false]);
    }
}
