//! Records that change hands.

use super::*;
use crate::planner::{Handover, Leave, release};
use fleetdns_core::ownership::external_dns::Naming;
use fleetdns_core::plan::Refusal;
use fleetdns_core::record::{NonEmpty, RecordType};

const NAMES: [&str; 5] = [
    "www.example.com",
    "web.default.fed.svc.example.com",
    "api.default.fed.svc.example.com",
    "nobody.example.com",
    "a-www.example.com",
];

/// A record set beside whatever ownership records external-dns may have of it.
#[derive(Debug, Clone)]
struct Foreign {
    name: usize,
    kind: usize,
    address: u8,
    typed: Option<&'static str>,
    untyped: Option<&'static str>,
}

fn foreign() -> impl Strategy<Value = Foreign> {
    let owner = || proptest::option::weighted(0.7, prop_oneof![4 => Just("me"), 1 => Just("you")]);
    (0..NAMES.len(), 0..3_usize, 1..9_u8, owner(), owner())
        .prop_map(|(name, kind, address, typed, untyped)| Foreign { name, kind, address, typed, untyped })
}

fn set(content: Content) -> ObservedSet {
    ObservedSet { ttl: Ttl::new(300).unwrap(), content, claim: Owner::Foreign, version: Version::default() }
}

fn texts(values: &[&str]) -> ObservedSet {
    set(Content::text(values.iter().copied()))
}

fn mark_of(owner: &str) -> String {
    format!("heritage=external-dns,external-dns/owner={owner},external-dns/resource=service/default/web")
}

fn a(last: u8) -> ObservedSet {
    set(Content::Known(RecordData::A(NonEmpty::new([[203, 0, 113, last].into()]).unwrap())))
}

fn zone_of(all: &[Foreign]) -> Observed {
    let mut observed = Observed::default();
    for Foreign { name, kind, address, typed, untyped } in all {
        let name: DnsName = NAMES[*name].parse().unwrap();
        let record = match kind {
            0 => a(*address),
            1 => set(Content::Known(RecordData::Aaaa(
                NonEmpty::new(["2001:db8::1".parse().unwrap()]).unwrap(),
            ))),
            _ => set(Content::Known(RecordData::Cname("lb.example.net".parse().unwrap()))),
        };
        let there = observed.at(&name);
        let is_alias = |set: &ObservedSet| set.type_name() == "CNAME";
        if there.iter().any(|one| {
            one.type_name() != "TXT"
                && (is_alias(one) || is_alias(&record) || one.type_name() == record.type_name())
        }) {
            continue;
        }
        let record_type: RecordType = record.type_name().parse().unwrap();
        observed.push(name.clone(), record);
        let naming = Naming::default();
        let places = [(naming.typed(&name, record_type).ok(), typed), (naming.untyped(&name), untyped)];
        for (at, owner) in places {
            if let (Some(at), Some(owner)) = (at, owner)
                && !observed.at(&at).iter().any(|set| set.type_name() == "TXT")
            {
                observed.push(at, texts(&[&mark_of(owner)]));
            }
        }
    }
    observed
}

/// The zone after an adoption: each set with its new owner, and without the ownership records that go.
fn adopted(observed: &Observed, plan: &Plan) -> Observed {
    let mut after = observed.clone();
    let replace = |after: &mut Observed, name: &DnsName, before: &ObservedSet, new: Option<ObservedSet>| {
        let mut sets = after.at(name).to_vec();
        let at = sets.iter().position(|set| set == before).expect("it is there as it was read");
        sets.remove(at);
        sets.extend(new);
        after.replace(name.clone(), sets);
    };
    for NameChange { name, changes } in &plan.changes {
        for change in changes {
            let before = change.before().unwrap();
            let (set, mark) = change.after().unwrap();
            assert_eq!(
                (Some(&set.data), set.ttl),
                (before.content.data(), before.ttl),
                "it keeps its values"
            );
            let claim = mark.map_or(Owner::Foreign, Owner::of);
            replace(&mut after, name, before, Some(ObservedSet { claim, ..before.clone() }));
            change.theirs().iter().for_each(|(at, text)| replace(&mut after, at, text, None));
        }
    }
    after
}

fn adopt(planner: &mut Planner, observed: &Observed) -> Handover {
    planner.adopt_external_dns(observed, (&Naming::default(), "me"), |_| true)
}

/// The external-dns that takes a set for its own, as its registry reads it.
fn owner(observed: &Observed, name: &DnsName, set: &ObservedSet) -> Option<&'static str> {
    let record_type = set.type_name().parse::<RecordType>().ok()?;
    let naming = Naming::default();
    let owner = |at: Option<DnsName>| {
        observed.at(&at?).iter().find_map(|text| match &text.content {
            Content::Text(values) => Some(if values[0].contains("owner=me,") { "me" } else { "you" }),
            _ => None,
        })
    };
    let untyped = || owner(naming.untyped(name).filter(|_| record_type != RecordType::Aaaa));
    owner(naming.typed(name, record_type).ok()).or_else(untyped)
}

