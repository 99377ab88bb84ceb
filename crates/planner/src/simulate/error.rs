//! What cannot be understood in a scenario.

use fleetdns_core::text::printable_within;
use thiserror::Error;

/// Characters of a place and of a problem: a snapshot may come from somebody else.
const LONGEST: usize = 1_000;

/// What cannot be understood in a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct ScenarioError {
    /// Where it stands, as a path of keys.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

pub(super) fn fail<T>(place: impl Into<String>, problem: impl ToString) -> Result<T, ScenarioError> {
    let shown = |text: &str| printable_within(text, LONGEST).into_owned();
    Err(ScenarioError { place: shown(&place.into()), problem: shown(&problem.to_string()) })
}

pub(super) fn parse<T: std::str::FromStr<Err: ToString>>(
    place: &str,
    text: &str,
) -> Result<T, ScenarioError> {
    text.parse().or_else(|error: T::Err| fail(place, error.to_string()))
}
