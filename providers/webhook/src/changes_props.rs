//! Edits for whatever a name has and whatever is planned for it, on a webhook that does as it is asked.

use std::collections::BTreeSet;

use fleetdns_core::plan::Cause;
use fleetdns_core::{Label, Listing, NonEmpty, ObservedSet, RecordSet, Ttl};
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::listing::View;
use crate::wire::Domains;

const NAME: &str = "www.example.com";

fn zone() -> DnsName {
    "example.com".parse().unwrap()
}

fn owner() -> Label {
    "fed".parse().unwrap()
}

fn name() -> DnsName {
    NAME.parse().unwrap()
}

fn data(kind: Kind, values: &[u8]) -> Option<RecordData> {
    match kind {
        Kind::A => NonEmpty::new(values.iter().map(|n| [10, 0, 0, *n].into())).map(RecordData::A),
        Kind::Aaaa => NonEmpty::new(values.iter().map(|n| [8193, 0, 0, 0, 0, 0, 0, u16::from(*n)].into()))
            .map(RecordData::Aaaa),
        Kind::Cname => {
            values.first().map(|n| RecordData::Cname(format!("lb-{n}.example.net").parse().unwrap()))
        }
    }
}

/// Sets that can stand at one name: addresses of both families, or an alias.
fn sets() -> impl Strategy<Value = Vec<RecordData>> {
    let some = || subsequence(vec![1_u8, 2, 3, 4], 0..=4);
    (any::<bool>(), some(), some()).prop_map(|(is_alias, one, two)| match is_alias {
        true => data(Kind::Cname, &one).into_iter().collect(),
        false => data(Kind::A, &one).into_iter().chain(data(Kind::Aaaa, &two)).collect(),
    })
}

fn text(members: u32) -> String {
    let members: String = (0..members).map(|n| format!(" member=m{n};;;tcp:80;lb{n}.example.net")).collect();
    format!("v=1 owner=fed service=default/web{members}")
}

fn text_mark(members: u32) -> OwnershipRecord {
    text(members).parse().unwrap()
}

fn endpoint(name: &str, kind: &str, targets: Vec<String>) -> Endpoint {
    Endpoint {
        dns_name: name.to_owned(),
        record_type: kind.to_owned(),
        targets,
        record_ttl: 30,
        ..Endpoint::default()
    }
}

/// A zone with these sets of ours, and something of others at another name.
fn zone_with(sets: &[RecordData], members: u32) -> Vec<Endpoint> {
    let mut all = vec![endpoint("mail.example.com", "A", vec!["192.0.2.1".to_owned()])];
    all.extend(sets.iter().map(|data| endpoint(NAME, data.record_type().as_str(), data.values())));
    if !sets.is_empty() {
        let stored = Stored { desired: 30, listed: 30, properties: 0 };
        let notes: Sets = sets.iter().map(|data| (data.record_type(), stored)).collect();
        let targets = ownership::write(&text(members), &notes).unwrap();
        all.push(endpoint(&format!("_fleetdns.{NAME}"), "TXT", targets));
    }
    all
}

fn known(all: &[Endpoint]) -> Known {
    View::of(all.to_vec(), &zone(), &owner()).at(&name())
}

/// The plan that leads from what is known to these sets.
fn planned(known: &Known, desired: &[RecordData], members: u32) -> NameChange {
    let mark = || text(members).parse().unwrap();
    let set = |data: &RecordData| RecordSet { name: name(), ttl: Ttl::DEFAULT, data: data.clone() };
    let mut changes = Vec::new();
    let before: Vec<ObservedSet> = known.observed();
    let kinds: Vec<Kind> = before.iter().filter_map(|set| set.content.record_type()).collect();
    for before in before {
        let record_type = before.content.record_type().unwrap();
        changes.push(match desired.iter().find(|data| data.record_type() == record_type) {
            None => Change::Delete { before, record_type, cause: Cause::TypeChange },
            Some(data) => Change::Update { before, set: set(data), mark: mark() },
        });
    }
    let new = desired.iter().filter(|data| !kinds.contains(&data.record_type()));
    changes.extend(new.map(|data| Change::Create { set: set(data), mark: mark() }));
    NameChange { name: name(), changes }
}

