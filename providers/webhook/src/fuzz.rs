//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use std::collections::BTreeSet;

use fleetdns_core::ownership::txt::TxtRecord;
use fleetdns_core::{DnsName, Label, OwnershipRecord, RecordType};

use crate::filter::Filter;
use crate::listing::View;
use crate::ownership::{self, Sets, Stored};
use crate::wire::{Domains, Endpoint};

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] = &[
    ("ownership.webhook", 1_500, mark),
    ("webhook_records", 5_000, records),
    ("webhook_filter", 10_000, filter),
];

/// A mark is read back from the targets of a TXT as it was written, with or without their quotes and in any order.
fn mark(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let once = ownership::as_written(&[text.to_string()]);
    assert_eq!(ownership::as_written(&once), once);
    let Ok(mark) = text.parse::<OwnershipRecord>() else { return };
    let stored = Stored { desired: 30, listed: 300, properties: 7 };
    let sets = Sets::from([(RecordType::A, stored)]);
    let Ok(mut targets) = ownership::write(mark.as_str(), &sets) else { return };
    targets.reverse();
    let record = ownership::read(&targets, &mark.owner().unwrap());
    assert_eq!(record.owner.mark(), Some(&mark));
    assert_eq!(ownership::stored(&record, RecordType::A), Some(stored));
    assert_eq!(record.text.as_deref(), Some(&*ownership::whole(mark.as_str(), &sets)));
    assert_eq!(
        ownership::read(&targets, &"nobody".parse().unwrap()),
        TxtRecord { owner: fleetdns_core::Owner::Foreign, ..record }
    );
}

/// The sets as far as they do not depend on an order.
fn lines(endpoints: &[Endpoint], owner: &str) -> BTreeSet<(DnsName, String, bool)> {
    let (zone, owner): (DnsName, Label) = ("example.com".parse().unwrap(), owner.parse().unwrap());
    let mut view = View::of(endpoints.to_vec(), &zone, &owner);
    let strange = view.strange();
    view.accept(&strange);
    let listing = view.listing();
    assert!(listing.unreadable.len() <= 101);
    let mut lines = BTreeSet::new();
    for (name, set) in
        listing.observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)))
    {
        assert!(name.is_within(&zone), "{name}");
        let data = set.content.data().map(|data| data.values().join(" "));
        lines.insert((name.clone(), format!("{} {data:?}", set.type_name()), set.claim.is_ours()));
    }
    lines
}

/// Endpoints are read back as they are sent; what stands in the zone does not depend on the order in which it is listed; and
/// nothing is ours and somebody else's.
fn records(data: &[u8]) {
    let Ok(Some(mut endpoints)) = serde_json::from_slice::<Option<Vec<Endpoint>>>(data) else { return };
    let sent = serde_json::to_vec(&endpoints).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<Endpoint>>(&sent).unwrap(), endpoints);
    let forth = lines(&endpoints, "fed");
    let theirs = lines(&endpoints, "other");
    assert!(!forth.iter().any(|line| line.2 && theirs.contains(line)));
    endpoints.reverse();
    assert_eq!(lines(&endpoints, "fed"), forth);
}

/// No name is served that is told to be left out.
fn filter(data: &[u8]) {
    let Ok(Some(domains)) = serde_json::from_slice::<Option<Domains>>(data) else { return };
    let Ok(filter) = Filter::read(&domains) else { return };
    assert!(!filter.shown().contains(fleetdns_core::text::is_hidden));
    for left_out in filter.excluded() {
        assert!(!filter.serves(&left_out.name), "{}", left_out.name);
        if let Ok(below) = left_out.name.prepend("www") {
            assert!(!left_out.subtree || !filter.serves(&below), "{below}");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
