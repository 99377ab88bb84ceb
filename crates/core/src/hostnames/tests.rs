use super::*;

fn policy(rules: &[(&str, &str)]) -> HostnamePolicy {
    let rules = rules.iter().map(|(namespace, patterns)| {
        let patterns = patterns.split(',').map(|text| text.trim().parse().unwrap()).collect();
        ((*namespace != "*").then(|| Arc::from(*namespace)), patterns)
    });
    HostnamePolicy::new(rules, ["ns1.example.com".parse().unwrap()].into())
}

fn check(policy: &HostnamePolicy, namespace: &str, name: &str) -> Result<(), Denied> {
    shares(policy, namespace, name).map(drop)
}

fn shares(policy: &HostnamePolicy, namespace: &str, name: &str) -> Result<Sharing, Denied> {
    let zone: DnsName = "example.com".parse().unwrap();
    let fleet: Label = "fed".parse().unwrap();
    let zones = [(zone.clone(), zone)];
    policy.check(namespace, &name.parse().unwrap(), Territory { zones: &zones, fleet: Some(&fleet) })
}

const RESERVED: [(&str, Reserved); 13] = [
    ("example.com", Reserved::Apex),
    ("ns1.example.com", Reserved::NameServer),
    ("_acme-challenge.shop.example.com", Reserved::Underscore),
    ("_dmarc.example.com", Reserved::Underscore),
    ("a._tcp.example.com", Reserved::Underscore),
    ("svc.example.com", Reserved::Federation),
    ("db.prod.fed.svc.example.com", Reserved::Federation),
    ("newteam.fed.svc.example.com", Reserved::Federation),
    ("x.svc.example.com", Reserved::Federation),
    ("db.prod.fed.svc.1.west.example.com", Reserved::Federation),
    ("fed.svc.west.example.com", Reserved::Federation),
    ("*.fed.svc.example.com", Reserved::Federation),
    ("*.example.com", Reserved::Wildcard),
];

#[test]
fn reserved_names_need_a_rule_that_names_them_and_the_refusal_prints_it() {
    let open = policy(&[]);
    // Patterns that cover everything, and a namespace that calls itself as it likes, open nothing that is reserved.
    let wide = policy(&[("web", "*, *.example.com, {namespace}.example.com"), ("*", "*.example.com")]);
    for (name, why) in RESERVED {
        for policy in [&open, &wide] {
            for namespace in ["web", "ns1", "svc"] {
                let Err(denied) = check(policy, namespace, name) else {
                    assert!(name == "*.example.com" && policy == &wide, "{namespace} {name}");
                    continue;
                };
                assert!(matches!(denied.why, Why::Reserved(r) if r == why) || policy == &wide, "{denied}");
                let (of, patterns) = denied.line.split_once(" = ").unwrap();
                assert_eq!(of, namespace);
                let mended = self::policy(&[(of, patterns)]);
                assert_eq!(check(&mended, namespace, name), Ok(()), "{}", denied.line);
                assert_eq!(check(&mended, namespace, "www.elsewhere.example.com"), Ok(()), "{}", denied.line);
            }
        }
    }
    for name in ["www.example.com", "svcs.example.com", "my.svc.shop.example.com", "*.shop.example.com"] {
        assert_eq!(check(&open, "web", name), Ok(()), "{name}");
    }
}

#[test]
fn a_pattern_within_what_is_reserved_opens_what_lies_below_it() {
    let rules = policy(&[("mail", "*._tcp.example.com"), ("ops", "*.fed.svc.example.com, *.example.com")]);
    assert_eq!(check(&rules, "mail", "_imap._tcp.example.com"), Ok(()));
    assert!(check(&rules, "web", "_imap._tcp.example.com").is_err());
    assert_eq!(check(&rules, "ops", "x.y.fed.svc.example.com"), Ok(()));
    assert_eq!(check(&rules, "ops", "*.example.com"), Ok(()));
    assert!(check(&rules, "ops", "_x.example.com").is_err());
}

