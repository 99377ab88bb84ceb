//! One open watch: events as lines of JSON until its time is over or the server goes away.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::objects::{self, Kind};
use super::store::Gone;

/// A quiet watch says that it lives, when bookmarks are allowed.
const BOOKMARKS_EVERY: Duration = Duration::from_secs(10);

/// Where a watch starts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// After this version.
    After(u64),
    /// With an ADDED event for everything there is.
    WithAll {
        /// Whether a bookmark has to say where that ends.
        marked: bool,
    },
}

/// What a watch was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) start: Start,
    pub(super) bookmarks: bool,
    pub(super) time: Duration,
}

/// Counts as an open watch until dropped.
#[derive(Debug)]
struct Open(Arc<Cluster>, Kind);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.count(self.1, |open| open.saturating_sub(1));
    }
}

#[derive(Debug)]
struct Watching {
    open: Open,
    asked: Asked,
    at: u64,
    changes: watch::Receiver<u64>,
    down: CancellationToken,
    until: Instant,
    lines: VecDeque<Bytes>,
    ended: bool,
}

/// The body of a watch's answer. It ends when its time is over, when its start is not remembered any more, and at once
/// when the server goes `down`.
pub(super) fn lines(
    cluster: Arc<Cluster>,
    asked: Asked,
    down: CancellationToken,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    cluster.count(asked.kind, |open| open + 1);
    let changes = cluster.changes();
    let mut watching = Watching {
        open: Open(cluster, asked.kind),
        asked,
        at: 0,
        changes,
        down,
        until: Instant::now() + asked.time,
        lines: VecDeque::new(),
        ended: false,
    };
    watching.start();
    stream::unfold(watching, |mut watching| async move {
        let line = watching.next().await?;
        Some((Ok(line), watching))
    })
}

impl Watching {
    fn start(&mut self) {
        match self.asked.start {
            Start::After(version) => self.at = version,
            Start::WithAll { marked } => {
                let (version, all) = self.open.0.all(self.asked.kind);
                self.at = version;
                for object in all {
                    self.say("ADDED", &object);
                }
                if marked {
                    self.say("BOOKMARK", &objects::bookmark(self.asked.kind, version, true));
                }
            }
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            // Marked as seen before they are looked at, so that none falls between the two.
            self.changes.mark_unchanged();
            self.look();
            if self.lines.is_empty() {
                self.wait().await?;
            }
        }
    }

    fn look(&mut self) {
        match self.open.0.since(self.asked.kind, self.at) {
            Ok((version, events)) => {
                // A version of another life of this cluster may be ahead; the real server is silent then too.
                self.at = self.at.max(version);
                for (verb, object) in events {
                    self.say(verb.as_str(), &object);
                }
            }
            Err(Gone { oldest }) => {
                let message = format!("too old resource version: {} ({oldest})", self.at);
                self.say("ERROR", &objects::failure(410, "Expired", &message));
                self.ended = true;
            }
        }
    }

    /// Until there is something to look at. `None` when the server goes away.
    async fn wait(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            () = self.down.cancelled() => return None,
            Ok(()) = self.changes.changed() => {}
            () = tokio::time::sleep_until(self.until) => {
                self.bookmark();
                self.ended = true;
            }
            () = tokio::time::sleep(BOOKMARKS_EVERY) => self.bookmark(),
        }
        Some(())
    }

    fn bookmark(&mut self) {
        if self.asked.bookmarks {
            self.say("BOOKMARK", &objects::bookmark(self.asked.kind, self.at, false));
        }
    }

    fn say(&mut self, event: &str, object: &Value) {
        let mut line = json!({"type": event, "object": object}).to_string();
        line.push('\n');
        self.lines.push_back(line.into());
    }
}
