//! `GET /metrics`: what the daemon shows, for Prometheus.
//!
//! Invariant: a series exists from the start, with zero, unless nothing is known of its subject.
//! Invariant: a scrape costs what there is of clusters, zones, canaries, overrides and names with something held, refused or
//! dead; it never looks at every Service or record.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetdns_core::{Inventory, Measure, MeasureKind, MemberName, OverrideKind, SelfCheckFailure};
use fleetdns_planner::Input;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, prometheus_text, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::heartbeats::Contact;
use crate::journal::{Kind, Stats};
use crate::view::{View, ZoneMeasure};

mod dead;
mod prober;
mod process;
mod zones;

use zones::Zone;

/// Media type of OpenMetrics, without its parameters.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_1: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything and its media type: OpenMetrics when `open`, otherwise the Prometheus text format.
///
/// # Errors
/// None: writing to a text does not fail.
pub(crate) fn render(view: &View, open: bool) -> Result<(&'static str, String), fmt::Error> {
    let mut registry = Registry::default();
    process::add(&mut registry);
    let mut all = Metrics(registry.sub_registry_with_prefix("fleetdns"));
    let (input, writes) = (view.inputs.current(), view.standing.borrow().writes());
    let zones: Vec<Zone> = view.zones.iter().map(|zone| Zone::of(&zone.borrow(), writes)).collect();
    all.zones(&zones);
    all.fleet(view, &input, writes);
    all.clusters(view, &input);
    all.config(view);
    all.prober(&view.reports.stats());
    all.journal(&view.journal.stats());
    all.measures(view.measures());
    let mut body = String::new();
    if open {
        text::encode(&mut body, &registry)?;
        return Ok((OPEN_METRICS_1, body));
    }
    prometheus_text::encode(&mut body, &registry)?;
    Ok((prometheus_text::CONTENT_TYPE, body))
}

/// Names and values of the labels of a series.
type Labels = Vec<(&'static str, String)>;

/// The series of one family, with values of this moment.
#[derive(Debug)]
struct Family<M>(Vec<(Labels, M)>);

impl<M: EncodeMetric + TypedMetric> EncodeMetric for Family<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(labels, metric)| metric.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Metrics<'a>(&'a mut Registry);

