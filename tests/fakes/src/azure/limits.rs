//! Rate limits: so many calls of a kind in a window.

use std::time::{Duration, Instant};

use super::{Answer, Call};

/// Limits of one zone.
#[derive(Debug, Clone)]
pub struct Limits {
    pub window: Duration,
    pub creates_and_updates: usize,
    pub deletes: usize,
    pub lists: usize,
    pub refused: usize,
    pub used: [(Option<Instant>, usize); 3],
}

impl Limits {
    /// What Microsoft documents for a public zone (2024-10-08): create and update 200, delete 200, list 60 in a minute.
    pub fn public(window: Duration) -> Self {
        Self {
            window,
            creates_and_updates: 200,
            deletes: 200,
            lists: 60,
            refused: 0,
            used: Default::default(),
        }
    }

    pub fn refuse(&mut self, call: &Call) -> Option<Answer> {
        let (lane, most) = match call.method.as_str() {
            "PUT" => (0, self.creates_and_updates),
            "DELETE" => (1, self.deletes),
            _ => (2, self.lists),
        };
        let (since, count) = &mut self.used[lane];
        let now = Instant::now();
        let start = since.filter(|start| now - *start < self.window);
        if start.is_none() {
            (*since, *count) = (Some(now), 0);
        }
        *count += 1;
        if *count <= most {
            return None;
        }
        self.refused += 1;
        let left = self.window - (now - start?);
        let seconds = left.as_millis().div_ceil(1000);
        let message = "Too many operations are requested; try again later.";
        let answer = Answer::twice(429, "Throttled", message).header("retry-after", seconds);
        // For windows that are shorter than Azure's.
        Some(answer.header("x-ms-retry-after-ms", left.as_millis() + 1))
    }
}
