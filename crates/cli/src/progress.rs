//! What a command waits for, on a terminal; nothing where standard error is none.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Between two pictures.
const TICK: Duration = Duration::from_millis(200);

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
        self.0.finish_and_clear();
    }
}
