use fleetdns_core::plan::Cause;
use fleetdns_core::{Content, Owner, RecordSet, RecordType, Version};

use super::*;

const EVIDENCE: &str = "v=1 owner=fed service=default/web member=west;;;tcp:80;10.0.0.1";

fn layout() -> Layout {
    Layout::new("example.com".parse().unwrap(), "/skydns")
}

fn data(text: &str) -> RecordData {
    let values = text.split(' ').map(|value| value.parse().unwrap());
    RecordData::A(fleetdns_core::NonEmpty::new(values).unwrap())
}

fn mark() -> OwnershipRecord {
    EVIDENCE.parse().unwrap()
}

fn create(name: &str, data: RecordData) -> Change {
    let set = RecordSet { name: name.parse().unwrap(), ttl: Ttl::DEFAULT, data };
    Change::Create { set, mark: mark() }
}

fn before(data: RecordData, version: &str) -> ObservedSet {
    ObservedSet {
        ttl: Ttl::DEFAULT,
        content: Content::Known(data),
        claim: Owner::Ours(Some(EVIDENCE.parse().unwrap())),
        version: Version(version.into()),
    }
}

fn update(name: &str, there: ObservedSet, data: RecordData) -> Change {
    let set = RecordSet { name: name.parse().unwrap(), ttl: Ttl::DEFAULT, data };
    Change::Update { before: there, set, mark: mark() }
}

fn edit_of(name: &str, changes: Vec<Change>, known: Known) -> Result<Edit, Unfit> {
    let change = NameChange { name: name.parse().unwrap(), changes };
    edit(&layout(), &"fed".parse().unwrap(), &change, known)
}

fn shown(edit: &Edit) -> Vec<String> {
    let short = |key: &str| key.trim_start_matches("/skydns/com/example").to_owned();
    let guards = edit.guards.iter().map(|guard| match guard {
        Guard::Is(key, revision) => format!("if {} = {revision}", short(key)),
        Guard::QuietKey(key, since) => format!("if {} <= {since}", short(key)),
        Guard::QuietBelow(key, since) => format!("if {}* <= {since}", short(key)),
    });
    let writes = edit
        .writes
        .iter()
        .map(|(key, value)| format!("{} {}", if value.is_some() { "put" } else { "delete" }, short(key)));
    guards.chain(writes).collect()
}

#[test]
fn a_new_set_wants_nothing_new_at_the_name() {
    let edit =
        edit_of("www.example.com", vec![create("www.example.com", data("10.0.0.1"))], Some(7)).unwrap();
    assert_eq!(
        shown(&edit),
        ["if /www <= 7", "if /www/* <= 7", "if /www/v4-0a000001 = 0", "put /www/v4-0a000001"]
    );
    let never_read =
        edit_of("www.example.com", vec![create("www.example.com", data("10.0.0.1"))], None).unwrap();
    assert_eq!(shown(&never_read)[..2], ["if /www <= 0", "if /www/* <= 0"], "there must be nothing at all");
}

#[test]
fn an_update_guards_the_whole_set_and_writes_what_differs() {
    let name = "www.example.com";
    let there = before(data("10.0.0.1 10.0.0.2 10.0.0.3"), "4,5,6");
    let edit = edit_of(name, vec![update(name, there, data("10.0.0.1 10.0.0.3 10.0.0.4"))], Some(7)).unwrap();
    assert_eq!(
        shown(&edit),
        [
            "if /www <= 7",
            "if /www/* <= 7",
            "if /www/v4-0a000001 = 4",
            "if /www/v4-0a000002 = 5",
            "if /www/v4-0a000003 = 6",
            "if /www/v4-0a000004 = 0",
            "delete /www/v4-0a000002",
            "put /www/v4-0a000004",
        ]
    );
}

#[test]
fn a_set_that_is_not_as_we_write_it_is_written_whole() {
    let name = "www.example.com";
    let untidy = ObservedSet { ttl: Ttl::new(0).unwrap(), ..before(data("10.0.0.1 10.0.0.2"), "4,5") };
    let edit = edit_of(name, vec![update(name, untidy, data("10.0.0.1 10.0.0.2"))], None).unwrap();
    assert_eq!(
        shown(&edit),
        [
            "if /www/v4-0a000001 = 4",
            "if /www/v4-0a000002 = 5",
            "put /www/v4-0a000001",
            "put /www/v4-0a000002"
        ]
    );
}

