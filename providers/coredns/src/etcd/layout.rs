//! Which key belongs to which name.
//!
//! `/skydns/` and the labels of the name from the top down (the layout of SkyDNS, which CoreDNS's etcd plugin reads).
//! A query for A or AAAA is answered with everything *below* the name's key, and only without anything there with the
//! key itself; a query for CNAME with the key itself alone. So a CNAME stands at the key of its name, and each address
//! below it, at a leaf whose label follows from the address: the same address cannot be there twice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use fleetdns_core::{DnsName, Unwritable};

/// Below the zone, where CoreDNS looks for the addresses of the zone's own name.
const APEX: [&str; 2] = ["dns", "apex"];
/// Below the zone, where it looks for name servers.
const NAME_SERVERS: [&str; 2] = ["dns", "ns"];

/// Keys of one zone.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    zone: DnsName,
    /// Without a final slash.
    zone_key: String,
}

/// What a key below the zone stands for, before its value is looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// From the zone downwards.
    labels: Vec<&'a str>,
}

impl Layout {
    pub(crate) fn new(zone: DnsName, path: &str) -> Self {
        let zone_key = join(path, zone.labels().rev());
        Self { zone, zone_key }
    }

    pub(crate) fn zone(&self) -> &DnsName {
        &self.zone
    }

    /// The key of the zone's own name.
    pub(crate) fn zone_key(&self) -> &str {
        &self.zone_key
    }

    /// All keys below the zone begin with this. It ends with a slash, as without it every zone whose name goes on
    /// where this one ends would be meant too.
    pub(crate) fn zone_prefix(&self) -> String {
        format!("{}/", self.zone_key)
    }

    /// The key of a name in the zone.
    pub(crate) fn key(&self, name: &DnsName) -> String {
        let relative = name.relative_to(&self.zone).unwrap_or("");
        join(&self.zone_key, relative.split('.').rev().filter(|label| !label.is_empty()))
    }

    /// Everything from which a query for the name's addresses is answered; ends with a slash.
    pub(crate) fn below(&self, name: &DnsName) -> String {
        let apex: &[&str] = if *name == self.zone { &APEX } else { &[] };
        join(&self.key(name), apex.iter().copied()) + "/"
    }

    /// The key of one address of a name.
    pub(crate) fn leaf(&self, name: &DnsName, address: IpAddr) -> String {
        self.below(name) + &leaf_label(address)
    }

    /// Names that cannot be written, as CoreDNS keeps the zone's own addresses and name servers below them.
    pub(crate) fn reserved(&self) -> Vec<Unwritable> {
        let reason: Arc<str> =
            "CoreDNS's etcd plugin keeps the addresses and name servers of the zone itself there".into();
        let below = |labels: [&str; 2]| format!("{}.{}", labels[1], labels[0]);
        [("dns".to_owned(), false), (below(APEX), true), (below(NAME_SERVERS), true)]
            .into_iter()
            .filter_map(|(labels, subtree)| Some((self.zone.prepend(&labels).ok()?, subtree)))
            .map(|(name, subtree)| Unwritable { name, subtree, reason: Arc::clone(&reason) })
            .collect()
    }

    /// `None` for a key outside of the zone.
    pub(crate) fn place<'a>(&self, key: &'a str) -> Option<Place<'a>> {
        let rest = key.strip_prefix(&self.zone_key)?;
        if rest.is_empty() {
            return Some(Place { labels: Vec::new() });
        }
        Some(Place { labels: rest.strip_prefix('/')?.split('/').collect() })
    }

    /// The name whose key this is, `strip` labels less deep; `None` when it is not a name.
    pub(crate) fn name(&self, place: &Place<'_>, strip: usize) -> Option<DnsName> {
        let depth = place.labels.len().saturating_sub(strip);
        let labels = place.labels.get(..depth)?;
        if labels.is_empty() {
            return Some(self.zone.clone());
        }
        let mut text = String::with_capacity(64);
        for label in labels.iter().rev() {
            if label.is_empty() || label.contains('.') {
                return None;
            }
            text.push_str(label);
            text.push('.');
        }
        text.push_str(self.zone.as_str());
        text.parse().ok()
    }

    /// The name and the address whose leaf this is.
    pub(crate) fn leaf_at(&self, place: &Place<'_>) -> Option<(DnsName, IpAddr)> {
        let (last, above) = place.labels.split_last()?;
        let address = leaf_address(last)?;
        let name = match above {
            [] => None,
            above if above == APEX => Some(self.zone.clone()),
            _ => self.name(place, 1),
        };
        Some((name?, address))
    }
}

impl Place<'_> {
    /// Whether it belongs to the addresses of the zone's own name.
    pub(crate) fn is_apex(&self) -> bool {
        self.labels.starts_with(&APEX)
    }

    /// Whether it belongs to the name servers of the zone.
    pub(crate) fn is_name_server(&self) -> bool {
        self.labels.starts_with(&NAME_SERVERS)
    }

    /// Whether it is the zone's own key, or one that a read of the zone's own name covers.
    pub(crate) fn is_read_with_apex(&self) -> bool {
        self.labels.is_empty() || self.labels.first() == Some(&"dns")
    }
}

fn join<'a>(start: &str, labels: impl Iterator<Item = &'a str>) -> String {
    let mut key = start.to_owned();
    for label in labels {
        key.push('/');
        key.push_str(label);
    }
    key
}

