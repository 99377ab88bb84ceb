use super::*;

fn zone() -> DnsName {
    "example.com".parse().unwrap()
}

fn read(value: Value) -> Result<Item, String> {
    serde_json::from_value::<Raw>(value).unwrap().read(&zone(), &"fed".parse().unwrap())
}

fn set(name: &str, data: RecordData) -> RecordSet {
    RecordSet { name: name.parse().unwrap(), ttl: Ttl::DEFAULT, data }
}

fn a() -> RecordData {
    RecordData::A(NonEmpty::new(["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()]).unwrap())
}

fn ownership() -> OwnershipRecord {
    "v=1 owner=fed service=default/web member=west;;;tcp:80;192.0.2.1".parse().unwrap()
}

fn answer(kind: &str, relative: &str, properties: Value) -> Value {
    json!({ "name": relative, "type": format!("Microsoft.Network/dnszones/{kind}"), "etag": "e1",
        "properties": properties })
}

/// What was written, with a property more, as an answer.
fn ours_with(more: &[(&str, Value)]) -> Item {
    let mut body =
        body(Service::Public, &set("www.example.com", a()), Some(&ownership()), Metadata::new()).unwrap();
    for (key, value) in more {
        body["properties"][*key] = value.clone();
    }
    read(answer("A", "www", body["properties"].take())).unwrap()
}

#[test]
fn the_two_services_write_the_case_that_is_theirs() {
    let [public, private] = [Service::Public, Service::Private].map(|service| {
        body(service, &set("www.example.com", a()), Some(&ownership()), Metadata::new()).unwrap()
    });
    let values = json!([{ "ipv4Address": "192.0.2.1" }, { "ipv4Address": "192.0.2.2" }]);
    assert_eq!(public["properties"]["TTL"], 30);
    assert_eq!(public["properties"]["ARecords"], values);
    assert_eq!(private["properties"]["ttl"], 30);
    assert_eq!(private["properties"]["aRecords"], values);
    let cname = set("www.example.com", RecordData::Cname("a.example.net".parse().unwrap()));
    let body = body(Service::Private, &cname, Some(&ownership()), Metadata::new()).unwrap();
    assert_eq!(body["properties"]["cnameRecord"], json!({ "cname": "a.example.net" }));
}

#[test]
fn what_was_written_is_read_back_in_any_case() {
    let item = ours_with(&[("fqdn", json!("www.example.com.")), ("targetResource", json!({}))]);
    assert_eq!(item.name.as_str(), "www.example.com");
    assert!(stands(&item.set, &set("www.example.com", a()), Some(&ownership())));
    assert_eq!(parts(&item.set.version), ("e1", Metadata::new()));
    let cname = json!({ "ttl": 5, "cnameRecord": { "cname": "Target.Example.net." } });
    let item = read(answer("cname", "@", cname)).unwrap();
    assert_eq!(item.name, zone());
    assert_eq!(item.set.content, Content::Known(RecordData::Cname("target.example.net".parse().unwrap())));
    assert_eq!(item.set.claim, Owner::Foreign);
}

#[test]
fn a_set_that_is_not_plainly_ours_is_foreign_though_it_has_our_mark() {
    assert!(ours_with(&[]).set.claim.is_ours());
    for (key, value) in [
        ("targetResource", json!({ "id": "/subscriptions/x" })),
        ("trafficManagementProfile", json!({ "id": "/subscriptions/x" })),
        ("isAutoRegistered", json!(true)),
        ("somethingNew", json!(1)),
        ("ARecords", json!([])),
        ("ARecords", json!([{ "ipv4Address": "192.0.2.1", "weight": 3 }])),
        ("ARecords", json!([{ "ipv4Address": "192.0.2.300" }])),
    ] {
        let item = ours_with(&[(key, value)]);
        assert_eq!(item.set.content, Content::Other("A".into()), "{key}");
        assert_eq!(item.set.claim, Owner::Foreign, "{key}");
        assert!(item.odd.unwrap().contains("left alone"), "{key}");
    }
    assert!(ours_with(&[("isAutoRegistered", json!(false))]).set.claim.is_ours());
}

#[test]
fn other_types_and_strange_names_are_left_alone() {
    let txt = json!({ "TTL": 3600, "TXTRecords": [{ "value": ["x"] }] });
    let item = read(answer("TXT", "www", txt.clone())).unwrap();
    assert_eq!((item.set.type_name(), item.odd), ("TXT", None));
    assert!(read(answer("TXT", "a b", txt)).unwrap_err().contains("character ' '"));
    assert!(read(answer("A", "www", json!({ "TTL": 2_147_483_648_u32 }))).unwrap_err().contains("TTL"));
}

#[test]
fn metadata_of_others_stays() {
    let item = ours_with(&[]);
    let mut properties = json!({ "TTL": 1, "ARecords": [{ "ipv4Address": "192.0.2.1" }] });
    properties["metadata"] = json!({ "team": "web\nshop" });
    let foreign = read(answer("A", "www", properties)).unwrap();
    let (etag, others) = parts(&foreign.set.version);
    assert_eq!((etag, others["team"].as_str()), ("e1", "web\nshop"));
    let body = body(Service::Public, &set("www.example.com", a()), Some(&ownership()), others).unwrap();
    assert_eq!(body["properties"]["metadata"]["team"], "web\nshop");
    assert!(item.set.claim.is_ours());
}
