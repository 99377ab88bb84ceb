//! Lists and watches of one member, again and again.
//!
//! Invariant: every wait here has an end: requests have deadlines, a watch is bounded, and a quiet one is felt for.
//! Invariant: a pause grows while nothing comes of the attempts, and falls back only when a watch has shown its worth;
//! a list that works says nothing of the watch after it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures::AsyncBufRead;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::warn;

use crate::access::Connector;
use crate::api::{Api, Pulse, WATCH};
use crate::backoff::Backoff;
use crate::entry::Entry;
use crate::error::{Fault, Said};
use crate::limits::{Pace, too_many};
use crate::lines::Lines;
use crate::once::complete;
use crate::settings::{Turn, Turns, WatchSettings};
use crate::wire::{self, Event, Item};

/// A watch that lasted so long was a watch.
const PROOF: Duration = Duration::from_secs(5);
/// How long the first list waits for what the nodes say.
const PLACE_WAIT: Duration = Duration::from_secs(5);
/// An API that takes longer for the smallest list has nothing fresh to say.
const PULSE_DEADLINE: Duration = Duration::from_secs(5);
/// A server ends a watch itself; when it does not, we do, so much later at most.
const OVERTIME: Duration = Duration::from_secs(5);

/// Follows the services of one member. Never returns.
pub(crate) struct Feed<'a> {
    entry: &'a Entry,
    settings: &'a WatchSettings,
    connector: Connector,
    backoff: Backoff,
    /// The client, for the nodes too.
    api: &'a watch::Sender<Option<Api>>,
    /// Whether it is known what the nodes say.
    placed: watch::Receiver<bool>,
    /// Where the next watch begins.
    version: Option<String>,
    relist_at: Instant,
    /// A list that failed is not tried again before.
    not_before: Instant,
    /// Watches in a row that gave nothing.
    vain: u32,
    /// Who the cluster is, when that may be read.
    uid: Option<String>,
    /// The newest version that it has named.
    newest: Option<u64>,
    /// Another cluster has answered, and is not listed yet.
    rebuilt: bool,
    /// Whom it shows that it does not hang.
    turns: Turns,
}

/// Why a watch ended without a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// In the ordinary way.
    Time,
    /// A list is due.
    List,
    /// The version is too old, or belongs to another cluster: only a list helps.
    Lost,
}

/// What one watch has to remember.
struct Round {
    opened: Instant,
    next_pulse: Instant,
    said_something: bool,
    pace: Pace,
}

/// With the newest version that was known when it was asked for.
type Felt = Pin<Box<dyn Future<Output = (Result<Pulse, Fault>, Option<u64>)> + Send>>;

impl<'a> Feed<'a> {
    pub(crate) fn new(
        entry: &'a Entry,
        settings: &'a WatchSettings,
        api: &'a watch::Sender<Option<Api>>,
        placed: watch::Receiver<bool>,
        turns: Turns,
    ) -> Self {
        Self {
            entry,
            settings,
            connector: Connector::new(entry.config().access.clone()),
            backoff: Backoff::new(entry.name()),
            api,
            placed,
            version: None,
            relist_at: Instant::now(),
            not_before: Instant::now(),
            vain: 0,
            uid: None,
            newest: None,
            rebuilt: false,
            turns,
        }
    }

    pub(crate) async fn run(mut self) -> Infallible {
        loop {
            if let Err(fault) = self.round().await {
                if fault.wants_new_client() {
                    self.api.send_replace(None);
                }
                // In the ordinary way, if the last one was good for a list.
                if matches!(fault, Fault::CertificateExpires { .. }) && self.version.is_some() {
                    continue;
                }
                self.entry.missed(&fault);
                let pause = self.backoff.pause().max(fault.retry_after());
                self.rest(pause).await;
            }
        }
    }

    fn report(&self, turn: Turn) {
        let (_, report) = &self.turns;
        report(self.entry.name(), turn);
    }

    /// The API answered, and knows of nothing else than what is known.
    fn alive(&self) {
        self.entry.alive();
        self.report(Turn::Answered);
    }

    /// Waits until the pause is over.
    async fn rest(&self, pause: Duration) {
        let (tick, _) = self.turns;
        let mut left = pause;
        while !left.is_zero() {
            self.report(Turn::Taken);
            let part = left.min(tick);
            sleep(part).await;
            left = left.saturating_sub(part);
        }
    }

