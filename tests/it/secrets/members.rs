//! Every place of a kubeconfig, of a Secret and of a plugin that takes a secret.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleetdns_tests::conf::Conf;
use fleetdns_tests::hostile::Hostile;
use fleetdns_tests::planted::Planted;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::servers::{Words, member, refusing};

/// What a kubeconfig has.
pub(super) struct Place {
    name: String,
    cluster: Value,
    user: Value,
}

fn kubeconfig(place: &Place, server: &str) -> Value {
    let mut cluster = place.cluster.clone();
    if cluster["server"].is_null() {
        cluster["server"] = json!(server);
    }
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "one", "cluster": cluster}],
        "users": [{"name": "one", "user": place.user}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
    })
}

/// A program that prints or says a secret; it writes down what it was started with.
fn plugin(folder: &Path, name: &str, script: &str) -> Value {
    let path = folder.join(format!("plugin-{name}"));
    let seen = folder.with_file_name("seen").join(format!("arguments-{name}"));
    let text = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$0 $*\" \"$KUBERNETES_EXEC_INFO\" >>{}\n{script}\n",
        seen.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    json!(path)
}

fn exec(command: &Value, env: &[(&str, &str)]) -> Value {
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never",
                    "provideClusterInfo": true, "env": env}})
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// A client certificate and its key; the key is a secret.
pub(super) fn identity(planted: &Planted, what: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([what.to_owned()]).unwrap().self_signed(&key).unwrap();
    planted.add(what, &key.serialize_pem());
    planted.add(&format!("{what} in base64"), &base64(&key.serialize_pem()));
    (certificate.pem(), key.serialize_pem())
}

