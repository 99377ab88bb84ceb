//! What went wrong with one call, by what the caller does next.

use std::time::Duration;

use fleetdns_core::{Pause, ProviderError};
use thiserror::Error;

/// What to do about a credential that is missing or too weak.
pub(crate) const TOKEN: &str =
    "give the token that it, or the proxy before it, asks for in bearer-token-file";

/// One call that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Fault {
    /// No connection: nothing was done.
    #[error("{0}")]
    Unreachable(String),
    /// The connection was cut, or nothing came in time: nobody knows what was done.
    #[error("{0}")]
    Lost(String),
    /// Something came that is no answer to what was asked.
    #[error("{0}")]
    Nonsense(String),
    /// A refusal that may be about one record of many.
    #[error("it answers {status}{text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it says, behind a colon; most say nothing.
        text: String,
    },
    /// We are asked to come again later.
    #[error("it asks to wait {} s", .0.seconds())]
    Throttled(Pause),
    /// A person has to mend something.
    #[error("{problem}")]
    Denied {
        /// What it says, or what is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Negotiate,
    Read,
    Adjust,
    Write,
}

impl Action {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Negotiate => "agree on the protocol",
            Self::Read => "list the records",
            Self::Adjust => "have the records adjusted",
            Self::Write => "write the records",
        }
    }
}

impl Fault {
    pub(crate) fn silent(after: Duration) -> Self {
        Self::Lost(format!("nothing came for {} s; timeout says how long it may take", after.as_secs_f64()))
    }

    pub(crate) fn into_error(self, endpoint: &str, action: Action) -> ProviderError {
        let (endpoint, action) = (endpoint.to_owned(), action.as_str());
        match self {
            Self::Throttled(pause) => ProviderError::Throttled { endpoint, seconds: pause.seconds() },
            Self::Refused { status: 403, text } => ProviderError::Denied {
                endpoint,
                action,
                problem: format!("it answers 403{text}"),
                remedy: TOKEN.to_owned(),
            },
            Self::Denied { problem, remedy } => ProviderError::Denied { endpoint, action, problem, remedy },
            fault => ProviderError::Unavailable { endpoint, action, source: Some(Box::new(fault)) },
        }
    }
}
