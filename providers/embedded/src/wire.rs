//! Names as keys: lower case, each label after its length, without the root (RFC 1035 §3.1).

use std::iter::successors;
use std::sync::Arc;

use fleetdns_core::DnsName;
use hickory_proto::ProtoError;
use hickory_proto::rr::Name;

/// Such a name as a whole; parts of it are borrowed as `&[u8]`.
pub(crate) type Key = Arc<[u8]>;

/// The key of a name in a query, whatever octets its labels have.
pub(crate) fn of_query(name: &Name) -> Vec<u8> {
    of_labels(name.iter())
}

/// The key of a name of ours.
pub(crate) fn of_name(name: &DnsName) -> Key {
    of_labels(name.labels().map(str::as_bytes)).into()
}

fn of_labels<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    for label in labels {
        key.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        key.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    key
}

/// The name without its leftmost label; `None` at the root.
pub(crate) fn parent(key: &[u8]) -> Option<&[u8]> {
    let (length, rest) = key.split_first()?;
    rest.get(usize::from(*length)..)
}

/// The name itself, its parent, and so on up to the root.
pub(crate) fn upwards(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    successors(Some(key), |key| parent(key))
}

/// The wildcard directly below a name.
pub(crate) fn wildcard_below(key: &[u8]) -> Vec<u8> {
    [b"\x01*", key].concat()
}

/// A name of ours as messages carry it.
pub(crate) fn to_message(name: &DnsName) -> Result<Name, ProtoError> {
    Name::from_labels(name.labels().map(str::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_forgets_case_and_walks_up_to_the_root() {
        let key = of_name(&"www.example.com".parse().unwrap());
        assert_eq!(of_query(&Name::from_ascii("wWw.Example.COM.").unwrap()), *key);
        let parts: Vec<&[u8]> = upwards(&key).collect();
        assert_eq!(parts, [&key[..], b"\x07example\x03com", b"\x03com", b""]);
        assert_eq!(wildcard_below(b"\x03com"), b"\x01*\x03com");
    }

    #[test]
    fn a_dot_inside_a_label_is_no_border() {
        let name = Name::from_labels([b"a.b".as_slice(), b"com"]).unwrap();
        assert_ne!(of_query(&name), *of_name(&"a.b.com".parse().unwrap()));
    }
}
