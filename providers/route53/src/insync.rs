//! How long Route 53 takes until all its name servers have a batch: asked in the background, one change at a time.
//!
//! Invariant: no write waits for it, and no fault of it is a fault of a write.
//! Invariant: at most one `GetChange` of a zone is under way, and one a second when Route 53 answers as it does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetdns_core::backoff::Backoff;
use fleetdns_core::stamp::span_ms;
use fleetdns_core::{DnsName, Measure, MeasureKind};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::error::{Fault, Kind};

/// Between two questions after the same batch: a second at first, since a small zone is done within a few.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));
/// After a fault.
const PAUSE_AFTER_FAULT: Duration = Duration::from_secs(30);
/// A batch is no longer asked after when it takes longer. Route 53 says a minute.
const GIVE_UP: Duration = Duration::from_secs(600);
/// Most batches that are remembered; of more the oldest are not asked after.
const MOST: usize = 64;

/// The batches of a zone that are on their way.
#[derive(Debug)]
pub(crate) struct Insync {
    zone: DnsName,
    state: Arc<Mutex<State>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    /// Id of the change, and when it was answered; oldest first.
    waiting: VecDeque<(String, Instant)>,
    last: Option<Duration>,
    /// Whether somebody looks after `waiting`.
    followed: bool,
    /// Said once, until it works again.
    failed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Insync {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

impl Insync {
    pub(crate) fn new(zone: DnsName) -> Self {
        Self { zone, state: Arc::default(), task: Mutex::default() }
    }

    /// Takes in a batch that was answered just now. `ask` says whether a change is INSYNC.
    pub(crate) fn add<F>(&self, change: String, ask: impl Fn(String) -> F + Send + 'static)
    where
        F: Future<Output = Result<bool, Fault>> + Send + 'static,
    {
        let mut state = lock(&self.state);
        state.waiting.push_back((change, Instant::now()));
        if state.waiting.len() > MOST {
            state.waiting.pop_front();
        }
        if !std::mem::replace(&mut state.followed, true) {
            let follow = follow(self.zone.clone(), Arc::clone(&self.state), ask);
            *lock(&self.task) = Some(tokio::spawn(follow));
        }
    }

    pub(crate) fn measures(&self) -> Vec<Measure> {
        let state = lock(&self.state);
        let waiting = Measure {
            kind: MeasureKind::Gauge,
            name: "insync_waiting",
            help: "Batches that are not known to be on all name servers of Route 53",
            value: state.waiting.len() as f64,
        };
        let last = state.last.map(|took| Measure {
            kind: MeasureKind::Gauge,
            name: "insync_seconds",
            help: "Seconds until the last batch was on all name servers of Route 53, as far as was asked",
            value: took.as_secs_f64(),
        });
        std::iter::once(waiting).chain(last).collect()
    }
}

/// Asks after one batch after the other, the oldest first, until none is left.
async fn follow<F>(zone: DnsName, state: Arc<Mutex<State>>, ask: impl Fn(String) -> F)
where
    F: Future<Output = Result<bool, Fault>>,
{
    let mut pauses = Backoff::new(PAUSES.0, PAUSES.1);
    let mut pause = pauses.pause();
    loop {
        let Some((change, since)) = next(&state) else { return };
        tokio::time::sleep(pause).await;
        let answer = ask(change.clone()).await;
        let took = since.elapsed();
        pause = match &answer {
            // The next one is there soon after it.
            Ok(true) => {
                pauses.reset();
                pauses.pause()
            }
            Ok(false) => pauses.pause(),
            Err(_) => PAUSE_AFTER_FAULT,
        };
        let gone = matches!(&answer, Err(Fault { kind: Kind::Refused(_), .. })) || took > GIVE_UP;
        let mut state = lock(&state);
        match answer {
            Ok(true) => {
                debug!(%zone, change, took_ms = span_ms(took), "batch is on all name servers");
                (state.last, state.failed) = (Some(took), false);
            }
            Ok(false) | Err(_) if gone => debug!(%zone, change, "batch is no longer asked after"),
            Ok(false) => continue,
            Err(fault) => {
                if !std::mem::replace(&mut state.failed, true) {
                    warn!(%zone, error = %fault.reason, "cannot see when batches are on all name servers");
                }
                continue;
            }
        }
        state.waiting.retain(|(id, _)| *id != change);
    }
}

/// The oldest batch; without one, nobody follows from now on.
fn next(state: &Mutex<State>) -> Option<(String, Instant)> {
    let mut state = lock(state);
    let oldest = state.waiting.front().cloned();
    state.followed = oldest.is_some();
    oldest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers that are given one after the other; the last one again and again.
    type Script = Arc<Mutex<VecDeque<Result<bool, Fault>>>>;

    fn script(answers: impl IntoIterator<Item = Result<bool, Fault>>) -> Script {
        Arc::new(Mutex::new(answers.into_iter().collect()))
    }

    fn add(insync: &Insync, change: &str, script: &Script) {
        let script = Arc::clone(script);
        insync.add(change.to_owned(), move |_| {
            let mut script = lock(&script);
            let answer = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
            async move { answer.unwrap() }
        });
    }

    fn values(insync: &Insync) -> (f64, Option<f64>) {
        let gauges = insync.measures();
        (gauges[0].value, gauges.get(1).map(|gauge| gauge.value))
    }

    fn insync() -> Insync {
        Insync::new("example.com".parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_from_the_answer_to_the_first_question_that_says_so() {
        let (insync, script) = (insync(), script([Ok(false), Ok(false), Ok(true)]));
        assert_eq!(values(&insync), (0.0, None));
        add(&insync, "C1", &script);
        tokio::time::sleep(Duration::from_millis(500)).await;
        add(&insync, "C2", &script);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(values(&insync), (2.0, None), "asked after 1 and 3 s");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(values(&insync), (1.0, Some(7.0)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(values(&insync), (0.0, Some(7.5)));
        // The one who followed is gone; the next batch has another.
        add(&insync, "C3", &script);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(values(&insync), (0.0, Some(1.0)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_asked_is_given_up() {
        let refused = Kind::Refused(crate::said::Said { code: "NoSuchChange".to_owned(), messages: vec![] });
        for (kind, seconds) in [(refused, 1), (Kind::NoRight, 601), (Kind::Busy, 601)] {
            let insync = insync();
            let script = script([Err(Fault::new(kind, "no"))]);
            (0..MOST + 1).for_each(|number| add(&insync, &format!("C{number}"), &script));
            assert_eq!(values(&insync).0, MOST as f64);
            tokio::time::sleep(Duration::from_secs(seconds + 40 * MOST as u64)).await;
            assert_eq!(values(&insync), (0.0, None));
        }
    }
}
