use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::publish::{PublishSettings, publish};
use fleetdns_core::brakes::approve;
use fleetdns_core::member::{Health, MemberView, Snapshot};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::observed::{Content, ObservedSet, Version};
use fleetdns_core::overrides::{Override, OverrideKind, Overrides};
use fleetdns_core::ownership::Owner;
use fleetdns_core::probe::{ProbeSpec, UnprobeablePolicy, Verdict};
use fleetdns_core::record::{RecordData, Ttl};
use fleetdns_core::routing::Routing;
use fleetdns_core::service::{Ingress, Port, Published, Service};

mod decide;
mod handover;
mod holder;
mod moves;
mod work;

const MEMBERS: [&str; 3] = ["east", "north", "west"];
const SERVICES: [&str; 3] = ["api", "shop", "web"];

fn zone() -> ZoneSettings {
    let zone: DnsName = "example.com".parse().unwrap();
    ZoneSettings {
        suffix: zone.clone(),
        zone,
        other_zones: vec![],
        owner: "fed".parse().unwrap(),
        fleet: Some("fed".parse().unwrap()),
        ttl: Ttl::DEFAULT,
        routing: Routing::All,
        priorities: Arc::default(),
        policy: Arc::default(),
    }
}

fn planner() -> Planner {
    Planner::new(zone(), Capabilities::default(), Brakes { max_delete: 100, ..Brakes::default() })
}

/// What stands in a zone after an approved plan.
fn apply(observed: &mut Observed, plan: &Plan) {
    for change in &plan.changes {
        let mut sets = observed.at(&change.name).to_vec();
        for one in &change.changes {
            sets.retain(|set| !set.claim.is_ours() || set.content.record_type() != Some(one.record_type()));
            if let Some((set, mark)) = one.after() {
                sets.push(ObservedSet {
                    ttl: set.ttl,
                    content: Content::Known(set.data.clone()),
                    claim: mark.map_or(Owner::Foreign, Owner::of),
                    version: Version::default(),
                });
            }
        }
        assert!(one_cname_alone(&sets), "{plan}");
        observed.replace(change.name.clone(), sets);
        assert_eq!(observed.owned_count(), observed.owned().count());
    }
}

fn one_cname_alone(sets: &[ObservedSet]) -> bool {
    let cname = sets.iter().any(|set| matches!(set.content, Content::Known(RecordData::Cname(_))));
    !cname || sets.len() == 1
}

#[derive(Debug, Clone)]
enum Event {
    /// A member's Service gets these addresses; `None` deletes the Service.
    Set {
        member: usize,
        service: usize,
        addresses: Option<Vec<u8>>,
        hostname: bool,
    },
    HealthState {
        address: u8,
        verdict: Verdict,
    },
    Inventory {
        member: usize,
        inventory: Inventory,
    },
    Region {
        member: usize,
        region: Option<&'static str>,
    },
    Leave {
        member: usize,
    },
}

fn events() -> impl Strategy<Value = Event> {
    let verdict = prop_oneof![
        Just(Verdict::Unknown),
        Just(Verdict::Healthy),
        Just(Verdict::Suspect),
        Just(Verdict::Unhealthy),
        Just(Verdict::Recovering)
    ];
    let inventory = prop_oneof![Just(Inventory::Live), Just(Inventory::Stale), Just(Inventory::Removed)];
    prop_oneof![
        4 => (0..3_usize, 0..3_usize, proptest::option::of(proptest::collection::vec(1..9_u8, 0..3)), any::<bool>())
            .prop_map(|(member, service, addresses, hostname)| Event::Set { member, service, addresses, hostname }),
        4 => (1..9_u8, verdict).prop_map(|(address, verdict)| Event::HealthState { address, verdict }),
        1 => (0..3_usize, inventory).prop_map(|(member, inventory)| Event::Inventory { member, inventory }),
        1 => (0..3_usize, prop_oneof![Just(None), Just(Some("r1")), Just(Some("r2"))])
            .prop_map(|(member, region)| Event::Region { member, region }),
        1 => (0..3_usize).prop_map(|member| Event::Leave { member }),
    ]
}

#[derive(Default)]
struct World {
    snapshot: Snapshot,
    health: Health,
}

impl World {
    fn input(&self) -> Input {
        Input::new(&self.snapshot, &self.health, &Overrides::default())
    }

