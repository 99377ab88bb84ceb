//! `fleetdns demo`: the main job, shown on a machine that has nothing installed.
//!
//! Reads: nothing; `--stay` reads commands from the terminal. Returns: a story on the terminal, of two clusters, a DNS
//! zone, and a cluster that dies. The daemon in it is the real one, with its defaults: it loads a `dns.conf`, watches
//! two API servers over HTTP, probes two apps and serves DNS. The rest are small stand-ins on loopback addresses.
//!
//! ```text
//! scene (API servers, apps, files) ←─HTTP, probes── daemon ──DNS→ story, stay → screen
//! ```
//!
//! Invariant: what the story tells of DNS it was told by DNS answers, never by the daemon's memory.
//! Invariant: when it ends, nothing runs any more and no file is left.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use fleetdns_daemon::run;

mod api;
mod app;
mod dns;
mod error;
mod names;
mod scene;
mod screen;
mod server;
mod stay;
mod story;

use error::DemoError;
use scene::Scene;
use screen::Screen;

/// The daemon has so long to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Tells the story; with `stay`, goes on until somebody ends it. Takes about half a minute.
///
/// # Errors
/// When a step does not happen within 30 s, or when something that the demo needs cannot be had.
pub async fn demo(stay: bool) -> Result<(), DemoError> {
    let mut screen = Screen::stdout();
    let mut scene = Scene::start().await?;
    let shown = perform(&mut screen, &mut scene, stay).await;
    let struck = scene.strike().await;
    shown.and(struck)
}

/// Everything between the start and the end of the two members.
async fn perform(screen: &mut Screen<'_>, scene: &mut Scene, stay: bool) -> Result<(), DemoError> {
    let config = scene.config()?;
    let probing = config.probe.settings.clone();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let mut daemon = tokio::spawn(run::run(config, None, stop.clone()));
    let telling = async {
        story::tell(screen, scene, &probing).await?;
        if stay {
            stay::stay(screen, scene).await?;
        } else {
            screen.say("\nfleetdns demo --stay   keeps it running, to try things out")?;
        }
        Ok(())
    };
    let told = tokio::select! {
        told = telling => told,
        ended = &mut daemon => {
            return match ended? {
                Ok(()) => Err(DemoError::Astray("ended in the middle of the demo")),
                Err(error) => Err(DemoError::Daemon(error)),
            };
        }
        _ = interrupt.recv() => if stay { Ok(()) } else { Err(DemoError::Interrupted) },
        _ = terminate.recv() => if stay { Ok(()) } else { Err(DemoError::Interrupted) },
    };
    stop.cancel();
    match timeout(SHUTDOWN_GRACE, &mut daemon).await {
        Ok(ended) => told.and(ended?.map_err(DemoError::Daemon)),
        Err(_) => {
            daemon.abort();
            told.and(Err(DemoError::Astray("did not end when it was asked to")))
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetdns_probe::ProbeSettings;

    use super::*;

    /// The picture in the README is what the demo printed once.
    #[test]
    fn the_picture_has_every_heading_of_the_story() {
        let headings: Vec<&str> = include_str!("story.rs")
            .split("screen.heading(\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert_eq!(headings.len(), 5, "{headings:?}");
        let missing = headings.iter().find(|heading| !include_str!("../demo.svg").contains(*heading));
        assert_eq!(missing, None, "run `fleetdns demo` and draw demo.svg again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_does_not_happen_ends_the_demo_and_nothing_is_left() {
        let mut scene = Scene::start().await.unwrap();
        let config = scene.config().unwrap();
        assert_eq!((config.members.len(), config.zones.len()), (2, 1));
        let directory = scene.directory().to_owned();
        assert!(directory.join("dns.conf").exists());
        let addresses = [scene.west.api_address(), scene.east.app_address()];

        // There is no daemon.
        let told = story::tell(&mut Screen::to(std::io::sink()), &mut scene, &ProbeSettings::default()).await;
        let text = told.unwrap_err().to_string();
        assert_eq!(text, "waited 30.0 s for this, and it did not happen: fleetdns watches both clusters");

        scene.strike().await.unwrap();
        assert!(!directory.exists());
        for address in addresses {
            assert!(std::net::TcpStream::connect(address).is_err());
        }
    }
}
