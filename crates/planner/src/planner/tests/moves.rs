//! Single addresses that come, go, or wait for their turn.

use super::*;

/// The moves of a pass over everything, as `in ADDRESS cause members`, after which the plan is applied.
fn moves(planner: &Planner, observed: &mut Observed) -> Vec<String> {
    let plan = planner.plan(&Scope::All, observed);
    let moves = planner.moves(&plan, observed);
    apply(observed, &plan);
    let line = |one: &Move| {
        let way = if one.way == Way::In { "in" } else { "out" };
        let members: Vec<&str> = one.members.iter().map(MemberName::as_str).collect();
        format!("{way} {} {} {}", one.address, one.cause.as_str(), members.join("+"))
    };
    moves.iter().filter(|one| one.name.as_str() == "web.default.fed.svc.example.com").map(line).collect()
}

fn set(member: usize, addresses: &[u8]) -> Event {
    Event::Set { member, service: 2, addresses: Some(addresses.to_vec()), hostname: false }
}

#[test]
fn each_move_of_an_address_has_its_cause() {
    let (mut world, mut planner, mut observed) = (World::default(), planner(), Observed::default());
    let health_state = |address, verdict| Event::HealthState { address, verdict };
    let kind = |text: &str, kind| {
        let since = 0;
        let subject = text.parse().unwrap();
        Overrides::from_iter([Override {
            subject,
            kind,
            reason: "".into(),
            by: "".into(),
            since,
            until: None,
        }])
    };
    let none = Overrides::default;
    for event in [set(0, &[1]), set(1, &[2]), set(2, &[3]), health_state(3, Verdict::Healthy)] {
        world.happen(&event);
    }
    let (healthy, dead) = (Verdict::Healthy, Verdict::Unhealthy);
    let steps: [(&[Event], Overrides, &[&str]); 10] = [
        (&[health_state(1, healthy)], none(), &["in 203.0.113.1 new east", "in 203.0.113.3 new west"]),
        (&[health_state(2, healthy)], none(), &["in 203.0.113.2 back north"]),
        (&[health_state(1, dead)], none(), &["out 203.0.113.1 unhealthy east"]),
        (&[], kind("cluster/east", OverrideKind::ForceIn), &["in 203.0.113.1 forced-in east"]),
        (&[health_state(1, healthy)], none(), &[]),
        (&[], kind("cluster/north", OverrideKind::Drain), &["out 203.0.113.2 drained north"]),
        (&[], none(), &["in 203.0.113.2 back north"]),
        (&[], kind("address/203.0.113.3", OverrideKind::ForceOut), &["out 203.0.113.3 forced-out west"]),
        (
            &[set(0, &[4]), health_state(4, healthy)],
            none(),
            &["out 203.0.113.1 gone east", "in 203.0.113.3 back west", "in 203.0.113.4 new east"],
        ),
        (&[Event::Leave { member: 1 }], none(), &["out 203.0.113.2 gone north"]),
    ];
    for (number, (events, overrides, expected)) in steps.into_iter().enumerate() {
        events.iter().for_each(|event| world.happen(event));
        planner.update(&world.input().with_overrides(&overrides));
        assert_eq!(moves(&planner, &mut observed), expected, "step {number}");
    }
    assert_eq!(planner.removal_budget(), 1, "20 % of two addresses, and one");
}

#[test]
fn a_cluster_behind_host_names_may_go_at_once_with_all_addresses_of_these() {
    let text = serde_json::json!({"fleet": "fed", "zones": [{"name": "example.com"}], "members": [
        {"name": "east", "inventory": "live", "services": [
            {"namespace": "default", "name": "web", "ingress": [{"hostname": "lb.example.net"}],
             "ports": [{"port": 80, "protocol": "TCP"}]}]}]});
    let snapshot = crate::simulate::parts_of(&serde_json::from_value(text).unwrap()).1;
    let mut planner = planner();
    let mut health = Health::default();
    for (ips, budget) in [(&[][..], 1), (&["203.0.113.1", "203.0.113.2", "203.0.113.3"], 3)] {
        let ips = ips.iter().map(|ip| ip.parse::<std::net::IpAddr>().unwrap()).collect();
        health.resolved.insert("lb.example.net".parse().unwrap(), ips);
        planner.update(&Input::new(&snapshot, &health, &Overrides::default()));
        assert_eq!(planner.removal_budget(), budget);
    }
}

#[test]
fn what_waits_its_turn_stays_and_the_rest_goes() {
    let (mut world, mut planner, mut observed) = (World::default(), planner(), Observed::default());
    world.happen(&set(0, &[1, 2, 3]));
    for address in 1..=3 {
        world.happen(&Event::HealthState { address, verdict: Verdict::Healthy });
    }
    planner.update(&world.input());
    moves(&planner, &mut observed);
    for address in 1..=2 {
        world.happen(&Event::HealthState { address, verdict: Verdict::Unhealthy });
    }
    planner.update(&world.input());
    planner.waiting = BTreeSet::from(["203.0.113.2".parse().unwrap()]);
    let plan = planner.plan(&Scope::All, &observed);
    assert_eq!(plan.held[0].reason, Hold::Velocity);
    assert_eq!(moves(&planner, &mut observed), ["out 203.0.113.1 unhealthy east"]);
    planner.waiting.clear();
    assert_eq!(moves(&planner, &mut observed), ["out 203.0.113.2 unhealthy east"]);
}

#[test]
fn what_waits_its_turn_takes_no_other_place_in_the_last_set() {
    let (mut world, mut planner, mut observed) = (World::default(), planner(), Observed::default());
    world.happen(&set(0, &[1, 2]));
    for verdict in [Verdict::Healthy, Verdict::Unhealthy] {
        for address in 1..=2 {
            world.happen(&Event::HealthState { address, verdict });
        }
        planner.update(&world.input());
        // One of the two leaves another name, and has to wait there.
        planner.waiting = BTreeSet::from(["203.0.113.2".parse().unwrap()]);
        let moves = moves(&planner, &mut observed);
        assert!(moves.iter().all(|one| one.starts_with("in ")), "{moves:?}");
    }
    assert_eq!(planner.plan(&Scope::All, &observed).held[0].reason, Hold::AllDown);
}

#[test]
fn what_waits_its_turn_breaks_up_no_name_while_another_verdict_is_on_its_way() {
    let (mut world, mut planner, mut observed) = (World::default(), planner(), Observed::default());
    for (member, address) in [(0, 1), (1, 2), (2, 4)] {
        world.happen(&set(member, &[address]));
        world.happen(&Event::Region { member, region: Some(if member == 2 { "west" } else { "east" }) });
        world.happen(&Event::HealthState { address, verdict: Verdict::Healthy });
    }
    planner.update(&world.input());
    let plan = planner.plan(&Scope::All, &observed);
    apply(&mut observed, &plan);
    // Both of the region are dead, one has to wait, and what nobody has judged yet may be what is left.
    for address in 1..=2 {
        world.happen(&Event::HealthState { address, verdict: Verdict::Unhealthy });
    }
    world.happen(&set(1, &[2, 3]));
    planner.update(&world.input());
    planner.waiting = BTreeSet::from(["203.0.113.2".parse().unwrap()]);
    let plan = planner.plan(&Scope::All, &observed);
    apply(&mut observed, &plan);
    let regional: DnsName = "web.default.fed.svc.east.example.com".parse().unwrap();
    let values = observed.at(&regional)[0].content.data().unwrap().values();
    assert_eq!(values, ["203.0.113.1", "203.0.113.2"]);
}