#[test]
fn the_evidence_moves_with_the_first_value() {
    let name = "www.example.com";
    let there = before(data("10.0.0.2"), "4");
    let edit = edit_of(name, vec![update(name, there, data("10.0.0.1 10.0.0.2"))], Some(7)).unwrap();
    let marks: Vec<bool> = edit
        .writes
        .values()
        .map(|value| String::from_utf8(value.clone().unwrap()).unwrap().contains("service=default/web"))
        .collect();
    assert_eq!(marks, [true, false]);
}

#[test]
fn addresses_become_a_cname_in_one_edit() {
    let name = "www.example.com";
    let delete = Change::Delete {
        before: before(data("10.0.0.1"), "4"),
        record_type: RecordType::A,
        cause: Cause::TypeChange,
    };
    let alias = RecordData::Cname("lb.example.net".parse().unwrap());
    let edit = edit_of(name, vec![delete, create(name, alias.clone())], Some(7)).unwrap();
    assert_eq!(
        shown(&edit),
        [
            "if /www <= 7",
            "if /www/* <= 7",
            "if /www = 0",
            "if /www/v4-0a000001 = 4",
            "put /www",
            "delete /www/v4-0a000001"
        ]
    );
    let gone = Change::Delete {
        before: before(alias, "9"),
        record_type: RecordType::Cname,
        cause: Cause::TypeChange,
    };
    let edit = edit_of(name, vec![gone, create(name, data("10.0.0.1"))], Some(7)).unwrap();
    assert_eq!(
        shown(&edit),
        ["if /www/* <= 7", "if /www = 9", "if /www/v4-0a000001 = 0", "delete /www", "put /www/v4-0a000001"]
    );
}

#[test]
fn the_zones_own_name_is_written_where_coredns_looks() {
    let edit = edit_of("example.com", vec![create("example.com", data("10.0.0.1"))], Some(7)).unwrap();
    assert_eq!(
        shown(&edit),
        ["if  <= 7", "if /dns/* <= 7", "if /dns/apex/v4-0a000001 = 0", "put /dns/apex/v4-0a000001"]
    );
}

#[test]
fn what_cannot_be_written_is_said() {
    for (name, part) in [("www.example.org", "not in the zone"), ("*.example.com", "wildcard")] {
        match edit_of(name, vec![create(name, data("10.0.0.1"))], None) {
            Err(Unfit::Impossible(why)) => assert!(why.contains(part), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let alias = RecordData::Cname("lb.example.net".parse().unwrap());
    assert!(matches!(
        edit_of("example.com", vec![create("example.com", alias)], None),
        Err(Unfit::Impossible(_))
    ));
}

#[test]
fn what_was_not_read_from_etcd_is_stale() {
    let name = "www.example.com";
    for there in [
        before(data("10.0.0.1"), ""),
        before(data("10.0.0.1"), "4,5"),
        ObservedSet { claim: Owner::Foreign, ..before(data("10.0.0.1"), "4") },
    ] {
        let stale = edit_of(name, vec![update(name, there, data("10.0.0.2"))], Some(7));
        assert_eq!(stale, Err(Unfit::Stale));
    }
}

/// A full etcd takes deletions, and nothing else.
#[test]
fn deletions_are_done_alone_only_where_a_value_of_ours_stays() {
    let name = "www.example.com";
    let there = || before(data("10.0.0.1 10.0.0.2"), "4,5");
    let deleted = |changes: Vec<Change>| {
        let edit = edit_of(name, changes, Some(7)).unwrap();
        edit.deletions().map(|alone| {
            assert_eq!(alone.guards, edit.guards);
            shown(&alone)[edit.guards.len()..].to_vec()
        })
    };
    let first = || Some(vec!["delete /www/v4-0a000001".to_owned()]);
    assert_eq!(deleted(vec![update(name, there(), data("10.0.0.2"))]), first());
    assert_eq!(deleted(vec![update(name, there(), data("10.0.0.2 10.0.0.3"))]), first());
    assert_eq!(deleted(vec![update(name, there(), data("10.0.0.3"))]), None, "no value would stay");
    assert_eq!(deleted(vec![update(name, there(), data("10.0.0.1 10.0.0.2 10.0.0.3"))]), None);
    let cause = Cause::TypeChange;
    let delete = Change::Delete { before: there(), record_type: RecordType::A, cause };
    let alias = create(name, RecordData::Cname("lb.example.net".parse().unwrap()));
    assert_eq!(deleted(vec![delete, alias]), None, "the name would have no answer");
}
