use proptest::prelude::*;

use super::shared_listing::SharedListing;
use super::*;
use crate::ownership::Owner;
use crate::record::Ttl;

fn observed(types: &[(&str, &str)]) -> Observed {
    let set = |kind: &str| ObservedSet {
        ttl: Ttl::DEFAULT,
        content: Content::Other(kind.into()),
        claim: Owner::Foreign,
        version: Version::default(),
    };
    types.iter().map(|(name, kind)| (name.parse().unwrap(), set(kind))).collect()
}

#[test]
fn what_lies_below_a_delegation_or_a_dname_is_never_answered() {
    let zone: DnsName = "example.com".parse().unwrap();
    let mut observed = observed(&[
        ("example.com", "NS"),
        ("apps.example.com", "NS"),
        ("old.apps.example.com", "DNAME"),
        ("old.example.com", "DNAME"),
    ]);
    for (name, cut) in [
        ("example.com", None),
        ("www.example.com", None),
        ("apps.example.com", Some("apps.example.com NS")),
        ("web.apps.example.com", Some("apps.example.com NS")),
        ("a.old.apps.example.com", Some("apps.example.com NS")),
        ("old.example.com", None),
        ("a.web.old.example.com", Some("old.example.com DNAME")),
        ("webapps.example.com", None),
    ] {
        let found = observed.cut(&zone, &name.parse().unwrap()).map(|(at, kind)| format!("{at} {kind}"));
        assert_eq!(found.as_deref(), cut, "{name}");
    }
    observed.replace("apps.example.com".parse().unwrap(), vec![]);
    assert_eq!(observed.cut(&zone, &"web.apps.example.com".parse().unwrap()), None);
}

proptest! {
    #[test]
    fn a_listing_that_shares_memory_is_the_listing(
        known in proptest::collection::btree_map("[a-f]{1,2}", 0..3_usize, 0..20),
        listed in proptest::collection::btree_map("[a-f]{1,2}", 0..3_usize, 0..20),
        part in 1..7_usize,
    ) {
        let read = |sets: &BTreeMap<String, usize>| {
            let sets: Vec<(&str, &str)> = sets.iter().map(|(name, kind)| (name.as_str(), ["NS", "MX", "A"][*kind])).collect();
            observed(&sets)
        };
        let (known, listed) = (read(&known), read(&listed));
        let mut sharing = SharedListing::new(listed.clone(), known.clone());
        while sharing.step(part) {}
        let (shared, _) = sharing.finish();
        prop_assert_eq!(&shared, &listed);
        let changed = |other: &Observed| known.changed(other).cloned().collect::<Vec<_>>();
        prop_assert_eq!(changed(&shared), changed(&listed));
    }
}

#[test]
fn a_pseudo_type_of_any_vendor_may_answer_for_addresses() {
    for (kind, answers) in [
        ("A", true),
        ("CNAME", true),
        ("ALIAS", true),
        ("ANAME", true),
        ("LUA", true),
        ("TYPE65401", true),
        ("TYPE1", true),
        ("TYPE5", true),
        ("TYPE28", true),
        ("REDIRECT", true),
        ("TXT", false),
        ("HTTPS", false),
        ("TYPE64", false),
    ] {
        let set = observed(&[("www.example.com", kind)]);
        let set = &set.at(&"www.example.com".parse().unwrap())[0];
        assert_eq!(set.answers_for_addresses(), answers, "{kind}");
    }
}

#[test]
fn a_name_is_unwritable_by_itself_or_with_all_below_it() {
    let mut observed = Observed::default();
    let one = |name: &str, subtree| Unwritable { name: name.parse().unwrap(), subtree, reason: name.into() };
    observed.set_unwritable(vec![one("dns.example.com", false), one("gen.example.com", true)]);
    for (name, why) in [
        ("dns.example.com", Some("dns.example.com")),
        ("a.dns.example.com", None),
        ("gen.example.com", Some("gen.example.com")),
        ("a.b.gen.example.com", Some("gen.example.com")),
        ("agen.example.com", None),
    ] {
        assert_eq!(observed.unwritable(&name.parse().unwrap()).map(|why| &**why), why, "{name}");
    }
}
