//! Where a member is, read from its nodes now and then.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::api::Api;
use crate::backoff::Backoff;
use crate::entry::Entry;
use crate::error::Fault;
use crate::settings::WatchSettings;

/// Somebody may grant the right to read nodes at any time.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

/// Keeps region and zones fresh, unless the config returns both. Says over `known` when the first answer is in. Never
/// returns.
pub(crate) async fn follow(
    entry: &Entry,
    settings: &WatchSettings,
    mut api: watch::Receiver<Option<Api>>,
    known: &watch::Sender<bool>,
) -> Infallible {
    let mut backoff = Backoff::new(entry.name());
    if !are_needed(entry) {
        known.send_replace(true);
        return pending().await;
    }
    loop {
        // Its sender lives as long as this future.
        let client = api.wait_for(Option::is_some).await.ok().and_then(|client| client.clone());
        let Some(client) = client else { return pending().await };
        let pause = match client.nodes().await {
            Ok(census) => {
                backoff.reset();
                entry.placed(census);
                backoff.spread(settings.relist)
            }
            // The feed makes a new client.
            Err(Fault::CertificateExpires { .. }) => backoff.pause(),
            Err(fault) => {
                entry.unplaced(&fault);
                if fault.is_forbidden() { FORBIDDEN_PAUSE.min(settings.relist) } else { backoff.pause() }
            }
        };
        known.send_replace(true);
        sleep(pause).await;
    }
}

pub(crate) fn are_needed(entry: &Entry) -> bool {
    entry.config().region.is_none() || entry.config().zones.is_empty()
}