    fn member(&self, index: usize) -> MemberView {
        let name: MemberName = MEMBERS[index].parse().unwrap();
        let blank = || MemberView {
            inventory: Inventory::Live,
            listed: true,
            ..MemberView::pending(MEMBERS[index].parse().unwrap())
        };
        self.snapshot.members.get(&name).map_or_else(blank, |member| (**member).clone())
    }

    fn put(&mut self, member: MemberView) {
        self.snapshot.members.insert(member.name.clone(), Arc::new(member));
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Set { member, service, addresses, hostname } => {
                let mut view = self.member(*member);
                let key = ServiceKey::new("default", SERVICES[*service]).unwrap();
                match addresses {
                    None => {
                        view.services.remove(&key);
                    }
                    Some(addresses) => {
                        let published = service_of(SERVICES[*service], addresses, *hostname);
                        view.services.insert(key, Arc::new(published));
                    }
                }
                self.put(view);
            }
            Event::HealthState { address, verdict } => {
                let ip = std::net::IpAddr::from([203, 0, 113, *address]);
                let spec = Arc::new(ProbeSpec::tcp(80));
                self.health.verdicts.insert(ProbeKey { address: ip, spec }, *verdict);
            }
            Event::Inventory { member, inventory } => {
                let mut view = self.member(*member);
                view.inventory = *inventory;
                self.put(view);
            }
            Event::Region { member, region } => {
                let mut view = self.member(*member);
                view.region = region.map(|r| r.parse().unwrap());
                view.zones = region.map(|_| "1".parse().unwrap()).into_iter().collect();
                self.put(view);
            }
            Event::Leave { member } => {
                self.snapshot.members.remove(&MEMBERS[*member].parse::<MemberName>().unwrap());
            }
        }
    }
}

fn service_of(name: &str, addresses: &[u8], hostname: bool) -> Published {
    let ingress = |n: &u8| Ingress { ip: Some(format!("203.0.113.{n}")), hostname: None };
    let mut annotations = BTreeMap::new();
    // What has nothing to probe asks for no name that another one may have: its mark would tell of two kinds of probes.
    if hostname {
        annotations.insert("fleetdns.io/hostname".to_owned(), "www.example.com".to_owned());
    }
    let service = Service {
        namespace: "default".into(),
        name: name.into(),
        annotations,
        // One of them has nothing to probe, and goes by the rest of its member.
        ports: vec![Port { port: 80, protocol: if name == "shop" { "UDP" } else { "TCP" }.into() }],
        ingress: Some(addresses.iter().map(ingress).collect()),
        ..Service::default()
    };
    let zone: DnsName = "example.com".parse().unwrap();
    let settings = PublishSettings {
        fleet: Some("fed".parse().unwrap()),
        zones: vec![(zone.clone(), zone)],
        ..PublishSettings::default()
    };
    publish(&service, &settings).unwrap()
}

