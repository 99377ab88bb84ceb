//! Readiness and watchdog for systemd (sd_notify(3)). Does nothing where systemd does not ask for it.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::view::View;

/// How often the status line is looked at when no watchdog asks for more.
const LOOK: Duration = Duration::from_secs(5);

/// Says that the daemon is ready, then keeps the watchdog quiet and the status line true until `shutdown`.
pub async fn keep_told(view: View, shutdown: CancellationToken) {
    let pause = sd_notify::watchdog_enabled().map_or(LOOK, |limit| limit / 2).min(LOOK);
    tell(&[NotifyState::Ready]);
    let mut last = String::new();
    loop {
        let line = summary(&view);
        if line != last {
            tell(&[NotifyState::Status(&line)]);
            last = line;
        }
        tell(&[NotifyState::Watchdog]);
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told of the daemon's state");
    }
}

fn summary(view: &View) -> String {
    let status = view.status();
    let live = status.clusters.iter().filter(|cluster| cluster.inventory == "live").count();
    let owned: usize = status.zones.iter().map(|zone| zone.owned).sum();
    let faults = status.zones.iter().filter(|zone| zone.fault.is_some()).count();
    format!(
        "{live} of {} clusters live, {} zones ({faults} with a fault), {owned} names",
        status.clusters.len(),
        status.zones.len()
    )
}
