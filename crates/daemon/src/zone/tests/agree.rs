//! What is said beforehand is what the loop does: of an override, `simulate`, its reported effect and the loop agree.

use std::collections::BTreeMap;

use fleetdns_core::{
    Health, Ingress, MemberView, Overrides, Port, ProbeKey, ProbeSpec, RecordType, Service, Snapshot, Subject,
};
use fleetdns_planner::simulate::{ChangeLine, simulate};
use fleetdns_planner::{PublishSettings, publish};
use proptest::prelude::*;

use super::*;
use crate::overrides::effect::Scene;
use crate::view::View;

const MEMBERS: [&str; 3] = ["east", "north", "west"];
const SERVICES: [&str; 3] = ["api", "dns", "web"];
/// Another brake looks at all names at once, and lets go what an override of a few leaves.
const BRAKES: Brakes = Brakes {
    min_kept: 1,
    all_down: fleetdns_core::brakes::AllDown::Keep,
    max_delete: 50,
    max_removals: 100,
    max_addresses: 250,
    removals: true,
};

/// Addresses of each Service of each member, and a verdict for each address.
type World = (Vec<Option<Vec<u8>>>, Vec<usize>);

fn worlds() -> impl Strategy<Value = World> {
    let addresses = proptest::option::weighted(0.7, proptest::collection::vec(1..8_u8, 1..3));
    (proptest::collection::vec(addresses, 9), proptest::collection::vec(0..6_usize, 8))
}

fn read((cells, verdicts): &World) -> (Snapshot, Health) {
    let apex: DnsName = "example.com".parse().unwrap();
    let settings = PublishSettings {
        fleet: Some("fed".parse().unwrap()),
        zones: vec![(apex.clone(), apex)],
        ..PublishSettings::default()
    };
    let mut snapshot = Snapshot::default();
    for (number, name) in MEMBERS.into_iter().enumerate() {
        let mut view = MemberView::pending(name.parse().unwrap());
        (view.inventory, view.listed) = (Inventory::Live, true);
        view.region = (number > 0).then(|| format!("r{number}").parse().unwrap());
        for (service, addresses) in SERVICES.into_iter().zip(&cells[number * 3..]) {
            let Some(addresses) = addresses else { continue };
            // What cannot be probed goes by the rest of its member.
            let protocol = if service == "dns" { "UDP" } else { "TCP" }.to_owned();
            let ingress = |n: &u8| Ingress { ip: Some(format!("203.0.113.{n}")), hostname: None };
            let service = Service {
                namespace: "default".into(),
                name: service.into(),
                ports: vec![Port { port: 80, protocol }],
                ingress: Some(addresses.iter().map(ingress).collect()),
                ..Service::default()
            };
            let published = publish(&service, &settings).unwrap();
            view.services.insert(published.key.clone(), Arc::new(published));
        }
        snapshot.members.insert(view.name.clone(), Arc::new(view));
    }
    let all = [
        Verdict::Healthy,
        Verdict::Healthy,
        Verdict::Unknown,
        Verdict::Unhealthy,
        Verdict::Recovering,
        Verdict::Suspended,
    ];
    let mut health = Health::default();
    for (number, verdict) in verdicts.iter().enumerate() {
        let address = std::net::IpAddr::from([203, 0, 113, u8::try_from(number + 1).unwrap()]);
        health.verdicts.insert(ProbeKey { address, spec: Arc::new(ProbeSpec::tcp(80)) }, all[*verdict]);
    }
    (snapshot, health)
}

/// What is ours, by name and type.
type Sets = BTreeMap<(String, RecordType), Vec<String>>;

fn sets(observed: &Observed) -> Sets {
    let ours = observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)));
    let ours = ours.filter_map(|(name, set)| Some((name, set.ours()?)));
    ours.map(|(name, data)| ((name.to_string(), data.record_type()), data.values())).collect()
}

/// What a printed plan leaves.
fn after(mut sets: Sets, plan: &[ChangeLine]) -> Sets {
    for line in plan {
        let key = (line.name.clone(), line.record_type.parse().unwrap());
        match &*line.verb {
            "delete" => drop(sets.remove(&key)),
            _ => drop(sets.insert(key, line.values.clone())),
        }
    }
    sets
}

/// Names at which the two differ.
fn difference(one: &Sets, other: &Sets) -> BTreeSet<String> {
    let keys = one.keys().chain(other.keys()).filter(|key| one.get(*key) != other.get(*key));
    keys.map(|(name, _)| name.clone()).collect()
}

