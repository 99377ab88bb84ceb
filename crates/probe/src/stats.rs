//! Numbers since the start: how probes ended, how long they took, how late they started.
//!
//! Invariant: counting a probe takes a few atomic additions, and allocates nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleetdns_core::probe::Check;
use fleetdns_health::state::Outcome;

/// Upper ends of the classes of [`Durations`] in milliseconds; the last class has none.
pub const DURATION_CLASSES: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 2500];
const CLASSES: usize = DURATION_CLASSES.len() + 1;

/// What is asked, as the annotation `probe` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// A TCP connection.
    Tcp,
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// A gRPC health check in the clear.
    Grpc,
    /// The same over TLS.
    Grpcs,
}

impl ProbeKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Http, Self::Https, Self::Grpc, Self::Grpcs];

    /// `tcp`, `http`, `https`, `grpc` or `grpcs`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
        }
    }

    /// `None` where nothing is asked.
    const fn of(check: &Check) -> Option<Self> {
        match check {
            Check::None | Check::Cluster => None,
            Check::Tcp { .. } => Some(Self::Tcp),
            Check::Http(http) if http.tls.is_some() => Some(Self::Https),
            Check::Http(_) | Check::Guess(_) => Some(Self::Http),
            Check::Grpc(grpc) if grpc.tls.is_some() => Some(Self::Grpcs),
            Check::Grpc(_) => Some(Self::Grpc),
        }
    }
}

/// How often which time was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// In the classes of [`DURATION_CLASSES`], each counted in one of them.
    pub classes: [u64; CLASSES],
    /// All of them together.
    pub sum: Duration,
}

/// The probes of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindStats {
    /// Probes that succeeded.
    pub passed: u64,
    /// Probes that failed.
    pub failed: u64,
    /// Probes that were inconclusive.
    pub inconclusive: u64,
    /// How long they took.
    pub took: Durations,
}

/// Numbers since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// In the order of [`ProbeKind::ALL`].
    pub kinds: [KindStats; ProbeKind::ALL.len()],
    /// Times that the prober itself stalled.
    pub stalls: u64,
    /// How late probes started.
    pub start_lag: Durations,
}

impl Stats {
    /// Probes of all kinds that succeeded, failed, and were inconclusive.
    pub fn totals(&self) -> [u64; 3] {
        let sum = |of: fn(&KindStats) -> u64| self.kinds.iter().map(of).sum();
        [sum(|kind| kind.passed), sum(|kind| kind.failed), sum(|kind| kind.inconclusive)]
    }
}

#[derive(Debug, Default)]
struct Histogram {
    classes: [AtomicU64; CLASSES],
    nanos: AtomicU64,
}

impl Histogram {
    fn count(&self, time: Duration) {
        let class = DURATION_CLASSES.partition_point(|end| Duration::from_millis(*end) < time);
        if let Some(counter) = self.classes.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        // Of 584 years.
        self.nanos.fetch_add(u64::try_from(time.as_nanos()).unwrap_or_default(), Ordering::Relaxed);
    }

    fn read(&self) -> Durations {
        let sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed));
        Durations { classes: self.classes.each_ref().map(|class| class.load(Ordering::Relaxed)), sum }
    }
}

#[derive(Debug, Default)]
struct KindCounters {
    outcomes: [AtomicU64; 3],
    took: Histogram,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    kinds: [KindCounters; ProbeKind::ALL.len()],
    stalls: AtomicU64,
    start_lag: Histogram,
}

impl Counters {
    pub(crate) fn probe(&self, check: &Check, outcome: Outcome, took: Duration) {
        let kind = ProbeKind::of(check).and_then(|kind| self.kinds.get(kind as usize));
        let outcome = match outcome {
            Outcome::Pass => 0,
            Outcome::Fail => 1,
            Outcome::Inconclusive => 2,
        };
        let Some((kind, counter)) = kind.and_then(|kind| Some((kind, kind.outcomes.get(outcome)?))) else {
            return;
        };
        counter.fetch_add(1, Ordering::Relaxed);
        kind.took.count(took);
    }

    pub(crate) fn start(&self, lag: Duration) {
        self.start_lag.count(lag);
    }

    pub(crate) fn stall(&self) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Stats {
        let kinds = self.kinds.each_ref().map(|kind| {
            let [passed, failed, inconclusive] =
                kind.outcomes.each_ref().map(|counter| counter.load(Ordering::Relaxed));
            KindStats { passed, failed, inconclusive, took: kind.took.read() }
        });
        Stats { kinds, stalls: self.stalls.load(Ordering::Relaxed), start_lag: self.start_lag.read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_class_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [0, 1000, 1001, 2_500_000, 2_500_001] {
            histogram.count(Duration::from_micros(micros));
        }
        let read = histogram.read();
        assert_eq!(read.classes, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(read.sum, Duration::from_micros(5_002_002));
    }

    #[test]
    fn probes_are_counted_by_what_they_ask() {
        let counters = Counters::default();
        let count = |word: &str, outcome| {
            let spec: fleetdns_core::ProbeSpec = word.parse().unwrap();
            counters.probe(&spec.check, outcome, Duration::from_millis(3));
        };
        count("tcp:80", Outcome::Pass);
        count("tcp:81", Outcome::Fail);
        count("http:80@www.example.com/", Outcome::Fail);
        count("https:443@www.example.com/", Outcome::Inconclusive);
        count("none", Outcome::Pass);
        let stats = counters.read();
        let of = |kind: KindStats| [kind.passed, kind.failed, kind.inconclusive];
        assert_eq!(stats.kinds.map(of), [[1, 1, 0], [0, 1, 0], [0, 0, 1], [0; 3], [0; 3]]);
        assert_eq!(stats.totals(), [1, 2, 1]);
        assert_eq!(stats.kinds[0].took.classes[2], 2);
    }
}
