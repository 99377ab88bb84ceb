//! What holds of any keys and values.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::text::is_hidden;
use fleetdns_core::{DnsName, Label, OwnershipRecord};

use super::layout::Layout;
use super::listing::{Pair, keys_of_others, revisions, view};
use super::value::{Entry, Meaning, write};

/// A value says what was written, whatever mark and host it has.
pub(crate) fn mark(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let owner: Label = "fed".parse().unwrap();
    let entry = Entry::read(&write(&text, 30, true, Some((&owner, &text)))).unwrap();
    assert_eq!((entry.ttl(), entry.strip(), entry.mark().as_deref()), (30, 1, Some(&*text)));
    assert!(
        matches!(entry.meaning(), Meaning::Alias(host) if host == text)
            || text.parse::<std::net::IpAddr>().is_ok()
    );
    let Ok(mark) = text.parse::<OwnershipRecord>() else { return };
    let key = "/skydns/com/example/www/v4-cb007101".as_bytes();
    let owner = mark.owner().unwrap();
    let value = write("203.0.113.1", 30, true, Some((&owner, mark.as_str())));
    let layout = Layout::new("example.com".parse().unwrap(), "/skydns");
    let view = view(&layout, &owner, [Pair { key, value: &value, revision: 5 }].into_iter());
    let [set] = view.listing.observed.at(&"www.example.com".parse().unwrap()) else { panic!("{view:?}") };
    assert_eq!((set.claim.mark(), set.ttl.seconds()), (Some(&mark), 30));
}

type Values = BTreeSet<(DnsName, String)>;

/// Names and values of the sets that are ours.
fn ours(pairs: &BTreeMap<&[u8], &[u8]>, owner: &str) -> Values {
    let (zone, owner): (DnsName, Label) = ("example.com".parse().unwrap(), owner.parse().unwrap());
    let pairs = pairs.iter().zip(1..).map(|((key, value), revision)| Pair { key, value, revision });
    let listing = view(&Layout::new(zone.clone(), "/skydns"), &owner, pairs).listing;
    assert!(
        listing.unreadable.len() <= 101 && !listing.unreadable.iter().any(|text| text.contains(is_hidden))
    );
    let mut values = Values::new();
    for (name, set) in
        listing.observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)))
    {
        assert!(name.is_within(&zone), "{name}");
        if let Some(data) = set.ours() {
            assert!(revisions(set).is_some(), "{set:?}");
            values.extend(data.values().into_iter().map(|value| (name.clone(), value)));
        } else {
            assert!(keys_of_others(set).is_some(), "{set:?}");
        }
    }
    values
}

/// Lines `KEY VALUE`: what is ours is nobody else's, and without one of the keys nothing more is ours.
pub(crate) fn answer(data: &[u8]) {
    let pair = |line: &'_ [u8]| line.iter().position(|byte| *byte == b' ');
    let pairs: BTreeMap<&[u8], &[u8]> = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split_at_checked(pair(line)?))
        .map(|(key, value)| (key, value.trim_ascii()))
        .collect();
    let whole = ours(&pairs, "fed");
    assert!(whole.is_disjoint(&ours(&pairs, "other")) || data.windows(11).any(|part| part == b"owner=other"));
    for key in pairs.keys().take(1).chain(pairs.keys().next_back()) {
        let mut part = pairs.clone();
        part.remove(key);
        assert!(ours(&part, "fed").is_subset(&whole));
    }
}