    /// A list, when one is due, and one watch.
    async fn round(&mut self) -> Result<(), Fault> {
        self.report(Turn::Taken);
        let api = self.connect().await?;
        let fresh = self.list_at() <= Instant::now();
        let version = self.begin(&api, fresh).await?;
        self.report(Turn::Taken);
        let mut lines = match api.watch(&version, self.settings.watch_time).await {
            Ok(lines) => lines,
            Err(fault @ Fault::Expired { .. }) => {
                self.version = None;
                return if fresh { Err(fault) } else { Ok(()) };
            }
            Err(fault) => return Err(fault),
        };
        if self.vain == 0 {
            self.alive();
        }
        let now = Instant::now();
        let next_pulse = now + self.pulse_after();
        let mut round = Round { opened: now, next_pulse, said_something: false, pace: Pace::new(now) };
        let end = self.follow(&api, &mut lines, &mut round).await;
        if round.said_something || round.opened.elapsed() >= PROOF.min(self.settings.watch_time) {
            self.backoff.reset();
            self.vain = 0;
        } else {
            self.vain = self.vain.saturating_add(1);
        }
        match end? {
            End::List => return Ok(()),
            End::Time => {}
            End::Lost => self.version = None,
        }
        if self.vain < 2 { Ok(()) } else { Err(api.broken(WATCH, "watches end at once")) }
    }

    /// The version to watch from. A list that is due by the clock and fails does not stop a watch that may still work.
    async fn begin(&mut self, api: &Api, list_due: bool) -> Result<String, Fault> {
        let known = self.version.clone();
        let version = match known {
            Some(version) if !list_due => version,
            known => match (self.list(api).await, known) {
                (Ok(version), _) => version,
                (Err(fault @ Fault::CertificateExpires { .. }), _) | (Err(fault), None) => return Err(fault),
                (Err(fault), Some(version)) => {
                    self.entry.missed(&fault);
                    self.not_before = Instant::now() + self.backoff.pause();
                    version
                }
            },
        };
        self.version = Some(version.clone());
        Ok(version)
    }

    async fn connect(&mut self) -> Result<Api, Fault> {
        if let Some(api) = self.api.borrow().as_ref() {
            return Ok(api.clone());
        }
        let (deadline, limits) = (self.settings.request_timeout, self.entry.config().limits);
        let connection = self.connector.connect(deadline).await?;
        let api = Api::new(connection, deadline, self.settings.selector.clone(), limits);
        self.api.send_replace(Some(api.clone()));
        // A new client means a gap, and after it another cluster may answer: one that was rebuilt at the same address
        // may have come past the version that is known, and then a watch from there works and says nothing of it.
        self.version = None;
        Ok(api)
    }

    fn list_at(&self) -> Instant {
        let due = self.entry.confirm_at().map_or(self.relist_at, |at| at.min(self.relist_at));
        if self.version.is_none() { Instant::now() } else { due.max(self.not_before) }
    }

    async fn list(&mut self, api: &Api) -> Result<String, Fault> {
        let felt = api.with_deadline(PULSE_DEADLINE);
        let (mut list, uid) = tokio::join!(complete(api, self.settings), felt.uid());
        if matches!(list, Err(Fault::Expired { .. })) {
            self.report(Turn::Taken);
            list = complete(api, self.settings).await;
        }
        let list = list?;
        if !self.entry.is_listed() {
            let _ = timeout(PLACE_WAIT, self.placed.wait_for(|known| *known)).await;
        }
        let version = list.version.clone();
        self.meet(Pulse { version: version.clone(), uid }, self.newest);
        self.newest = number(&version);
        self.entry.listed(list, std::mem::take(&mut self.rebuilt));
        self.report(Turn::Listed);
        self.relist_at = Instant::now() + self.backoff.spread(self.settings.relist);
        Ok(version)
    }

    /// Feels for the server after so much silence.
    fn pulse_after(&self) -> Duration {
        self.settings.stale_after / 2
    }