#[test]
fn rules_say_who_may_have_what() {
    let rules = policy(&[
        ("shop", "*.shop.example.com, shop.example.com"),
        ("blog", "*, blog.example.com"),
        ("*", "{namespace}.example.com, *.{namespace}.example.com"),
    ]);
    for (namespace, name, allowed) in [
        ("shop", "shop.example.com", true),
        ("shop", "a.shop.example.com", true),
        ("shop", "a.b.shop.example.com", true),
        ("shop", "*.shop.example.com", true),
        ("shop", "www.example.com", false),
        ("shop", "notshop.example.com", false),
        ("blog", "blog.example.com", true),
        ("blog", "www.example.com", true),
        ("blog", "a.shop.example.com", false),
        ("other", "other.example.com", true),
        ("other", "a.other.example.com", true),
        ("other", "www.example.com", false),
        ("other", "a.shop.example.com", false),
    ] {
        assert_eq!(check(&rules, namespace, name).is_ok(), allowed, "{namespace} {name}");
    }
    let line = |namespace, name| check(&rules, namespace, name).unwrap_err().line;
    assert_eq!(
        &*line("shop", "www.example.com"),
        "shop = *.shop.example.com, shop.example.com, www.example.com"
    );
    assert_eq!(
        &*line("other", "www.example.com"),
        "other = {namespace}.example.com, *.{namespace}.example.com, www.example.com"
    );
    assert_eq!(rules.rules().len(), 3);
    // With a rule for one, the others stay open, but for what that one has.
    let one = policy(&[("shop", "*.shop.example.com")]);
    assert_eq!(check(&one, "web", "www.example.com"), Ok(()));
    let denied = check(&one, "web", "a.shop.example.com").unwrap_err();
    assert_eq!(denied.why, Why::Given("shop".into()));
    assert_eq!(&*denied.line, "web = *, a.shop.example.com");
}

#[test]
fn patterns_are_names() {
    for good in ["*", "*.a.example.com", "a.example.com", "{namespace}.example.com", "shared *.a.example.com"]
    {
        assert_eq!(good.parse::<Pattern>().unwrap().to_string(), good);
    }
    for bad in
        ["", "a b", "common a.example.com", "*a.example.com", "a.*.example.com", "{name}.example.com", "*."]
    {
        assert!(bad.parse::<Pattern>().is_err(), "{bad}");
    }
}

#[test]
fn a_name_is_shared_where_the_rule_says_so_and_across_namespaces_where_both_rules_do() {
    let rules = policy(&[
        ("shop", "shared *.shop.example.com, own.example.com, shared all.example.com"),
        ("blog", "*, shared all.example.com"),
        ("open", "shared *"),
        ("*", "*, shared {namespace}.example.com"),
    ]);
    for (namespace, name, sharing) in [
        ("shop", "a.shop.example.com", Sharing::Namespaces),
        ("shop", "own.example.com", Sharing::None),
        ("shop", "all.example.com", Sharing::Namespaces),
        ("blog", "all.example.com", Sharing::Namespaces),
        ("blog", "www.example.com", Sharing::None),
        ("open", "www.example.com", Sharing::Namespaces),
        ("other", "other.example.com", Sharing::Namespace),
        ("other", "www.example.com", Sharing::None),
    ] {
        assert_eq!(shares(&rules, namespace, name), Ok(sharing), "{namespace} {name}");
    }
    let denied = check(&rules, "open", "all.example.com").unwrap_err();
    assert_eq!(&*denied.line, "open = shared *, shared all.example.com", "two rules list it");
    assert_eq!(rules.rules()["shop"], "shared *.shop.example.com, own.example.com, shared all.example.com");
    for (one, other, allowed) in [
        (("a", Sharing::Namespace), ("a", Sharing::Namespaces), true),
        (("a", Sharing::Namespace), ("b", Sharing::Namespaces), false),
        (("a", Sharing::Namespaces), ("b", Sharing::Namespaces), true),
        (("a", Sharing::None), ("a", Sharing::Namespaces), false),
    ] {
        assert_eq!(Sharing::allows(one, other), allowed, "{one:?} {other:?}");
        assert_eq!(Sharing::allows(other, one), allowed, "{one:?} {other:?}");
    }
}
