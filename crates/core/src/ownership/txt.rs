//! The ownership record of a name as values of a TXT record set. `route53`, `webhook` and `rfc2136` share this form, so that a
//! zone can move from one to the other.
//!
//! ```text
//! _fleetdns.web.example.com. TXT "v=1 owner=fed service=default/web member=west;…;203.0.113.1 sets=A,AAAA"
//! ```
//!
//! `sets` names the record types at the name that are ours, so that an AAAA that somebody else adds beside our A is not
//! taken for ours. A provider may keep a note of its own behind a type (`A:30`), which the others ignore. A text that does
//! not fit into one value is packed ([`pack`]); if it still does not fit, it is spread over several values, each of which
//! begins with `part=1/3`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::name::{DnsName, Label, NameError};
use crate::ownership::{Owner, OwnershipRecord, pack, unpack};
use crate::record::RecordType;

/// Leftmost label of the name that holds the ownership record of the name behind it.
const LABEL: &str = "_fleetdns";
/// The same for `*`, which can only be the leftmost label itself (RFC 4592 §2.1.1).
const LABEL_OF_WILDCARD: &str = "_fleetdns-wildcard";
/// Room for `part=10/20 `.
const PART: usize = 11;
/// Behind what the types begin.
const SETS: &str = " sets=";

/// Where the ownership record of a name is kept.
///
/// ```
/// # use fleetdns_core::{DnsName, ownership::txt};
/// let name: DnsName = "*.example.com".parse()?;
/// assert_eq!(txt::record_name(&name)?.as_str(), "_fleetdns-wildcard.example.com");
/// # Ok::<(), fleetdns_core::name::NameError>(())
/// ```
///
/// # Errors
/// When that name would be too long.
pub fn record_name(name: &DnsName) -> Result<DnsName, NameError> {
    match name.parent().filter(|_| name.is_wildcard()) {
        Some(parent) => parent.prepend(LABEL_OF_WILDCARD),
        None => name.prepend(LABEL),
    }
}

/// The name to which an ownership record at `name` belongs; `None` where none is kept.
pub fn owned_name(name: &DnsName) -> Option<DnsName> {
    let parent = name.parent()?;
    match name.labels().next()? {
        LABEL => Some(parent),
        LABEL_OF_WILDCARD => parent.prepend("*").ok(),
        _ => None,
    }
}

/// Record types that are ours, each with the provider's own note: visible ASCII without commas, often empty.
pub type Sets = BTreeMap<RecordType, String>;

/// How much a backend keeps in a TXT record set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Most characters of a value, without quotes and escapes.
    pub value: usize,
    /// Most values.
    pub values: usize,
}

impl Room {
    /// Most characters of an ownership record after packing.
    pub const fn longest(self) -> usize {
        self.values.saturating_mul(self.value.saturating_sub(PART))
    }
}

/// An ownership record that does not fit: its length in characters after packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong(pub usize);

/// An ownership record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxtRecord {
    /// Whose the record sets at the name are.
    pub owner: Owner,
    /// Types that are ours; `None` where the record does not tell: all of them.
    pub sets: Option<Sets>,
    /// The text as [`text`] returns it; `None` when it is not whole.
    pub text: Option<String>,
}

impl TxtRecord {
    /// What stands there is not ours.
    pub const FOREIGN: Self = Self { owner: Owner::Foreign, sets: None, text: None };

    /// What is read of a record once [`write()`] has written it.
    pub fn ours(ownership: &OwnershipRecord, sets: Sets) -> Self {
        let text = Some(text(ownership.as_str(), &sets));
        Self { owner: Owner::of(ownership), sets: Some(sets), text }
    }

    /// Whether the record is about sets of this type.
    pub fn covers(&self, record_type: RecordType) -> bool {
        self.sets.as_ref().is_none_or(|sets| sets.contains_key(&record_type))
    }
}

/// The whole text, before it is packed or divided.
pub fn text(ownership: &str, sets: &Sets) -> String {
    let mut text = format!("{ownership}{SETS}");
    for (index, (record_type, note)) in sets.iter().enumerate() {
        let (comma, colon) = (if index == 0 { "" } else { "," }, if note.is_empty() { "" } else { ":" });
        // Writing to a String does not fail.
        let _ = write!(text, "{comma}{record_type}{colon}{note}");
    }
    text
}