impl Metrics<'_> {
    fn gauge(&mut self, name: &str, help: &str, series: impl IntoIterator<Item = (Labels, f64)>) {
        let series = series.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.0.register(name, help, Family(series.collect()));
    }

    /// `_total` is added to its name.
    fn counter(&mut self, name: &str, help: &str, series: impl IntoIterator<Item = (Labels, f64)>) {
        let series = series.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.0.register(name, help, Family(series.collect()));
    }

    fn fleet(&mut self, view: &View, input: &Input, writes: bool) {
        let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        self.gauge("build_info", "1, with the version of the daemon", [(build, 1.0)]);
        let help = "1 while this replica leads and writes, or is the only one";
        self.0.register("leader", help, ConstGauge::new(u32::from(writes)));
        let overrides = [OverrideKind::Drain, OverrideKind::ForceIn, OverrideKind::ForceOut].map(|kind| {
            let count = input.overrides().iter().filter(|entry| entry.kind == kind).count();
            (vec![("kind", kind.to_string())], count as f64)
        });
        self.gauge("overrides", "Operator overrides in force, by kind", overrides);
        let failed = input.health().self_check.as_ref().map(SelfCheckFailure::kind);
        let self_checks = ["vantage", "correlation"]
            .map(|kind| (vec![("kind", kind.to_owned())], flag(failed.is_some_and(|failed| failed == kind))));
        let help = "1 while the self-check of the prober fails and its removals are suspended";
        self.gauge("self_check_failed", help, self_checks);
        let put_off: u64 = view.reports.put_offs().iter().map(|of| of.probes).sum();
        let help = "Probes that waited for the limits of their namespaces, while these act";
        self.0.register("probes_put_off", help, ConstGauge::new(put_off));
        let canaries = view.reports.canaries();
        let heard = canaries
            .iter()
            .filter_map(|one| Some((vec![("canary", one.canary.to_string())], flag(one.heard()?))));
        self.gauge("canary_heard", "1 while the canary was heard when last probed", heard);
    }

    fn clusters(&mut self, view: &View, input: &Input) {
        let members = &input.fleet().members;
        let label = |name: &MemberName| vec![("cluster", name.to_string())];
        let live = members.values().map(|one| (label(&one.name), flag(one.inventory == Inventory::Live)));
        self.gauge("cluster_live", "1 while the cluster's inventory is fresh", live);
        let endpoints = members.keys().flat_map(|name| {
            input.addresses_by_verdict(name).map(|(verdict, count)| {
                ([label(name), vec![("verdict", verdict.to_string())]].concat(), count as f64)
            })
        });
        self.gauge("cluster_endpoints", "Addresses by verdict", endpoints);
        let contacts = view.beats.contacts();
        let of = |at: fn(&Contact) -> Option<Instant>| {
            contacts.iter().map(move |(name, contact)| (label(name), timestamp(at(contact))))
        };
        let help = "Unix time of the last complete list of the cluster's Services";
        self.gauge("cluster_last_list_timestamp_seconds", help, of(|contact| contact.listed_at));
        let help = "Unix time of the last answer of the cluster's API: its inventory is as old as that";
        self.gauge("cluster_last_answer_timestamp_seconds", help, of(|contact| contact.answered_at));
    }

    fn config(&mut self, view: &View) {
        let taken_up = ConstGauge::new(u32::from(view.reloaded.faults.is_empty()));
        let help = "1 unless the configuration on disk has faults and was not taken up";
        self.0.register("config_last_reload_successful", help, taken_up);
        let help = "What is wrong with the sources of clusters of [discovery]";
        let faults = view.reloaded.source_faults.len();
        self.gauge("discovery_faults", help, [(vec![], faults as f64)]);
        let reloads = [("taken-up", view.reloads.taken_up), ("fault", view.reloads.failed)]
            .map(|(result, count)| (vec![("result", result.to_owned())], count as f64));
        self.counter("config_reloads", "Reloads of the configuration since the start", reloads);
    }

    fn journal(&mut self, stats: &Stats) {
        let events = Kind::ALL.map(|kind| {
            let count = stats.events.get(&kind).copied().unwrap_or_default();
            (vec![("kind", kind.to_string())], count as f64)
        });
        self.counter("events", "Events in the journal since the start", events);
        let fault = ConstGauge::new(u32::from(stats.fault.is_some()));
        self.0.register("audit_fault", "1 while the audit file cannot be written", fault);
        let help = "Events that never came to the audit file";
        self.0.register("audit_lost", help, ConstCounter::new(stats.lost));
    }

    /// What providers measure: those of one kind have the same families.
    fn measures(&mut self, measures: Vec<ZoneMeasure>) {
        let mut families: BTreeMap<&str, Vec<ZoneMeasure>> = BTreeMap::new();
        for one in measures {
            families.entry(one.measure.name).or_default().push(one);
        }
        for (name, family) in families {
            let Some(Measure { kind, help, .. }) = family.first().map(|one| one.measure.clone()) else {
                continue;
            };
            let series = family.into_iter().map(|one| (vec![("zone", one.zone)], one.measure.value));
            let name = format!("zone_{name}");
            match kind {
                MeasureKind::Gauge => self.gauge(&name, help, series),
                MeasureKind::Counter => self.counter(&name, help, series),
            }
        }
    }
}

/// Unix time in seconds; 0 for what never was.
fn timestamp(at: Option<Instant>) -> f64 {
    let unix = |at: Instant| {
        let then = SystemTime::now().checked_sub(at.elapsed())?;
        then.duration_since(UNIX_EPOCH).ok()
    };
    at.and_then(unix).map_or(0.0, |since| since.as_secs() as f64)
}

const fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests;
