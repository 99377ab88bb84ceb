//! The series of the prober.

use std::time::Duration;

use fleetdns_probe::{DURATION_CLASSES, Durations, KindStats, ProbeKind, Stats};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::{Family, Labels, Metrics};

/// A histogram as it was read.
#[derive(Debug)]
struct ConstHistogram(Durations);

impl EncodeMetric for ConstHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let Durations { classes, sum } = &self.0;
        let ends = DURATION_CLASSES.map(|ms| Duration::from_millis(ms).as_secs_f64()).into_iter();
        let buckets: Vec<(f64, u64)> = ends.chain([f64::MAX]).zip(*classes).collect();
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), classes.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for ConstHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl Metrics<'_> {
    pub(super) fn prober(&mut self, stats: &Stats) {
        let kinds = || ProbeKind::ALL.iter().zip(&stats.kinds);
        let label = |kind: &ProbeKind| -> Labels { vec![("kind", kind.as_str().to_owned())] };
        let results = kinds().flat_map(|(kind, counts)| {
            let KindStats { passed, failed, inconclusive, .. } = *counts;
            [("passed", passed), ("failed", failed), ("inconclusive", inconclusive)].map(|(result, count)| {
                ([label(kind), vec![("result", result.to_owned())]].concat(), count as f64)
            })
        });
        self.counter("probes", "Probes that ended, those of canaries too, by kind and result", results);
        let took = kinds().map(|(kind, counts)| (label(kind), ConstHistogram(counts.took)));
        self.0.register("probe_seconds", "Seconds that probes took", Family(took.collect()));
        let help = "Seconds that probes started too late";
        self.0.register("probe_start_lag_seconds", help, ConstHistogram(stats.start_lag));
        let help = "Times that the prober stalled";
        self.0.register("prober_stalls", help, ConstCounter::new(stats.stalls));
    }
}