/// Values of the TXT record set, without quotes.
///
/// # Errors
/// When the text does not fit.
pub fn write(ownership: &str, sets: &Sets, room: Room) -> Result<Vec<String>, TooLong> {
    let plain = text(ownership, sets);
    // A quote or a backslash takes two characters in a zone file.
    if plain.len().saturating_add(plain.matches(['"', '\\']).count()) <= room.value {
        return Ok(vec![plain]);
    }
    let packed = text(&pack(ownership), sets);
    if packed.len() <= room.value {
        return Ok(vec![packed]);
    }
    let parts: Vec<&[u8]> = packed.as_bytes().chunks(room.value.saturating_sub(PART).max(1)).collect();
    let count = parts.len();
    if count > room.values {
        return Err(TooLong(packed.len()));
    }
    let value = |(index, part): (usize, &&[u8])| {
        format!("part={}/{count} {}", index.saturating_add(1), String::from_utf8_lossy(part))
    };
    Ok(parts.iter().enumerate().map(value).collect())
}

/// Reads the values of a TXT record set, in any order. Where some parts are lost the sets are ours to write again, and
/// nothing else of the record is believed.
pub fn read<'a>(values: impl IntoIterator<Item = &'a str>, owner: &Label) -> TxtRecord {
    let values: Vec<&str> = values.into_iter().collect();
    match joined(&values) {
        Joined::Whole(text) => {
            let (ownership, sets) =
                text.rsplit_once(SETS).map_or((&*text, None), |(o, sets)| (o, Some(sets)));
            let ownership = unpack(ownership);
            let text = sets.map_or_else(|| ownership.to_string(), |sets| format!("{ownership}{SETS}{sets}"));
            let owner = Owner::read(Some(&ownership), owner);
            TxtRecord { owner, sets: sets.and_then(read_sets), text: Some(text) }
        }
        Joined::Part(first) if Owner::read(Some(first), owner).is_ours() => {
            TxtRecord { owner: Owner::Ours(None), sets: None, text: None }
        }
        Joined::Part(_) | Joined::Other => TxtRecord::FOREIGN,
    }
}

fn read_sets(text: &str) -> Option<Sets> {
    let one = |text: &str| {
        let (record_type, note) = text.split_once(':').unwrap_or((text, ""));
        Some((record_type.parse().ok()?, note.to_owned()))
    };
    text.split(',').map(one).collect()
}

enum Joined<'a> {
    Whole(String),
    /// Only some parts, the first among them.
    Part(&'a str),
    Other,
}

