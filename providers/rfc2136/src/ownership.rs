//! The ownership record of a name as TXT records, in the form that the providers share ([`txt`]).
//!
//! ```text
//! _fleetdns.web.example.com. 60 IN TXT "v=1 owner=fed service=default/web member=…" "… sets=A,AAAA"
//! ```
//!
//! A value is one TXT record, cut into strings of 255 octets (RFC 1035 §3.3.14). All TXT records at the name belong to the
//! ownership record: with somebody else's among them, the record sets are not ours.

use std::collections::BTreeSet;

use fleetdns_core::ownership::txt::{self, Room, Sets, TooLong, TxtRecord};
use fleetdns_core::{Label, RecordType};

/// Seconds; nobody but us asks for them.
pub(crate) const TTL: u32 = 60;

/// A value that Route 53 would take too. The old and the new record fit into one update.
pub(crate) const ROOM: Room = Room { value: 3850, values: 6 };

const MAX_STRING: usize = 255;

/// The strings of one TXT record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Txt(Vec<Vec<u8>>);

impl Txt {
    pub(crate) fn new(strings: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(strings.into_iter().collect())
    }

    pub(crate) fn strings(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.iter()
    }

    pub(crate) fn text(&self) -> Option<String> {
        String::from_utf8(self.0.concat()).ok()
    }

    /// Whether it is an ownership record or a part of one, ours or another owner's.
    pub(crate) fn is_mark(&self) -> bool {
        self.text().is_some_and(|text| text.starts_with("v=1 owner=") || text.starts_with("part="))
    }
}

/// Whose a name is, and which types there.
pub(crate) fn read(records: &BTreeSet<Txt>, owner: &Label) -> TxtRecord {
    let texts: Option<Vec<String>> = records.iter().map(Txt::text).collect();
    texts.map_or(TxtRecord::FOREIGN, |texts| txt::read(texts.iter().map(String::as_str), owner))
}

/// The records for an ownership text.
pub(crate) fn write(
    ownership: &str,
    types: impl IntoIterator<Item = RecordType>,
) -> Result<BTreeSet<Txt>, TooLong> {
    let sets: Sets = types.into_iter().map(|kind| (kind, String::new())).collect();
    let record = |value: &String| Txt::new(value.as_bytes().chunks(MAX_STRING).map(<[u8]>::to_vec));
    Ok(txt::write(ownership, &sets, ROOM)?.iter().map(record).collect())
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
