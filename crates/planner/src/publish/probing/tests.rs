use super::super::probe_defaults::Ports;
use super::*;
use crate::publish::publish;
use fleetdns_core::probe::Trust;
use fleetdns_core::service::{Ingress, Port, Published};

fn settings(probe: ProbeDefaults) -> PublishSettings {
    let zone: DnsName = "example.com".parse().unwrap();
    PublishSettings {
        fleet: Some("fed".parse().unwrap()),
        zones: vec![(zone.clone(), zone)],
        probe,
        ..PublishSettings::default()
    }
}

/// Ports as `80`, `udp:53`.
fn service(ports: &[&str], annotations: &[(&str, &str)]) -> Service {
    let port = |text: &&str| {
        let (protocol, port) = text.split_once(':').unwrap_or(("TCP", text));
        Port { port: port.parse().unwrap(), protocol: protocol.to_uppercase() }
    };
    let key = |name: &str| if name.contains('/') { name.to_owned() } else { format!("fleetdns.io/{name}") };
    Service {
        namespace: "default".into(),
        name: "web".into(),
        annotations: annotations.iter().map(|(name, value)| (key(name), (*value).to_owned())).collect(),
        ports: ports.iter().map(port).collect(),
        ingress: Some(vec![Ingress { ip: Some("203.0.113.10".into()), hostname: None }]),
        ..Service::default()
    }
}

fn read_with(probe: &ProbeDefaults, ports: &[&str], annotations: &[(&str, &str)]) -> Published {
    publish(&service(ports, annotations), &settings(probe.clone())).unwrap()
}

/// The probe, when nothing is wrong.
#[track_caller]
fn good(probe: &ProbeDefaults, ports: &[&str], annotations: &[(&str, &str)]) -> String {
    let read = read_with(probe, ports, annotations);
    assert_eq!(read.faults, [], "{annotations:?}");
    read.probe.to_string()
}

const USUAL: &[&str] = &["udp:53", "8080", "8443", "9090", "50051"];

#[test]
fn annotations_say_what_is_asked_and_how_often() {
    let global = "web.default.fed.svc.example.com";
    for (annotations, expected) in [
        (&[][..], "tcp:8080".to_owned()),
        (&[("probe-port", "9090")], "tcp:9090".to_owned()),
        (&[("probe", "none")], "none".to_owned()),
        (&[("probe", "None"), ("probe-port", "9090")], "none".to_owned()),
        (&[("probe", "http")], format!("http:8080@{global}/")),
        (
            &[("probe", "https"), ("probe-path", "/ok"), ("hostname", "www.example.com")],
            "https:8080@www.example.com/ok".to_owned(),
        ),
        (
            &[
                ("hostname", "a.example.com,in.example.com"),
                ("probe", "http"),
                ("probe-host", "in.example.com"),
                ("probe-expect", "200, 401"),
            ],
            "http!expect=200+401:8080@in.example.com/".to_owned(),
        ),
        (&[("probe", "grpc"), ("probe-port", "50051")], format!("grpc:50051@{global}/")),
        (
            &[
                ("hostname", "*.a.example.com"),
                ("probe", "grpcs"),
                ("probe-service", "my.pkg.Greeter"),
                ("probe-host", "g.a.example.com"),
            ],
            "grpcs:8080@g.a.example.com/my.pkg.Greeter".to_owned(),
        ),
        (
            &[("probe", "http"), ("probe-host", "web.default.fed.svc.eu.example.com")],
            "http:8080@web.default.fed.svc.eu.example.com/".to_owned(),
        ),
        (
            &[("probe-interval", "1m"), ("probe-timeout", "5s"), ("probe-fall", "5"), ("probe-rise", "1")],
            "tcp!interval=60s!timeout=5s!fall=5!rise=1:8080".to_owned(),
        ),
    ] {
        assert_eq!(good(&ProbeDefaults::default(), USUAL, annotations), expected, "{annotations:?}");
    }
}

