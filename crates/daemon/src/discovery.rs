//! Follows the sources of members on host clusters.

use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Heard, Remote};
use crate::reload::{Asker, ReloadSender};

/// Asks for a reload whenever a source says something else, until `shutdown`.
pub(crate) async fn follow(
    mut remotes: watch::Receiver<Vec<Remote>>,
    heard: watch::Sender<Heard>,
    reload: ReloadSender,
    shutdown: CancellationToken,
) {
    let heard = Arc::new(heard);
    loop {
        let wanted = remotes.borrow_and_update().clone();
        let following =
            join_all(wanted.into_iter().map(|one| listen(one, Arc::clone(&heard), reload.clone())));
        tokio::select! {
            () = shutdown.cancelled() => return,
            Ok(()) = remotes.changed() => {}
            // None of them ends; there may be none.
            _ = async { (following.await, std::future::pending::<()>().await) } => {}
        }
    }
}

async fn listen(remote: Remote, heard: Arc<watch::Sender<Heard>>, reload: ReloadSender) {
    let (out, mut found) = mpsc::channel(1);
    let query = remote.query();
    let following = query.follow(|raw| remote.read(raw), out);
    let taking = async {
        while let Some(found) = found.recv().await {
            let parsing = remote.clone();
            let Ok(listing) = tokio::task::spawn_blocking(move || parsing.listing(found)).await else {
                continue;
            };
            let changed = heard.send_if_modified(|heard| {
                let same = |(of, before): &(Remote, _)| *of == remote && *before == listing;
                let changed = !heard.iter().any(same);
                heard.retain(|(of, _)| of.kind() != remote.kind());
                heard.push((remote.clone(), listing));
                changed
            });
            if changed {
                reload.reload(Asker::Source).await;
            }
        }
    };
    tokio::join!(following, taking);
}
