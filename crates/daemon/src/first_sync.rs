//! How far the first sync is, for a person who looks on.

use std::time::Duration;

use fleetdns_core::Inventory;
use tokio_util::sync::CancellationToken;

use crate::reload::ShowLine;
use crate::view::View;

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(500);

/// How much of the first sync is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Done {
    clusters: (usize, usize),
    zones: (usize, usize),
    /// Whether a zone's start-up still waits for something, such as verdicts of probes.
    starting: bool,
    written: u64,
}

impl Done {
    fn of(view: &View) -> Self {
        let input = view.inputs.current();
        let members = &input.fleet().members;
        let listed = members.values().filter(|member| member.inventory != Inventory::Pending).count();
        let unwatched = view.origins.keys().filter(|name| !members.contains_key(*name)).count();
        let mut done = Self { clusters: (listed, members.len() + unwatched), ..Self::default() };
        done.zones.1 = view.zones.len();
        for zone in &view.zones {
            let zone = zone.borrow();
            done.zones.0 += usize::from(zone.observed.is_some());
            done.starting |= zone.startup.is_some();
            done.written += zone.written;
        }
        done
    }

    const fn is_whole(&self) -> bool {
        self.clusters.0 == self.clusters.1 && self.zones.0 == self.zones.1 && !self.starting
    }

    /// Fits a terminal of 80 columns.
    fn text(&self) -> String {
        let Self { clusters: (listed, clusters), zones: (read, zones), written, .. } = self;
        format!(
            "first sync: {listed}/{clusters} clusters listed, {read}/{zones} zones read, {written} names written"
        )
    }
}

/// Shows how far the first sync is until start-up is over and nothing more is written; then waits for `shutdown`.
pub(crate) async fn follow(view: impl Fn() -> View, show: ShowLine, shutdown: CancellationToken) {
    let mut before = None;
    while !shutdown.is_cancelled() {
        let done = Done::of(&view());
        if done.is_whole() && before == Some(done) {
            break;
        }
        show(Some(&done.text()));
        before = Some(done);
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    show(None);
    shutdown.cancelled().await;
}
