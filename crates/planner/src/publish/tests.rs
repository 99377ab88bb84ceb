//! What is read of a Service, beside its probe.

use super::*;
use fleetdns_core::policy::{AddressPolicies, AddressPolicy};
use fleetdns_core::probe::Guard;
use fleetdns_core::service::{Port, ServiceText};

fn settings() -> PublishSettings {
    let zone: DnsName = "example.com".parse().unwrap();
    PublishSettings {
        fleet: Some("fed".parse().unwrap()),
        zones: vec![(zone.clone(), zone)],
        ..PublishSettings::default()
    }
}

fn service(annotations: &[(&str, &str)]) -> Service {
    Service {
        namespace: "default".into(),
        name: "web".into(),
        annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ports: vec![Port { port: 53, protocol: "UDP".into() }, Port { port: 8080, protocol: "TCP".into() }],
        ingress: Some(vec![Ingress { ip: Some("203.0.113.10".into()), hostname: None }]),
        ..Service::default()
    }
}

fn read(annotations: &[(&str, &str)]) -> Published {
    publish(&service(annotations), &settings()).unwrap()
}

#[track_caller]
fn fault(annotations: &[(&str, &str)], part: &str) -> Published {
    let read = read(annotations);
    assert_eq!(read.faults.len(), 1, "{:?}", read.faults);
    assert!(read.faults[0].to_string().contains(part), "{}", read.faults[0]);
    read
}

#[test]
fn all_three_prefixes_are_read_and_our_own_wins() {
    for prefix in fleetdns_core::annotations::PREFIXES {
        let read = read(&[(&format!("{prefix}hostname"), "a.example.com, b.example.com.")]);
        assert_eq!(read.hostnames.len(), 2, "{prefix}");
    }
    let both = read(&[("external-dns.alpha.kubernetes.io/ttl", "60"), ("fleetdns.io/ttl", "10m")]);
    assert_eq!(both.ttl, Ttl::new(600));
}

#[test]
fn ttl_is_seconds_or_a_duration() {
    for (text, seconds) in [
        ("1", 1),
        ("600", 600),
        ("10m", 600),
        ("1h30m", 5400),
        (" 45s ", 45),
        ("1.5m", 90),
        ("90.5s", 90),
        ("1500ms", 1),
    ] {
        assert_eq!(read(&[("fleetdns.io/ttl", text)]).ttl, Ttl::new(seconds), "{text}");
    }
    for text in ["foo", "-10", "0", "500ms", "10x", "m", "99999999999", "2147483648"] {
        assert_eq!(fault(&[("fleetdns.io/ttl", text)], "ttl").ttl, None, "{text}");
    }
}

/// What annotations ask for, beside what they do not say.
fn asked(annotations: &[(&str, &str)]) -> Option<Published> {
    let mut read = publish(&service(annotations), &settings())?;
    read.service = ServiceText::default();
    Some(read)
}

#[test]
fn a_blank_annotation_is_as_if_it_were_not_there() {
    let none = asked(&[]);
    let own = ["exclude", "routing", "probe", "probe-port", "probe-path", "probe-interval", "probe-rise"];
    let own = own.map(|name| format!("fleetdns.io/{name}"));
    let shared = ["hostname", "ttl", "target", "controller"];
    let shared = fleetdns_core::annotations::PREFIXES
        .iter()
        .flat_map(|prefix| shared.map(|name| format!("{prefix}{name}")));
    for name in own.into_iter().chain(shared) {
        for blank in ["", " ", ",", " , ,", "\n\t"] {
            assert_eq!(asked(&[(&name, blank)]), none, "{name} = {blank:?}");
        }
    }
}

