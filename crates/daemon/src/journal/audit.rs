//! The audit file: one JSON object in each line, appended.
//!
//! Each event is one write(2) of a whole line, so that lines of two processes never mix and a crash of the daemon loses
//! nothing that was written; after each burst the file is synced to the disk. A file that was moved away or deleted is
//! made again at the next event, so that logrotate needs to tell us nothing; [`Journal::reopen`] does the same at once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{Event, Journal, Kind, What};

/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// Events that are written between two syncs, at most.
const BURST: usize = 1000;
/// What is still written when the daemon ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

impl Journal {
    /// Has every event from now on wait for the audit task.
    pub fn start_audit(&self) {
        self.state().audited = true;
    }

    /// Writes everything to the file until `shutdown`, and what is left then.
    ///
    /// A file that cannot be written is said once, and tried again every few seconds.
    pub async fn audit(self, path: PathBuf, shutdown: CancellationToken) {
        let mut file = AuditFile::new(Arc::from(path));
        loop {
            let done;
            (file, done) = self.write_all(file).await;
            self.tell(&file.path, &done);
            let pause = async {
                match done {
                    Ok(()) => self.0.work.notified().await,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = pause => {}
            }
        }
        // Whatever the other tasks, which have ended, said last.
        let rest = tokio::time::timeout(SHUTDOWN_GRACE, self.write_all(file)).await;
        if let Ok((file, done)) = rest {
            self.tell(&file.path, &done);
        }
    }

    async fn write_all(&self, mut file: AuditFile) -> (AuditFile, io::Result<()>) {
        if self.0.reopen.swap(false, Ordering::Relaxed) {
            file.open = None;
        }
        let mut opened = false;
        loop {
            let burst = Arc::new(self.burst());
            if burst.is_empty() && opened {
                return (file, Ok(()));
            }
            let (path, events) = (Arc::clone(&file.path), Arc::clone(&burst));
            let task = tokio::task::spawn_blocking(move || {
                let done = file.write(&events);
                (file, done)
            });
            // The thread does not panic; were it to, a new file is opened.
            let lost = |error| (AuditFile::new(path), (0, Err(io::Error::other(error))));
            let (back, (written, done)) = task.await.unwrap_or_else(lost);
            file = back;
            if done.is_err() {
                self.give_back(burst.get(written..).unwrap_or_default());
                return (file, done);
            }
            opened = true;
        }
    }

    fn burst(&self) -> Vec<Arc<Event>> {
        let mut state = self.state();
        let mut burst = Vec::new();
        if state.unsaid > 0 {
            let text = format!("{} events never came to this file", std::mem::take(&mut state.unsaid));
            // In the place of those that are gone, and with the number of the last of them.
            let seq = state.backlog.first().map_or(state.next, |first| first.saturating_sub(1));
            burst.push(Arc::new(Event { seq, time: super::now(), what: What::new(Kind::Lost, text) }));
        }
        burst.extend(state.backlog.take(BURST));
        burst
    }

    fn give_back(&self, events: &[Arc<Event>]) {
        let mut state = self.state();
        for event in events {
            state.backlog.push(Arc::clone(event));
        }
    }

    /// Says a fault and its end once.
    fn tell(&self, path: &Path, done: &io::Result<()>) {
        let fault = done.as_ref().err().map(|error| format!("{}: {error}", path.display()));
        let before = std::mem::replace(&mut self.state().stats.fault, fault.clone());
        match (before, fault) {
            (None, Some(fault)) => {
                error!(
                    fault,
                    "the audit file cannot be written; events wait in memory, and the oldest of very many are lost"
                );
            }
            (Some(_), None) => info!(path = %path.display(), "the audit file can be written again"),
            _ => {}
        }
    }
}

/// The file, and where it ought to be.
struct AuditFile {
    path: Arc<Path>,
    open: Option<File>,
    /// The last line may be there in part.
    torn: bool,
}

impl AuditFile {
    const fn new(path: Arc<Path>) -> Self {
        Self { path, open: None, torn: false }
    }

    /// Returns how many were written, and why not all of them.
    fn write(&mut self, events: &[Arc<Event>]) -> (usize, io::Result<()>) {
        let (mut written, mut torn) = (0, self.torn);
        let done = self.open().and_then(|file| append(file, events, &mut written, &mut torn));
        self.torn = torn;
        if done.is_err() {
            self.open = None;
        }
        (written, done)
    }

    /// The open file, or a new one where that is no longer the one at the path.
    fn open(&mut self) -> io::Result<&mut File> {
        let here = |file: &File, path: &Path| -> io::Result<bool> {
            let (mine, there) = (file.metadata()?, std::fs::metadata(path)?);
            Ok((mine.dev(), mine.ino()) == (there.dev(), there.ino()))
        };
        let file = match self.open.take() {
            Some(file) if here(&file, &self.path).unwrap_or(false) => file,
            _ => OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?,
        };
        Ok(self.open.insert(file))
    }
}

/// One write for each event. `torn`: the last line may be there in part, and has to be ended first.
fn append(file: &mut File, events: &[Arc<Event>], written: &mut usize, torn: &mut bool) -> io::Result<()> {
    for event in events {
        let mut line = if *torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, &**event)?;
        line.push(b'\n');
        *torn = true;
        file.write_all(&line)?;
        *torn = false;
        *written += 1;
    }
    if events.is_empty() { Ok(()) } else { file.sync_data() }
}
