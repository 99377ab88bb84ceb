use super::*;

const SEED: [(&str, &str); 5] = [
    ("subscription-id", "sub"),
    ("tenant-id", "tenant"),
    ("client-id", "client"),
    ("secret", "p#a;ss"),
    ("resource-group", "fed-dns-rg"),
];

fn read_with(
    service: Service,
    pairs: &[(&str, &str)],
    environment: &[(&str, &str)],
) -> Result<Settings, Vec<String>> {
    let keys = Keys::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let variable =
        |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    read(service, &"example.com".parse().unwrap(), &keys, &variable).map_err(|faults| {
        faults.into_iter().map(|fault| format!("{}: {}", fault.key, fault.problem)).collect()
    })
}

fn with(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> =
        SEED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    for (key, value) in more {
        pairs.retain(|(known, _)| known != key);
        pairs.push(((*key).to_owned(), (*value).to_owned()));
    }
    pairs
}

fn read_more(more: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let pairs = with(more);
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    read_with(Service::Public, &pairs, &[])
}

#[track_caller]
fn faulty(more: &[(&str, &str)], expected: &[&str]) {
    let faults = read_more(more).unwrap_err();
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for (fault, part) in faults.iter().zip(expected) {
        assert!(fault.contains(part), "{fault}");
    }
}

#[test]
fn the_five_keys_of_kubefed_are_enough_and_no_secret_is_shown() {
    let settings = read_more(&[]).unwrap();
    assert!(matches!(&settings.credential, Choice::Secret { tenant, .. } if tenant == "tenant"));
    assert_eq!(settings.place, Place { subscription: "sub".to_owned(), group: "fed-dns-rg".to_owned() });
    assert_eq!(settings.cloud.manager.as_str(), "https://management.azure.com/");
    assert_eq!(settings.cloud.authority.as_str(), "https://login.microsoftonline.com/");
    assert_eq!(settings.cloud.scope, "https://management.azure.com/.default");
    assert!(!format!("{settings:?}").contains("p#a"));
}

#[test]
fn every_missing_key_is_named_at_once() {
    let faults = read_with(Service::Public, &[], &[]).unwrap_err();
    let keys: Vec<&str> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
    assert_eq!(keys, ["subscription-id", "resource-group", "tenant-id", "client-id", "secret"]);
}

#[test]
fn the_credential_follows_from_what_is_given() {
    let place = [("subscription-id", "s"), ("resource-group", "r")];
    let variables = [
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
        ("AZURE_AUTHORITY_HOST", "https://login.example"),
    ];
    let settings = read_with(Service::Public, &place, &variables).unwrap();
    assert!(matches!(&settings.credential, Choice::Workload { tenant, client, token_file }
        if tenant == "t" && client == "c" && token_file.as_os_str() == "/token"));
    assert_eq!(settings.cloud.authority.as_str(), "https://login.example/");
    let managed = [place[0], place[1], ("credential", "Managed")];
    let settings = read_with(Service::Public, &managed, &[]).unwrap();
    assert!(matches!(settings.credential, Choice::Managed { client: None }));
    assert!(matches!(
        read_more(&[("credential", "managed")]).unwrap().credential,
        Choice::Managed { client: Some(_) }
    ));
    assert!(matches!(
        read_more(&[("credential", "cli")]).unwrap().credential,
        Choice::Cli { tenant: Some(_) }
    ));
    let certificate = [("certificate-file", "/c.pem"), ("secret", "")];
    assert!(matches!(read_more(&certificate).unwrap().credential, Choice::Certificate { .. }));
    faulty(&[("credential", "certificate")], &["certificate-file: is missing"]);
    faulty(&[("credential", "password")], &["unknown 'password'; expected one of"]);
    faulty(&[("credential", "workload")], &["AZURE_FEDERATED_TOKEN_FILE is not set"]);
    faulty(&[("secret", "")], &["secret: is missing"]);
}

#[test]
fn a_zone_id_stands_for_subscription_and_group() {
    let id = "/Subscriptions/s/resourcegroups/R.g/providers/microsoft.network/dnszones/Example.com";
    let settings = read_more(&[("zone-id", id)]).unwrap();
    assert_eq!(settings.place, Place { subscription: "s".to_owned(), group: "R.g".to_owned() });
    faulty(&[("zone-id", &id.replace("Example", "Other"))], &["not the resource id of example.com"]);
    faulty(&[("zone-id", &id.replace("dnszones", "privateDnsZones"))], &["Microsoft.Network/dnsZones"]);
    faulty(&[("zone-id", "example.com")], &["is no zone's resource id"]);
    faulty(&[("resource-group", "a/b")], &["resource-group: 'a/b' has characters"]);
}

#[test]
fn the_urls_of_one_cloud_belong_together_and_have_to_be_encrypted() {
    let gov = read_more(&[("resource-manager", "https://management.usgovcloudapi.net/")]).unwrap().cloud;
    assert_eq!(gov.authority.as_str(), "https://login.microsoftonline.us/");
    assert_eq!(gov.scope, "https://management.core.usgovcloudapi.net/.default");
    let stack = read_more(&[
        ("resource-manager", "management.stack.example:8443"),
        ("authority-host", "login.stack.example"),
    ]);
    let stack = stack.unwrap().cloud;
    assert_eq!(stack.scope, "https://management.stack.example:8443/.default");
    assert_eq!(stack.authority.as_str(), "https://login.stack.example/");
    assert_eq!(read_more(&[("audience", "https://a/")]).unwrap().cloud.scope, "https://a/.default");
    faulty(&[("resource-manager", "http://127.0.0.1:1")], &["resource-manager: 'http://127.0.0.1:1' is not"]);
    faulty(&[("authority-host", "https://u:geheim@h")], &["authority-host: 'h' is not"]);
    faulty(&[("authority-host", "https://h/path")], &["without a path"]);
}
