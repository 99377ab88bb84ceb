//! Names as keys: lower case, labels with dots between them, without the root.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::iter::successors;

use fleetdns_core::DnsName;
use hickory_proto::ProtoError;
use hickory_proto::rr::Name;

/// A name of ours as a key, whose text is shared with whoever else has the name; looked up by its octets in canonical
/// order, in which a name is followed directly by everything below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(DnsName);

impl Key {
    /// The name.
    pub(crate) const fn name(&self) -> &DnsName {
        &self.0
    }

    /// The octets that it is looked up by.
    pub(crate) fn octets(&self) -> &[u8] {
        self.0.ordered()
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.octets()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets().hash(state);
    }
}

/// The key of a name of ours.
pub(crate) fn of_name(name: &DnsName) -> Key {
    Key(name.clone())
}

/// The key of a name in a query, whatever octets its labels have.
pub(crate) fn of_query(name: &Name) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    for label in name.iter().rev() {
        if !key.is_empty() {
            key.push(BORDER);
        }
        // No name of ours has such an octet in a label.
        key.extend(
            label.iter().map(|octet| if *octet == BORDER { u8::MAX } else { octet.to_ascii_lowercase() }),
        );
    }
    key
}

/// Between two labels.
const BORDER: u8 = 0;

/// Whether a name lies below another one.
pub(crate) fn is_below(key: &[u8], above: &[u8]) -> bool {
    key.strip_prefix(above).is_some_and(|rest| above.is_empty() || rest.first() == Some(&BORDER))
}

/// The longest name that both are or lie below.
pub(crate) fn common<'a>(key: &'a [u8], other: &[u8]) -> &'a [u8] {
    let is_above = |name: &&[u8]| *name == other || is_below(other, name);
    upwards(key).find(is_above).unwrap_or_default()
}

/// The name without its leftmost label; `None` at the root.
fn parent(key: &[u8]) -> Option<&[u8]> {
    let end = key.iter().rposition(|octet| *octet == BORDER);
    (!key.is_empty()).then(|| end.and_then(|end| key.get(..end)).unwrap_or_default())
}

/// The name itself, its parent, and so on up to the root.
pub(crate) fn upwards(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    successors(Some(key), |key| parent(key))
}

/// The wildcard directly below a name.
pub(crate) fn wildcard_below(key: &[u8]) -> Vec<u8> {
    [key, &[BORDER, b'*']].concat()
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
        assert_eq!(of_query(&Name::from_ascii("wWw.Example.COM.").unwrap()), key.octets());
        let parts: Vec<&[u8]> = upwards(key.octets()).collect();
        assert_eq!(parts, [&b"com\0example\0www"[..], b"com\0example", b"com", b""]);
        assert_eq!(wildcard_below(b"com"), of_name(&"*.com".parse().unwrap()).octets());
    }

    #[test]
    fn names_have_the_nearest_name_above_both_in_common() {
        let key = |text: &str| of_name(&text.parse().unwrap());
        for (one, other, both) in [
            ("a.b.test", "c.b.test", "b.test"),
            ("a.b.test", "b.test", "b.test"),
            ("b.test", "a.b.test", "b.test"),
            ("ab.test", "a.test", "test"),
            ("a.test", "a.test", "a.test"),
        ] {
            assert_eq!(common(key(one).octets(), key(other).octets()), key(both).octets(), "{one} {other}");
        }
        assert_eq!(common(key("a.test").octets(), key("a.example").octets()), b"");
        assert!(!is_below(key("ab.test").octets(), key("a.test").octets()));
    }

    #[test]
    fn a_dot_or_a_zero_octet_inside_a_label_is_no_border() {
        for label in [b"a.b".as_slice(), b"b\0a"] {
            let name = Name::from_labels([label, b"com"]).unwrap();
            assert_ne!(of_query(&name), of_name(&"a.b.com".parse().unwrap()).octets());
            assert_eq!(upwards(&of_query(&name)).count(), 3);
        }
    }
}
