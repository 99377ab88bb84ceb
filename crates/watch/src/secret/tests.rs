use kube::config::Kubeconfig;
use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::access::{Access, endpoint};
use crate::given::{Allowed, Given};

fn secret(data: &[(&str, &str)]) -> Vec<u8> {
    let data: BTreeMap<&str, String> = data.iter().map(|(key, text)| (*key, STANDARD.encode(text))).collect();
    json!({
        "metadata": {
            "name": "east-kubeconfig", "namespace": "fleet-system", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"cluster.x-k8s.io/cluster-name": "east"},
        },
        "type": "Opaque",
        "data": data,
    })
    .to_string()
    .into_bytes()
}

/// A kubeconfig whose user is this.
fn config(user: &str) -> String {
    format!(
        "current-context: c\nclusters: [{{name: c, cluster: {{server: 'https://c.example:6443'}}}}]\n\
         users: [{{name: c, user: {user}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: c}}}}]\n"
    )
}

fn given(text: &str, allowed: Allowed) -> Access {
    Access::Given(Given::new("secret a/b", text.to_owned().into(), allowed))
}

fn refused(access: &Access) -> String {
    endpoint(access).unwrap_err().to_string()
}

#[test]
fn a_kubeconfig_is_found_under_the_key_that_is_named_or_the_usual_ones() {
    let text = |raw: &[u8], key: Option<&str>| {
        Named::in_secret(raw, key)
            .unwrap()
            .map(|named| named.kubeconfig.map(|text| text == Text::from("k".to_owned())))
    };
    for key in ["value", "kubeconfig"] {
        assert_eq!(text(&secret(&[(key, "k"), ("tls.crt", "x")]), None), Some(Ok(true)), "{key}");
        assert_eq!(text(&secret(&[(key, "k")]), Some("other")), None, "{key}");
    }
    assert_eq!(text(&secret(&[("kubeconfig", "k"), ("value", "")]), None), Some(Ok(true)));
    assert_eq!(text(&secret(&[("other", "k"), ("value", "x")]), Some("other")), Some(Ok(true)));
    // Cluster API labels a Secret with the cluster's certificates too.
    assert_eq!(text(&secret(&[("tls.crt", "c"), ("tls.key", "k")]), None), None);
    let bad = br#"{"metadata":{"name":"a","namespace":"b"},"data":{"value":"no base64"}}"#;
    assert_eq!(text(bad, None), Some(Err("its key value is not base64".to_owned())));
    let null = br#"{"metadata":{"name":"a-kubeconfig","namespace":"b"},"data":{"x":null,"value":"aw=="}}"#;
    assert_eq!(text(null, None), Some(Ok(true)));
    assert_eq!(object_path(br#"{"metadata":{"name":"a","namespace":"b"},"data":5}"#).as_deref(), Some("b/a"));
    let empty = br#"{"metadata":{"name":"a","namespace":"b","labels":null},"data":null}"#;
    assert_eq!(text(empty, None), None);
    assert_eq!(Named::in_secret(b"{}", None).unwrap_err(), "an item is no Secret");
    let named = Named::in_secret(&secret(&[("value", "top-secret")]), None).unwrap().unwrap();
    assert!(!format!("{named:?}").contains("top-secret"), "{named:?}");
    assert_eq!((named.namespace.as_str(), named.name.as_str()), ("fleet-system", "east-kubeconfig"));
}

#[test]
fn bootstrap_data_of_cluster_api_is_no_kubeconfig_and_a_broken_kubeconfig_is_reported() {
    let read = |name: &str, data: &[(&str, &str)], key: Option<&str>| {
        let raw = String::from_utf8(secret(data)).unwrap().replace("east-kubeconfig", name);
        Named::in_secret(raw.as_bytes(), key).unwrap().is_some()
    };
    let machine = "east-control-plane-abc12";
    // The files that cloud-init writes may be kubeconfigs.
    let cloud = "#cloud-config\nwrite_files: [{content: 'clusters: []'}]";
    assert!(!read(machine, &[("value", cloud), ("format", "cloud-config")], None));
    for text in
        ["#cloud-config\nruncmd: [kubeadm join]", r#"{"ignition":{}}"#, "version: v1alpha1\ncluster: {}"]
    {
        assert!(!read(machine, &[("value", text)], None), "{text}");
    }
    let half = "apiVersion: v1\nclus";
    for (name, data, key) in [
        ("east-user", [("value", "clusters: []")], None),
        ("east-kubeconfig", [("value", half)], None),
        ("east-user", [("value", " ")], None),
        ("east-user", [("kubeconfig", half)], None),
        ("east-user", [("value", half)], Some("value")),
    ] {
        assert!(read(name, &data, key), "{name} {data:?} {key:?}");
    }
}

#[test]
fn a_secret_of_argo_cd_is_a_kubeconfig() {
    let of = |config: &str| {
        let raw = secret(&[("name", "prod"), ("server", "https://prod.example"), ("config", config)]);
        let named = Named::in_secret(&raw, None).unwrap().unwrap();
        assert_eq!(named.cluster.as_deref(), Some("prod"));
        named.kubeconfig.map(|text| {
            let read = Kubeconfig::from_yaml(Given::new("", text, Allowed::default()).text()).unwrap();
            (read.clusters[0].cluster.clone().unwrap(), read.auth_infos[0].auth_info.clone().unwrap())
        })
    };
    let (cluster, user) = of(
        r#"{"bearerToken":"t","tlsClientConfig":{"insecure":false,"caData":"Q0E=","serverName":"n"},"proxyUrl":"http://p"}"#,
    )
    .unwrap();
    assert_eq!(cluster.server.as_deref(), Some("https://prod.example"));
    assert_eq!(
        (cluster.certificate_authority_data.as_deref(), cluster.tls_server_name.as_deref()),
        (Some("Q0E="), Some("n"))
    );
    assert_eq!((cluster.insecure_skip_tls_verify, cluster.proxy_url.as_deref()), (None, Some("http://p")));
    assert_eq!(user.token.unwrap().expose_secret(), "t");
    let (cluster, user) =
        of(r#"{"username":"u","password":"p","tlsClientConfig":{"insecure":true,"certData":"Yw==","keyData":"aw=="}}"#)
            .unwrap();
    assert_eq!(cluster.insecure_skip_tls_verify, Some(true));
    assert_eq!(
        (user.username.as_deref(), user.client_certificate_data.as_deref()),
        (Some("u"), Some("Yw=="))
    );
    let aws = r#"{"awsAuthConfig":{"clusterName":"eks","roleARN":"arn:aws:iam::1:role/r"}}"#;
    let exec = of(aws).unwrap().1.exec.unwrap();
    assert_eq!(exec.command.as_deref(), Some("aws"));
    let args = "eks get-token --output json --cluster-name eks --role-arn arn:aws:iam::1:role/r";
    assert_eq!(exec.args.unwrap().join(" "), args);
    let exec = r#"{"execProviderConfig":{"command":"c","args":["a"],"env":{"K":"V"},"apiVersion":"v"}}"#;
    let exec = of(exec).unwrap().1.exec.unwrap();
    assert_eq!((exec.api_version.as_deref(), exec.env.unwrap()[0]["name"].as_str()), (Some("v"), "K"));
    // Terraform writes what is not set as null.
    let nulls = r#"{"bearerToken":"t","tlsClientConfig":null,"execProviderConfig":{"command":"c","args":null,"env":null}}"#;
    assert_eq!(of(nulls).unwrap().1.exec.unwrap().command.as_deref(), Some("c"));
    for bad in ["", "[]", "{\"bearerToken\":1}"] {
        assert_eq!(of(bad).unwrap_err(), "its key config is not the JSON of an Argo CD cluster");
    }
}

#[test]
fn a_kubeconfig_of_a_secret_runs_nothing_and_reads_no_file_unless_that_is_allowed() {
    let (exec, files) = (Allowed { exec: true, files: false }, Allowed { exec: false, files: true });
    assert!(endpoint(&given(&config("{token: t}"), Allowed::default())).is_ok());
    let user = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: touch, args: [/tmp/x]}}";
    for allowed in [Allowed::default(), files] {
        let said = refused(&given(&config(user), allowed));
        assert!(said.contains("credential plugin; [discovery] allow = exec"), "{said}");
    }
    assert!(endpoint(&given(&config(user), exec)).is_ok());
    // Nothing allows what would run a command without a deadline.
    let user = "{auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}}";
    for allowed in [Allowed::default(), exec] {
        let said = refused(&given(&config(user), allowed));
        assert!(said.contains("auth-provider gcp is one that kubectl dropped"), "{said}");
    }
    for user in ["{tokenFile: /etc/shadow}", "{client-certificate: etc/passwd}", "{client-key: /etc/shadow}"]
    {
        for allowed in [Allowed::default(), exec] {
            assert!(refused(&given(&config(user), allowed)).contains("[discovery] allow = files"), "{user}");
        }
    }
    let authority =
        config("{}").replace("cluster: {server", "cluster: {certificate-authority: /etc/passwd, server");
    assert!(refused(&given(&authority, exec)).contains("names files"));
    // What an empty field names is nothing.
    assert!(endpoint(&given(&config("{tokenFile: '', token: t}"), Allowed::default())).is_ok());
}

#[test]
fn a_kubeconfig_that_explodes_or_is_none_is_refused_without_its_text() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", ")));
    }
    let started = std::time::Instant::now();
    for text in [bomb.as_str(), "top-secret: [", "[top-secret]", "", "\u{0}", &"[".repeat(100_000)] {
        let said = refused(&given(text, Allowed::default()));
        assert!(said.contains("secret a/b") && !said.contains("top-secret"), "{said}");
    }
    // Written out, it would be 10^12 texts: no machine is that fast, and none is so slow that the rest takes a minute.
    assert!(started.elapsed() < std::time::Duration::from_secs(60), "{:?}", started.elapsed());
}