/// What the loop makes of a zone in its first pass, and the zone as it is shown then.
async fn run(
    (snapshot, health): &(Snapshot, Health),
    observed: &Observed,
    overrides: OverrideSender,
) -> (Observed, ZoneStatus) {
    let backend = Backend { observed: observed.clone(), ..Backend::default() };
    let rig = Rig::start_braked(backend, vec![], overrides, BRAKES);
    rig.health.send_replace(health.clone());
    rig.snapshots.send_replace(snapshot.clone());
    rig.pass(1).await;
    let status = rig.status.borrow().clone();
    (rig.backend(|backend| backend.observed.clone()), status)
}

/// Sets an override as an operator does.
async fn setting(subject: &Subject, kind: OverrideKind) -> (OverrideSender, Overrides) {
    let (store, sender) = OverrideStore::new(crate::overrides::Storage::Marks, Clock::new(|| 1_700_000_000));
    tokio::spawn(store.run(CancellationToken::new()));
    let (by, reason) = ("alice".to_owned(), String::new());
    let request =
        OverrideRequest { subjects: vec![subject.clone()], kind: Some(kind), by, reason, span: None };
    sender.request(request).await.unwrap();
    let set = sender.receiver().borrow().clone();
    (sender, set)
}

async fn agree(before: World, now: World, subject: Subject, kind: OverrideKind) {
    // The zone as a world of before has left it.
    let (observed, mut status) = run(&read(&before), &Observed::default(), OverrideSender::none()).await;
    let now = read(&now);
    let (sender, overrides) = setting(&subject, kind).await;
    let (plain, _) = run(&now, &observed, OverrideSender::none()).await;
    let (done, shown) = run(&now, &observed, sender).await;

    (status.observed, status.memory) = (Some(observed.clone()), Memory::default());
    let view = |overrides: &Overrides| View {
        inputs: Inputs::new(
            watch::channel(now.0.clone()).1,
            watch::channel(now.1.clone()).1,
            watch::channel(overrides.clone()).1,
        ),
        zones: vec![watch::channel(status.clone()).1],
        brakes: BRAKES,
        ..View::empty()
    };
    let report = |view: View| {
        let mut text = Vec::new();
        view.write_scenario(&mut text).unwrap();
        simulate(&serde_json::from_slice(&text).unwrap(), &[]).unwrap()
    };
    let (said_plain, said) = (report(view(&Overrides::default())), report(view(&overrides)));
    assert_eq!(after(sets(&observed), &said_plain.plan), sets(&plain), "without the override");
    assert_eq!(after(sets(&observed), &said.plan), sets(&done), "with it");
    let held: BTreeMap<String, String> =
        said.held.iter().map(|one| (one.name.clone(), one.to_string())).collect();
    let shown: BTreeMap<String, String> =
        shown.held.values().map(|one| (one.name.to_string(), one.reason.to_string())).collect();
    assert_eq!(held, shown);

    let effect = Scene::of(&view(&Overrides::default()), &BRAKES).effect(&overrides, &[subject]);
    assert_eq!(effect.names, difference(&sets(&plain), &sets(&done)).len(), "{effect:?}");
    for one in &effect.held {
        assert_eq!(shown.get(&one.name), Some(&one.reason), "{effect:?}");
    }
    // And `why` of each name that was written is what was written.
    let explained = View { brakes: BRAKES, ..view(&overrides) };
    for name in said.plan.iter().map(|line| &line.name) {
        let explanation = explained.why(name).explanation.unwrap();
        let desired = explanation
            .desired
            .iter()
            .map(|set| ((set.name.clone(), set.record_type.parse().unwrap()), set.values.clone()));
        let left = sets(&done).into_iter().filter(|((of, _), _)| of == name).collect::<Sets>();
        if explanation.held.is_none() {
            assert_eq!(desired.collect::<Sets>(), left, "{explanation}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_said_of_an_override_is_what_the_loop_does(
        before in worlds(),
        now in worlds(),
        subject in prop_oneof![
            (0..3_usize).prop_map(|n| format!("cluster/{}", MEMBERS[n])),
            (0..3_usize).prop_map(|n| format!("service/default/{}", SERVICES[n])),
            (0..3_usize, 0..3_usize).prop_map(|(n, m)| format!("service/default/{}@{}", SERVICES[n], MEMBERS[m])),
            (1..8_u8).prop_map(|n| format!("address/203.0.113.{n}")),
        ],
        kind in prop_oneof![Just(OverrideKind::Drain), Just(OverrideKind::ForceIn), Just(OverrideKind::ForceOut)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(agree(before, now, subject.parse().unwrap(), kind));
    }
}