#[test]
fn one_bad_annotation_is_said_and_the_usual_probe_is_made() {
    for (annotations, faults) in [
        (&[("probe", "icmp")][..], &["probe = 'icmp'"][..]),
        (&[("probe-port", "0"), ("probe", "https")], &["probe-port = '0'"]),
        (&[("probe-port", "65536")], &["a TCP port of the Service"]),
        (&[("probe-port", "22")], &["extra-ports in [probe] or probe-extra-ports of a cluster allow more"]),
        (&[("probe-port", "53")], &["a TCP port of the Service"]),
        (&[("probe", "http"), ("probe-path", "ok")], &["begins with '/'"]),
        (&[("probe", "http"), ("probe-path", "/a b")], &["escaped as in a URL"]),
        (&[("probe", "http"), ("probe-path", "/a#b")], &["escaped as in a URL"]),
        (&[("probe", "http"), ("probe-path", "/a%2")], &["escaped as in a URL"]),
        (&[("probe", "http"), ("probe-path", "/{x}")], &["escaped as in a URL"]),
        (&[("probe", "http"), ("probe-host", "a b")], &["a host name"]),
        (&[("probe", "http"), ("probe-host", "*.example.com")], &["a host name"]),
        (&[("probe", "http"), ("probe-host", "victim.example.com")], &["that the Service publishes"]),
        (
            &[("probe", "http"), ("probe-host", "other.default.fed.svc.example.com")],
            &["that the Service publishes"],
        ),
        (
            &[("probe", "http"), ("probe-host", "web.default.fed.svc.example.net")],
            &["that the Service publishes"],
        ),
        (
            &[("probe", "http"), ("hostname", "*.a.example.com"), ("probe-host", "b.example.com")],
            &["that the Service publishes"],
        ),
        (&[("probe", "http"), ("probe-expect", "ok")], &["statuses such as 200,204"]),
        (&[("probe", "grpc"), ("probe-service", "a b")], &["the name of a gRPC service"]),
        (&[("probe-interval", "5")], &["of at most 1h"]),
        (&[("probe-interval", "999ms")], &["asks for 999ms; min-interval in [probe] is 1s"]),
        (&[("probe-timeout", "1ms")], &["10ms to 1h"]),
        (&[("probe-interval", "2s"), ("probe-timeout", "3s")], &["no longer than the interval"]),
        (&[("probe-fall", "0")], &["a number from 1 to 100"]),
        (&[("probe-rise", "101")], &["a number from 1 to 100"]),
        (&[("probe", "x"), ("probe-port", "y"), ("probe-fall", "1")], &["probe = 'x'", "probe-port = 'y'"]),
        // Asked for in vain: whoever wrote it takes the Service for probed so.
        (&[("probe-path", "/ok")], &["http or https as probe beside it"]),
        (&[("probe", "tcp"), ("probe-expect", "200")], &["http or https as probe"]),
        (&[("probe", "grpc"), ("probe-path", "/ok")], &["http or https as probe"]),
        (&[("probe", "http"), ("probe-service", "a.B")], &["grpc or grpcs as probe"]),
        (&[("hostname", "a.example.com"), ("probe-host", "a.example.com")], &["http, https, grpc or grpcs"]),
    ] {
        let read = read_with(&ProbeDefaults::default(), USUAL, annotations);
        assert_eq!(read.probe.to_string(), "tcp:8080", "{annotations:?}");
        let said: Vec<String> = read.faults.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), faults.len(), "{said:?}");
        for (said, part) in said.iter().zip(faults) {
            assert!(said.contains(part), "{said}: {part}");
        }
    }
    // What is not to be probed is not, and what is wrong is said all the same.
    let read = read_with(&ProbeDefaults::default(), USUAL, &[("probe", "none"), ("probe-port", "x")]);
    assert_eq!((read.probe.to_string().as_str(), read.faults.len()), ("none", 1));
}

#[test]
fn a_rule_may_open_more_ports_than_the_services_own() {
    let extra_ports = [9000..=9100, 22..=22].into_iter().collect();
    let defaults = ProbeDefaults { extra_ports, ..ProbeDefaults::default() };
    for port in ["9000", "9100", "22"] {
        assert_eq!(good(&defaults, &["80"], &[("probe-port", port)]), format!("tcp:{port}"));
    }
    assert_eq!(read_with(&defaults, &["80"], &[("probe-port", "9101")]).faults.len(), 1);
}

#[test]
fn a_path_is_bounded_and_escaped() {
    let longest = format!("/{}", "a".repeat(1023));
    for good in ["/", "/a/b.c?d=e&f=%20%c3%A9", "/-._~!$&'()*+,;=:@", &longest] {
        assert!(is_path(good), "{good}");
    }
    for bad in ["", "a", "/ ", "/\r\n", "/\"", "/<", "/\\", "/%", "/%g0", "/ü", "/#", &format!("{longest}a")]
    {
        assert!(!is_path(bad), "{bad}");
    }
}

#[test]
fn no_service_is_probed_more_often_than_the_operator_allows() {
    for (least, asked, allowed) in
        [(10_000, "9999ms", false), (10_000, "10s", true), (100, "100ms", true), (100, "99ms", false)]
    {
        let defaults =
            ProbeDefaults { min_interval: Duration::from_millis(least), ..ProbeDefaults::default() };
        let read = read_with(&defaults, USUAL, &[("probe", "http"), ("probe-interval", asked)]);
        assert_eq!(read.faults.is_empty(), allowed, "{asked}: {:?}", read.faults);
        assert_eq!(read.probe.pace.interval.is_some(), allowed, "{asked}");
        assert_eq!(read.probe.to_string().starts_with("http"), allowed, "{asked}: half of it is not meant");
    }
}