    async fn follow<R: AsyncBufRead + Unpin>(
        &mut self,
        api: &Api,
        lines: &mut Lines<R>,
        round: &mut Round,
    ) -> Result<End, Fault> {
        let over = round.opened + self.settings.watch_time + OVERTIME.min(self.settings.watch_time / 4);
        let mut felt: Option<Felt> = None;
        loop {
            self.report(Turn::Taken);
            let list_at = self.list_at();
            tokio::select! {
                chunk = paced(lines, round.pace.next()) => {
                    round.next_pulse = Instant::now() + self.pulse_after();
                    if let Some(end) = self.take(api, chunk, round)? {
                        return Ok(end);
                    }
                }
                pulse = async { Some(felt.as_mut()?.await) }, if felt.is_some() => {
                    felt = None;
                    round.next_pulse = Instant::now() + self.pulse_after();
                    let Some((pulse, newest)) = pulse else { continue };
                    match pulse {
                        Ok(pulse) => {
                            self.meet(pulse, newest);
                            if self.rebuilt {
                                return Ok(End::Lost);
                            }
                            self.alive();
                        }
                        // Credentials that are refused may have been renewed by now: the watch ends with them, and
                        // with a certificate that expires.
                        Err(fault @ (Fault::Unauthorized { .. } | Fault::CertificateExpires { .. })) => {
                            return Err(fault);
                        }
                        Err(fault) => {
                            self.entry.missed(&fault);
                            round.next_pulse = Instant::now() + self.pulse_after().min(Duration::from_secs(1));
                        }
                    }
                }
                () = sleep_until(round.next_pulse), if felt.is_none() => {
                    let (api, newest) = (api.with_deadline(PULSE_DEADLINE), self.newest);
                    felt = Some(Box::pin(async move { (api.pulse().await, newest) }));
                }
                () = sleep_until(list_at) => return Ok(End::List),
                () = sleep_until(over) => return Ok(End::Time),
                () = sleep(self.turns.0) => {}
            }
        }
    }

    /// Takes what the watch gave; returns why it ended, when it did.
    fn take(
        &mut self,
        api: &Api,
        chunk: io::Result<Option<Vec<u8>>>,
        round: &mut Round,
    ) -> Result<Option<End>, Fault> {
        let lines = match chunk {
            Ok(Some(lines)) => lines,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(api.too_much(WATCH, error.to_string()));
            }
            // A connection that was cut is an end like any other: the next request shows whether anybody is there.
            Ok(None) | Err(_) => return Ok(Some(End::Time)),
        };
        let mut events = Vec::new();
        let mut end = Ok(None);
        let mut count = 0;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            count += 1;
            match wire::event(line) {
                Ok((Event::Error { code: 410, .. }, _)) => end = Ok(Some(End::Lost)),
                Ok((Event::Error { code, message }, _)) => {
                    let said = Said { message, ..Said::default() };
                    end = Err(Fault::of_status(code, &said, api.peer(), WATCH));
                }
                Ok((event, version)) => {
                    round.said_something = true;
                    self.newest = version.as_deref().and_then(number).or(self.newest);
                    self.version = version.or_else(|| self.version.take());
                    events.push(match event {
                        Event::Put(Item::Unreadable(bad)) => Event::Put(Item::Unreadable(api.redacted(bad))),
                        event => event,
                    });
                    continue;
                }
                Err(problem) => end = Err(api.broken(WATCH, &problem)),
            }
            break;
        }
        round.pace.take(count, lines.len(), Instant::now());
        if !events.is_empty() {
            self.report(Turn::Answered);
        }
        if !events.is_empty() && !self.entry.events(events) {
            // What was left out is in no version: only a list can tell.
            self.version = None;
            return Err(api.too_much(WATCH, too_many(api.limits().objects)));
        }
        end
    }

    /// Notes who answered: another cluster when its uid is another one, or its version is older than one that was known
    /// before it was asked.
    fn meet(&mut self, Pulse { version, uid }: Pulse, newest: Option<u64>) {
        let back = number(&version).zip(newest).is_some_and(|(now, before)| now < before);
        let before = self.uid.take();
        self.uid = uid.or_else(|| before.clone());
        let another = before.is_some() && self.uid != before;
        if (back || another) && !self.rebuilt {
            self.rebuilt = true;
            warn!(member = %self.entry.name(), "member is another cluster than before; what its first list misses waits for a second one");
        }
    }
}

/// A version as etcd counts them.
fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

/// The next lines, not before it is their turn. May be given up and begun again.
async fn paced<R: AsyncBufRead + Unpin>(lines: &mut Lines<R>, from: Instant) -> io::Result<Option<Vec<u8>>> {
    sleep_until(from).await;
    lines.next().await
}