fn values(observed: &Observed) -> BTreeSet<String> {
    let all = observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)));
    all.filter(|(_, set)| set.type_name() != "TXT").map(|(name, set)| format!("{name} {set}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// No value changes; a name that is adopted has one owner, and it is claimed; nothing that another owns is touched; what is
    /// left stays external-dns's; a second adoption does nothing; and the next pass keeps each name that was adopted.
    #[test]
    fn an_adoption_changes_owners_and_nothing_else(
        events in proptest::collection::vec(events(), 1..12),
        records in proptest::collection::vec(foreign(), 1..8),
    ) {
        let mut world = World::default();
        events.iter().for_each(|event| world.happen(event));
        let mut planner = planner();
        planner.update(&world.input().converged());
        let before = zone_of(&records);
        let Handover { plan, left } = adopt(&mut planner, &before);
        let after = adopted(&before, &plan);
        prop_assert_eq!(values(&before), values(&after));
        for (name, sets) in after.iter() {
            for set in sets.iter().filter(|set| set.type_name() != "TXT") {
                prop_assert!(!set.claim.is_ours() || owner(&after, name, set).is_none(), "{} has two owners: {}", name, plan);
                let was = before.at(name).iter().find(|was| was.content == set.content).unwrap();
                let had = owner(&before, name, was) == Some("me");
                prop_assert!(had || was == set, "{} {} was not external-dns's: {}", name, set, plan);
                let stays = left.iter().any(|(one, _)| one == name);
                prop_assert!(!had || set.claim.is_ours() || stays, "{} {}: {}, left {:?}", name, set, plan, left);
            }
        }
        prop_assert!(left.iter().all(|(name, _)| after.at(name).iter().all(|set| !set.claim.is_ours())));
        let again = adopt(&mut planner, &after);
        prop_assert!(again.plan.is_empty() && again.left == left, "{}", again.plan);
        let next = planner.plan(&Scope::All, &after);
        for NameChange { name, .. } in plan.changes {
            prop_assert!(planner.orphans(&after).iter().all(|orphan| orphan.name != name));
            let change = next.changes.iter().find(|change| change.name == name);
            prop_assert!(!change.is_some_and(NameChange::vanishes), "{next}");
        }
    }

    /// What another owner id had is ours afterwards where a Service claims it, with its drains; nothing else changes.
    #[test]
    fn another_owner_takes_over_what_is_claimed(
        events in proptest::collection::vec(events(), 1..12),
        later in proptest::collection::vec(events(), 0..6),
    ) {
        let mut world = World::default();
        events.iter().for_each(|event| world.happen(event));
        let old = ZoneSettings { owner: "old".parse().unwrap(), ..zone() };
        let mut first = Planner::new(old, Capabilities::default(), Brakes::default());
        first.update(&world.input());
        let mut theirs = Observed::default();
        let plan = first.plan(&Scope::All, &theirs);
        apply(&mut theirs, &plan);
        later.iter().for_each(|event| world.happen(event));
        let mut planner = planner();
        planner.update(&world.input().converged());
        let Handover { plan, left } = planner.adopt_owner(&theirs, |_| true);
        let after = adopted(&theirs, &plan);
        prop_assert_eq!(values(&theirs), values(&after));
        let owner = |observed: &Observed, name: &DnsName| {
            observed.at(name).iter().map(|set| set.claim.mark().unwrap().owner().unwrap().to_string()).collect::<BTreeSet<_>>()
        };
        for name in theirs.owned() {
            let stays = left.iter().any(|(one, _)| one == name);
            prop_assert_eq!(owner(&after, name), [if stays { "old" } else { "fed" }.to_owned()].into());
        }
        let next = planner.plan(&Scope::All, &after);
        prop_assert!(plan.changes.iter().all(|one| !next.changes.iter().any(|change| change.name == one.name && change.vanishes())));
    }
}

/// Where nothing but the owner id changes, the next pass has nothing to do, at names that lead one level up too.
#[test]
fn a_new_owner_id_alone_leaves_the_next_pass_nothing_to_do() {
    let mut world = World::default();
    for (member, region, address, verdict) in
        [(0, "r1", 1, Verdict::Unhealthy), (1, "r2", 2, Verdict::Healthy)]
    {
        world.happen(&Event::Region { member, region: Some(region) });
        world.happen(&Event::Set { member, service: 2, addresses: Some(vec![address]), hostname: false });
        world.happen(&Event::HealthState { address, verdict });
    }
    let old = ZoneSettings { owner: "old".parse().unwrap(), ..zone() };
    let mut first = Planner::new(old, Capabilities::default(), Brakes::default());
    first.update(&world.input());
    let mut theirs = Observed::default();
    let plan = first.plan(&Scope::All, &theirs);
    apply(&mut theirs, &plan);
    assert!(
        values(&theirs)
            .contains("web.default.fed.svc.r1.example.com 30 CNAME web.default.fed.svc.example.com")
    );
    let mut planner = planner();
    planner.update(&world.input());
    let Handover { plan, left } = planner.adopt_owner(&theirs, |_| true);
    assert_eq!(left, []);
    let next = planner.plan(&Scope::All, &adopted(&theirs, &plan));
    assert!(next.is_empty(), "{next}");
}

fn world_of(addresses: Option<Vec<u8>>) -> Planner {
    let mut world = World::default();
    world.happen(&Event::Set { member: 0, service: 2, addresses, hostname: true });
    let mut planner = planner();
    planner.update(&world.input());
    planner
}

/// Whoever adopts is told why a name stays, in words that name what to do.
#[test]
fn what_is_left_says_why() {
    let name = |text: &str| text.parse::<DnsName>().unwrap();
    let (www, at) = (name("www.example.com"), name("a-www.example.com"));
    let sealed = "QUJD".repeat(30);
    let alias = || set(Content::other("A"));
    for (record, text, why) in [
        (a(1), texts(&[&mark_of("me"), "v=spf1 -all"]), Leave::Mixed(at.clone())),
        (a(1), texts(&[&sealed]), Leave::Sealed(at.clone())),
        (alias(), texts(&[&mark_of("me")]), Leave::Shape("A".into())),
    ] {
        let observed: Observed = [(www.clone(), record), (at.clone(), text)].into_iter().collect();
        let handover = adopt(&mut world_of(Some(vec![1])), &observed);
        assert_eq!((handover.plan.changes, handover.left), (vec![], vec![(www.clone(), why)]));
    }
    let observed: Observed = [(www.clone(), a(1)), (at, texts(&[&mark_of("me")]))].into_iter().collect();
    let left = |planner: &mut Planner| adopt(planner, &observed).left;
    assert_eq!(left(&mut world_of(None)), [(www.clone(), Leave::Unclaimed)]);
    assert_eq!(left(&mut world_of(Some(vec![]))), [(www.clone(), Leave::Unclaimed)], "it has no address");
    assert_eq!(left(&mut world_of(Some(vec![1]))), []);
    let mut planner = world_of(Some(vec![1]));
    let delegated = set(Content::other("NS"));
    let mut cut = observed;
    cut.push(www.clone(), delegated);
    assert!(matches!(&*adopt(&mut planner, &cut).left, [(_, Leave::Refused(Refusal::ZoneCut { .. }))]));
}

/// A write that stopped after our ownership record and before external-dns's went is gone on with.
#[test]
fn an_adoption_that_stopped_half_way_is_completed() {
    let (www, at) =
        ("www.example.com".parse::<DnsName>().unwrap(), "a-www.example.com".parse::<DnsName>().unwrap());
    let before: Observed =
        [(www.clone(), a(7)), (at.clone(), texts(&[&mark_of("me")]))].into_iter().collect();
    let mut planner = world_of(Some(vec![1]));
    let whole = adopt(&mut planner, &before).plan;
    let mut half = adopted(&before, &whole);
    half.replace(at, before.at(&"a-www.example.com".parse().unwrap()).to_vec());
    let rest = adopt(&mut planner, &half).plan;
    assert_eq!(values(&adopted(&half, &rest)), values(&before));
    assert_eq!(adopted(&half, &rest), adopted(&before, &whole));
    // What was set aside first is nobody's but this fleet's.
    let aside = "heritage=external-dns,external-dns/owner=fleetdns-fed-adopts";
    let mut aside: Observed =
        [(www, a(7)), ("a-www.example.com".parse().unwrap(), texts(&[aside]))].into_iter().collect();
    let taken = adopt(&mut planner, &aside).plan;
    aside = adopted(&aside, &taken);
    assert_eq!((aside.owned_count(), aside.iter().count()), (1, 1));
    let Change::Adopt { mark, .. } = &whole.changes[0].changes[0] else { panic!("{whole}") };
    assert!(mark.as_str().ends_with("unattributed=203.0.113.7"), "nobody of the fleet has it: {mark}");
    assert!(
        whole
            .to_string()
            .contains("  > www.example.com 300 A 203.0.113.7  (becomes ours)\n  - a-www.example.com 300 TXT"),
        "{whole}"
    );
}

/// Of several Services that ask for a name the one has it for which external-dns wrote it.
#[test]
fn external_dns_says_which_service_has_a_name() {
    let mut world = World::default();
    for service in [0, 2] {
        let addresses = Some(vec![u8::try_from(service).unwrap() + 1]);
        world.happen(&Event::Set { member: 0, service, addresses, hostname: true });
    }
    let www: DnsName = "www.example.com".parse().unwrap();
    for service in ["api", "web"] {
        let text = format!(
            "heritage=external-dns,external-dns/owner=me,external-dns/resource=service/default/{service}"
        );
        let observed = [(www.clone(), a(9)), ("a-www.example.com".parse().unwrap(), texts(&[&text]))]
            .into_iter()
            .collect();
        let mut planner = planner();
        planner.update(&world.input());
        let plan = adopt(&mut planner, &observed).plan;
        let (_, mark) = plan.changes[0].changes[0].after().unwrap();
        assert!(mark.unwrap().as_str().contains(&format!("service=default/{service} ")), "{mark:?}");
    }
}

/// kubefed left A records and aliases at the names of the federation, and no sign of whose they are.
#[test]
fn federation_names_of_kubefed_are_taken_over() {
    let (claimed, gone) = ("web.default.fed.svc.example.com", "old.default.fed.svc.example.com");
    let name = |text: &str| text.parse::<DnsName>().unwrap();
    let alias = set(Content::other("A"));
    let observed: Observed = [
        (name(claimed), a(9)),
        (name(gone), a(8)),
        (name("api.default.fed.svc.example.com"), alias),
        (name("www.example.com"), a(7)),
        (name("web.default.other.svc.example.com"), a(6)),
    ]
    .into_iter()
    .collect();
    let mut planner = world_of(Some(vec![1]));
    let Handover { plan, left } = planner.adopt_kubefed(&observed, |_| true);
    let after = adopted(&observed, &plan);
    assert_eq!(values(&after), values(&observed));
    assert_eq!(after.owned().map(DnsName::as_str).collect::<Vec<_>>(), [claimed]);
    let left: Vec<(&str, &Leave)> = left.iter().map(|(name, why)| (name.as_str(), why)).collect();
    let shape = Leave::Shape("A".into());
    assert_eq!(left, [("api.default.fed.svc.example.com", &shape), (gone, &Leave::Unclaimed)]);
    assert!(planner.adopt_kubefed(&after, |_| true).plan.is_empty());
}

#[test]
fn a_zone_is_given_up_with_its_records_or_without() {
    let mut world = World::default();
    world.happen(&Event::Set { member: 0, service: 2, addresses: Some(vec![1]), hostname: true });
    world.happen(&Event::HealthState { address: 1, verdict: Verdict::Healthy });
    let mut planner = planner();
    planner.update(&world.input());
    let mut observed: Observed = [("mail.example.com".parse().unwrap(), a(9))].into_iter().collect();
    let plan = planner.plan(&Scope::All, &observed);
    apply(&mut observed, &plan);
    assert_eq!(observed.owned_count(), 2);
    let (mut left, mut gone) = (observed.clone(), observed.clone());
    apply(&mut left, &release(&zone(), &observed, false));
    assert_eq!((values(&left), left.owned_count()), (values(&observed), 0));
    apply(&mut gone, &release(&zone(), &observed, true));
    assert_eq!(gone.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["mail.example.com"]);
}

#[test]
fn an_orphan_is_ours_and_asked_for_by_nobody() {
    let mut world = World::default();
    world.happen(&Event::Set { member: 0, service: 2, addresses: Some(vec![1]), hostname: true });
    world.happen(&Event::HealthState { address: 1, verdict: Verdict::Healthy });
    let mut planner = planner();
    planner.update(&world.input());
    let mut observed = Observed::default();
    let plan = planner.plan(&Scope::All, &observed);
    apply(&mut observed, &plan);
    assert_eq!(planner.orphans(&observed), []);
    world.happen(&Event::Set { member: 0, service: 2, addresses: Some(vec![]), hostname: true });
    planner.update(&world.input());
    let names = |planner: &Planner| {
        let orphans = planner.orphans(&observed);
        assert!(orphans.iter().all(|orphan| orphan.hold.is_none()), "{orphans:?}");
        orphans.into_iter().map(|orphan| orphan.name.to_string()).collect::<Vec<_>>()
    };
    let federation = "web.default.fed.svc.example.com";
    assert_eq!(names(&planner), [federation], "the host name is asked for without an address");
    world.happen(&Event::Set { member: 0, service: 2, addresses: None, hostname: true });
    planner.update(&world.input());
    assert_eq!(names(&planner), [federation, "www.example.com"]);
}
