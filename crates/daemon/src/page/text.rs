//! Text on its way to a page.

use std::fmt::{self, Display};

use fleetdns_core::Verdict;
use fleetdns_core::text::printable_within;

/// Characters of one text that are shown.
const MOST: usize = 1000;

/// Text in which every character that acts or is not seen is escaped, as the command line does it, and that has an end.
/// A template escapes HTML.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text(Box<str>);

impl Text {
    pub(super) fn of(text: impl Display) -> Self {
        Self(printable_within(&text.to_string(), MOST).into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How bad something is. A page says it in a word and by colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Good,
    Note,
    Warning,
    Problem,
}

impl Level {
    pub(super) const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Healthy => Self::Good,
            Verdict::Unknown => Self::Note,
            Verdict::Suspect | Verdict::Recovering | Verdict::Suspended => Self::Warning,
            Verdict::Unhealthy => Self::Problem,
        }
    }
}

/// The word, which is the class of the style sheet too.
impl Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

/// A command line to copy; what a shell would act on is quoted.
pub(super) fn command(words: &[&str]) -> Text {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@%+,".contains(c);
    let quoted = |word: &&str| match word.chars().all(plain) && !word.is_empty() {
        true => (*word).to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    Text::of(words.iter().map(quoted).collect::<Vec<_>>().join(" "))
}

/// `1 name`, `2 names`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = match noun {
        _ if number == 1 => noun.to_owned(),
        "address" => "addresses".to_owned(),
        "canary" => "canaries".to_owned(),
        _ => format!("{noun}s"),
    };
    format!("{number} {plural}")
}
