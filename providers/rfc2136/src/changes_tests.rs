use fleetdns_core::plan::Cause;
use fleetdns_core::{ObservedSet, RecordSet};
use hickory_proto::rr::RData;

use super::*;
use crate::wire::mark_rdata;

const EVIDENCE: &str = "v=1 owner=fed service=default/web member=west;;;tcp:80;10.0.0.1";
const NAME: &str = "www.example.com";

fn owner() -> Label {
    "fed".parse().unwrap()
}

fn set(name: &str, values: &str) -> RecordSet {
    let data = match values.split(' ').map(str::parse).collect::<Result<Vec<_>, _>>() {
        Ok(ips) => RecordData::A(fleetdns_core::NonEmpty::new(ips).unwrap()),
        Err(_) => RecordData::Cname(values.parse().unwrap()),
    };
    RecordSet { name: name.parse().unwrap(), ttl: Ttl::DEFAULT, data }
}

fn create(name: &str, values: &str) -> Change {
    Change::Create { set: set(name, values), mark: EVIDENCE.parse().unwrap() }
}

/// What is there after a first change was written.
fn known(name: &str, values: &str) -> Known {
    edit_of(name, vec![create(name, values)], &Known::default()).unwrap().after
}

fn there(known: &Known) -> ObservedSet {
    known.observed(&owner()).remove(0)
}

fn delete(known: &Known) -> Change {
    let before = there(known);
    Change::Delete { record_type: before.content.record_type().unwrap(), before, cause: Cause::TypeChange }
}

fn edit_of(name: &str, changes: Vec<Change>, known: &Known) -> Result<Edit, Unfit> {
    let change = NameChange { name: name.parse().unwrap(), changes };
    edit(&"example.com".parse().unwrap(), &owner(), &change, known)
}

/// `NAME CLASS TYPE [DATA]`, the text of marks left out.
fn shown(records: &[Record]) -> Vec<String> {
    let one = |record: &Record| {
        let data = match &record.data {
            RData::Update0(_) => String::new(),
            RData::TXT(text) => format!(" {}", String::from_utf8_lossy(&text.txt_data[0])),
            data => format!(" {data}"),
        };
        let name = wire::text(&record.name).replace("www.example.com", "www");
        format!("{name} {} {}{data}", record.dns_class, record.record_type())
    };
    records.iter().map(one).collect()
}

#[test]
fn a_new_set_wants_the_name_as_it_was_and_brings_its_mark() {
    let edit = edit_of(NAME, vec![create(NAME, "10.0.0.1 10.0.0.2")], &Known::default()).unwrap();
    let absent = ["www NONE A", "www NONE AAAA", "www NONE CNAME", "_fleetdns.www NONE TXT"];
    assert_eq!(shown(&edit.guards), absent);
    assert_eq!(shown(&edit.updates), ["www IN A 10.0.0.1", "www IN A 10.0.0.2", "_fleetdns.www IN TXT A"]);
    assert_eq!(
        shown(&edit.proof),
        [
            "www IN A 10.0.0.1",
            "www IN A 10.0.0.2",
            "www NONE AAAA",
            "www NONE CNAME",
            "_fleetdns.www IN TXT A"
        ]
    );
    assert!(there(&edit.after).claim.ownership().is_some());
}

#[test]
fn a_type_changes_with_deletions_first_and_nothing_beside_an_alias() {
    let before = known(NAME, "10.0.0.1");
    let edit = edit_of(NAME, vec![delete(&before), create(NAME, "lb.example.net")], &before).unwrap();
    assert_eq!(
        shown(&edit.updates),
        [
            "www ANY A",
            "_fleetdns.www NONE TXT A",
            "www IN CNAME lb.example.net.",
            "_fleetdns.www IN TXT CNAME"
        ]
    );
    for guard in ["www IN A 10.0.0.1", "www NONE TXT", "www NONE MX", "_fleetdns.www IN TXT A"] {
        assert!(shown(&edit.guards).iter().any(|shown| shown == guard), "{guard}");
    }
    let mut busy = before.clone();
    busy.others.insert("MX".to_owned(), Ttl::DEFAULT);
    let stale = edit_of(NAME, vec![delete(&before), create(NAME, "lb.example.net")], &busy);
    assert_eq!(stale.unwrap_err(), Unfit::Stale);
}

