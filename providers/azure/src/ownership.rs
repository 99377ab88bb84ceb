//! The ownership record as record-set metadata, and back. A long one is packed.
//!
//! Microsoft documents no limits for it. What its services are known to take for tags is kept to: 15 entries of 256
//! characters. A key with a space is taken with success and not kept, so that keys are letters and digits only; what
//! Azure did keep is looked at after each write.

use std::collections::BTreeMap;

use fleetdns_core::OwnershipRecord;
use fleetdns_core::ownership::{pack, unpack};

/// Begins our keys; a number from 1 follows.
const KEY: &str = "fleetdns";
/// Longest value.
const VALUE: usize = 256;
/// Most entries of ours.
const ENTRIES: usize = 15;

/// Metadata of a record set.
pub(crate) type Metadata = BTreeMap<String, String>;

/// The longest text that fits for certain, in octets.
pub(crate) const LONGEST: usize = (VALUE - 1) * ENTRIES;

/// A text that does not fit, in octets after packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) usize);

/// The evidence under our keys, packed when it would not fit otherwise.
pub(crate) fn write(mark: &OwnershipRecord) -> Result<Metadata, TooLong> {
    let text = mark.as_str();
    if let Some(metadata) = split(text) {
        return Ok(metadata);
    }
    let packed = pack(text);
    split(&packed).ok_or(TooLong(packed.len()))
}

/// Splits a text over our keys. `None` when it is too long.
///
/// A value never begins or ends with a space: no server between here and there may think it spare.
fn split(text: &str) -> Option<Metadata> {
    let mut rest = text;
    let mut metadata = Metadata::new();
    while !rest.is_empty() {
        let mut end = rest.len().min(VALUE);
        while end < rest.len() && (!rest.is_char_boundary(end) || at_space(rest, end)) {
            end -= 1;
        }
        let (value, tail) = rest.split_at(end);
        metadata.insert(format!("{KEY}{}", metadata.len() + 1), value.to_owned());
        if metadata.len() > ENTRIES || value.is_empty() {
            return None;
        }
        rest = tail;
    }
    Some(metadata)
}

fn at_space(text: &str, end: usize) -> bool {
    let bytes = text.as_bytes();
    [end.checked_sub(1), Some(end)].into_iter().flatten().any(|index| bytes.get(index) == Some(&b' '))
}

/// The text that [`write`] was given, and the entries that are not ours.
pub(crate) fn read(metadata: Metadata) -> (Option<String>, Metadata) {
    let (ours, others): (Metadata, Metadata) =
        metadata.into_iter().partition(|(key, _)| number(key).is_some());
    let mut parts: Vec<(usize, String)> =
        ours.into_iter().filter_map(|(key, value)| Some((number(&key)?, value))).collect();
    parts.sort();
    let text: String = parts.into_iter().map(|(_, value)| value).collect();
    ((!text.is_empty()).then(|| unpack(&text).into_owned()), others)
}

/// Keys may come back in another case.
fn number(key: &str) -> Option<usize> {
    let (name, number) = key.split_at_checked(KEY.len())?;
    if !name.eq_ignore_ascii_case(KEY) || number.starts_with(['0', '+']) {
        return None;
    }
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ownership(members: usize, random: bool) -> OwnershipRecord {
        let mut text = "v=1 owner=fed service=default/web".to_owned();
        let mut seed = 1_u64;
        for number in 0..members {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let host = if random { seed } else { 7 };
            text += &format!(" member=cluster-{number:04};westus;1,2;tcp:80;a{host:016x}.elb.example.com");
        }
        text.parse().unwrap()
    }

    #[test]
    fn evidence_comes_back_whole_beside_what_others_wrote() {
        for (members, random) in (0..60).map(|members| (members, true)).chain([(500, false)]) {
            let ownership = ownership(members, random);
            let mut metadata = write(&ownership).unwrap();
            for value in metadata.values() {
                assert!(value.len() <= VALUE && value.trim() == value, "{value:?}");
            }
            metadata.insert("team".to_owned(), "web".to_owned());
            metadata.insert("fleetdnsx".to_owned(), "no number".to_owned());
            let (text, others) = read(metadata);
            assert_eq!(text.unwrap(), ownership.to_string());
            assert_eq!(others.keys().collect::<Vec<_>>(), ["fleetdnsx", "team"]);
        }
    }

    #[test]
    fn what_fits_is_not_packed_and_what_never_fits_is_refused() {
        let first = |members| write(&ownership(members, true)).map(|metadata| metadata["fleetdns1"].clone());
        assert!(first(40).unwrap().contains("member="));
        assert!(first(100).unwrap().contains(" z="));
        let TooLong(octets) = first(400).unwrap_err();
        assert!(octets > LONGEST, "{octets}");
    }

    #[test]
    fn the_case_of_keys_makes_no_difference_and_no_key_is_no_mark() {
        let (text, _) = read(Metadata::from([("FleetDNS1".to_owned(), "v=1".to_owned())]));
        assert_eq!(text.as_deref(), Some("v=1"));
        assert_eq!(read(Metadata::new()).0, None);
    }

    proptest::proptest! {
        /// Entries of metadata end where they are full, never at a blank: any text of a mark comes back.
        #[test]
        fn any_text_comes_back(text in "[!-~]([ -~]{0,70}[!-~])?|[!-~]{250,260}|[a-z ]{0,600}[a-z]") {
            let Some(metadata) = split(&text) else { return Ok(()) };
            proptest::prop_assert!(metadata.values().all(|value| value.len() <= VALUE));
            let (read, others) = read(metadata);
            proptest::prop_assert!(others.is_empty());
            proptest::prop_assert_eq!(read, Some(unpack(&text).into_owned()));
        }
    }
}
