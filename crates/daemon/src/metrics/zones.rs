//! The series of the zones.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetdns_core::Hold;
use fleetdns_core::plan::Refusal;
use prometheus_client::metrics::histogram::Histogram;

use super::{Family, Labels, Metrics, dead, flag, timestamp};
use crate::zone::{ByVerb, CallsByKind, Times, ZoneStatus};

/// Numbers by the value of one label.
type By = BTreeMap<&'static str, f64>;

/// The numbers of one zone. Made without a copy of its records: that costs what is held, refused or dead.
pub(super) struct Zone {
    zone: String,
    provider: String,
    owned: f64,
    written: f64,
    failed: f64,
    fault: f64,
    other_writer: f64,
    listed_at: f64,
    written_at: f64,
    pending: ByVerb,
    held: By,
    refused: By,
    dead: By,
    times: Times,
    calls: Arc<CallsByKind>,
}

impl Zone {
    /// `writes`: whether this replica leads, or is the only one.
    pub(super) fn of(status: &ZoneStatus, writes: bool) -> Self {
        let mine = writes || status.capabilities.own_copy;
        let refused = status.refused.values().chain(status.faults.values()).flatten();
        Self {
            zone: status.settings.zone.to_string(),
            provider: status.provider.to_string(),
            owned: status.observed.as_ref().map_or(0.0, |all| all.owned_count() as f64),
            written: status.written as f64,
            failed: status.failed as f64,
            fault: flag(status.fault.is_some()),
            other_writer: flag(status.other_writer.is_some()),
            listed_at: timestamp(status.listed_at),
            written_at: timestamp(status.written_at),
            pending: if mine { status.unwritten } else { ByVerb::default() },
            held: count(Hold::KINDS, status.held.values().map(|held| held.reason.kind())),
            refused: count(Refusal::KINDS, refused.map(|one| one.reason.kind())),
            dead: {
                let mut all = count(dead::reasons(), []);
                all.extend(dead::by_reason(status, mine));
                all
            },
            times: status.times.clone(),
            calls: Arc::clone(&status.calls),
        }
    }

    fn label(&self) -> Labels {
        vec![("zone", self.zone.clone())]
    }

    fn labels(&self, others: impl IntoIterator<Item = (&'static str, &'static str)>) -> Labels {
        let mut labels = self.label();
        labels.extend(others.into_iter().map(|(name, value)| (name, value.to_owned())));
        labels
    }

    /// With the provider: what it took belongs to it.
    fn of_provider(&self, others: impl IntoIterator<Item = (&'static str, &'static str)>) -> Labels {
        let mut labels = self.labels(others);
        labels.push(("provider", self.provider.clone()));
        labels
    }
}

/// How often each value occurs; 0 for those that do not.
fn count(
    values: impl IntoIterator<Item = &'static str>,
    counted: impl IntoIterator<Item = &'static str>,
) -> By {
    let mut all: By = values.into_iter().map(|value| (value, 0.0)).collect();
    for value in counted {
        *all.entry(value).or_default() += 1.0;
    }
    all
}

impl Metrics<'_> {
    pub(super) fn zones(&mut self, zones: &[Zone]) {
        let of = |value: fn(&Zone) -> f64| zones.iter().map(move |zone| (zone.label(), value(zone)));
        self.gauge("zone_owned_names", "Names in the zone that are ours", of(|zone| zone.owned));
        self.counter("zone_written", "Names written since the start", of(|zone| zone.written));
        self.counter("zone_failed", "Names not written because of a fault", of(|zone| zone.failed));
        self.gauge("zone_fault", "1 while the zone cannot be read or written", of(|zone| zone.fault));
        let help = "1 while another daemon writes the zone with the same owner";
        self.gauge("zone_other_writer", help, of(|zone| zone.other_writer));
        let help = "Unix time of the last reading of the zone that worked";
        self.gauge("zone_last_list_timestamp_seconds", help, of(|zone| zone.listed_at));
        let help = "Unix time of the last write to the zone that worked";
        self.gauge("zone_last_write_timestamp_seconds", help, of(|zone| zone.written_at));
        let help = "Record sets that this replica has planned to write and has not written, by verb";
        let pending = zones.iter().flat_map(|zone| {
            let ByVerb { create, update, delete } = zone.pending;
            let counts = [("create", create), ("update", update), ("delete", delete)];
            counts.map(|(verb, count)| (zone.labels([("verb", verb)]), count as f64))
        });
        self.gauge("zone_pending_changes", help, pending);
        self.by_reason(zones);
        self.provider(zones);
    }

    fn by_reason(&mut self, zones: &[Zone]) {
        let of = |by: fn(&Zone) -> &By| {
            zones.iter().flat_map(move |zone| {
                let counts = by(zone).iter();
                counts.map(|(reason, count)| (zone.labels([("reason", *reason)]), *count))
            })
        };
        self.gauge("zone_held_names", "Names kept by a brake", of(|zone| &zone.held));
        self.gauge("zone_refused_names", "Names wanted and not written", of(|zone| &zone.refused));
        let help = "Addresses in the zone whose probes fail, by reason";
        self.gauge("zone_dead_addresses", help, of(|zone| &zone.dead));
    }

    /// What the calls of the provider took, and what became of them.
    fn provider(&mut self, zones: &[Zone]) {
        let list: fn(&Times) -> &Histogram = |times| &times.list;
        let apply: fn(&Times) -> &Histogram = |times| &times.apply;
        let change: fn(&Times) -> &Histogram = |times| &times.change;
        for (name, help, histogram) in [
            ("zone_list_seconds", "Seconds that reading the zone took", list),
            ("zone_apply_seconds", "Seconds that writing a batch took", apply),
            ("zone_change_seconds", "Seconds from a change in the fleet to the written name", change),
        ] {
            let series = zones.iter().map(|zone| (zone.of_provider([]), histogram(&zone.times).clone()));
            self.0.register(name, help, Family(series.collect()));
        }
        let calls = zones.iter().flat_map(|zone| {
            let all = [("list", zone.calls.list.count()), ("apply", zone.calls.apply.count())];
            all.map(|(call, count)| (zone.of_provider([("call", call)]), count as f64))
        });
        self.counter("zone_provider_calls", "Calls of the provider, each of one or more requests", calls);
        let errors = zones.iter().flat_map(|zone| {
            let all = [("list", &zone.calls.list), ("apply", &zone.calls.apply)];
            all.into_iter().flat_map(move |(call, calls)| {
                calls.errors().map(move |(error, count)| {
                    (zone.of_provider([("call", call), ("error", error.as_str())]), count as f64)
                })
            })
        });
        self.counter("zone_provider_errors", "Calls of the provider that had an error", errors);
    }
}
