//! The task that keeps this replica in the election.

use std::sync::Arc;
use std::time::Duration;

use fleetdns_election::{Election, Found, Next, Record, Terms};
use tokio::sync::{RwLock, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clock::Uptime;
use super::engine::{Document, Engine};
use super::fence::{Fence, Lease, Standing};

/// At the end a write that is under way has this long; then the lease is given back.
const LAST_WRITE: Duration = Duration::from_secs(3);

/// This replica in the election.
#[derive(Debug)]
pub struct Replica {
    name: Arc<str>,
    engine: Engine,
    election: Election,
    terms: Terms,
    clock: Uptime,
    lease: Lease,
    /// Why the engine cannot be used.
    fault: Option<String>,
}

impl Replica {
    /// A replica with a name that no other process ever has; it does not lead yet.
    pub fn new(name: &str, engine: Engine, lease_time: Duration, clock: Uptime) -> Self {
        let terms = Terms::of(lease_time);
        let lease = Lease {
            standing: watch::Sender::new(Standing::Waits("it has not asked yet".into())),
            until: watch::Sender::new(None),
            writing: Arc::new(RwLock::new(())),
        };
        let election = Election::new(name.to_owned(), terms);
        Self { name: name.into(), engine, election, terms, clock, lease, fault: None }
    }

    /// What stands before every write.
    pub fn fence(&self) -> Fence {
        Fence::of(&self.lease, self.clock.clone(), self.terms.least)
    }

    /// What this replica is to the others.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.lease.standing.subscribe()
    }

    /// Takes part until `shutdown`; then it gives the lease back, once what is being written has ended.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.leave().await,
                () = self.turn() => {}
            }
            // Said while nothing is under way, so that it is said when the lease ends too.
            self.tell();
            let now = self.clock.now();
            let left = self.election.until().and_then(|until| until.checked_sub(now));
            let pause = self.election.pause(now);
            let pause = left.filter(|left| !left.is_zero()).map_or(pause, |left| pause.min(left));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.leave().await,
                () = sleep(pause) => {}
            }
        }
    }

    /// A read, a write, or one after the other; as long as this replica leads, until its lease ends at most.
    async fn turn(&mut self) {
        let now = self.clock.now();
        let left = self.election.until().map_or(Duration::MAX, |until| until.saturating_sub(now));
        // What was sent before a fault may still take place.
        if timeout(left.max(self.terms.period), self.steps()).await.is_err() {
            self.election.not_written();
        }
    }

    async fn steps(&mut self) {
        let result = match self.election.next(self.clock.now()) {
            Next::Write(record, over) => self.renew(record, over).await,
            Next::Read => match self.look().await {
                Ok(()) => match self.election.next(self.clock.now()) {
                    Next::Write(record, over) => self.renew(record, over).await,
                    Next::Read => Ok(()),
                },
                Err(fault) => Err(fault),
            },
        };
        let fault = result.err();
        if fault != self.fault {
            let engine = self.engine.name();
            match &fault {
                Some(error) => warn!(engine, error, "lease cannot be read or renewed"),
                None => info!(engine, "lease can be read and renewed again"),
            }
        }
        self.fault = fault;
    }

    async fn look(&mut self) -> Result<(), String> {
        let found = self.engine.read(Document::Lease).await?;
        let found = found.map(Found::try_from).transpose()?;
        self.election.found(self.clock.now(), found);
        Ok(())
    }

    async fn renew(&mut self, record: Record, over: Option<Arc<str>>) -> Result<(), String> {
        let sent = self.clock.now();
        let text = serde_json::to_string(&record).map_err(|error| error.to_string())?;
        // A turn that is cut off here leaves a write of which nobody knows.
        self.election.sends(sent, &record);
        if let Some(version) = self.engine.write(Document::Lease, text, over).await? {
            self.election.written(sent, record, version);
        }
        Ok(())
    }

    /// Says what is new.
    fn tell(&self) {
        let until = self.election.until().filter(|until| *until > self.clock.now());
        self.lease.until.send_if_modified(|known| std::mem::replace(known, until) != until);
        let standing = match (until, self.election.holder(), &self.fault) {
            (Some(_), _, _) => Standing::Leads,
            (None, _, Some(fault)) => Standing::Waits(fault.as_str().into()),
            (None, Some(holder), None) if holder != &*self.name => Standing::Follows(holder.into()),
            (None, ..) => Standing::Waits("no replica has the lease".into()),
        };
        self.lease.standing.send_if_modified(|known| {
            let before = std::mem::replace(known, standing.clone());
            match (&before, &*known) {
                (before, known) if before == known => return false,
                (Standing::Leads, Standing::Follows(leader)) => {
                    warn!(replica = %self.name, %leader, "lease lost: this replica writes no more");
                }
                (Standing::Leads, _) => {
                    warn!(replica = %self.name, "lease ended without a renewal: this replica writes no more");
                }
                (_, Standing::Leads) => info!(replica = %self.name, "this replica leads and writes"),
                (_, Standing::Follows(leader)) => {
                    info!(replica = %self.name, %leader, "another replica leads");
                }
                _ => {}
            }
            true
        });
    }

    /// Lets nobody begin a write, waits for the one that is under way, and gives the lease back.
    async fn leave(mut self) {
        // A turn that was cut off may have renewed it.
        if self.election.until().is_some() {
            let _ = self.look().await;
        }
        let release = self.election.release();
        // Writers hold on to what they have begun: it ends before the lease is another's.
        let writing = Arc::clone(&self.lease.writing);
        let ended = timeout(LAST_WRITE, writing.write()).await;
        self.lease.until.send_replace(None);
        let (Some((record, version)), Ok(_)) = (release, &ended) else { return };
        let Ok(text) = serde_json::to_string(&record) else { return };
        match self.engine.write(Document::Lease, text, Some(version)).await {
            Ok(Some(_)) => info!(replica = %self.name, "lease given back"),
            Ok(None) => {}
            Err(error) => warn!(replica = %self.name, error, "lease not given back: it ends by itself"),
        }
    }
}