/// JSON as somebody may write it where something else is meant.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let fields = prop::sample::select(vec![
        "bearerToken",
        "username",
        "password",
        "tlsClientConfig",
        "insecure",
        "caData",
        "certData",
        "keyData",
        "awsAuthConfig",
        "clusterName",
        "execProviderConfig",
        "command",
        "args",
        "env",
        "proxyUrl",
        "x",
    ]);
    leaf.prop_recursive(3, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(fields.clone(), inner, 0..6)
                .prop_map(|all| all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_a_secret_holds_it_is_read_or_refused(
        mut config in any_json(),
        runs in any::<bool>(),
        server in prop_oneof![Just("https://c.example:6443".to_owned()), "\\PC{0,20}"],
        value in prop::collection::vec(any::<u8>(), 0..64),
        key in prop::sample::select(vec!["value", "kubeconfig", "config", "other"]),
    ) {
        if let (true, Value::Object(config)) = (runs, &mut config) {
            config.insert("execProviderConfig".to_owned(), json!({"command": server}));
        }
        let mut data = BTreeMap::from([
            ("server", STANDARD.encode(&server)),
            ("config", STANDARD.encode(config.to_string())),
        ]);
        data.insert(key, STANDARD.encode(&value));
        let raw = json!({"metadata": {"name": "a", "namespace": "b"}, "data": data}).to_string();
        for asked in [None, Some(key)] {
            let Some(named) = Named::in_secret(raw.as_bytes(), asked).unwrap() else { continue };
            let Ok(text) = named.kubeconfig else { continue };
            let given = Given::new("secret b/a", text, Allowed::default());
            // What stands for a Secret of Argo CD is a kubeconfig; it runs nothing, whatever it says.
            if asked.is_none() && key == "other" {
                let read = Kubeconfig::from_yaml(given.text()).unwrap();
                let runs = read.auth_infos[0].auth_info.as_ref().is_some_and(|user| user.exec.is_some());
                prop_assert!(!runs || endpoint(&Access::Given(given.clone())).is_err());
            }
            let _ = endpoint(&Access::Given(given));
        }
        // What is no Secret at all is refused.
        let _ = Named::in_secret(config.to_string().as_bytes(), None);
    }
}
