use fleetdns_core::plan::Cause;
use fleetdns_core::{ObservedSet, RecordSet, Ttl};
use hickory_proto::rr::RData;

use super::*;

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
    edit(&"example.com".parse().unwrap(), &owner(), &change, (known, &|_| Known::default()))
}

/// `NAME CLASS TYPE [DATA]`, of an ownership record the types alone.
fn shown(records: &[Record]) -> Vec<String> {
    let one = |record: &Record| {
        let data = match &record.data {
            RData::Update0(_) => String::new(),
            RData::TXT(text) => {
                let text = String::from_utf8(text.txt_data.concat()).unwrap();
                format!(" {}", text.rsplit_once(" sets=").map_or(&*text, |(_, types)| types))
            }
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
        ["www ANY A", "_fleetdns.www ANY TXT", "www IN CNAME lb.example.net.", "_fleetdns.www IN TXT CNAME"]
    );
    for guard in ["www IN A 10.0.0.1", "www NONE TXT", "www NONE MX", "_fleetdns.www IN TXT A"] {
        assert!(shown(&edit.guards).iter().any(|shown| shown == guard), "{guard}");
    }
    let mut busy = before.clone();
    busy.others.insert("MX".to_owned(), Ttl::DEFAULT);
    let stale = edit_of(NAME, vec![delete(&before), create(NAME, "lb.example.net")], &busy);
    assert_eq!(stale.unwrap_err(), Unfit::Stale);
}

fn texts(values: &[&str]) -> BTreeSet<Txt> {
    values.iter().map(|value| Txt::new([value.as_bytes().to_vec()])).collect()
}

#[test]
fn a_name_whose_ownership_record_is_anothers_is_not_written() {
    let ours = "v=1 owner=fed service=default/web sets=A";
    for values in [&["v=1 owner=other service=default/web sets=AAAA"][..], &["v=spf1 -all"], &[ours, "more"]]
    {
        let taken = Known { marks: texts(values), ..Known::default() };
        match edit_of(NAME, vec![create(NAME, "10.0.0.1")], &taken) {
            Err(Unfit::Impossible(why)) => {
                assert!(why.contains("record at _fleetdns.www.example.com"), "{why}");
            }
            other => panic!("{values:?}: {other:?}"),
        }
    }
}

/// Of a type that goes nothing is said any more; the text of the type that stays is kept as it was.
#[test]
fn a_type_that_goes_leaves_the_ownership_of_the_other() {
    let v6 = fleetdns_core::NonEmpty::new(["2001:db8::1".parse().unwrap()]).unwrap();
    let both = |marks| {
        let mut both = known(NAME, "10.0.0.1");
        both.sets.insert(Kind::Aaaa, (Ttl::DEFAULT, RecordData::Aaaa(v6.clone())));
        Known { marks, ..both }
    };
    let before = both(ownership::write(EVIDENCE, [Kind::A, Kind::Aaaa]).unwrap());
    let edit = edit_of(NAME, vec![delete(&before)], &before).unwrap();
    assert_eq!(shown(&edit.updates), ["www ANY A", "_fleetdns.www ANY TXT", "_fleetdns.www IN TXT AAAA"]);
    let [left] = &edit.after.observed(&owner())[..] else { panic!("{edit:?}") };
    assert_eq!(left.claim.mark().unwrap().as_str(), EVIDENCE);

    // One that cannot be read is not written again: what it said is lost, not what it is.
    let damaged = both(texts(&["v=1 owner=fed service=default/web member=;; sets=A,AAAA"]));
    let edit = edit_of(NAME, vec![delete(&damaged)], &damaged).unwrap();
    assert_eq!(shown(&edit.updates), ["www ANY A"]);
    assert_eq!(edit.after.marks, damaged.marks);
}

#[test]
fn a_mark_that_a_deletion_by_hand_left_is_replaced() {
    let mut orphan = known(NAME, "10.0.0.1");
    orphan.sets.clear();
    assert!(orphan.observed(&owner()).is_empty());
    let edit = edit_of(NAME, vec![create(NAME, "lb.example.net")], &orphan).unwrap();
    assert_eq!(
        shown(&edit.updates),
        ["_fleetdns.www ANY TXT", "www IN CNAME lb.example.net.", "_fleetdns.www IN TXT CNAME"]
    );
}

#[test]
fn a_set_beside_ours_is_not_ours() {
    let mut both = known(NAME, "10.0.0.1");
    let v6 = fleetdns_core::NonEmpty::new(["2001:db8::1".parse().unwrap()]).unwrap();
    both.sets.insert(Kind::Aaaa, (Ttl::DEFAULT, RecordData::Aaaa(v6)));
    let claims =
        |known: &Known| known.observed(&owner()).iter().map(|set| set.claim.is_ours()).collect::<Vec<_>>();
    assert_eq!(claims(&both), [true, false]);
    let update =
        Change::Update { before: there(&both), set: set(NAME, "10.0.0.2"), mark: EVIDENCE.parse().unwrap() };
    assert_eq!(claims(&edit_of(NAME, vec![update], &both).unwrap().after), [true, false]);
}

#[test]
fn what_was_planned_on_something_else_is_stale() {
    let before = known(NAME, "10.0.0.1");
    assert_eq!(edit_of(NAME, vec![create(NAME, "10.0.0.2")], &before).unwrap_err(), Unfit::Stale);
    assert_eq!(edit_of(NAME, vec![delete(&before)], &known(NAME, "10.0.0.2")).unwrap_err(), Unfit::Stale);
    assert_eq!(edit_of(NAME, vec![delete(&before)], &Known::default()).unwrap_err(), Unfit::Stale);
    let mut marked = before.clone();
    marked.marks.extend(texts(&["v=1 owner=other service=a/b sets=A"]));
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
    let member =
        |n: u64| format!(" member=m{n};;;none;lb{:016x}.example.net", n.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let mark = format!("v=1 owner=fed service=default/web{}", (0..1500).map(member).collect::<String>());
    let long = Change::Create { set: set(NAME, "10.0.0.1"), mark: mark.parse().unwrap() };
    match edit_of(NAME, vec![long], &Known::default()) {
        Err(Unfit::Impossible(why)) => assert!(why.contains("characters, 23034 can be kept"), "{why}"),
        other => panic!("{other:?}"),
    }
    let both = vec![create(NAME, "10.0.0.1"), create(NAME, "lb.example.net")];
    assert!(matches!(edit_of(NAME, both, &Known::default()), Err(Unfit::Impossible(_))));
}