/// All bits of the address, so that two addresses never share a leaf; in the order of the addresses.
fn leaf_label(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("v4-{:08x}", Ipv4Addr::to_bits(address)),
        IpAddr::V6(address) => format!("v6-{:032x}", Ipv6Addr::to_bits(address)),
    }
}

/// The address of a label that [`leaf_label`] gave.
fn leaf_address(label: &str) -> Option<IpAddr> {
    let hex = label.get(3..)?;
    let address = match hex.len() {
        8 => Ipv4Addr::from_bits(u32::from_str_radix(hex, 16).ok()?).into(),
        32 => Ipv6Addr::from_bits(u128::from_str_radix(hex, 16).ok()?).into(),
        _ => return None,
    };
    (leaf_label(address) == label).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new("example.com".parse().unwrap(), "/skydns")
    }

    fn name(text: &str) -> DnsName {
        text.parse().unwrap()
    }

    #[test]
    fn names_become_keys_from_the_top_down() {
        assert_eq!(layout().key(&name("www.eu.example.com")), "/skydns/com/example/eu/www");
        assert_eq!(layout().key(&name("example.com")), "/skydns/com/example");
        assert_eq!(
            layout().leaf(&name("www.example.com"), [203, 0, 113, 1].into()),
            "/skydns/com/example/www/v4-cb007101"
        );
        assert_eq!(
            layout().leaf(&name("example.com"), "2001:db8::1".parse().unwrap()),
            "/skydns/com/example/dns/apex/v6-20010db8000000000000000000000001"
        );
        assert_eq!(Layout::new(name("example"), "").key(&name("a.example")), "/example/a");
    }

    #[test]
    fn keys_become_names_again() {
        let layout = layout();
        let address = "203.0.113.1".parse().unwrap();
        for text in ["www.example.com", "a.b.example.com", "example.com"] {
            let key = layout.leaf(&name(text), address);
            let place = layout.place(&key).unwrap();
            assert_eq!(layout.leaf_at(&place), Some((name(text), address)));
            let key = layout.key(&name(text));
            assert_eq!(layout.name(&layout.place(&key).unwrap(), 0), Some(name(text)));
        }
    }

    #[test]
    fn only_what_could_be_written_is_a_leaf() {
        for leaf in [
            "v4-cb00710",
            "v4-CB007101",
            "v4-+b007101",
            "v6-cb007101",
            "cb007101",
            "www",
            "v4-\u{e9}",
            "\u{20ac}",
        ] {
            let key = format!("/skydns/com/example/www/{leaf}");
            assert_eq!(layout().leaf_at(&layout().place(&key).unwrap()), None, "{leaf}");
        }
        let directly_below_the_zone = "/skydns/com/example/v4-cb007101";
        assert_eq!(layout().leaf_at(&layout().place(directly_below_the_zone).unwrap()), None);
    }

    #[test]
    fn a_key_that_only_begins_like_the_zone_is_outside() {
        assert_eq!(layout().place("/skydns/com/example2/www"), None);
        assert_eq!(layout().place("/skydns/com"), None);
        assert!(layout().place("/skydns/com/example/www").is_some());
    }

    #[test]
    fn a_key_that_is_not_a_name_is_none() {
        for key in ["/skydns/com/example//a", "/skydns/com/example/a.b", "/skydns/com/example/a b"] {
            assert_eq!(layout().name(&layout().place(key).unwrap(), 0), None, "{key}");
        }
    }

    #[test]
    fn the_names_in_which_coredns_keeps_the_apex_are_reserved() {
        for (text, reserved) in [
            ("dns.example.com", true),
            ("apex.dns.example.com", true),
            ("x.ns.dns.example.com", true),
            ("www.dns.example.com", false),
            ("dns.www.example.com", false),
            ("example.com", false),
        ] {
            let mut observed = fleetdns_core::Observed::default();
            observed.set_unwritable(layout().reserved());
            assert_eq!(observed.unwritable(&name(text)).is_some(), reserved, "{text}");
        }
    }

    proptest::proptest! {
        /// Whatever text asks to be a name: it is refused, or has keys of its own, from which the same name is read.
        #[test]
        fn no_text_gets_the_key_of_another_name(
            text in r#"[a-z0-9*_./@"\\ \n\r\t\x00\x7f\u{85}\u{2028}-]{1,20}|(dns|apex|ns|\.|/|\.\.){1,4}|[a-z]{60,66}"#,
            bits in proptest::prelude::any::<u32>(),
        ) {
            let layout = layout();
            let Ok(name) = format!("{text}.example.com").parse::<DnsName>() else { return Ok(()) };
            let key = layout.key(&name);
            proptest::prop_assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", key);
            proptest::prop_assert_eq!(key.split('/').count(), name.labels().count() + 2);
            proptest::prop_assert_eq!(layout.name(&layout.place(&key).unwrap(), 0), Some(name.clone()));
            let address = IpAddr::from(Ipv4Addr::from_bits(bits));
            let leaf = layout.leaf(&name, address);
            let found = layout.leaf_at(&layout.place(&leaf).unwrap());
            // `dns.apex` is reserved: what stands there is the zone's own.
            proptest::prop_assert!(found == Some((name.clone(), address)) || name.as_str() == "apex.dns.example.com");
        }
    }
}
