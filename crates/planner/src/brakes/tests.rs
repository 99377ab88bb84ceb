//! Each brake alone, and what the operators' reference says of all of them.

use std::sync::Arc;

use super::*;
use fleetdns_core::member::{Health, Inventory, MemberView, Snapshot};
use fleetdns_core::overrides::Overrides;

fn input(inventory: Inventory, self_check: Option<SelfCheckFailure>) -> Input {
    let mut east = MemberView::pending("east".parse().unwrap());
    east.inventory = inventory;
    let snapshot = Snapshot { members: [(east.name.clone(), Arc::new(east))].into_iter().collect() };
    Input::new(&snapshot, &Health { self_check, ..Health::default() }, &Overrides::default())
}

#[test]
fn the_first_brake_that_holds_a_removal_says_why() {
    let address: Address = "203.0.113.1".parse().unwrap();
    let (vantage, correlation) = (
        || Some(SelfCheckFailure::Vantage { canaries: 1, silent: 1, keys: 1, heard: 0 }),
        || Some(SelfCheckFailure::Correlation { keys: 2, bad: 2, members: Arc::from([]) }),
    );
    let live = Inventory::Live;
    let (dead, held, back) = (Verdict::Unhealthy, Verdict::Suspended, Verdict::Recovering);
    // Input, removals, untried, waiting, verdict: what holds a dead address, and what holds one that is wanted out.
    let cases = [
        (input(live, None), true, false, false, dead, None, None),
        (input(Inventory::Pending, vantage()), false, true, true, held, Some("start-up"), Some("start-up")),
        (input(live, vantage()), false, true, true, held, Some("removals-off"), Some("removals-off")),
        (input(live, vantage()), true, true, true, held, Some("vantage"), None),
        (input(live, correlation()), true, true, true, held, Some("correlation"), None),
        (input(live, correlation()), true, false, false, dead, None, None),
        (input(live, None), true, true, true, held, Some("suspended"), None),
        (input(live, None), true, true, true, back, Some("recovering"), None),
        (input(live, None), true, true, true, dead, Some("new-probe"), None),
        (input(live, None), true, false, true, dead, Some("velocity"), None),
    ];
    for (number, (input, removals, untried, waits, verdict, expected, wanted)) in
        cases.into_iter().enumerate()
    {
        let settings = Brakes { removals, ..Brakes::default() };
        let waiting = BTreeSet::from_iter(waits.then(|| address.clone()));
        let table = BrakeInputs { input: &input, settings: &settings, waiting: &waiting, proven: &|_| false };
        let spec = ProbeSpec::tcp(80);
        let untried = || untried.then_some(&spec);
        let of = |removal| table.hold(removal).map(|hold| hold.kind());
        assert_eq!(
            of(Removal::Dead { address: &address, verdict, untried: &untried }),
            expected,
            "case {number}"
        );
        assert_eq!(of(Removal::Wanted), wanted, "case {number}, wanted out");
    }
}

#[test]
fn the_reference_of_operators_has_a_row_for_each_brake() {
    let text = include_str!("../../../../config/README.md");
    let (_, table) = text.split_once("| brake | holds | until |").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| "))
        .filter_map(|line| line.split(" |").next())
        .collect();
    let deleted = Hold::MaxDelete { deleted: 1, owned: 1, percent: 1 };
    let brakes = [
        Hold::StartUp("".into()),
        Hold::RemovalsOff,
        Hold::Vantage,
        Hold::Correlation,
        Hold::NewProbe,
        Hold::Velocity,
        Hold::Floor,
        deleted,
    ];
    assert_eq!(rows, brakes.each_ref().map(Hold::kind));
    let shown = text.split_once("| `status`, `why` and the log say | what to do |").unwrap().1;
    for hold in brakes {
        let (kind, why, until) = (hold.kind(), hold.why(), hold.until());
        // What has numbers, names or a key of the configuration in it is another text each time.
        let line = match hold {
            Hold::StartUp(_) => format!("`{kind}: waiting for …; until {until}`"),
            Hold::MaxDelete { .. } => {
                format!("`{kind}: 6 of 10 names would be deleted, more than 50 %; until {until}`")
            }
            Hold::Correlation => format!("`{kind}: {why}; until …`"),
            _ => format!("`{hold}`"),
        };
        assert!(shown.contains(&format!("| {line} |")), "no row {line}");
    }
    let unlisted = Hold::Unlisted("west".parse().unwrap());
    for hold in [Hold::Recovering, Hold::Undecided, Hold::Unattributed, Hold::Unreadable, unlisted] {
        assert!(shown.contains(&format!("| `{hold}` |")), "no row {hold}");
    }
}
