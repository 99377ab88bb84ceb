//! Decisions at one name that depend on what a scenario does not have.

use super::*;
use fleetdns_core::observed::Unwritable;

fn set(member: usize, addresses: &[u8]) -> Event {
    Event::Set { member, service: 2, addresses: Some(addresses.to_vec()), hostname: false }
}

/// A Service of which these addresses are healthy, and the zone as it is then.
fn published(members: &[(usize, &[u8])]) -> (World, Planner, Observed) {
    let (mut world, mut planner, mut observed) = (World::default(), planner(), Observed::default());
    for (member, addresses) in members {
        world.happen(&set(*member, addresses));
        for address in *addresses {
            world.happen(&Event::HealthState { address: *address, verdict: Verdict::Healthy });
        }
    }
    planner.update(&world.input());
    let plan = planner.plan(&Scope::All, &observed);
    apply(&mut observed, &plan);
    (world, planner, observed)
}

#[test]
fn a_dead_address_leaves_a_name_that_takes_no_new_records() {
    let (mut world, mut planner, mut observed) = published(&[(0, &[1, 2])]);
    let name = observed.owned().next().unwrap().clone();
    let unwritable = || vec![Unwritable { name: name.clone(), subtree: false, reason: "delegated".into() }];
    observed.set_unwritable(unwritable());
    world.happen(&Event::HealthState { address: 2, verdict: Verdict::Unhealthy });
    planner.update(&world.input());
    let plan = planner.plan(&Scope::All, &observed);
    assert_eq!((plan.changes.len(), plan.refused.len()), (1, 0), "{plan}");
    let mut empty = Observed::default();
    empty.set_unwritable(unwritable());
    let plan = planner.plan(&Scope::All, &empty);
    assert_eq!((plan.changes.len(), plan.refused.len()), (0, 1), "{plan}");
}

#[test]
fn as_many_addresses_as_a_name_may_have_are_not_too_many() {
    let (world, ..) = published(&[(0, &[1, 2])]);
    for (max_addresses, refused) in [(1, 1), (2, 0)] {
        let brakes = Brakes { max_addresses, ..Brakes::default() };
        let mut planner = Planner::new(zone(), Capabilities::default(), brakes);
        planner.update(&world.input());
        assert_eq!(planner.plan(&Scope::All, &Observed::default()).refused.len(), refused);
    }
}

#[test]
fn what_a_cluster_that_was_never_listed_gave_stays() {
    let (mut world, _, observed) = published(&[(0, &[1]), (2, &[3])]);
    // After a restart west cannot be reached, and nobody told it what the zone has of it.
    let mut west = MemberView::pending(MEMBERS[2].parse().unwrap());
    west.inventory = Inventory::Stale;
    world.put(west);
    let mut planner = planner();
    planner.update(&world.input().converged());
    let plan = planner.plan(&Scope::All, &observed);
    assert_eq!(plan.changes, [], "{plan}");
    let holds: Vec<_> = plan.held.iter().map(|held| &held.reason).collect();
    assert_eq!(holds, [&Hold::Unlisted(MEMBERS[2].parse().unwrap())], "{plan}");
}

#[test]
fn what_nobody_wants_stays_while_a_cluster_that_may_have_given_it_was_never_listed() {
    let name: DnsName = "gone.example.com".parse().unwrap();
    let east = "v=1 owner=fed service=default/web member=east;;;tcp:80;203.0.113.1";
    let west = "v=1 owner=fed service=default/web member=west;;;tcp:80;203.0.113.1";
    let unattributed = format!("{east} unattributed=203.0.113.7");
    for (mark, listed, expected) in [
        (None, true, None),
        (None, false, Some("unattributed")),
        (Some(east), true, None),
        (Some(east), false, None),
        (Some(west), true, None),
        (Some(west), false, Some("unlisted")),
        (Some(&*unattributed), true, None),
        (Some(&*unattributed), false, Some("unattributed")),
    ] {
        let mut world = World::default();
        for member in 0..3 {
            world.put(world.member(member));
        }
        if !listed {
            let west = MemberView { inventory: Inventory::Stale, listed, ..world.member(2) };
            world.put(west);
        }
        let mut planner = planner();
        planner.update(&world.input().converged());
        let mut observed = Observed::default();
        let there = ObservedSet {
            ttl: Ttl::DEFAULT,
            content: Content::Known(RecordData::A(
                fleetdns_core::record::NonEmpty::new(["203.0.113.1".parse().unwrap()]).unwrap(),
            )),
            claim: Owner::Ours(mark.map(|mark| mark.parse().unwrap())),
            version: Version::default(),
        };
        observed.replace(name.clone(), vec![there]);
        let plan = planner.plan(&Scope::All, &observed);
        let holds: Vec<_> = plan.held.iter().map(|held| held.reason.kind()).collect();
        assert_eq!(holds, Vec::from_iter(expected), "{mark:?} {listed}: {plan}");
        assert_eq!(plan.changes.len(), usize::from(expected.is_none()), "{mark:?} {listed}: {plan}");
    }
}
