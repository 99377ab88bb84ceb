//! What a command waits for, on a terminal; nothing where standard error is none.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Between two pictures.
const TICK: Duration = Duration::from_millis(200);

/// The line that is shown now: lines of the log are written above it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes while no progress is shown.
pub fn suspend<T>(write: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// A line that is cleared when the command goes on to its answer.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins with a stage of so many steps.
    pub fn start(stage: &str, steps: usize) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_length(u64::try_from(steps).unwrap_or(u64::MAX));
        let progress = Self(bar);
        progress.show(stage, "{spinner} {msg}: {pos} of {len} ({elapsed})");
        progress.0.enable_steady_tick(TICK);
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.0.clone());
        progress
    }

    /// Another stage, whose steps are not counted.
    pub fn stage(&self, stage: &str) {
        self.show(stage, "{spinner} {msg} ({elapsed})");
    }

    fn show(&self, stage: &str, template: &str) {
        let style = ProgressStyle::with_template(template);
        self.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        self.0.set_message(stage.to_owned());
    }

    /// A step is done.
    pub fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.finish_and_clear();
    }
}
