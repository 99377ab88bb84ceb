use super::*;

fn read(json: &str) -> Item {
    service(json.as_bytes()).unwrap()
}

#[test]
fn a_service_is_slimmed_and_keeps_what_is_ours() {
    let json = r#"{"metadata":{"namespace":"default","name":"web","uid":"x","managedFields":[{"a":[1]}],
        "annotations":{"fleetdns.io/ttl":"60","kubectl.kubernetes.io/last-applied-configuration":"{}",
        "external-dns.alpha.kubernetes.io/hostname":"a.example.com"}},
        "spec":{"type":"LoadBalancer","clusterIP":"10.0.0.1","ports":[{"name":"p","port":80,"targetPort":"web"},
        {"port":53,"protocol":"UDP"}]},
        "status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1","ipMode":"VIP"},{"hostname":"lb.example.net"}]}}}"#;
    let Item::Known(Listed::Service(service)) = read(json) else { panic!("not read") };
    assert_eq!(service.key().unwrap().to_string(), "default/web");
    assert_eq!(
        service.annotations.keys().map(String::as_str).collect::<Vec<_>>(),
        ["external-dns.alpha.kubernetes.io/hostname", "fleetdns.io/ttl"]
    );
    let ports: Vec<(u16, &str)> = service.ports.iter().map(|port| (port.port, &*port.protocol)).collect();
    assert_eq!(ports, [(80, "TCP"), (53, "UDP")]);
    assert_eq!(service.ingress.unwrap().len(), 2);
}

#[test]
fn what_is_not_there_is_not_there() {
    for status in ["", r#","status":null"#, r#","status":{}"#, r#","status":{"loadBalancer":{}}"#] {
        let json = format!(
            r#"{{"metadata":{{"namespace":"a","name":"b","annotations":null}},"spec":{{"type":"LoadBalancer"}}{status}}}"#
        );
        let Item::Known(Listed::Service(service)) = read(&json) else { panic!("{json}") };
        assert_eq!((service.ingress, service.ports.len()), (None, 0), "{json}");
    }
}

#[test]
fn other_types_and_what_is_being_deleted_count_as_gone() {
    let gone = [
        r#"{"metadata":{"namespace":"a","name":"b"},"spec":{"type":"ClusterIP"}}"#,
        r#"{"metadata":{"namespace":"a","name":"b"}}"#,
        r#"{"metadata":{"namespace":"a","name":"b","deletionTimestamp":"2026-01-01T00:00:00Z"},
            "spec":{"type":"LoadBalancer"}}"#,
    ];
    for json in gone {
        assert!(
            matches!(read(json), Item::Known(Listed::Gone(key)) if key == ServiceKey::new("a", "b").unwrap()),
            "{json}"
        );
    }
}