#[test]
fn the_mark_of_another_owner_and_what_is_no_mark_stay() {
    let mark = |strings: [&str; 2]| OwnershipRecord::new(strings.map(|string| string.as_bytes().to_vec()));
    let theirs = mark(["AAAA", "v=1 owner=other service=default/web"]);
    let junk = mark(["v=spf1", "-all"]);
    let mut before = Known { marks: [theirs.clone(), junk.clone()].into(), ..Known::default() };
    let edit = edit_of(NAME, vec![create(NAME, "10.0.0.1")], &before).unwrap();
    assert_eq!(edit.after.marks.len(), 3);
    assert!(edit.guards.iter().any(|guard| guard.data == mark_rdata(&junk)));
    before = edit.after;
    let edit = edit_of(NAME, vec![delete(&before)], &before).unwrap();
    assert_eq!(edit.after.marks, [theirs, junk].into());
    assert_eq!(shown(&edit.updates), ["www ANY A", "_fleetdns.www NONE TXT A"]);
}

#[test]
fn a_mark_that_a_deletion_by_hand_left_is_replaced() {
    let mut orphan = known(NAME, "10.0.0.1");
    orphan.sets.clear();
    assert!(orphan.observed(&owner()).is_empty());
    let edit = edit_of(NAME, vec![create(NAME, "lb.example.net")], &orphan).unwrap();
    assert_eq!(
        shown(&edit.updates),
        ["_fleetdns.www NONE TXT A", "www IN CNAME lb.example.net.", "_fleetdns.www IN TXT CNAME"]
    );
}

#[test]
fn a_set_beside_ours_is_not_ours() {
    let mut both = known(NAME, "10.0.0.1");
    let v6 = fleetdns_core::NonEmpty::new(["2001:db8::1".parse().unwrap()]).unwrap();
    both.sets.insert(Kind::Aaaa, (Ttl::DEFAULT, RecordData::Aaaa(v6)));
    let claims: Vec<bool> = both.observed(&owner()).iter().map(|set| set.claim.is_ours()).collect();
    assert_eq!(claims, [true, false]);
}

#[test]
fn what_was_planned_on_something_else_is_stale() {
    let before = known(NAME, "10.0.0.1");
    assert_eq!(edit_of(NAME, vec![create(NAME, "10.0.0.2")], &before).unwrap_err(), Unfit::Stale);
    assert_eq!(edit_of(NAME, vec![delete(&before)], &known(NAME, "10.0.0.2")).unwrap_err(), Unfit::Stale);
    assert_eq!(edit_of(NAME, vec![delete(&before)], &Known::default()).unwrap_err(), Unfit::Stale);
    let mut marked = before.clone();
    marked.marks.insert(OwnershipRecord::new([b"A".to_vec(), b"v=1 owner=other service=a/b".to_vec()]));
    assert_eq!(edit_of(NAME, vec![delete(&before)], &marked).unwrap_err(), Unfit::Stale);
}

#[test]
fn what_cannot_be_written_is_said() {
    let long =
        format!("{}.{}.{}.{}.example.com", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(49));
    for (name, values, part) in [
        ("www.example.org", "10.0.0.1", "not in the zone"),
        ("example.com", "lb.example.net", "cannot have a CNAME"),
        (&long, "10.0.0.1", "253 octets, at most 243"),
    ] {
        match edit_of(name, vec![create(name, values)], &Known::default()) {
            Err(Unfit::Impossible(why)) => assert!(why.contains(part), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let both = vec![create(NAME, "10.0.0.1"), create(NAME, "lb.example.net")];
    assert!(matches!(edit_of(NAME, both, &Known::default()), Err(Unfit::Impossible(_))));
}