fn edited(known: &Known, change: &NameChange) -> Result<Edit, Unfit> {
    let mut view = View::default();
    view.names.insert(name(), known.clone());
    edit_in(&view, change)
}

fn edit_in(view: &View, change: &NameChange) -> Result<Edit, Unfit> {
    edit((&zone(), &Filter::read(&Domains::default()).unwrap()), change, view)
}

/// external-dns's ownership record of a type at the name.
fn theirs(kind: Kind) -> Endpoint {
    let text = "\"heritage=external-dns,external-dns/owner=prod,external-dns/resource=service/default/web\"";
    endpoint(&format!("{}-{NAME}", kind.as_str().to_lowercase()), "TXT", vec![text.to_owned()])
}

/// What a webhook has after a call; one that refuses to replace or delete what is not there, or to create what is.
fn written(mut all: Vec<Endpoint>, ops: &[Op]) -> Vec<Endpoint> {
    let changes = changes(ops);
    assert_eq!(changes.update_old.len(), changes.update_new.len());
    for gone in changes.delete.iter().chain(&changes.update_old) {
        let at = all.iter().position(|one| key(one) == key(gone)).expect("it is there");
        let there = all.remove(at);
        assert_eq!((&there.targets, there.record_ttl), (&gone.targets, gone.record_ttl), "as it was listed");
    }
    for new in changes.create.into_iter().chain(changes.update_new) {
        assert!(all.iter().all(|one| key(one) != key(&new)), "{new:?} is there already");
        all.push(new);
    }
    all
}

fn values(sets: &[ObservedSet]) -> BTreeSet<(Kind, Vec<String>)> {
    sets.iter().filter_map(|set| Some((set.ours()?.record_type(), set.ours()?.values()))).collect()
}