#[test]
fn a_malformed_service_is_known_by_its_name() {
    let bad = [
        r#"{"metadata":{"namespace":"a","name":"b"},"spec":{"type":"LoadBalancer","ports":"many"}}"#,
        r#"{"metadata":{"namespace":"a","name":"b"},"spec":{"type":"LoadBalancer","ports":[{"port":99999}]}}"#,
        r#"{"metadata":{"namespace":"a","name":"b"},"status":{"loadBalancer":{"ingress":[{"ip":5}]}}}"#,
        r#"{"metadata":{"namespace":"a","name":"b","annotations":["x"]}}"#,
        r#"{"metadata":{"namespace":"a","name":"b","annotations":{"fleetdns.io/ttl":60}}}"#,
    ];
    for json in bad {
        let Item::Unreadable(bad) = read(json) else { panic!("{json}") };
        assert_eq!(bad.key, ServiceKey::new("a", "b").ok());
        assert!(!bad.reason.is_empty());
    }
    assert!(service(br#"{"metadata":{"name":7}}"#).is_err());
    assert!(service(b"3").is_err());
}

#[test]
fn events_carry_the_version_they_lead_to() {
    let object =
        r#"{"metadata":{"namespace":"a","name":"b","resourceVersion":"8"},"spec":{"type":"LoadBalancer"}}"#;
    let line =
        |kind: &str, object: &str| event(format!(r#"{{"type":"{kind}","object":{object}}}"#).as_bytes());
    for kind in ["ADDED", "MODIFIED"] {
        let (event, version) = line(kind, object).unwrap();
        assert!(matches!(event, Event::Put(Item::Known(Listed::Service(_)))));
        assert_eq!(version.as_deref(), Some("8"));
    }
    assert!(matches!(line("DELETED", object).unwrap().0, Event::Deleted(_)));
    let bookmark = r#"{"kind":"Service","metadata":{"resourceVersion":"9","creationTimestamp":null}}"#;
    let (event, version) = line("BOOKMARK", bookmark).unwrap();
    assert!(matches!(event, Event::Bookmark) && version.as_deref() == Some("9"));
    let gone = r#"{"kind":"Status","code":410,"message":"too old resource version"}"#;
    assert!(matches!(line("ERROR", gone).unwrap().0, Event::Error { code: 410, .. }));
    let bad = r#"{"metadata":{"namespace":"a","name":"b","resourceVersion":"8"},"spec":7}"#;
    let (event, version) = line("MODIFIED", bad).unwrap();
    assert!(matches!(event, Event::Put(Item::Unreadable(_))) && version.as_deref() == Some("8"));
    assert!(line("BOGUS", object).is_err() && line("ADDED", "{}").is_err());
    assert!(super::event(b"{\"type\":\"ADDED\",").is_err());
}

#[test]
fn an_object_with_a_name_that_cannot_be_is_skipped_alone() {
    for (namespace, name) in [
        ("x\n@ 30 IN NS ns.evil.example.", "web"),
        ("default", "web member=other;;;none;203.0.113.66"),
        ("Default", "web"),
        ("default", ""),
        ("default", &*"w".repeat(64)),
        ("\u{1b}[2J", "web"),
    ] {
        let object = serde_json::json!({
            "metadata": {"namespace": namespace, "name": name, "resourceVersion": "8"},
            "spec": {"type": "LoadBalancer"}
        });
        let Item::Unreadable(bad) = read(&object.to_string()) else { panic!("{object}") };
        assert_eq!(bad.key, None);
        assert!(!bad.name.contains(['\n', '\u{1b}']), "{:?}", bad.name);
        let line =
            |kind: &str| event(serde_json::json!({"type": kind, "object": object}).to_string().as_bytes());
        let (put, version) = line("ADDED").unwrap();
        assert!(matches!(put, Event::Put(Item::Unreadable(_))) && version.as_deref() == Some("8"));
        assert!(matches!(line("DELETED").unwrap().0, Event::Bookmark));
    }
}

#[test]
fn annotations_that_mean_nothing_are_not_kept_and_long_ones_by_name_alone() {
    let long = "x".repeat(250_000);
    let object = serde_json::json!({
        "metadata": {"namespace": "a", "name": "b", "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {
            "example.com/notes": long, "fleetdns.io/notes": long, "fleetdns.io/probe-x": long,
            "external-dns.alpha.kubernetes.io/probe": long, "fleetdns.io/hostname": long,
            "external-dns.alpha.kubernetes.io/ttl": "60",
        }},
        "spec": {"type": "LoadBalancer"}
    });
    let Item::Known(Listed::Service(service)) = read(&object.to_string()) else { panic!("not read") };
    let kept: Vec<&str> = service.annotations.keys().map(String::as_str).collect();
    assert_eq!(kept, ["external-dns.alpha.kubernetes.io/ttl", "fleetdns.io/hostname"]);
    let octets: usize = service.annotations.values().map(String::len).sum();
    assert!(octets < 70_000, "{octets}");
    assert_eq!(service.created.as_deref(), Some("2026-01-01T00:00:00Z"));
}
