//! Edits for whatever a name has and whatever is planned for it, on a server that does as RFC 2136 §3 says.

use std::collections::BTreeSet;

use fleetdns_core::plan::Cause;
use fleetdns_core::{NonEmpty, RecordSet, Ttl};
use hickory_proto::rr::RData;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

const NAME: &str = "www.example.com";

type There = BTreeSet<(String, RecordType, RData)>;

fn owner() -> Label {
    "fed".parse().unwrap()
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

fn text(count: u32) -> String {
    let host = |n: u32| u64::from(n).wrapping_mul(6_364_136_223_846_793_005);
    let members: String =
        (0..count).map(|n| format!(" member=m{n};;;tcp:80;lb{:016x}.example.net", host(n))).collect();
    format!("v=1 owner=fed service=default/web{members}")
}

/// Few, or so many that the ownership record takes several TXT records.
fn members() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..60_u32, 1 => Just(400)]
}

fn known(sets: &[RecordData], members: u32) -> Known {
    let mut known = Known::default();
    if !sets.is_empty() {
        known.marks = ownership::write(&text(members), sets.iter().map(RecordData::record_type)).unwrap();
    }
    for data in sets {
        known.sets.insert(data.record_type(), (Ttl::DEFAULT, data.clone()));
    }
    known
}

/// The plan that leads from what is known to these sets.
fn planned(known: &Known, desired: &[RecordData], members: u32) -> NameChange {
    let mark = || text(members).parse().unwrap();
    let mut changes = Vec::new();
    for before in known.observed(&owner()) {
        let record_type = before.content.record_type().unwrap();
        match desired.iter().find(|data| data.record_type() == record_type) {
            None => changes.push(Change::Delete { before, record_type, cause: Cause::TypeChange }),
            Some(data) => {
                let set = RecordSet { name: NAME.parse().unwrap(), ttl: Ttl::DEFAULT, data: data.clone() };
                changes.push(Change::Update { before, set, mark: mark() });
            }
        }
    }
    for data in desired.iter().filter(|data| !known.sets.contains_key(&data.record_type())) {
        let set = RecordSet { name: NAME.parse().unwrap(), ttl: Ttl::DEFAULT, data: data.clone() };
        changes.push(Change::Create { set, mark: mark() });
    }
    NameChange { name: NAME.parse().unwrap(), changes }
}

fn there(known: &Known) -> There {
    let mut there = There::new();
    for (kind, (_, data)) in &known.sets {
        let data = wire::rdata(data).unwrap();
        there.extend(data.into_iter().map(|data| (NAME.to_owned(), wire::record_type(*kind), data)));
    }
    let marks = format!("_fleetdns.{NAME}");
    there.extend(known.marks.iter().map(|mark| (marks.clone(), RecordType::TXT, wire::txt(mark))));
    there
}

fn holds(guards: &[Record], there: &There) -> bool {
    let of = |name: &str, kind: RecordType| -> BTreeSet<&RData> {
        there.iter().filter(|one| one.0 == name && one.1 == kind).map(|one| &one.2).collect()
    };
    guards.iter().all(|guard| {
        let (name, kind) = (wire::text(&guard.name), guard.record_type());
        let same = |other: &&Record| {
            other.dns_class == DNSClass::IN && other.name == guard.name && other.record_type() == kind
        };
        match guard.dns_class {
            DNSClass::NONE => of(&name, kind).is_empty(),
            _ => of(&name, kind) == guards.iter().filter(same).map(|other| &other.data).collect(),
        }
    })
}

fn updated(mut there: There, updates: &[Record]) -> There {
    for update in updates {
        let (name, kind) = (wire::text(&update.name), update.record_type());
        match update.dns_class {
            DNSClass::ANY => there.retain(|one| one.0 != name || one.1 != kind),
            DNSClass::NONE => there.retain(|one| one.0 != name || one.2 != update.data),
            _ if kind == RecordType::CNAME && there.iter().any(|one| one.0 == name && one.1 != kind) => {}
            _ if there.iter().any(|one| one.0 == name && one.1 == RecordType::CNAME)
                && kind != RecordType::CNAME => {}
            _ => {
                there.retain(|one| kind != RecordType::CNAME || one.0 != name);
                there.insert((name, kind, update.data.clone()));
            }
        }
    }
    there
}

proptest! {
    /// Whatever is planned, the message holds on what was listed, leads to what is told, and proves it.
    #[test]
    fn an_edit_leads_to_what_it_says(
        before in sets(), desired in sets(), old in members(), members in members()
    ) {
        let before = known(&before, old);
        let change = planned(&before, &desired, members);
        let edit = edit(&"example.com".parse().unwrap(), &owner(), &change, (&before, &|_| Known::default())).unwrap();
        prop_assert!(holds(&edit.guards, &there(&before)));
        let after = updated(there(&before), &edit.updates);
        prop_assert_eq!(&after, &there(&edit.after));
        prop_assert!(holds(&edit.proof, &after));
        let sets: Vec<&RecordData> = edit.after.sets.values().map(|(_, data)| data).collect();
        prop_assert_eq!(sets.len(), desired.len());
        prop_assert!(desired.iter().all(|data| sets.contains(&data)));
        prop_assert!(edit.after.observed(&owner()).iter().all(|set| set.claim.is_ours()));
    }

    /// A name of which anything has changed since is not touched.
    #[test]
    fn no_guard_holds_on_another_name(
        before in sets(), desired in sets(), others in sets(), mark in any::<bool>()
    ) {
        let listed = known(&before, 1);
        let now = known(&others, if mark { 1 } else { 2 });
        let change = planned(&listed, &desired, 1);
        let edit = edit(&"example.com".parse().unwrap(), &owner(), &change, (&listed, &|_| Known::default())).unwrap();
        prop_assert_eq!(holds(&edit.guards, &there(&now)), there(&now) == there(&listed));
    }

    /// Where the additions were left out, the rest leads to the same; it holds on nothing else.
    #[test]
    fn the_rest_of_half_an_edit_makes_it_whole(before in sets(), desired in sets()) {
        let listed = known(&before, 1);
        let change = planned(&listed, &desired, 1);
        let edit = edit(&"example.com".parse().unwrap(), &owner(), &change, (&listed, &|_| Known::default())).unwrap();
        let marks = Known { marks: edit.after.marks.clone(), ..Known::default() };
        if let Some(rest) = &edit.rest {
            let half: Vec<Record> =
                edit.updates.iter().filter(|one| one.dns_class != DNSClass::IN || one.record_type() == RecordType::TXT)
                    .cloned().collect();
            let half = updated(there(&listed), &half);
            if half == there(&marks) {
                prop_assert!(holds(&rest.guards, &half));
                prop_assert_eq!(updated(half, &rest.updates), there(&edit.after));
            }
            prop_assert!(listed.sets.is_empty() || !holds(&rest.guards, &there(&listed)));
        }
    }
}