proptest! {
    /// Whatever is planned, the call is one that a strict webhook takes, leads to the plan, and touches nobody else's.
    #[test]
    fn an_edit_leads_to_the_plan(
        before in sets(), desired in sets(), old in 0..30_u32, members in 0..30_u32
    ) {
        let all = zone_with(&before, old);
        let known_before = known(&all);
        let change = planned(&known_before, &desired, members);
        if change.changes.is_empty() {
            return Ok(());
        }
        let edit = edited(&known_before, &change).unwrap();
        let after = written(all.clone(), &edit.ops);
        let now = known(&after);
        let expected: BTreeSet<_> = desired.iter().map(|data| (data.record_type(), data.values())).collect();
        prop_assert_eq!(values(&now.observed()), expected);
        prop_assert!(now.observed().iter().all(|set| set.claim.is_ours()));
        prop_assert_eq!(now.kept.is_some(), !desired.is_empty(), "a record of ownership stands with sets alone");
        prop_assert!(after.contains(&all[0]), "what others have stays");
        // Planned again, nothing is left to do.
        let again = planned(&now, &desired, members);
        prop_assert_eq!(edited(&now, &again).map(|edit| edit.ops.iter().filter(|op| op.part != Part::OwnershipRecord).count()).unwrap_or(0), 0);
    }

    /// A name that is not as the plan saw it is not touched.
    #[test]
    fn a_name_that_changed_since_is_stale(before in sets(), others in sets(), desired in sets()) {
        let (listed, now) = (known(&zone_with(&before, 1)), known(&zone_with(&others, 1)));
        let change = planned(&listed, &desired, 1);
        if change.changes.is_empty() {
            return Ok(());
        }
        let seen = |known: &Known| -> BTreeSet<(Kind, Vec<String>)> {
            let kinds: Vec<Kind> = change.changes.iter().map(Change::record_type).collect();
            values(&known.observed()).into_iter().filter(|(kind, _)| kinds.contains(kind)).collect()
        };
        if seen(&listed) != seen(&now) {
            prop_assert_eq!(edited(&now, &change), Err(Unfit::Stale));
        }
    }

    /// Whatever a call is cut into, no set is there without the record that says whose it is, unless one type of several goes:
    /// the record then says so before the type is gone.
    #[test]
    fn a_call_that_fails_half_way_leaves_no_set_that_nobody_owns(before in sets(), desired in sets()) {
        let all = zone_with(&before, 1);
        let known_before = known(&all);
        let change = planned(&known_before, &desired, 1);
        let goes = |one: &Change| matches!(one, Change::Delete { .. });
        if change.changes.is_empty() || (!desired.is_empty() && change.changes.iter().any(goes)) {
            return Ok(());
        }
        let edit = edited(&known_before, &change).unwrap();
        for done in 0..=edit.ops.len() {
            let now = known(&written(all.clone(), &edit.ops[..done]));
            let ours = now.observed().iter().all(|set| set.claim.is_ours());
            // An alias and addresses may stand side by side for a moment; each of them has its owner.
            prop_assert!(ours, "{done} of {:?}", edit.ops);
        }
    }

    /// A set that is adopted has an owner however far the call came, and keeps its values; a set that is released keeps them
    /// too, and has none.
    #[test]
    fn an_adopted_set_has_an_owner_at_every_step(before in sets(), members in 0..30_u32) {
        let mut all: Vec<Endpoint> =
            before.iter().map(|data| endpoint(NAME, data.record_type().as_str(), data.values())).collect();
        all.extend(before.iter().map(|data| theirs(data.record_type())));
        let view = View::of(all.clone(), &zone(), &owner());
        let adopt = |before: &ObservedSet| {
            let data = before.content.data().unwrap().clone();
            let at: DnsName = theirs(data.record_type()).dns_name.parse().unwrap();
            let text = view.at(&at).observed().remove(0);
            assert!(matches!(text.content, fleetdns_core::Content::Text(_)), "{text:?}");
            let set = RecordSet { name: name(), ttl: before.ttl, data };
            Change::Adopt { before: before.clone(), set, mark: text_mark(members), theirs: vec![(at, text)] }
        };
        let change = NameChange { name: name(), changes: view.at(&name()).observed().iter().map(adopt).collect() };
        if change.changes.is_empty() {
            return Ok(());
        }
        let edit = edit_in(&view, &change).unwrap();
        let sets = |all: &[Endpoint]| -> BTreeSet<_> {
            all.iter().filter(|one| one.record_type != "TXT").map(|one| (one.record_type.clone(), one.targets.clone())).collect()
        };
        for done in 0..=edit.ops.len() {
            let after = written(all.clone(), &edit.ops[..done]);
            prop_assert_eq!(sets(&after), sets(&all));
            let owned = known(&after).observed().iter().all(|set| {
                let kind = set.content.record_type().unwrap();
                set.claim.is_ours() || after.contains(&theirs(kind))
            });
            prop_assert!(owned, "{done} of {:?}", edit.ops);
        }
        let ours = written(all.clone(), &edit.ops);
        prop_assert!(known(&ours).observed().iter().all(|set| set.claim.mark() == Some(&text_mark(members))));
        prop_assert_eq!(ours.len(), before.len() + 1, "no ownership record of theirs is left");
        let release = |before: &ObservedSet| {
            let data = before.ours().unwrap().clone();
            Change::Release { before: before.clone(), set: RecordSet { name: name(), ttl: before.ttl, data } }
        };
        let known_ours = known(&ours);
        let change = NameChange { name: name(), changes: known_ours.observed().iter().map(release).collect() };
        let nobodys = written(ours, &edited(&known_ours, &change).unwrap().ops);
        prop_assert_eq!((sets(&nobodys), nobodys.len()), (sets(&all), before.len()));
    }

    /// Whatever a webhook lists, reading it does no harm, and nothing is ours without our record.
    #[test]
    fn whatever_is_listed_is_ours_only_by_our_record(
        entries in proptest::collection::vec(
            ("(www|mail|_fleetdns\\.www|\\\\052)\\.example\\.com|(?s).{0,12}", "A|AAAA|CNAME|TXT|NS|(?s).{0,4}", "(?s).{0,30}", any::<i64>()),
            0..8,
        )
    ) {
        let all: Vec<Endpoint> = entries
            .into_iter()
            .map(|(name, kind, target, ttl)| Endpoint { record_ttl: ttl, ..endpoint(&name, &kind, vec![target]) })
            .collect();
        let Listing { observed, unreadable } = View::of(all, &zone(), &owner()).listing();
        prop_assert_eq!(observed.owned_count(), 0);
        prop_assert!(unreadable.len() <= 101, "{}", unreadable.len());
    }
}