#[test]
fn a_blank_annotation_does_not_hide_another_prefix() {
    let [new, middle, old] = fleetdns_core::annotations::PREFIXES;
    for (name, value) in
        [("hostname", "a.example.com"), ("ttl", "60"), ("target", "203.0.113.1"), ("controller", "other")]
    {
        let expected = asked(&[(&format!("{old}{name}"), value)]);
        assert_ne!(expected, asked(&[]), "{name}");
        for blank in ["", " , "] {
            let all = [
                (format!("{new}{name}"), blank),
                (format!("{middle}{name}"), blank),
                (format!("{old}{name}"), value),
            ];
            let all = all.each_ref().map(|(name, value)| (name.as_str(), *value));
            assert_eq!(asked(&all), expected, "{name}");
        }
    }
}

#[test]
fn our_own_annotations_are_not_read_under_other_prefixes() {
    let none = asked(&[]);
    for prefix in &fleetdns_core::annotations::PREFIXES[1..] {
        for (name, value) in
            [("exclude", "true"), ("routing", "failover"), ("probe", "none"), ("probe-port", "x")]
        {
            assert_eq!(asked(&[(&format!("{prefix}{name}"), value)]), none, "{prefix}{name}");
        }
    }
}

#[test]
fn one_bad_hostname_or_target_leaves_the_others() {
    let one = fault(&[("fleetdns.io/hostname", "good.example.com,bad..example.com")], "empty label");
    assert_eq!(one.hostnames.len(), 1);
    fault(&[("fleetdns.io/hostname", "www.elsewhere.org")], "none of the zones");
    fault(&[("fleetdns.io/hostname", "notexample.com")], "none of the zones");
    let one = fault(&[("fleetdns.io/target", "203.0.113.1, 999.1.1.1")], "target annotation");
    assert_eq!(one.addresses.unwrap().len(), 1);
}

#[test]
fn the_target_annotation_replaces_the_load_balancer() {
    let read = read(&[("external-dns.kubernetes.io/target", "2001:db8::1,lb.example.net")]);
    let texts: Vec<String> = read.addresses.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["2001:db8::1", "lb.example.net"]);
}

#[test]
fn no_load_balancer_yet_is_not_an_emptied_one() {
    let mut one = service(&[]);
    one.ingress = None;
    assert_eq!(publish(&one, &settings()).unwrap().addresses, None);
    one.ingress = Some(vec![]);
    assert_eq!(publish(&one, &settings()).unwrap().addresses, Some(SmallSet::default()));
}

#[test]
fn opting_out_and_other_controllers_and_namespaces_are_not_read() {
    let out = |pairs: &[(&str, &str)]| publish(&service(pairs), &settings()).is_none();
    for (text, excluded) in [
        ("true", true),
        (" true ", true),
        ("True", true),
        ("yes", true),
        ("1", true),
        ("false", false),
        ("no", false),
    ] {
        assert_eq!(out(&[("fleetdns.io/exclude", text)]), excluded, "{text}");
    }
    fault(&[("fleetdns.io/exclude", "maybe")], "expected true or false");
    assert!(out(&[("external-dns.alpha.kubernetes.io/controller", "other")]));
    assert!(!out(&[("external-dns.alpha.kubernetes.io/controller", "dns-controller")]));
    let elsewhere = PublishSettings { namespaces: ["prod".to_owned()].into(), ..settings() };
    assert!(publish(&service(&[]), &elsewhere).is_none());
}

#[test]
fn a_template_names_every_service() {
    let settings =
        PublishSettings { template: Some("{name}-{namespace}.{fleet}.example.com".into()), ..settings() };
    let read = publish(&service(&[]), &settings).unwrap();
    assert_eq!(read.hostnames.last().unwrap().as_str(), "web-default.fed.example.com");
}

#[test]
fn nonsense_addresses_are_left_out_with_a_reason() {
    let mut one = service(&[]);
    let item = |ip: &str| Ingress { ip: Some(ip.into()), hostname: None };
    let named = |name: &str| Ingress { ip: Some(" ".into()), hostname: Some(name.into()) };
    one.ingress = Some(vec![
        item("0.0.0.0"),
        item(" 203.0.113.1 "),
        item("None"),
        Ingress::default(),
        named("localhost"),
        named("lb"),
    ]);
    let read = publish(&one, &settings()).unwrap();
    assert_eq!(read.addresses.unwrap().len(), 1);
    assert_eq!(read.faults.len(), 5);
}