#[test]
fn a_service_wins_over_its_member() {
    let member = ProbeDefaults {
        protocol: Some(Protocol::Https),
        port: Some(443),
        path: "/live".into(),
        host: "m.example.com".parse().ok(),
        service: "a.B".into(),
        extra_ports: Ports::default(),
        expect: "204".parse().unwrap(),
        pace: Pace { interval: "10s".parse().ok(), fall: NonZeroU8::new(5), ..Pace::default() },
        min_interval: Duration::from_secs(1),
        trust: Trust::Member("west".parse().unwrap()),
    };
    let pace = "!interval=10s!fall=5";
    for (annotations, expected) in [
        (&[][..], format!("https!expect=204!trust=west{pace}:443@m.example.com/live")),
        (&[("probe-path", "/own")], format!("https!expect=204!trust=west{pace}:443@m.example.com/own")),
        (&[("probe", "http"), ("probe-expect", "200-399")], format!("http{pace}:443@m.example.com/live")),
        (
            &[("probe", "grpcs"), ("probe-port", "50051")],
            format!("grpcs!trust=west{pace}:50051@m.example.com/a.B"),
        ),
        (&[("probe", "grpc"), ("probe-service", "c.D")], format!("grpc{pace}:443@m.example.com/c.D")),
        (&[("probe", "tcp"), ("probe-interval", "1s")], "tcp!interval=1s!fall=5:443".to_owned()),
        (&[("probe", "none")], "none".to_owned()),
    ] {
        assert_eq!(good(&member, USUAL, annotations), expected, "{annotations:?}");
    }
    // A bad word falls back to the member's probe, not to the usual one; nor does a timeout fit any interval.
    let read = read_with(&member, USUAL, &[("probe", "tcp"), ("probe-timeout", "11s")]);
    assert_eq!(read.probe.to_string(), format!("https!expect=204!trust=west{pace}:443@m.example.com/live"));
    assert_eq!(read.faults.len(), 1);
    let none = ProbeDefaults { protocol: Some(Protocol::None), ..ProbeDefaults::default() };
    assert_eq!(good(&none, USUAL, &[]), "none");
    assert_eq!(good(&none, USUAL, &[("probe", "tcp")]), "tcp:8080");
}

#[test]
fn without_a_tcp_port_the_cluster_speaks() {
    let udp = &["udp:53", "sctp:7"][..];
    let none = ProbeDefaults { protocol: Some(Protocol::None), ..ProbeDefaults::default() };
    let https = ProbeDefaults {
        protocol: Some(Protocol::Https),
        port: Some(443),
        extra_ports: [8080..=8080].into_iter().collect(),
        ..ProbeDefaults::default()
    };
    for (defaults, annotations, expected) in [
        (&ProbeDefaults::default(), &[][..], "cluster"),
        (&https, &[], "cluster"),
        (&https, &[("probe", "http")], "cluster"),
        (&https, &[("probe", "tcp"), ("probe-port", "8080")], "tcp:8080"),
        (&https, &[("probe", "none")], "none"),
        (&none, &[], "none"),
    ] {
        assert_eq!(good(defaults, udp, annotations), expected, "{annotations:?}");
    }
}

const AZURE: &str = "service.beta.kubernetes.io/azure-load-balancer-health-probe-";
const AWS: &str = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-";

/// What a Service says to its cloud; `>` is Azure's word for one port.
fn cloud(words: &[(&str, &str)]) -> Vec<(String, String)> {
    let key = |name: &str| match name.split_once('>') {
        Some((port, name)) => format!("service.beta.kubernetes.io/port_{port}_health-probe_{name}"),
        None if matches!(name, "request-path" | "azure-protocol") => {
            format!("{AZURE}{}", name.trim_start_matches("azure-"))
        }
        None => format!("{AWS}{name}"),
    };
    words.iter().map(|(name, value)| (key(name), (*value).to_owned())).collect()
}

#[track_caller]
fn guessed(ports: &[&str], words: &[(&str, &str)], ours: &[(&str, &str)], expected: &str) {
    let words = cloud(words);
    assert!(
        words.iter().all(|(key, _)| fleetdns_core::annotations::is_read(key) || key.ends_with("port")),
        "{words:?}"
    );
    let all: Vec<(&str, &str)> = words
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain(ours.iter().copied())
        .collect();
    assert_eq!(good(&ProbeDefaults::default(), ports, &all), expected, "{all:?}");
}

