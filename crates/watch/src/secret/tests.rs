use kube::config::Kubeconfig;
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
    assert_eq!(text(&secret(&[("other", "k"), ("value", "x")]), Some("other")), Some(Ok(true)));
    // Cluster API labels a Secret with the cluster's certificates too.
    assert_eq!(text(&secret(&[("tls.crt", "c"), ("tls.key", "k")]), None), None);
    let bad = br#"{"metadata":{"name":"a","namespace":"b"},"data":{"value":"no base64"}}"#;
    assert_eq!(text(bad, None), Some(Err("its key value is not base64".to_owned())));
    let empty = br#"{"metadata":{"name":"a","namespace":"b","labels":null},"data":null}"#;
    assert_eq!(text(empty, None), None);
    assert_eq!(Named::in_secret(b"{}", None).unwrap_err(), "an item is no Secret");
    let named = Named::in_secret(&secret(&[("value", "top-secret")]), None).unwrap().unwrap();
    assert!(!format!("{named:?}").contains("top-secret"), "{named:?}");
    assert_eq!((named.namespace.as_str(), named.name.as_str()), ("fleet-system", "east-kubeconfig"));
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
    for bad in ["", "[]", "{\"bearerToken\":1}"] {
        assert_eq!(of(bad).unwrap_err(), "its key config is not the JSON of an Argo CD cluster");
    }
}

#[test]
fn a_kubeconfig_of_a_secret_runs_nothing_and_reads_no_file_unless_that_is_allowed() {
    let (exec, files) = (Allowed { exec: true, files: false }, Allowed { exec: false, files: true });
    assert!(endpoint(&given(&config("{token: t}"), Allowed::default())).is_ok());
    for user in [
        "{exec: {apiVersion: client.authentication.k8s.io/v1, command: touch, args: [/tmp/x]}}",
        "{auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}}",
    ] {
        for allowed in [Allowed::default(), files] {
            assert!(
                refused(&given(&config(user), allowed))
                    .contains("credential plugin; [discovery] allow = exec")
            );
        }
        assert!(endpoint(&given(&config(user), exec)).is_ok(), "{user}");
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
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
}
