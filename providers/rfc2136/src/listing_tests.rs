use std::net::Ipv4Addr;

use fleetdns_core::{Content, RecordType as Kind, Ttl};
use hickory_proto::rr::rdata::{A, NULL};
use hickory_proto::rr::{DNSClass, Name};

use super::*;

fn apex() -> DnsName {
    "example.com".parse().unwrap()
}

fn owner() -> Label {
    "fed".parse().unwrap()
}

fn name(labels: &[&[u8]]) -> Name {
    let mut name = Name::from_labels(labels.iter().copied().chain([&b"example"[..], b"com"])).unwrap();
    name.set_fqdn(true);
    name
}

fn address(labels: &[&[u8]], ttl: u32, last: u8) -> Record {
    Record::from_rdata(name(labels), ttl, RData::A(A(Ipv4Addr::new(10, 0, 0, last))))
}

fn other(labels: &[&[u8]], code: u16) -> Record {
    let data = RData::Unknown { code: RecordType::from(code), rdata: NULL::with(vec![0]) };
    wire::with_data(&name(labels), DNSClass::IN, 60, data)
}

fn zone_of(records: &[Record]) -> Zone {
    let mut zone = Zone::default();
    records.iter().for_each(|record| zone.add(&apex(), record));
    zone
}

#[test]
fn two_ttls_in_one_set_are_seen_whichever_comes_first() {
    for ttls in [[30, 9999], [9999, 30]] {
        let zone = zone_of(&[address(&[b"www"], ttls[0], 1), address(&[b"www"], ttls[1], 2)]);
        let known = zone.at(&"www.example.com".parse().unwrap());
        let [set] = &known.observed(&owner())[..] else { panic!("{known:?}") };
        assert!(matches!(set.content, Content::Misshapen(_)), "{set:?}");
        assert_eq!(set.ttl, Ttl::new(9999).unwrap());
    }
    let same = zone_of(&[address(&[b"www"], 30, 1), address(&[b"www"], 30, 2)]);
    let known = same.at(&"www.example.com".parse().unwrap());
    assert!(matches!(known.observed(&owner())[0].content, Content::Known(_)));
    let mixed = Known { mixed: [Kind::A].into(), ..known.clone() };
    assert_ne!(mixed.observed(&owner())[0].version, known.observed(&owner())[0].version);
}

#[test]
fn types_that_hickory_does_not_know_are_told_apart_and_named() {
    let zone = zone_of(&[other(&[b"a"], 65401), other(&[b"a"], 65402), other(&[b"a"], 65280)]);
    let known = zone.at(&"a.example.com".parse().unwrap());
    let types: Vec<String> = known.observed(&owner()).iter().map(|set| set.type_name().to_owned()).collect();
    assert_eq!(types, ["ALIAS", "LUA", "TYPE65280"]);
}

#[test]
fn what_cannot_be_read_is_told_escaped_and_bounded() {
    let zone = zone_of(&[address(&[b"a\x1b[2J\n@ IN NS evil"], 30, 1)]);
    let told = &zone.listing(&owner()).unreadable;
    assert!(told.len() == 1 && !told[0].contains(char::is_control), "{told:?}");

    let records: Vec<Record> =
        (0..1000).map(|index| address(&[format!("{index} x").as_bytes()], 30, 1)).collect();
    let told = zone_of(&records).listing(&owner()).unreadable;
    assert_eq!(told.len(), 101);
    assert_eq!(told[100], "900 more entries cannot be read");
}

#[test]
fn records_outside_of_the_zone_and_signatures_are_no_names() {
    let mut outside = Name::from_ascii("www.example.org.").unwrap();
    outside.set_fqdn(true);
    let outside = Record::from_rdata(outside, 30, RData::A(A(Ipv4Addr::LOCALHOST)));
    let signature = other(&[b"www"], u16::from(RecordType::RRSIG));
    let zone = zone_of(&[outside, signature, other(&[], 65534)]);
    assert_eq!(zone.len(), 0);
    assert!(zone.signed);
    assert_eq!(zone.records(), 1, "signatures are not counted");
}

#[test]
fn the_name_servers_of_the_zone_and_of_what_it_delegates_are_told() {
    let server = |labels: &[&[u8]], at: &[&[u8]]| {
        Record::from_rdata(name(at), 60, RData::NS(hickory_proto::rr::rdata::NS(name(labels))))
    };
    let zone = zone_of(&[
        server(&[b"NS1"], &[]),
        server(&[b"ns", b"child"], &[b"child"]),
        address(&[b"web"], 30, 1),
    ]);
    let listing = zone.listing(&owner());
    let told: Vec<&str> = listing.observed.name_servers().iter().map(DnsName::as_str).collect();
    assert_eq!(told, ["ns.child.example.com", "ns1.example.com"]);
}

#[test]
fn the_ownership_record_of_a_wildcard_stands_where_other_providers_keep_it() {
    let strings = vec!["v=1 owner=fed service=default/web sets=A".to_owned()];
    let text = RData::TXT(hickory_proto::rr::rdata::TXT::new(strings));
    let zone = zone_of(&[
        address(&[b"*"], 30, 1),
        wire::with_data(&name(&[b"_fleetdns-wildcard"]), DNSClass::IN, 60, text),
    ]);
    let wildcard = "*.example.com".parse().unwrap();
    assert!(zone.at(&wildcard).observed(&owner())[0].claim.is_ours());
    assert_eq!(wire::mark_name(&wildcard).unwrap(), name(&[b"_fleetdns-wildcard"]));
}