/// What a pass over everything would still change, with the planner's own view of start-up.
fn remaining(planner: &Planner, observed: &Observed) -> Vec<NameChange> {
    planner.plan(&Scope::All, observed).changes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_pass_over_what_changed_does_the_work_of_a_pass_over_everything(
        events in proptest::collection::vec(events(), 1..40)
    ) {
        let (mut world, mut planner, mut observed) = (World::default(), planner(), Observed::default());
        for event in &events {
            world.happen(event);
            let scope = planner.update(&world.input());
            planner.remember(&planner.in_scope(&scope, &observed), &observed);
            let plan = planner.plan(&scope, &observed);
            apply(&mut observed, &plan);
            prop_assert_eq!(remaining(&planner, &observed), vec![], "after {:?}", event);
        }
    }

    #[test]
    fn a_planner_that_saw_every_step_plans_as_one_that_sees_the_end(
        events in proptest::collection::vec(events(), 1..40)
    ) {
        let (mut world, mut input, mut stepwise) = (World::default(), Input::default(), planner());
        for event in &events {
            world.happen(event);
            input.update(&world.snapshot, &world.health, &Overrides::default());
            stepwise.update(&input);
        }
        let whole = world.input();
        prop_assert_eq!(&input.health, &whole.health);
        let mut fresh = planner();
        fresh.update(&whole);
        // Start-up converges once.
        stepwise.update(&input.converged());
        fresh.update(&whole.converged());
        let observed = Observed::default();
        prop_assert_eq!(stepwise.plan(&Scope::All, &observed), fresh.plan(&Scope::All, &observed));
    }

    /// What the velocity brake holds is planned again at the names where it stands, and nowhere else.
    #[test]
    fn what_waits_its_turn_is_planned_as_if_everything_were(
        gives in proptest::collection::vec((0..3_usize, 0..3_usize, proptest::collection::btree_set(1..4_u8, 1..4)), 3..12),
        dead in proptest::collection::btree_set(1..10_u8, 1..8),
    ) {
        let brakes = Brakes { max_removals: 1, max_delete: 100, ..Brakes::default() };
        let mut planner = Planner::new(zone(), Capabilities::default(), brakes);
        let (mut world, mut observed) = (World::default(), Observed::default());
        for (member, service, own) in gives {
            let addresses = Some(own.iter().map(|one| 3 * u8::try_from(member).unwrap() + one).collect());
            world.happen(&Event::Set { member, service, addresses, hostname: false });
        }
        (1..10).for_each(|address| world.happen(&Event::HealthState { address, verdict: Verdict::Healthy }));
        planner.update(&world.input().converged());
        let plan = planner.plan(&Scope::All, &observed);
        apply(&mut observed, &plan);
        for address in dead {
            world.happen(&Event::HealthState { address, verdict: Verdict::Unhealthy });
        }
        planner.update(&world.input().converged());
        let mut memory = Memory::default();
        let preview = planner.preview_desired(&Scope::All, &observed, &mut memory, Duration::ZERO);
        let mut whole = planner.plan(&Scope::All, &observed);
        whole.refused.retain(|refused| planner.faults().all(|fault| fault != refused));
        prop_assert_eq!(preview.approved.plan(), &whole);
        let names = planner.in_scope(&Scope::All, &observed);
        let desired: Vec<RecordSet> = names.iter().flat_map(|name| planner.sets_at(name, &observed)).collect();
        prop_assert_eq!(preview.desired, desired);
    }

    #[test]
    fn a_living_service_never_loses_its_global_name(events in proptest::collection::vec(events(), 1..40)) {
        let (mut world, mut planner, mut observed) = (World::default(), planner(), Observed::default());
        for event in &events {
            let before = observed.clone();
            world.happen(event);
            planner.update(&world.input());
            let scope = Scope::All;
            let plan = approve(planner.plan(&scope, &observed), &Brakes { max_delete: 100, ..Brakes::default() });
            apply(&mut observed, plan.plan());
            for service in SERVICES {
                let key = ServiceKey::new("default", service).unwrap();
                let name = format!("{service}.default.fed.svc.example.com").parse().unwrap();
                let claimed = world.snapshot.members.values().any(|member| {
                    member.inventory != Inventory::Removed
                        && member.services.get(&key).is_some_and(|s| s.addresses.as_ref().is_some_and(|a| !a.is_empty()))
                });
                let had = !before.at(&name).is_empty();
prop_assert!(!(had && claimed && observed.at(&name).is_empty()), "{} vanished after {:?}", name, event);
            }
        }
    }
}

#[test]
fn nothing_is_removed_before_start_up_has_converged() {
    let mut world = World::default();
    world.happen(&Event::Set { member: 0, service: 0, addresses: Some(vec![1]), hostname: false });
    world.happen(&Event::HealthState { address: 1, verdict: Verdict::Healthy });
    let mut first = planner();
    let mut observed = Observed::default();
    let scope = first.update(&world.input());
    let plan = first.plan(&scope, &observed);
    apply(&mut observed, &plan);
    assert_eq!(observed.owned().count(), 1);

    let mut restarted = planner();
    let pending = MemberView::pending("east".parse().unwrap());
    let mut snapshot = Snapshot::default();
    snapshot.members.insert(pending.name.clone(), Arc::new(pending.clone()));
    restarted.update(&Input::new(&snapshot, &Health::default(), &Overrides::default()));
    let plan = restarted.plan(&Scope::All, &observed);
    assert!(plan.changes.is_empty(), "{plan}");
    assert!(plan.held[0].reason.to_string().contains("first list of east"), "{plan}");

    let gone = MemberView { inventory: Inventory::Live, listed: true, ..pending };
    snapshot.members.insert(gone.name.clone(), Arc::new(gone));
    let scope = restarted.update(&Input::new(&snapshot, &Health::default(), &Overrides::default()));
    assert_eq!(scope, Scope::All, "the end of start-up looks at every name");
    let plan = restarted.plan(&scope, &observed);
    assert!(plan.changes[0].vanishes(), "{plan}");
}

