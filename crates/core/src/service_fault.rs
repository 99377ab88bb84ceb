//! What is wrong with a Service that is otherwise published.

use std::time::Duration;

use thiserror::Error;

use crate::address::AddressError;
use crate::hostnames::Denied;
use crate::name::{DnsName, NameError};
use crate::policy::AddressDenied;
use crate::probe::Millis;
use crate::text::printable;

/// Something about a Service that is not as it should be; the rest of it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServiceFault {
    /// An item of the load balancer's status, or of the target annotation.
    #[error("{place} has an address that cannot be published: {source}")]
    Address {
        /// Where it stands.
        place: &'static str,
        /// What is wrong with it.
        source: AddressError,
    },
    /// An address that the policy denies.
    #[error("{place} has an address that may not be published: {denied}")]
    DeniedAddress {
        /// Where it stands.
        place: &'static str,
        /// Why, and what would allow it.
        denied: AddressDenied,
    },
    /// The hostname annotation or the name template returns something that is not a name.
    #[error("{place} asks for '{text}': {source}")]
    Hostname {
        /// Where it stands.
        place: &'static str,
        /// What was asked for.
        text: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// A host name that lies in none of the zones.
    #[error("the hostname annotation asks for '{name}', which lies in none of the zones")]
    NoZone {
        /// What was asked for.
        name: DnsName,
    },
    /// A host name that the namespace may not ask for.
    #[error("the host name {name} is denied: {denied}")]
    Denied {
        /// What was asked for.
        name: DnsName,
        /// Why, and what would allow it.
        denied: Denied,
    },
    /// More host names that cannot be used.
    #[error("{more} more host names cannot be used")]
    MoreHostnames {
        /// How many.
        more: usize,
        /// How many of them the namespace may not ask for.
        denied: usize,
    },
    /// More host names than the limits allow.
    #[error("limit: {first} and {more} more host names are refused; {key} in [limits] is {allowed}")]
    TooManyHostnames {
        /// One of those that are refused.
        first: DnsName,
        /// How many more are.
        more: usize,
        /// The key of the limit.
        key: &'static str,
        /// The limit.
        allowed: usize,
    },
    /// An annotation that is longer than the limit: a list was cut, anything else is as if it were not there.
    #[error(
        "the annotation {annotation} is longer than max-annotation = {limit} octets; the rest of it is not read"
    )]
    TooLong {
        /// Its name.
        annotation: String,
        /// What is allowed.
        limit: usize,
    },
    /// A probe interval that is shorter than the operator allows.
    #[error("the annotation probe-interval asks for {asked}; min-interval in [probe] is {least:?}")]
    TooOften {
        /// What was asked for.
        asked: Millis,
        /// What is allowed.
        least: Duration,
    },
    /// An annotation whose value cannot be used; it is as if it were not there.
    #[error("invalid annotation {annotation} = '{text}'; expected {expected}")]
    Annotation {
        /// Its name without the prefix.
        annotation: &'static str,
        /// Its value, for people.
        text: String,
        /// What would be right.
        expected: &'static str,
    },
}

impl ServiceFault {
    /// The value of an annotation cannot be used.
    pub fn annotation(annotation: &'static str, text: &str, expected: &'static str) -> Self {
        Self::Annotation { annotation, text: printable(text).into_owned(), expected }
    }
}
