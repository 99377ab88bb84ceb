//! Readiness and watchdog for systemd (sd_notify(3)). Does nothing where systemd does not ask for it.

use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::heartbeat::Hanging;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::overrides::order::Operator;
use crate::view::View;

/// How often the status line is looked at when no watchdog asks for more.
const LOOK: Duration = Duration::from_secs(5);
/// And how often at most, whatever the environment says.
const SHORTEST: Duration = Duration::from_millis(100);

/// Says that the daemon is ready, then feeds the watchdog and keeps the status line true until `shutdown`.
///
/// While a task hangs the watchdog is not fed: systemd starts the daemon again, and the log says for what.
pub async fn keep_told(operators: watch::Receiver<Arc<Operator>>, shutdown: CancellationToken) {
    let view = move || operators.borrow().view.clone();
    let pause = sd_notify::watchdog_enabled().map_or(LOOK, |limit| limit / 2).clamp(SHORTEST, LOOK);
    keep(view, pause, tell, shutdown).await;
}

/// Says that the configuration is being read again.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    let states: Vec<NotifyState<'_>> = now.into_iter().chain([NotifyState::Reloading]).collect();
    tell(&states);
}

/// Says that the daemon runs.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

async fn keep(
    view: impl Fn() -> View,
    pause: Duration,
    tell: impl Fn(&[NotifyState<'_>]),
    shutdown: CancellationToken,
) {
    tell(&[NotifyState::Ready]);
    let (mut last, mut hung) = (String::new(), false);
    loop {
        let view = view();
        let hanging = view.heartbeats.hanging();
        let line = summary(&view, &hanging);
        if line != last {
            tell(&[NotifyState::Status(&line)]);
            last = line;
        }
        match (hanging.is_empty(), hung) {
            (false, false) => {
                error!(hanging = %list(&hanging), "task hangs; the watchdog is not fed until it takes a turn");
            }
            (true, true) => warn!("all tasks take their turns again"),
            _ => {}
        }
        hung = !hanging.is_empty();
        if !hung {
            tell(&[NotifyState::Watchdog]);
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    tell(&[NotifyState::Stopping]);
}

fn list(hanging: &[Hanging]) -> String {
    hanging.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told of the daemon's state");
    }
}

fn summary(view: &View, hanging: &[Hanging]) -> String {
    if !hanging.is_empty() {
        return format!("hangs: {}", list(hanging));
    }
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::heartbeats::PROBER;

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_not_fed_while_a_task_hangs_and_its_name_is_said() {
        let view = View::empty();
        let prober = view.heartbeats.of("prober", PROBER);
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let hear = Arc::clone(&told);
        let tell = move |states: &[NotifyState<'_>]| {
            hear.lock().unwrap().extend(states.iter().map(|state| format!("{state:?}")));
        };
        let stop = CancellationToken::new();
        tokio::spawn(keep(move || view.clone(), LOOK, tell, stop.clone()));
        let heard = || std::mem::take(&mut *told.lock().unwrap());
        let fed = |all: &[String]| all.iter().filter(|state| state.contains("Watchdog")).count();
        let wait = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        wait(29).await;
        let all = heard();
        assert!(all[0].contains("Ready") && fed(&all) == 6, "{all:?}");
        wait(600).await;
        let all = heard();
        assert!(
            fed(&all) <= 1 && all.iter().any(|state| state.contains("hangs: prober: no turn for")),
            "{all:?}"
        );
        prober.beat();
        wait(20).await;
        let all = heard();
        assert!(fed(&all) == 4 && all.iter().any(|state| state.contains("clusters live")), "{all:?}");
        stop.cancel();
        wait(1).await;
        assert!(heard().iter().any(|state| state.contains("Stopping")));
    }
}