#[test]
fn a_ttl_is_clamped_to_what_the_provider_takes() {
    let mut world = World::default();
    world.happen(&Event::Set { member: 0, service: 0, addresses: Some(vec![1]), hostname: false });
    world.happen(&Event::HealthState { address: 1, verdict: Verdict::Healthy });
    for (least, most, given) in [(60, 3600, 60), (1, 20, 20), (1, 3600, 30)] {
        let ttl = (Ttl::new(least).unwrap(), Ttl::new(most).unwrap());
        let mut planner =
            Planner::new(zone(), Capabilities { ttl, ..Capabilities::default() }, Brakes::default());
        planner.update(&world.input());
        let desired = planner.sets_at(planner.names().next().unwrap(), &Observed::default());
        assert_eq!(desired[0].ttl.seconds(), given, "{least} to {most}");
    }
}

#[test]
fn what_cannot_be_probed_from_here_is_published_on_the_word_of_its_cluster() {
    let mut world = World::default();
    world.happen(&Event::Set { member: 0, service: 0, addresses: Some(vec![1]), hostname: false });
    let mut planner = planner();
    planner.update(&world.input());
    assert!(planner.plan(&Scope::All, &Observed::default()).is_empty(), "it has no verdict yet");
    let spec = Arc::new(ProbeSpec::tcp(80));
    let key = ProbeKey { address: std::net::IpAddr::from([203, 0, 113, 1]), spec };
    world.health.unprobeable.insert(key.clone());
    let scope = planner.update(&world.input());
    assert_eq!(planner.plan(&scope, &Observed::default()).changes.len(), 1);

    world.health.verdicts.insert(key.clone(), Verdict::Unhealthy);
    let scope = planner.update(&world.input());
    assert!(planner.plan(&scope, &Observed::default()).is_empty(), "a verdict wins over the cluster's word");
    world.health.verdicts.remove(&key);
    world.health.unprobeable_policy = UnprobeablePolicy::Hold;
    planner.update(&world.input());
    assert!(
        planner.plan(&Scope::All, &Observed::default()).is_empty(),
        "or is held as it is, where that is set"
    );
}

#[test]
fn a_standby_that_a_service_asks_for_stays_one_after_a_restart() {
    let mut world = World::default();
    for (member, address) in [(0, 1), (1, 2)] {
        world.happen(&Event::Set { member, service: 0, addresses: Some(vec![address]), hostname: false });
        world.happen(&Event::HealthState { address, verdict: Verdict::Healthy });
    }
    for name in &MEMBERS[..2] {
        let name: MemberName = name.parse().unwrap();
        let Some(member) = world.snapshot.members.get_mut(&name) else { panic!("{name}") };
        let services = std::mem::take(&mut Arc::make_mut(member).services).into_iter();
        Arc::make_mut(member).services = services
            .map(|(key, one)| {
                (key, Arc::new(Published { routing: Some(Routing::Failover), ..(*one).clone() }))
            })
            .collect();
    }
    let (mut first, mut observed) = (planner(), Observed::default());
    first.update(&world.input());
    let plan = first.plan(&Scope::All, &observed);
    apply(&mut observed, &plan);
    let configured = world.snapshot.members.keys().cloned().collect();
    let adopted = crate::adopt::adopt(first.zone(), &observed, &configured);
    let routing = adopted.iter().flat_map(|member| member.services.values()).map(|one| one.routing);
    assert_eq!(routing.collect::<Vec<_>>(), [Some(Routing::Failover); 2]);
}

#[test]
fn an_endpoint_without_a_verdict_holds_its_own_name_at_a_restart_and_no_other() {
    let mut world = World::default();
    world.happen(&Event::Set { member: 0, service: 0, addresses: Some(vec![1, 2]), hostname: false });
    world.happen(&Event::Set { member: 0, service: 2, addresses: Some(vec![3]), hostname: false });
    for address in 1..=3 {
        world.happen(&Event::HealthState { address, verdict: Verdict::Healthy });
    }
    let (mut first, mut observed) = (planner(), Observed::default());
    first.update(&world.input());
    let plan = first.plan(&Scope::All, &observed);
    apply(&mut observed, &plan);
    assert_eq!(observed.owned().count(), 2);

    // After a restart, the second Service's load balancer is another one, of which nothing is known.
    let mut restarted = planner();
    world.health.verdicts.clear();
    world.happen(&Event::Set { member: 0, service: 2, addresses: Some(vec![4]), hostname: false });
    world.happen(&Event::HealthState { address: 1, verdict: Verdict::Healthy });
    world.happen(&Event::HealthState { address: 2, verdict: Verdict::Unhealthy });
    restarted.update(&world.input());
    assert_eq!(restarted.startup(), None);
    let plan = restarted.plan(&Scope::All, &observed);
    let [change] = plan.changes.as_slice() else { panic!("{plan}") };
    let left: Vec<String> =
        change.changes.iter().filter_map(Change::after).flat_map(|(set, _)| set.data.values()).collect();
    assert_eq!(left, ["203.0.113.1"], "{plan}");
    assert_eq!(plan.held.len(), 1, "{plan}");
    assert_eq!(plan.held[0].reason, Hold::Undecided);
}

