use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::down::Down;
use super::*;
use crate::planner::{Memory, Planner, Scope};
use fleetdns_core::observed::Content;
use fleetdns_core::observed::{Observed, ObservedSet, Version};
use fleetdns_core::ownership::Owner;
use fleetdns_core::plan::Plan;

/// The zone once a plan is written.
fn written(observed: &Observed, plan: &Plan) -> Observed {
    let mut observed = observed.clone();
    for change in &plan.changes {
        let mut sets = observed.at(&change.name).to_vec();
        for one in &change.changes {
            sets.retain(|set| set.content.record_type() != Some(one.record_type()));
            sets.extend(one.after().map(|(set, mark)| ObservedSet {
                ttl: set.ttl,
                content: Content::Known(set.data.clone()),
                claim: mark.map_or(Owner::Foreign, Owner::of),
                version: Version::default(),
            }));
        }
        observed.replace(change.name.clone(), sets);
    }
    observed
}

/// Of every scenario, as it is and once its zones are in order, and with each member and an address of each down.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads files")]
fn what_follows_from_a_death_is_the_whole_without_what_was_there_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let (mut asked, mut says) = (0, 0);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let Ok(scenario) = serde_json::from_str::<Scenario>(&text) else { continue };
        let Ok(mut world) = World::read(&scenario, &[]) else { continue };
        for is_right in [false, true] {
            let mut subjects = BTreeSet::new();
            for member in world.input.fleet().members.values() {
                subjects.insert(member.name.to_string());
                let mut addresses = member.services.values().flat_map(|one| one.addresses.iter().flatten());
                subjects.extend(addresses.next().map(|address| format!("address/{address}")));
            }
            for down in subjects.into_iter().map(|subject| [subject]) {
                let input = Down::read(&down, world.input.fleet()).unwrap().applied(&world.input);
                if !is_right {
                    let other = World::read(&scenario, &down).unwrap().input;
                    assert_eq!(input.health(), other.health(), "{} without {down:?}", path.display());
                }
                let (mut base, mut whole) = (Report::default(), Report::default());
                for (zone, capabilities, observed) in &world.zones {
                    base.add_zone((zone, capabilities, &world.brakes), &world.input, observed);
                    whole.add_zone((zone, capabilities, &world.brakes), &input, observed);
                }
                let memory = Memory::default();
                let zones = world.zones.iter().map(|(settings, capabilities, observed)| ZoneNow {
                    settings,
                    capabilities,
                    observed,
                    memory: &memory,
                    now: Duration::ZERO,
                });
                let few = consequences(&world.input, &world.brakes, zones, &down).unwrap();
                assert_eq!(few, whole.beyond(&base), "{} without {down:?}", path.display());
                asked += 1;
                says += usize::from(few != Report::default());
            }
            for (zone, capabilities, observed) in &mut world.zones {
                let mut planner = Planner::new(zone.clone(), capabilities.clone(), world.brakes.clone());
                planner.update(&world.input);
                let pass = planner.preview(&Scope::All, observed, &mut Memory::default(), Duration::ZERO);
                *observed = written(observed, pass.approved.plan());
            }
        }
    }
    assert!(says * 4 > asked, "{says} of {asked} say anything");
}
