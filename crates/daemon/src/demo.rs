//! `fleetdns demo`: the main job, shown on a machine that has nothing installed.
//!
//! Reads: nothing; `--stay` reads commands from the terminal. Gives: a story on the terminal, of two clusters, a DNS
//! zone, and a cluster that dies. The daemon in it is the real one, with its defaults: it loads a `dns.conf`, watches
//! two API servers over HTTP, probes two apps and serves DNS. The rest are small stand-ins on loopback addresses.
//!
//! ```text
//! scene (API servers, apps, files) ←─HTTP, probes── daemon ──DNS→ story, stay → screen
//! ```
//!
//! Invariant: what the story tells of DNS it was told by DNS answers, never by the daemon's memory.
//! Invariant: when it ends, nothing runs any more and no file is left.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Fault;
use crate::run::{self, RunError};

mod api;
mod app;
mod dns;
mod names;
mod scene;
mod screen;
mod server;
mod stay;
mod story;

use scene::Scene;
use screen::Screen;

/// The daemon has so long to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// Why the demo did not come to its end.
#[derive(Debug, Error)]
pub enum DemoError {
    /// An address is not to be had.
    #[error("the demo cannot listen on {address}{}", alias(.address, .source))]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The files of the demo cannot be written or removed.
    #[error("the demo cannot write its files in {}", .path.display())]
    Files {
        /// File or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The demo's own config has faults.
    #[error("the demo's own dns.conf is not accepted: {}", first(.0))]
    Config(Vec<Fault>),
    /// The daemon ended with an error.
    #[error("the daemon ended in the middle of the demo")]
    Daemon(#[source] RunError),
    /// The daemon ended without one, or did not end when it was asked to.
    #[error("the daemon {0}")]
    Astray(&'static str),
    /// The daemon's task was ended by a defect.
    #[error("the daemon ended in the middle of the demo")]
    Panic(#[from] JoinError),
    /// Something did not happen in time.
    #[error("waited {budget} for this, and it did not happen: {step}{last}")]
    Late {
        /// What should have happened.
        step: &'static str,
        /// How long was waited.
        budget: String,
        /// What DNS said last.
        last: String,
    },
    /// DNS could be asked before and cannot be now.
    #[error("the zone cannot be read from DNS")]
    Dns(#[source] dns::NoAnswer),
    /// A name has no address.
    #[error("DNS has no address for {name}")]
    NoAddress {
        /// Which one.
        name: String,
    },
    /// The app at an address from DNS does not answer.
    #[error("DNS gave {address}, and the app there does not answer")]
    App {
        /// Address and port.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The terminal is gone.
    #[error("the demo cannot write to its output")]
    Output(#[from] io::Error),
    /// Somebody ended it by a signal.
    #[error("ended by a signal before the end of the story")]
    Interrupted,
}

fn alias(address: &SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        // Only Linux has all of 127.0.0.0/8 from the start.
        io::ErrorKind::AddrNotAvailable => {
            format!("; give this machine the address first (macOS: sudo ifconfig lo0 alias {})", address.ip())
        }
        io::ErrorKind::AddrInUse => "; end what listens there".to_owned(),
        _ => String::new(),
    }
}

fn first(faults: &[Fault]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}

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
    let mut daemon = tokio::spawn(run::run(config, stop.clone()));
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
    match timeout(FAREWELL, &mut daemon).await {
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

    #[tokio::test(start_paused = true)]
    async fn a_step_that_does_not_happen_ends_the_demo_and_nothing_is_left() {
        let mut scene = Scene::start().await.unwrap();
        let config = scene.config().unwrap();
        assert_eq!((config.members.len(), config.zones.len()), (2, 1));
        let directory = scene.directory().to_owned();
        assert!(directory.join("dns.conf").exists());
        let addresses = [scene.west.api_address(), scene.east.app_address()];

        // There is no daemon.
        let told = story::tell(&mut Screen::plain(io::sink()), &mut scene, &ProbeSettings::default()).await;
        let text = told.unwrap_err().to_string();
        assert_eq!(text, "waited 30.0 s for this, and it did not happen: fleetdns watches both clusters");

        scene.strike().await.unwrap();
        assert!(!directory.exists());
        for address in addresses {
            assert!(std::net::TcpStream::connect(address).is_err());
        }
    }
}