#[test]
fn a_path_that_the_cloud_asks_for_in_plain_http_is_tried() {
    for (words, expected) in [
        (&[("azure-protocol", "Http"), ("request-path", "/ok")][..], "guess:80/ok"),
        (&[("80>protocol", "http"), ("request-path", "/ok")], "guess:80/ok"),
        (
            &[
                ("azure-protocol", "tcp"),
                ("80>protocol", "http"),
                ("80>request-path", "/own"),
                ("request-path", "/ok"),
            ],
            "guess:80/own",
        ),
        (&[("protocol", "HTTP"), ("path", "/ok")], "guess:80/ok"),
        (
            &[("protocol", "http"), ("path", "/ok"), ("success-codes", "200,204")],
            "guess!expect=200+204:80/ok",
        ),
        (&[("protocol", "http"), ("path", "/ok"), ("success-codes", "0-99")], "guess:80/ok"),
        // Whichever port the cloud asks, only the published one is ours to ask.
        (&[("protocol", "http"), ("path", "/ok"), ("port", "traffic-port")], "guess:80/ok"),
        (&[("protocol", "http"), ("path", "/ok"), ("port", "31080")], "guess:80/ok"),
        (&[("azure-protocol", "http"), ("request-path", "/ok"), ("80>port", "10256")], "guess:80/ok"),
    ] {
        guessed(&["80", "443"], words, &[], expected);
    }
}

#[test]
fn nothing_else_of_the_clouds_words_is_believed() {
    for words in [
        // The cloud itself connects by TCP then, and takes no apply of the path.
        &[("request-path", "/ok")][..],
        &[("path", "/ok")],
        &[("azure-protocol", "tcp"), ("request-path", "/ok")],
        &[("azure-protocol", "http"), ("80>protocol", "tcp"), ("request-path", "/ok")],
        // Nobody has shown that the certificate is right for the name.
        &[("azure-protocol", "https"), ("request-path", "/ok")],
        &[("protocol", "https"), ("path", "/ok")],
        // No path, or none that can be asked for.
        &[("protocol", "http")],
        &[("protocol", "http"), ("path", "ok")],
        &[("protocol", "http"), ("path", "/a b")],
        // Another port's.
        &[("443>protocol", "http"), ("443>request-path", "/ok")],
    ] {
        guessed(&["80", "443"], words, &[], "tcp:80");
    }
    let http = &[("azure-protocol", "http"), ("request-path", "/ok")];
    guessed(&["443"], http, &[], "tcp:443");
    guessed(&["udp:53"], http, &[], "cluster");
}

#[test]
fn our_own_words_win_over_the_clouds() {
    let http = &[("protocol", "http"), ("path", "/cloud")];
    guessed(&["80"], http, &[("probe", "tcp")], "tcp:80");
    guessed(&["80", "81"], http, &[("probe-port", "81")], "tcp:81");
    guessed(&["80"], http, &[("probe", "none")], "none");
    guessed(&["80"], http, &[("probe-interval", "10s")], "guess!interval=10s:80/cloud");
    guessed(
        &["80"],
        http,
        &[("probe", "http"), ("probe-path", "/own")],
        "http:80@web.default.fed.svc.example.com/own",
    );
    let words = cloud(http);
    let words: Vec<(&str, &str)> =
        words.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let tcp = ProbeDefaults { protocol: Some(Protocol::Tcp), ..ProbeDefaults::default() };
    assert_eq!(good(&tcp, &["80"], &words), "tcp:80", "said for the fleet");
    // A fault in our own words: the usual probe, and no guess.
    let bad: Vec<(&str, &str)> = words.into_iter().chain([("probe-fall", "x")]).collect();
    let read = read_with(&ProbeDefaults::default(), &["80"], &bad);
    assert_eq!((read.probe.to_string().as_str(), read.faults.len()), ("tcp:80", 1));
}

#[test]
fn only_the_clouds_words_that_count_are_kept() {
    use fleetdns_core::annotations::is_read;
    for key in [
        "fleetdns.io/probe",
        "external-dns.alpha.kubernetes.io/hostname",
        "service.beta.kubernetes.io/azure-load-balancer-health-probe-request-path",
        "service.beta.kubernetes.io/azure-load-balancer-health-probe-protocol",
        "service.beta.kubernetes.io/port_8080_health-probe_request-path",
        "service.beta.kubernetes.io/aws-load-balancer-healthcheck-success-codes",
    ] {
        assert!(is_read(key), "{key}");
    }
    for key in [
        "kubectl.kubernetes.io/last-applied-configuration",
        "service.beta.kubernetes.io/azure-load-balancer-internal",
        "service.beta.kubernetes.io/azure-load-balancer-health-probe-interval",
        "service.beta.kubernetes.io/port_x_health-probe_request-path",
        "service.beta.kubernetes.io/port__health-probe_request-path",
        "service.beta.kubernetes.io/port_80_no_lb_rule",
        "service.beta.kubernetes.io/aws-load-balancer-healthcheck-port",
    ] {
        assert!(!is_read(key), "{key}");
    }
}