#[test]
fn a_name_of_the_machine_itself_is_no_target() {
    for target in ["localhost", "LOCALHOST.", "db.localhost", "localhost.localdomain", "fleetdns-host"] {
        let mut one = service(&[("fleetdns.io/target", target)]);
        one.ingress = Some(vec![Ingress { ip: Some("203.0.113.1".into()), hostname: None }]);
        let read = publish(&one, &settings()).unwrap();
        assert_eq!(read.targets().count(), 0, "{target}: {:?}", read.addresses);
        assert!(read.faults.iter().any(|fault| fault.to_string().contains("local name")), "{target}");
    }
}

#[test]
fn long_lists_are_cut_and_other_long_annotations_dropped() {
    let mut one = service(&[
        ("fleetdns.io/hostname", "a.example.com, b.example.com, c.example.com"),
        ("fleetdns.io/target", "203.0.113.1,203.0.113.2,203.0.113.3,203.0.113.4"),
        ("fleetdns.io/ttl", &"6".repeat(33)),
        ("fleetdns.io/probe-path", "/short"),
        ("service.beta.kubernetes.io/port_8080_health-probe_protocol", "http"),
        ("service.beta.kubernetes.io/port_99_health-probe_protocol", "http"),
    ]);
    one.bound(32);
    let kept: Vec<(&str, &str)> = one.annotations.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        kept,
        [
            ("fleetdns.io/hostname", "a.example.com, b.example.com"),
            ("fleetdns.io/probe-path", "/short"),
            ("fleetdns.io/target", "203.0.113.1,203.0.113.2"),
            ("service.beta.kubernetes.io/port_8080_health-probe_protocol", "http"),
        ]
    );
    assert_eq!(one.too_long.len(), 3);
    let before = one.clone();
    one.bound(32);
    assert_eq!(one, before);
}

#[test]
fn an_address_that_the_policy_denies_is_left_out_and_names_the_line_that_allows_it() {
    let given = |texts: &[&str], settings: &PublishSettings| {
        let ingress = |text: &&str| Ingress { ip: Some((*text).to_owned()), hostname: None };
        let service = Service { ingress: Some(texts.iter().map(ingress).collect()), ..service(&[]) };
        let read = publish(&service, settings).unwrap();
        let faults: Vec<String> = read.faults.iter().map(ToString::to_string).collect();
        (read.addresses.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), faults)
    };
    let (addresses, faults) = given(&["127.0.0.1", "203.0.113.1", "64:ff9b::a9fe:a9fe"], &settings());
    assert_eq!(addresses, ["203.0.113.1"]);
    assert_eq!(
        faults[0],
        "status.loadBalancer has an address that may not be published: 127.0.0.1 is denied: a loopback address; \
         address-allow = 127.0.0.1/32 allows it"
    );
    assert!(faults[1].contains("it stands for 169.254.169.254, the metadata service"), "{}", faults[1]);

    let target = read(&[("fleetdns.io/target", "169.254.169.254, 203.0.113.2")]);
    assert_eq!(target.addresses.unwrap().len(), 1);
    assert!(target.faults[0].to_string().starts_with("the target annotation has an address that may not be"));

    let west: fleetdns_core::member_name::MemberName = "west".parse().unwrap();
    let policy = AddressPolicy::new(Vec::new(), vec!["127.0.0.0/8".parse().unwrap()]);
    let policies = AddressPolicies {
        members: [(west.clone(), Arc::new(policy))].into(),
        listeners: vec!["127.0.0.1:8080".parse().unwrap()],
        ..AddressPolicies::default()
    };
    let own =
        PublishSettings { addresses: Arc::new(policies), guard: Guard::Member(Box::new(west)), ..settings() };
    let (addresses, faults) = given(&["127.0.0.2", "127.0.0.1"], &own);
    assert_eq!(addresses, ["127.0.0.2"]);
    assert!(faults[0].contains("127.0.0.1:8080 is denied: fleetdns itself listens there"), "{}", faults[0]);
}