#[test]
fn a_new_address_is_written_once_when_its_verdict_is_there() {
    let mut world = World::default();
    world.happen(&Event::Set { member: 0, service: 0, addresses: Some(vec![1]), hostname: false });
    world.happen(&Event::HealthState { address: 1, verdict: Verdict::Healthy });
    let (mut planner, mut observed) = (planner(), Observed::default());
    let scope = planner.update(&world.input());
    let plan = planner.plan(&scope, &observed);
    apply(&mut observed, &plan);

    world.happen(&Event::Set { member: 0, service: 0, addresses: Some(vec![2]), hostname: false });
    let scope = planner.update(&world.input());
    let plan = planner.plan(&scope, &observed);
    assert!(plan.changes.is_empty(), "no mark is written ahead of the verdict: {plan}");
    assert_eq!(plan.held[0].reason, Hold::Undecided);

    world.happen(&Event::HealthState { address: 2, verdict: Verdict::Healthy });
    let scope = planner.update(&world.input());
    let plan = planner.plan(&scope, &observed);
    assert_eq!(plan.changes.len(), 1, "{plan}");
}

#[test]
fn what_is_misshapen_is_written_again_and_nothing_else() {
    let mut world = World::default();
    world.happen(&Event::Set { member: 0, service: 0, addresses: Some(vec![1]), hostname: false });
    world.happen(&Event::HealthState { address: 1, verdict: Verdict::Healthy });
    let (mut planner, mut observed) = (planner(), Observed::default());
    planner.update(&world.input());
    let plan = planner.plan(&Scope::All, &observed);
    apply(&mut observed, &plan);
    assert!(planner.plan(&Scope::All, &observed).is_empty());

    let name = observed.owned().next().unwrap().clone();
    let [mut set] = <[ObservedSet; 1]>::try_from(observed.at(&name).to_vec()).unwrap();
    set.content = Content::Misshapen(set.content.data().unwrap().clone().into());
    observed.replace(name.clone(), vec![set.clone()]);
    let plan = planner.plan(&Scope::All, &observed);
    let [Change::Update { before, .. }] = &plan.changes[0].changes[..] else { panic!("{plan}") };
    assert_eq!((before, plan.changes.len()), (&set, 1), "{plan}");

    // Somebody put a record in the place of the missing half.
    set.content = Content::Misshapen(RecordData::Cname("lb.example.net".parse().unwrap()).into());
    let foreign = ObservedSet { claim: Owner::Foreign, content: Content::Other("A".into()), ..set.clone() };
    observed.replace(name, vec![set, foreign]);
    let plan = planner.plan(&Scope::All, &observed);
    assert!(plan.changes.is_empty(), "{plan}");
    assert!(plan.refused[0].reason.to_string().contains("somebody else's A"), "{plan}");
}

#[test]
fn another_service_at_a_name_is_no_change_of_probe_settings() {
    // The TCP Service that held the host name goes; the UDP one that gets it follows its cluster, and is down.
    let (mut world, mut planner, mut observed) = (World::default(), planner(), Observed::default());
    let set = |member, service, addresses: Option<Vec<u8>>| Event::Set {
        member,
        service,
        addresses,
        hostname: true,
    };
    let events = [
        set(2, 1, Some(vec![1])),
        set(2, 0, Some(vec![])),
        set(0, 0, Some(vec![1])),
        Event::HealthState { address: 1, verdict: Verdict::Unhealthy },
        set(2, 1, None),
    ];
    for event in &events {
        world.happen(event);
        planner.update(&world.input());
        let plan = planner.plan(&Scope::All, &observed);
        apply(&mut observed, &plan);
        assert_eq!(remaining(&planner, &observed), vec![], "after {event:?}");
    }
}
