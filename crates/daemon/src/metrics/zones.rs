//! The series of the zones.

use std::collections::BTreeMap;

use fleetdns_core::Hold;
use fleetdns_core::plan::Refusal;
use fleetdns_planner::Input;
use prometheus_client::metrics::histogram::Histogram;

use super::{Family, Labels, Metrics, dead, flag, timestamp};
use crate::zone::{ByVerb, ZoneStatus};

fn label(status: &ZoneStatus) -> Labels {
    vec![("zone", status.settings.zone.to_string())]
}

/// One series for each of these values of a label, at zero where nothing counts for it.
fn by<'a>(
    status: &ZoneStatus,
    name: &'static str,
    values: impl IntoIterator<Item = &'a str>,
    counted: impl IntoIterator<Item = (&'a str, f64)>,
) -> Vec<(Labels, f64)> {
    let mut all: BTreeMap<&str, f64> = values.into_iter().map(|value| (value, 0.0)).collect();
    for (value, count) in counted {
        *all.entry(value).or_default() += count;
    }
    let labels = |value: &str| [label(status), vec![(name, value.to_owned())]].concat();
    all.into_iter().map(|(value, count)| (labels(value), count)).collect()
}

impl Metrics {
    /// `writes`: whether this replica leads, or is the only one.
    pub(super) fn zones(&mut self, zones: &[ZoneStatus], input: &Input, writes: bool) {
        let of =
            |value: fn(&ZoneStatus) -> f64| zones.iter().map(move |status| (label(status), value(status)));
        let owned =
            |status: &ZoneStatus| status.observed.as_ref().map_or(0.0, |all| all.owned_count() as f64);
        self.gauge("zone_owned_names", "Names in the zone that are ours", of(owned));
        self.counter("zone_written", "Names written since the start", of(|status| status.written as f64));
        self.counter(
            "zone_failed",
            "Names not written because of a fault",
            of(|status| status.failed as f64),
        );
        let fault = |status: &ZoneStatus| flag(status.fault.is_some());
        self.gauge("zone_fault", "1 while the zone cannot be read or written", of(fault));
        let other = |status: &ZoneStatus| flag(status.other_writer.is_some());
        let help = "1 while another daemon writes the zone with the same owner";
        self.gauge("zone_other_writer", help, of(other));
        let help = "Unix time of the last reading of the zone that worked";
        self.gauge("zone_last_list_timestamp_seconds", help, of(|status| timestamp(status.listed_at)));
        let help = "Unix time of the last write to the zone that worked";
        self.gauge("zone_last_write_timestamp_seconds", help, of(|status| timestamp(status.written_at)));
        self.reasons(zones);
        self.durations(zones);
        let mine = |status: &ZoneStatus| writes || status.capabilities.own_copy;
        let help = "Record sets that this replica has planned to write and has not written, by verb";
        let pending = zones.iter().flat_map(|status| {
            let ByVerb { create, update, delete } =
                if mine(status) { status.unwritten } else { ByVerb::default() };
            let counts = [("create", create), ("update", update), ("delete", delete)];
            by(status, "verb", [], counts.map(|(verb, count)| (verb, count as f64)))
        });
        self.gauge("zone_pending_changes", help, pending);
        let dead_addresses = dead::Addresses::of(input);
        let dead = zones.iter().flat_map(|status| {
            let counts = dead_addresses.in_zone(status, mine(status));
            by(status, "reason", dead::reasons(), counts.into_iter().map(|(kind, all)| (kind, all as f64)))
        });
        self.gauge("zone_dead_addresses", "Addresses in the zone whose probes fail, by reason", dead);
    }

    fn reasons(&mut self, zones: &[ZoneStatus]) {
        let held = zones.iter().flat_map(|status| {
            by(status, "reason", Hold::KINDS, status.held.values().map(|held| (held.reason.kind(), 1.0)))
        });
        self.gauge("zone_held_names", "Names kept by a brake", held);
        let refused = zones.iter().flat_map(|status| {
            let all = status.refused.values().chain(status.faults.values()).flatten();
            by(status, "reason", Refusal::KINDS, all.map(|one| (one.reason.kind(), 1.0)))
        });
        self.gauge("zone_refused_names", "Names wanted and not written", refused);
    }

    fn durations(&mut self, zones: &[ZoneStatus]) {
        let list: fn(&ZoneStatus) -> Histogram = |status| status.times.list.clone();
        let apply: fn(&ZoneStatus) -> Histogram = |status| status.times.apply.clone();
        for (name, help, histogram) in [
            ("zone_list_seconds", "Seconds that reading the zone took", list),
            ("zone_apply_seconds", "Seconds that writing a batch took", apply),
        ] {
            let series = zones.iter().map(|status| (label(status), histogram(status)));
            self.0.register(name, help, Family(series.collect()));
        }
    }
}
