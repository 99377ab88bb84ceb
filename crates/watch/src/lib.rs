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
mod account;
mod answer;
mod api;
mod backoff;
pub mod catalog;
mod certificate;
mod check;
mod chosen;
mod credential;
mod discover;
mod entry;
mod error;
mod feed;
mod fleet;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod given;
mod kubeconfig;
mod lazy_api;
mod limits;
mod lines;
mod list;
mod nodes;
mod normal;
mod once;
mod place;
mod plugin;
mod profile;
mod proxy;
mod route;
mod secret;
mod secrets;
mod service_writer;
mod settings;
mod shared;
mod state;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{MemberView, Snapshot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use access::{Access, contexts, endpoint, files, server};
pub use account::{Account, AccountError, AccountKubeconfig};
pub use check::{Write, check};
pub use discover::{Objects, Query};
pub use error::{AccessError, WatchError};
pub use given::{Allowed, Given, Text};
pub use limits::Limits;
pub use once::list_once;
pub use profile::Providers;
pub use secret::{Named, object_path};
pub use service_writer::{Note, ServiceWriter, WriteError};
pub use settings::{Completeness, MemberConfig, Members, Origin, Turn, Turns, WatchSettings};
pub use shared::{LeaseSpec, SharedObjects};

use fleet::Fleet;

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

/// [`run_until`] with members that never change and nobody who looks whether their watches hang.
///
/// # Errors
/// As [`run_until`].
pub async fn run(
    members: Vec<MemberConfig>,
    settings: WatchSettings,
    adopted: mpsc::Receiver<Adopted>,
    out: watch::Sender<Snapshot>,
    shutdown: CancellationToken,
) -> Result<(), WatchError> {
    let (_unchanged, members) =
        watch::channel(Members { members, settings, completeness: Completeness::Confirmed });
    let nobody: Turns = (Duration::from_secs(3600), Arc::new(|_, _| {}));
    run_until(members, adopted, out, nobody, shutdown).await
}

/// Watches all members until `shutdown`. Members are `pending` in the first snapshot; views that come over `adopted`
/// stand in for members that are not listed yet, are what a first list is measured by, and give the members that are not
/// configured, as [`Completeness`] says.
///
/// When `members` changes, a member that is new is watched from then on, one that is not named any more is `removed` (or
/// `stale`, until each member that came with the same change is listed: it may be the same cluster under another name), and
/// one whose configuration changed is listed again beside what is known of it. The others are not disturbed.
///
/// `turns` is called for each member while its watch goes on or waits for its turn, so that somebody else can see when it
/// hangs. While a request is under way there is no call: the longest takes ten times the request timeout.
///
/// # Errors
/// When the task of a member ends though nobody asked it to. A member's API that is away is no error.
pub async fn run_until(
    mut members: watch::Receiver<Members>,
    mut adopted: mpsc::Receiver<Adopted>,
    out: watch::Sender<Snapshot>,
    turns: Turns,
    shutdown: CancellationToken,
) -> Result<(), WatchError> {
    let out = Arc::new(out);
    let mut fleet = Fleet::new(Arc::clone(&out), turns);
    let mut snapshot = out.subscribe();
    fleet.configure(&members.borrow_and_update().clone());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            Ok(()) = members.changed() => {
                let members = members.borrow_and_update().clone();
                fleet.configure(&members);
            }
            Some(adopted) = adopted.recv() => {
                adopted.take(|views| fleet.adopt(views));
            }
            Ok(()) = snapshot.changed(), if fleet.awaits_newcomers() => fleet.resolve(),
            ended = fleet.ended() => return Err(ended),
        }
    }
}
