use std::net::Ipv4Addr;

use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};

use super::*;
use crate::wire;

fn owner() -> Label {
    "fed".parse().unwrap()
}

fn www() -> DnsName {
    "www.example.com".parse().unwrap()
}

fn zone(last: u8) -> Zone {
    let mut zone = Zone::default();
    let data = RData::A(A(Ipv4Addr::new(10, 0, 0, last)));
    zone.add(&"example.com".parse().unwrap(), &Record::from_rdata(wire::name(&www()).unwrap(), 30, data));
    zone
}

fn transferred(seen: &Seen, begun: Begun, last: u8, serial: u32) -> String {
    let listing = seen.transferred(begun, Transfer { zone: zone(last), serial }, &owner());
    listing.observed.at(&www()).iter().map(ToString::to_string).collect()
}

#[test]
fn a_serial_stands_for_the_zone_until_something_is_written() {
    let seen = Seen::default();
    let (begun, serial) = seen.begin();
    assert_eq!(serial, None);
    assert_eq!(transferred(&seen, begun, 1, 7), "30 A 10.0.0.1");
    assert_eq!(seen.begin().1, Some(7));
    assert!(seen.unchanged(7).is_some() && seen.unchanged(8).is_none());
    assert!(seen.write(&[&www()]).is_some());
    assert_eq!(seen.begin().1, None);
    assert!(seen.unchanged(7).is_none());
    for _ in 0..=MAX_SKIPS {
        let (begun, _) = seen.begin();
        transferred(&seen, begun, 1, 9);
        assert!((0..MAX_SKIPS).all(|_| seen.unchanged(9).is_some()));
        assert_eq!(seen.begin().1, None, "a database may change behind its server");
    }
}

#[test]
fn nothing_is_written_on_what_was_never_listed() {
    assert!(Seen::default().write(&[&www()]).is_none());
}

#[test]
fn a_transfer_takes_nothing_back_that_was_written_meanwhile() {
    let seen = Seen::default();
    let (begun, _) = seen.begin();
    transferred(&seen, begun, 1, 1);

    let (slow, _) = seen.begin();
    let (known, _) = seen.write(&[&www()]).unwrap();
    assert_eq!(known[0], zone(1).at(&www()));
    seen.wrote(&www(), zone(2).at(&www()), &owner());
    assert_eq!(transferred(&seen, slow, 1, 1), "30 A 10.0.0.2");
    assert_eq!(seen.write(&[&www()]).unwrap().0[0], zone(2).at(&www()));
    assert_eq!(seen.begin().1, None, "the serial is one of before the write");

    let (begun, _) = seen.begin();
    assert_eq!(transferred(&seen, begun, 3, 5), "30 A 10.0.0.3", "what is read later is believed");
    assert_eq!(seen.begin().1, Some(5));
}

#[test]
fn a_write_that_began_before_a_transfer_ended_leaves_no_serial() {
    let seen = Seen::default();
    let (begun, _) = seen.begin();
    transferred(&seen, begun, 1, 1);
    let (slow, _) = seen.begin();
    seen.write(&[&www()]);
    transferred(&seen, slow, 1, 1);
    assert_eq!(seen.begin().1, None);
}