/// One value is whole; several have to be all parts of one.
fn joined<'a>(values: &[&'a str]) -> Joined<'a> {
    if let [only] = values
        && !only.starts_with("part=")
    {
        return Joined::Whole((*only).to_owned());
    }
    let parse = |text: &&'a str| {
        let (number, part) = text.strip_prefix("part=")?.split_once(' ')?;
        let (index, count) = number.split_once('/')?;
        Some((index.parse().ok()?, count.parse().ok()?, part))
    };
    let parts: Option<Vec<(usize, usize, &str)>> = values.iter().map(parse).collect();
    let Some(mut parts) = parts else { return Joined::Other };
    parts.sort_unstable();
    let all = parts.len();
    let complete = (1..).zip(&parts).all(|(at, (index, count, _))| at == *index && *count == all);
    match parts.first() {
        Some(_) if complete => Joined::Whole(parts.into_iter().map(|(.., part)| part).collect()),
        Some((1, _, first)) => Joined::Part(first),
        _ => Joined::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NARROW: Room = Room { value: 250, values: 20 };
    const WIDE: Room = Room { value: 3850, values: 3 };

    fn owner() -> Label {
        "fed".parse().unwrap()
    }

    fn ownership(members: usize) -> String {
        let mut text = "v=1 owner=fed service=default/web".to_owned();
        let mut seed = 1_u64;
        for number in 0..members {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += &format!(" member=m{number:04};westus;1,2;tcp:80;a{seed:016x}.elb.example.com");
        }
        text
    }

    fn read_all(values: &[String]) -> TxtRecord {
        read(values.iter().map(String::as_str), &owner())
    }

    /// How many values it takes.
    fn back(members: usize, room: Room) -> usize {
        let sets = Sets::from([(RecordType::A, "30".to_owned()), (RecordType::Aaaa, String::new())]);
        let ownership = ownership(members);
        let mut values = write(&ownership, &sets, room).unwrap();
        assert!(values.iter().all(|value| value.len() <= room.value), "{values:#?}");
        values.reverse();
        let record = read_all(&values);
        assert_eq!(record, TxtRecord::ours(&ownership.parse().unwrap(), sets));
        values.len()
    }

    #[test]
    fn a_record_is_read_back_whole_however_long_it_is() {
        assert_eq!([0, 2, 4].map(|members| back(members, NARROW)), [1, 1, 1]);
        let parts = back(20, NARROW);
        assert!((2..=5).contains(&parts), "packed and in parts");
        assert_eq!(back(20, Room { values: parts, ..NARROW }), parts, "as many as there may be");
        assert!(write(&ownership(20), &Sets::new(), Room { values: parts - 1, ..NARROW }).is_err());
        assert_eq!([2, 200].map(|members| back(members, WIDE)), [1, 2]);
        let TooLong(characters) = write(&ownership(400), &Sets::new(), NARROW).unwrap_err();
        assert!(characters > NARROW.longest(), "{characters}");
        assert!((4000..5000).contains(&NARROW.longest()), "20 parts of 250 characters, each with its number");
    }

    #[test]
    fn what_is_not_plainly_ours_is_foreign_and_a_torn_record_is_not_believed() {
        let record = |values: &[&str]| read(values.iter().copied(), &owner());
        let good = "v=1 owner=fed service=default/web sets=A";
        assert!(record(&[good]).owner.ownership().is_some());
        assert!(record(&[good]).covers(RecordType::A) && !record(&[good]).covers(RecordType::Aaaa));
        for foreign in [
            &[good, "somebody's"][..],
            &["v=1 owner=other service=default/web sets=A"],
            &["heritage=external-dns,external-dns/owner=fed"],
            &["part=2/2 v=1 owner=fed service=default/web"],
            &[],
        ] {
            assert!(!record(foreign).owner.is_ours(), "{foreign:?}");
        }
        let torn = record(&["part=1/2 v=1 owner=fed service=default/web"]);
        assert_eq!(torn, TxtRecord { owner: Owner::Ours(None), sets: None, text: None });
        let newer = record(&["v=1 owner=fed service=default/web sets=A,HTTPS"]);
        assert!(
            newer.owner.is_ours() && newer.covers(RecordType::Cname),
            "it does not tell, so it is about all"
        );
        let damaged = record(&["v=1 owner=fed service=default/web z=%%% sets=A"]);
        assert_eq!(damaged.owner, Owner::Ours(None));
    }

    #[test]
    fn each_name_has_a_place_of_its_own_for_its_record() {
        for (name, at) in [
            ("www.example.com", "_fleetdns.www.example.com"),
            ("*.example.com", "_fleetdns-wildcard.example.com"),
            ("_wildcard.example.com", "_fleetdns._wildcard.example.com"),
            ("example.com", "_fleetdns.example.com"),
        ] {
            let name: DnsName = name.parse().unwrap();
            assert_eq!(record_name(&name).unwrap().as_str(), at);
            assert_eq!(owned_name(&at.parse().unwrap()), Some(name));
        }
        assert_eq!(owned_name(&"www.example.com".parse().unwrap()), None);
        let long: DnsName = [["a"; 61].concat().as_str(); 4].join(".").parse().unwrap();
        assert!(record_name(&long).unwrap_err().to_string().contains("octets"));
    }

    proptest! {
        /// Whatever stands where our record does: it is ours only with our owner id.
        #[test]
        fn no_value_makes_itself_ours(values in proptest::collection::vec(
            "(?s).{0,20}|v=1 owner=(other|fe|fedd) service=a/b.{0,6}owner=fed.{0,2}|part=[12]/2 .{0,9}|v=1 .{0,3} owner=fed",
            0..3,
        )) {
            prop_assert!(!read_all(&values).owner.is_ours(), "{values:?}");
        }
    }
}
