//! The tasks of the daemon, and what happens when one ends.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use fleetdns_embedded::Servers;
use fleetdns_probe::ProbeError;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Fault;
use crate::control::BindError;

/// Why the daemon cannot start, or ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// Keys of a provider that only it can judge.
    #[error("the config has {} faults", .0.len())]
    Config(Vec<Fault>),
    /// An address of `[admin]` cannot be listened on.
    #[error("cannot listen on {address}; set [admin] {key} to a free address or to off")]
    Listen {
        /// The key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The control socket cannot be made where the config wants it.
    #[error(
        "the control socket cannot be made; set [admin] socket to another path, or to off to run without overrides"
    )]
    Socket(#[source] BindError),
    /// The embedded DNS server cannot be started.
    #[error("the embedded DNS server cannot start")]
    Embedded(#[source] fleetdns_embedded::BindError),
    /// Probing cannot be set up.
    #[error("cannot start the prober; check the [probe] section")]
    Probe(#[source] ProbeError),
    /// A task that has to run for ever ended.
    #[error("the task '{task}' ended: {reason}")]
    TaskEnded {
        /// Which one.
        task: &'static str,
        /// Why, as far as it is known.
        reason: String,
    },
}

/// The tasks of the daemon.
pub(crate) struct Tasks {
    set: JoinSet<Ending>,
    /// Ends all of them but for the last ones.
    pub(crate) stop: CancellationToken,
    /// Ends those that write down what the others did, once these have ended.
    last: CancellationToken,
    /// How many of them there are.
    of_last: usize,
}

struct Ending {
    task: &'static str,
    /// It was asked to end, and the others go on.
    alone: bool,
    result: Result<(), String>,
}

impl Tasks {
    /// None yet.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { set: JoinSet::new(), stop, last: CancellationToken::new(), of_last: 0 }
    }

    /// Asks all to end, and waits until they have: each half for no longer than `grace`. Returns whether they did.
    pub(crate) async fn end(&mut self, grace: Duration) -> bool {
        self.stop.cancel();
        let others = async {
            while self.set.len() > self.of_last {
                self.set.join_next().await;
            }
        };
        let others_ended = timeout(grace, others).await.is_ok();
        self.last.cancel();
        let all = async { while self.set.join_next().await.is_some() {} };
        // Those of the others that did not end in time would not now.
        others_ended && timeout(grace, all).await.is_ok()
    }

    /// A task that ends after all others. `running` takes what asks it to.
    pub(crate) fn spawn_last<F>(&mut self, task: &'static str, running: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.of_last += 1;
        let running = running(self.last.clone());
        self.spawn_sound(task, running);
    }

    /// A task that has to run until all end.
    pub(crate) fn spawn(
        &mut self,
        task: &'static str,
        running: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.set.spawn(async move { Ending { task, alone: false, result: running.await } });
    }

    /// The same where nothing can go wrong.
    pub(crate) fn spawn_sound(
        &mut self,
        task: &'static str,
        running: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(task, async move {
            running.await;
            Ok(())
        });
    }

    /// A task that may end by itself once `stop` asks it to.
    pub(crate) fn spawn_until(
        &mut self,
        stop: CancellationToken,
        task: &'static str,
        running: impl Future<Output = ()> + Send + 'static,
    ) {
        self.set.spawn(async move {
            running.await;
            Ending { task, alone: stop.is_cancelled(), result: Ok(()) }
        });
    }

    /// Serves the zones of embedded servers.
    pub(crate) fn serve(&mut self, servers: fleetdns_embedded::Bound) {
        if servers.addresses().next().is_some() {
            let stop = self.stop.clone();
            self.spawn("embedded DNS", async move {
                Servers::run(servers, stop).await.map_err(|error| crate::chain(&error))
            });
        }
    }

    /// Waits until one ends that should not; `Ok` when all are asked to.
    pub(crate) async fn ended(&mut self) -> Result<(), RunError> {
        loop {
            let ended = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                Some(ended) = self.set.join_next() => ended,
            };
            if self.stop.is_cancelled() {
                return Ok(());
            }
            match ended {
                Ok(Ending { alone: true, .. }) => {}
                Ok(Ending { task, result, .. }) => {
                    let reason = result.err().unwrap_or_else(|| "it had nothing more to do".to_owned());
                    return Err(RunError::TaskEnded { task, reason });
                }
                Err(panic) => {
                    return Err(RunError::TaskEnded { task: "unknown", reason: panic.to_string() });
                }
            }
        }
    }
}
