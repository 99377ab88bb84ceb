//! What grows with the fleet: written as JSON piece by piece, never held as a whole.

use std::io::Write;
use std::sync::Arc;

use fleetdns_core::{DnsName, Observed, ObservedSet, RecordData};
use fleetdns_planner::simulate::Capture;
use serde::Serializer as _;

use super::{RecordLine, View};
use crate::zone::ZoneStatus;

impl View {
    /// Writes record sets of all zones, ours first to last by name; others' too when `all` is set: a JSON list of
    /// [`RecordLine`].
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_records(&self, all: bool, out: impl Write) -> serde_json::Result<()> {
        let zones = self.zones_now();
        serde_json::Serializer::new(out).collect_seq(zones.iter().flat_map(|zone| lines_of(zone, all)))
    }

    /// Writes the fleet as a scenario for `simulate`, in JSON.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_scenario(&self, out: impl Write) -> serde_json::Result<()> {
        let zones = self.zones_now();
        let (input, unread) = (self.inputs.current(), Observed::default());
        let mut scenario = Capture::of(&self.fleet);
        scenario.template.clone_from(&self.template);
        scenario.hostnames = self.policy.rules();
        scenario.name_servers = self.policy.servers().iter().map(ToString::to_string).collect();
        scenario.add_brakes(&self.brakes);
        for status in &zones {
            let observed = status.observed.as_ref().unwrap_or(&unread);
            scenario.name_servers.extend(observed.name_servers().iter().map(ToString::to_string));
            scenario.add_zone(&status.settings, &status.capabilities, observed);
        }
        let priorities = zones.first().map(|zone| Arc::clone(&zone.settings.priorities));
        scenario.add_members(input.fleet(), input.health(), &priorities.unwrap_or_default());
        scenario.overrides.extend(input.overrides().iter().cloned());
        serde_json::to_writer(out, &scenario)
    }

    fn zones_now(&self) -> Vec<ZoneStatus> {
        self.zones.iter().map(|zone| zone.borrow().clone()).collect()
    }
}

fn lines_of(zone: &ZoneStatus, all: bool) -> impl Iterator<Item = RecordLine> {
    let names = zone.observed.iter().flat_map(Observed::iter);
    let sets = names.flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)));
    sets.filter(move |(_, set)| all || set.claim.is_ours()).map(|(name, set)| line(zone, name, set))
}

fn line(zone: &ZoneStatus, name: &DnsName, set: &ObservedSet) -> RecordLine {
    let ownership = set.claim.ownership();
    let services =
        ownership.as_ref().map(|of| of.services().iter().map(ToString::to_string).collect::<Vec<_>>());
    RecordLine {
        zone: zone.settings.zone.to_string(),
        name: name.to_string(),
        record_type: set.type_name().to_owned(),
        ttl: set.ttl.seconds(),
        values: set.content.data().map(RecordData::values).unwrap_or_default(),
        ours: set.claim.is_ours(),
        service: services.map(|keys| keys.join(", ")),
        members: ownership.map(|of| of.members.keys().map(ToString::to_string).collect()).unwrap_or_default(),
    }
}
