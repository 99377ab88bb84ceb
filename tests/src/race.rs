//! Time budgets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A time budget for several things that follow from one event.
#[derive(Debug)]
pub struct Race {
    what: String,
    start: Instant,
    budget: Duration,
}

impl Race {
    /// The event happens now.
    pub fn start(what: &str, budget: Duration) -> Self {
        Self { what: what.to_owned(), start: Instant::now(), budget }
    }

    /// What is left of the budget.
    pub fn left(&self) -> Duration {
        self.budget.saturating_sub(self.start.elapsed())
    }

    /// Waits for DNS to answer so before the budget is over.
    ///
    /// # Panics
    /// When it does not.
    pub async fn answers(&self, server: SocketAddr, name: &str, record_type: &str, expected: &[&str]) {
        crate::dns::wait_for(server, name, record_type, expected, self.left()).await;
    }

    /// Says how long all of it took.
    pub fn done(self) {
        eprintln!("{}: {:.2?} of {:?}", self.what, self.start.elapsed(), self.budget);
    }
}