/// What every member has that is asked for its Services, with its secrets.
fn users(planted: &Planted, folder: &Path, end: &str) -> Vec<(&'static str, Value, Value)> {
    let new = |what: &str| planted.secret(&format!("{what} {end}"));
    let file = |name: &str, text: &str| {
        let path = folder.join(format!("{name}-{end}"));
        fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = identity(planted, &format!("client-key-data {end}"));
    let (file_certificate, file_key) = identity(planted, &format!("client-key {end}"));
    let issued = new("token of a plugin");
    let prints = format!("echo '{{\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"{issued}\"}}}}'");
    let plugin = plugin(folder, &format!("good-{end}"), &prints);
    vec![
        ("token", json!({}), json!({"token": new("token")})),
        ("basic", json!({}), json!({"username": "operator", "password": new("password")})),
        ("token-file", json!({}), json!({"tokenFile": file("token", &new("tokenFile"))})),
        ("exec", json!({}), exec(&plugin, &[("PLUGIN_SECRET", &new("env of a plugin"))])),
        (
            "key",
            json!({}),
            json!({"client-certificate-data": base64(&certificate), "client-key-data": base64(&key),
                                  "token": new("token beside a key")}),
        ),
        (
            "key-file",
            json!({}),
            json!({"client-certificate": file("cert", &file_certificate),
                                       "client-key": file("key", &file_key)}),
        ),
    ]
}

/// What no server is asked with, or only over a proxy.
fn odd_users(planted: &Planted, folder: &Path, proxy: &Hostile) -> Vec<(&'static str, Value, Value)> {
    let new = |what: &str| planted.secret(what);
    let url = |secret: &str, server: &str| {
        format!("http://operator:{secret}@{}", server.trim_start_matches("http://"))
    };
    let says = plugin(folder, "says", "echo \"no login for $PLUGIN_SECRET\" >&2; exit 1");
    let odd = format!(
        "echo '{{\"kind\":\"ExecCredential\",\"status\":{{\"token\":[\"{}\"]}}}}'",
        new("odd output of a plugin")
    );
    let odd = plugin(folder, "odd", &odd);
    let late = format!(
        "echo '{{\"status\":{{\"token\":\"t0ken\",\"expirationTimestamp\":\"{}\"}}}}'",
        new("time of a plugin")
    );
    let late = plugin(folder, "late", &late);
    let outside = "https://api.elsewhere.example:6443";
    vec![
        ("proxy", json!({"server": outside, "proxy-url": url(&new("proxy-url"), &proxy.url())}), json!({})),
        (
            "proxy-bad",
            json!({"server": outside, "proxy-url": url(&new("proxy-url, bad"), "http://127.0.0.1:99999")}),
            json!({}),
        ),
        (
            "proxy-odd",
            json!({"server": outside, "proxy-url": format!("ftp://operator:{}@h", new("proxy-url, ftp"))}),
            json!({}),
        ),
        ("environment", json!({"server": outside}), json!({"token": new("token through a proxy")})),
        ("server", json!({"server": url(&new("user of a server"), &proxy.url())}), json!({})),
        (
            "server-bad",
            json!({"server": url(&new("user of a bad server"), "http://127.0.0.1:99999")}),
            json!({}),
        ),
        ("says", json!({}), exec(&says, &[("PLUGIN_SECRET", &new("env of a plugin that fails"))])),
        ("odd", json!({}), exec(&odd, &[])),
        ("late", json!({}), exec(&late, &[])),
        (
            "missing",
            json!({}),
            exec(&json!("/nowhere/plugin"), &[("PLUGIN_SECRET", &new("env of no plugin"))]),
        ),
        (
            "control",
            json!({}),
            json!({"token": format!("{}\u{1}\n{}", new("token with a control character"), "x")}),
        ),
        (
            "not-base64",
            json!({}),
            json!({"client-certificate-data": base64("x"), "client-key-data": format!("{}!", new("bad key data"))}),
        ),
        (
            "not-pem",
            json!({}),
            json!({"client-certificate-data": base64("x"), "client-key-data": base64(&new("key that is none"))}),
        ),
        (
            "oidc",
            json!({}),
            json!({"auth-provider": {"name": "oidc", "config": {
            "client-id": "x", "client-secret": new("client-secret of oidc"), "refresh-token": new("refresh-token of oidc"),
            "id-token": new("id-token of oidc"), "idp-issuer-url": "https://127.0.0.1:9"}}}),
        ),
        (
            "gcp",
            json!({}),
            json!({"auth-provider": {"name": "gcp", "config": {
            "access-token": new("access-token of gcp"), "cmd-path": "/nowhere/gcloud", "cmd-args": "x", "expiry": "2001-01-01T00:00:00Z"}}}),
        ),
    ]
}

/// Secrets of a host cluster: kubeconfigs, good and broken ones, and clusters of Argo CD.
fn discovered(planted: &Planted, servers: &[Hostile; 3]) -> Vec<Value> {
    let [first, second, third] = servers.each_ref().map(Hostile::url);
    let new = |what: &str| planted.secret(what);
    let secret = |name: &str, data: Value| json!({"metadata": {"name": name, "namespace": "fleet", "resourceVersion": "5"}, "data": data});
    let place = |user: Value| Place { name: String::new(), cluster: json!({}), user };
    let good = kubeconfig(&place(json!({"token": new("token in a Secret")})), &first);
    let broken = format!("clusters:\n- {{name: one\nusers: [token: {}", new("broken kubeconfig in a Secret"));
    let odd = format!("users: {}", new("kubeconfig of another form in a Secret"));
    let exec = kubeconfig(&place(exec(&json!("/bin/false"), &[("A", &new("plugin in a Secret"))])), &first);
    let argo = json!({"bearerToken": new("bearerToken of Argo CD"), "tlsClientConfig": {"insecure": true}});
    let login = json!({"username": "operator", "password": new("password of Argo CD")});
    let bad = format!("{{\"bearerToken\": {}", new("broken config of Argo CD"));
    let of_argo = |name: &str, server: &str, config: &str| json!({"name": base64(name), "server": base64(server), "config": base64(config)});
    vec![
        secret("good-kubeconfig", json!({"value": base64(&good.to_string())})),
        secret("broken-kubeconfig", json!({"value": base64(&broken)})),
        secret("odd-kubeconfig", json!({"value": base64(&odd)})),
        secret("exec-kubeconfig", json!({"value": base64(&exec.to_string())})),
        secret("not-base64", json!({"value": format!("!{}", new("a Secret that is not base64"))})),
        secret("argo", of_argo("argo", &second, &argo.to_string())),
        secret("argo-login", of_argo("argo-login", &third, &login.to_string())),
        secret("argo-bad", of_argo("argo-bad", &first, &bad)),
        secret("of-another-kind", json!({"password": base64(&new("a Secret that is none of ours"))})),
    ]
}

/// The members of a config, and the servers that they have.
pub(super) async fn members(
    planted: &Planted,
    inputs: &Path,
    proxy: &Hostile,
    mut conf: Conf,
) -> (Conf, Vec<(String, Hostile)>, Vec<Hostile>) {
    let (mut servers, mut idle) = (Vec::new(), Vec::new());
    let mut places: Vec<(Place, String)> = Vec::new();
    for (end, refuses) in [("taken", false), ("refused", true)] {
        for (name, cluster, user) in users(planted, inputs, end) {
            let server = if refuses { refusing(Words::Kubernetes).await } else { member(Vec::new()).await };
            let name = format!("{name}-{end}");
            places.push((Place { name: name.clone(), cluster, user }, server.url()));
            servers.push((name, server));
        }
    }
    for (name, cluster, user) in odd_users(planted, inputs, proxy) {
        let server = refusing(Words::Kubernetes).await;
        places.push((Place { name: name.to_owned(), cluster, user }, server.url()));
        // Most have no client that could ask it.
        idle.push(server);
    }
    let found = [
        refusing(Words::Kubernetes).await,
        refusing(Words::Kubernetes).await,
        refusing(Words::Kubernetes).await,
    ];
    let host = member(discovered(planted, &found)).await;
    let user = json!({"token": planted.secret("token of the host cluster")});
    places.push((Place { name: "host".to_owned(), cluster: json!({}), user }, host.url()));
    let write = |name: &str, text: String| -> PathBuf {
        let path = inputs.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    for (place, server) in &places {
        let path = write(&format!("{}.kubeconfig", place.name), kubeconfig(place, server).to_string());
        conf = conf.cluster(&place.name, &path);
    }
    let broken =
        format!("users:\n- name: x\n  user: {{token: {} extra: [\n", planted.secret("broken kubeconfig"));
    conf = conf.cluster("broken", &write("broken.kubeconfig", broken));
    let odd = format!("apiVersion: v1\nclusters: {}\n", planted.secret("kubeconfig of another form"));
    conf = conf.cluster("odd-form", &write("odd-form.kubeconfig", odd));

    let folder = inputs.join("directory");
    fs::create_dir(&folder).unwrap();
    let dropped = refusing(Words::Kubernetes).await;
    let place = Place {
        name: String::new(),
        cluster: json!({}),
        user: json!({"token": planted.secret("token in the directory")}),
    };
    fs::write(folder.join("dropped.yaml"), kubeconfig(&place, &dropped.url()).to_string()).unwrap();
    fs::write(
        folder.join("torn.yaml"),
        format!("users: [{{token: {}", planted.secret("torn file in the directory")),
    )
    .unwrap();
    let env = json!([{"name": "A", "value": planted.secret("env of profile-providers")}]);
    let providers =
        json!({"providers": [{"name": "p", "execConfig": {"command": "/bin/false", "env": env}}]});
    let providers = write("providers.json", providers.to_string());
    servers.extend([("host", host), ("dropped", dropped)].map(|(name, server)| (name.to_owned(), server)));
    servers.extend(found.into_iter().map(|server| ("in a Secret".to_owned(), server)));
    let discovery = format!(
        "[discovery]\ndirectory = {}\nsecrets = *\nprofiles = *\nprofile-providers = {}\ncluster = host\nnamespace = *\n",
        folder.display(),
        providers.display()
    );
    (conf.more(&discovery), servers, idle)
}
