//! Names as keys: lower case, labels with dots between them, without the root.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::iter::successors;

use fleetdns_core::DnsName;
use hickory_proto::ProtoError;
use hickory_proto::rr::Name;

/// A name of ours as a key, whose text is shared with whoever else has the name; looked up by its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(DnsName);

impl Key {
    /// The name.
    pub(crate) const fn name(&self) -> &DnsName {
        &self.0
    }

    /// The octets that it is looked up by.
    pub(crate) fn octets(&self) -> &[u8] {
        self.0.as_str().as_bytes()
    }

    /// The name without its leftmost label; `None` at the top.
    pub(crate) fn parent(&self) -> Option<Self> {
        self.0.parent().map(Self)
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
    for label in name.iter() {
        if !key.is_empty() {
            key.push(b'.');
        }
        // No name of ours has a dot or such an octet in a label.
        key.extend(
            label.iter().map(|octet| if *octet == b'.' { u8::MAX } else { octet.to_ascii_lowercase() }),
        );
    }
    key
}

/// The name without its leftmost label; `None` at the root.
pub(crate) fn parent(key: &[u8]) -> Option<&[u8]> {
    let rest = key.iter().position(|octet| *octet == b'.').and_then(|dot| key.get(dot + 1..));
    rest.or((!key.is_empty()).then_some(&[]))
}

/// The name itself, its parent, and so on up to the root.
pub(crate) fn upwards(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    successors(Some(key), |key| parent(key))
}

/// The wildcard directly below a name.
pub(crate) fn wildcard_below(key: &[u8]) -> Vec<u8> {
    [b"*.", key].concat()
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
        assert_eq!(parts, [&b"www.example.com"[..], b"example.com", b"com", b""]);
        assert_eq!(wildcard_below(b"com"), b"*.com");
    }

    #[test]
    fn a_dot_inside_a_label_is_no_border() {
        let name = Name::from_labels([b"a.b".as_slice(), b"com"]).unwrap();
        assert_ne!(of_query(&name), of_name(&"a.b.com".parse().unwrap()).octets());
        assert_eq!(upwards(&of_query(&name)).count(), 3);
    }
}
