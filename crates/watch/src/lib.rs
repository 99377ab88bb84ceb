//! Kubernetes → [`Snapshot`]: what the members of the fleet publish, as it is now.
//!
//! Reads: Services of type LoadBalancer, and region and zone labels of nodes, of every member's API; what the zones say
//! of members whose API is away ([`run`]'s `adopted`). Returns: one [`Snapshot`], changed at once with every event.
//!
//! Invariant: one task for each member; one that hangs, refuses or lies never delays another.
//! Invariant: only a complete list replaces what is known; a fault leaves it as it is and is said in `fault`.
//! Invariant: an entry of the snapshot has one writer, and what did not change keeps its `Arc`.
//! Invariant: no token, key or plugin output is logged, and none that an API server echoes.
//! Invariant: what an API server sends is bounded in bytes, objects, pages, events a second and time.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod access;
mod api;
mod backoff;
pub mod catalog;
mod certificate;
mod check;
mod chosen;
mod credential;
mod entry;
mod error;
mod feed;
mod kubeconfig;
mod limits;
mod lines;
mod list;
mod nodes;
mod normal;
mod once;
mod place;
mod plugin;
mod proxy;
mod route;
mod secrets;
mod settings;
mod state;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{MemberName, MemberView, Snapshot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use access::{Access, contexts, server};
pub use check::check;
pub use error::{AccessError, WatchError};
pub use limits::Limits;
pub use once::list_once;
pub use settings::{MemberConfig, Turns, WatchSettings};

use entry::Entry;
use feed::Feed;

/// What a zone says of members, and who waits until it is part of the snapshot.
#[derive(Debug)]
pub struct Adopted {
    views: Vec<MemberView>,
    taken: oneshot::Sender<()>,
}

impl Adopted {
    /// What a zone says, and a receiver that is told when it counts.
    pub fn new(views: Vec<MemberView>) -> (Self, oneshot::Receiver<()>) {
        let (taken, told) = oneshot::channel();
        (Self { views, taken }, told)
    }

    /// Hands it over to `take`, and tells so.
    pub fn take(self, take: impl FnOnce(Vec<MemberView>)) {
        take(self.views);
        // Who does not wait for it does not have to be told.
        let _ = self.taken.send(());
    }
}

/// Watches all members until `shutdown`. Members are `pending` in the first snapshot; views that come over `adopted`
/// stand in for members that are not listed yet, are what a first list is measured by, and give the members that are not
/// configured, as removed.
///
/// # Errors
/// When the task of a member ends though nobody asked it to. A member's API that is away is no error.
pub async fn run(
    members: Vec<MemberConfig>,
    settings: WatchSettings,
    adopted: mpsc::Receiver<Adopted>,
    out: watch::Sender<Snapshot>,
    shutdown: CancellationToken,
) -> Result<(), WatchError> {
    let nobody: Turns = (Duration::from_secs(3600), Arc::new(|_| {}));
    run_with_turns(members, settings, adopted, out, nobody, shutdown).await
}

/// [`run`], with a call for each member this often while its watch goes on or waits for its turn, so that somebody else
/// can see when it hangs. While a request is under way there is no call: the longest takes ten times the request timeout.
///
/// # Errors
/// As [`run`].
pub async fn run_with_turns(
    members: Vec<MemberConfig>,
    settings: WatchSettings,
    adopted: mpsc::Receiver<Adopted>,
    out: watch::Sender<Snapshot>,
    turns: Turns,
    shutdown: CancellationToken,
) -> Result<(), WatchError> {
    let (settings, out) = (Arc::new(settings), Arc::new(out));
    let mut entries = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut names = HashMap::new();
    for member in members {
        let name = member.name.clone();
        let entry = Arc::new(Entry::new(member, &settings, Arc::clone(&out)));
        let task = watch_member(Arc::clone(&entry), Arc::clone(&settings), turns.clone());
        names.insert(tasks.spawn(task).id(), name.clone());
        entries.insert(name, entry);
    }
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        never = take_adopted(&out, &entries, adopted) => match never {},
        Some(ended) = tasks.join_next_with_id() => {
            let (id, reason) = match ended {
                Ok((_, never)) => match never {},
                Err(error) => (error.id(), error.to_string()),
            };
            match names.remove(&id) {
                Some(member) => Err(WatchError::Ended { member, reason }),
                None => Ok(()),
            }
        }
    }
}

async fn take_adopted(
    out: &watch::Sender<Snapshot>,
    entries: &BTreeMap<MemberName, Arc<Entry>>,
    mut adopted: mpsc::Receiver<Adopted>,
) -> Infallible {
    while let Some(adopted) = adopted.recv().await {
        adopted.take(|views| route::adopt(out, |name| entries.get(name).map(|entry| &**entry), views));
    }
    std::future::pending().await
}

/// Everything that one member needs, in one task: a fault in it ends as that task's.
async fn watch_member(entry: Arc<Entry>, settings: Arc<WatchSettings>, turns: Turns) -> Infallible {
    let api = watch::Sender::new(None);
    let placed = watch::Sender::new(false);
    let feed = Feed::new(&entry, &settings, &api, placed.subscribe(), turns);
    tokio::select! {
        never = feed.run() => never,
        never = nodes::follow(&entry, &settings, api.subscribe(), &placed) => never,
        never = entry.clock() => never,
    }
}
