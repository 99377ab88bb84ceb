//! Taking up a changed configuration while running: who asks for it, and what is answered.
//!
//! A reload is asked for by SIGHUP, over the control socket, and by a change of any file that the configuration was read
//! from. Files are looked at by name, time, size and inode, with symbolic links followed, so that a file that is replaced
//! and a folder that is swapped (as Kubernetes does with a ConfigMap) are changes like any other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use crate::config::{Flags, Stamps, stamp};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A change counts when so many looks after it find nothing new: what is still being written is not read by half.
const QUIET: u32 = 2;

/// What became of a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What was taken up.
    pub changes: Vec<String>,
    /// What takes effect at the next start only.
    pub at_restart: Vec<String>,
    /// Everything that is wrong with the files. Nothing was taken up then.
    pub faults: Vec<String>,
    /// What is wrong with the sources of `[discovery]`. The rest was taken up.
    #[serde(default)]
    pub source_faults: Vec<String>,
}

impl Reloaded {
    /// Whether anything is wrong with the files or with a source of clusters.
    pub const fn has_fault(&self) -> bool {
        !(self.faults.is_empty() && self.source_faults.is_empty())
    }
}

/// How many reloads there were of the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReloadCount {
    /// Taken up.
    pub taken_up: u64,
    /// Not taken up because of a fault.
    pub failed: u64,
}

impl ReloadCount {
    /// One more.
    pub(crate) const fn add(&mut self, reloaded: &Reloaded) {
        match reloaded.faults.is_empty() {
            true => self.taken_up += 1,
            false => self.failed += 1,
        }
    }
}

/// Who asks for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A person or a service manager.
    Operator,
    /// Nobody: a file has changed. That alone does not remove most clusters.
    Files,
    /// Nobody: a source of clusters on a host cluster says something else. No file is read.
    Source,
}

/// Who asked for a reload, and where the answer is waited for.
pub type Asked = (Asker, oneshot::Sender<Reloaded>);

/// Where a reload is asked for.
#[derive(Debug, Clone)]
pub struct ReloadSender(mpsc::Sender<Asked>);

impl ReloadSender {
    /// A sender, and what it asks.
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (asked, receiver) = mpsc::channel(8);
        (Self(asked), receiver)
    }

    /// Asks for a reload; `None` when the daemon is ending.
    pub async fn reload(&self, asker: Asker) -> Option<Reloaded> {
        let (answer, answered) = oneshot::channel();
        self.0.send((asker, answer)).await.ok()?;
        answered.await.ok()
    }
}

/// Shows a line in place of the one before; `None`: no line any more.
pub type ShowLine = Box<dyn Fn(Option<&str>) + Send + Sync>;

/// What a running daemon reads again when it is asked to reload.
pub struct Source {
    /// The flags that it was started with.
    pub flags: Flags,
    /// Files that the configuration was read from.
    pub files: Stamps,
    /// Sets the level of the log.
    pub set_level: Box<dyn Fn(Level) + Send + Sync>,
    /// Shows how far the first sync is, where a person looks on.
    pub show: Option<ShowLine>,
}

/// Asks for a reload whenever a file has changed, until `shutdown`.
pub async fn follow_files(
    mut files: watch::Receiver<Stamps>,
    reload: ReloadSender,
    shutdown: CancellationToken,
) {
    let mut taken_up = files.borrow_and_update().clone();
    let (mut last, mut quiet) = (taken_up.clone(), 0);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        if files.has_changed().unwrap_or(false) {
            // A reload has read them.
            taken_up = files.borrow_and_update().clone();
        }
        let now = look(taken_up.keys().cloned().collect()).await;
        quiet = if now == last { quiet + 1 } else { 0 };
        if now != taken_up && quiet >= QUIET {
            taken_up.clone_from(&now);
            if reload.reload(Asker::Files).await.is_none() {
                return;
            }
        }
        last = now;
    }
}

/// Files may be on a disk that hangs: the others of this process do not wait for it.
async fn look(files: BTreeSet<PathBuf>) -> Stamps {
    let known = files.clone();
    let looking = tokio::task::spawn_blocking(move || {
        files.into_iter().map(|path| (stamp(&path), path)).collect::<Vec<_>>()
    });
    match looking.await {
        Ok(stamps) => stamps.into_iter().map(|(stamp, path)| (path, stamp)).collect(),
        Err(_) => known.into_iter().map(|path| (path, None)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for the next reload, and answers it; `None` when none comes within ten looks.
    async fn next(asked: &mut mpsc::Receiver<Asked>) -> Option<()> {
        let (asker, answer) = tokio::time::timeout(LOOK * 10, asked.recv()).await.ok()??;
        assert_eq!(asker, Asker::Files);
        answer.send(Reloaded::default()).ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_comes_goes_or_is_swapped_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for version in ["1", "2"] {
            std::fs::create_dir(path(version)).unwrap();
            std::fs::write(path(version).join("dns.conf"), version).unwrap();
        }
        std::os::unix::fs::symlink("1", path("data")).unwrap();
        std::os::unix::fs::symlink("data/dns.conf", path("dns.conf")).unwrap();
        std::fs::write(path("secret"), "a").unwrap();
        let names = ["dns.conf", "secret", "missing"].map(&path);
        let (files, followed) = watch::channel(look(BTreeSet::from(names)).await);
        let (reload, mut asked) = ReloadSender::new();
        let stop = CancellationToken::new();
        let task = tokio::spawn(follow_files(followed, reload, stop.clone()));
        assert_eq!(next(&mut asked).await, None, "nothing has changed");

        std::fs::write(path("secret"), "bb").unwrap();
        assert_eq!(next(&mut asked).await, Some(()));
        std::fs::write(path("missing"), "here").unwrap();
        assert_eq!(next(&mut asked).await, Some(()));
        std::fs::remove_file(path("missing")).unwrap();
        assert_eq!(next(&mut asked).await, Some(()));
        // As Kubernetes replaces a ConfigMap that is mounted as a folder.
        std::os::unix::fs::symlink("2", path("new")).unwrap();
        std::fs::rename(path("new"), path("data")).unwrap();
        assert_eq!(next(&mut asked).await, Some(()));
        assert_eq!(next(&mut asked).await, None, "once for each change");
        // What is still being written is not read.
        for length in 1..20 {
            std::fs::write(path("secret"), "c".repeat(length)).unwrap();
            assert!(tokio::time::timeout(LOOK + LOOK / 2, asked.recv()).await.is_err(), "{length}");
        }
        assert_eq!(next(&mut asked).await, Some(()));
        // A reload names a file that has changed since it was read.
        std::fs::write(path("new"), "1").unwrap();
        let read = look(BTreeSet::from([path("new")])).await;
        std::fs::write(path("new"), "22").unwrap();
        files.send_replace(read);
        assert_eq!(next(&mut asked).await, Some(()));
        stop.cancel();
        task.await.unwrap();
    }
}
