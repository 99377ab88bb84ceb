use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::AuthInfo;
use secrecy::ExposeSecret;

use super::*;

fn file(folder: &Path, name: &str, context: &str, server: &str) -> PathBuf {
    let path = folder.join(name);
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {context}\n\
         clusters: [{{name: {context}, cluster: {{server: '{server}', tls-server-name: api.test, \
         proxy-url: 'http://127.0.0.1:3128'}}}}]\n\
         contexts: [{{name: {context}, context: {{cluster: {context}, user: {context}}}}}]\n\
         users: [{{name: {context}, user: {{token: top-secret}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    path
}

fn fault(paths: &[&Path], context: Option<&str>) -> String {
    let paths = paths.iter().map(|path| path.to_path_buf()).collect();
    let access = Access::Kubeconfig { paths, context: context.map(str::to_owned) };
    find(&access).err().unwrap().to_string()
}

#[test]
fn files_are_merged_and_those_that_do_not_exist_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let paths = vec![
        folder.path().join("none"),
        file(folder.path(), "a", "westus", "https://west.test:6443"),
        file(folder.path(), "b", "eastus", "https://east.test:6443"),
    ];
    assert_eq!(contexts(&paths).unwrap(), ["westus", "eastus"]);
    let current = find(&Access::Kubeconfig { paths: paths.clone(), context: None }).unwrap().config;
    assert_eq!(current.cluster_url.to_string(), "https://west.test:6443/");
    assert_eq!(current.tls_server_name.as_deref(), Some("api.test"));
    assert_eq!(current.proxy_url.unwrap().to_string(), "http://127.0.0.1:3128/");
    let east = Access::Kubeconfig { paths, context: Some("eastus".into()) };
    assert_eq!(find(&east).unwrap().config.cluster_url.to_string(), "https://east.test:6443/");
}

#[test]
fn each_fault_says_which_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    assert!(contexts(std::slice::from_ref(&none)).unwrap_err().to_string().contains("does not exist"));
    assert!(fault(&[&none], None).contains("none does not exist"));

    let good = file(folder.path(), "good", "westus", "https://west.test");
    let text = fault(&[&good], Some("mars"));
    assert!(text.contains("no context 'mars'") && text.contains("it has: westus"), "{text}");

    let bad = folder.path().join("bad");
    fs::write(&bad, "clusters: []\nusers: [{name: a, user: {token: [top-secret]}}]\n").unwrap();
    let text = fault(&[&bad], None);
    assert!(text.contains("bad is not valid YAML") && text.contains("line 2"), "{text}");
    assert!(!text.contains("top-secret"), "{text}");

    let empty = folder.path().join("empty");
    fs::write(&empty, "").unwrap();
    assert!(fault(&[&empty], None).contains("no current-context"));
    assert!(fault(&[folder.path()], None).contains("cannot be read"));

    let half = folder.path().join("half");
    fs::write(&half, "contexts: [{name: a, context: {cluster: gone}}]\n").unwrap();
    let text = fault(&[&half], Some("a"));
    assert!(text.contains("context 'a' of") && text.contains("gone"), "{text}");
}

#[test]
fn a_left_over_context_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let write = |current: &str, more: &str| {
        let text = format!(
            "current-context: '{current}'\nclusters: [{{name: c, cluster: {{server: 'https://c.example'}}}}]\n\
             contexts: [{more}, {{name: c, context: {{cluster: c}}}}]\n"
        );
        fs::write(&path, &text).unwrap();
        Access::Given(Given::new("secret a/b", text.into(), crate::given::Allowed::default()))
    };
    for left_over in
        ["{name: old, context: {cluster: gone}}", "{name: old, context: {cluster: ''}}", "{name: old}"]
    {
        for current in ["c", ""] {
            let given = write(current, left_over);
            assert_eq!(contexts(std::slice::from_ref(&path)).unwrap(), ["c"], "{left_over}");
            assert!(endpoint(&given).is_ok(), "{left_over}");
        }
        // What is meant is not replaced by another cluster.
        let given = write("old", left_over);
        for problem in [contexts(std::slice::from_ref(&path)).err(), endpoint(&given).err()] {
            assert!(problem.unwrap().to_string().contains("'old'"), "{left_over}");
        }
    }
}

fn with_plugin(folder: &Path, script: &str) -> Access {
    use std::os::unix::fs::PermissionsExt;
    let plugin = folder.join("plugin");
    fs::write(&plugin, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.join("config");
    let text = "current-context: a\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n\
         contexts: [{name: a, context: {cluster: a, user: a}}]\n\
         users: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, \
         args: [--client-secret, top-secret]}}}]\n";
    fs::write(&path, text).unwrap();
    Access::Kubeconfig { paths: vec![path], context: None }
}

#[tokio::test]
async fn what_a_failing_plugin_prints_on_its_output_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let access = with_plugin(folder.path(), "echo top-secret; echo 'log in first' >&2; exit 3");
    let error = Connector::new(access).connect(Duration::from_secs(20)).await.err().unwrap().to_string();
    assert!(error.contains("log in first") && error.contains("exit status: 3"), "{error}");
    assert!(!error.contains("top-secret"), "{error}");

    let access = with_plugin(folder.path(), "echo 'token: [top-secret'");
    let error = Connector::new(access).connect(Duration::from_secs(20)).await.err().unwrap().to_string();
    assert!(error.contains("no ExecCredential") && !error.contains("top-secret"), "{error}");
}

#[tokio::test]
async fn a_plugin_that_hangs_is_started_once() {
    let folder = tempfile::tempdir().unwrap();
    let access = with_plugin(folder.path(), "echo x >> \"$(dirname \"$0\")/starts\"; exec sleep 2");
    let mut connector = Connector::new(access);
    for _ in 0..3 {
        let error = connector.connect(Duration::from_millis(300)).await.err().unwrap();
        assert!(matches!(error, AccessError::Slow { .. }), "{error}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("starts")).unwrap(), "x\n");
}

/// A kubeconfig with these fields of its cluster and user, in the flow style of YAML.
fn one(folder: &Path, cluster: &str, user: &str) -> Access {
    let path = folder.join("one");
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u, namespace: ''}}}}]\n\
         clusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    Access::Kubeconfig { paths: vec![path], context: None }
}

const SERVER: &str = "server: 'https://api.test'";

fn authority() -> (rcgen::CertifiedIssuer<'static, rcgen::KeyPair>, String) {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let pem = authority.pem();
    (authority, pem)
}

fn leaf() -> (String, String) {
    let (authority, _) = authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["api.test".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    (params.signed_by(&key, &authority).unwrap().pem(), key.serialize_pem())
}

/// What the first request says of us.
async fn sent(access: &Access) -> Result<Option<String>, String> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let access = access.clone();
    let connection = tokio::task::spawn_blocking(move || connect(&access)).await.unwrap();
    let connection = connection.map_err(|error| error.to_string())?;
    let header = connection.credential.header().await.map_err(|none| format!("{none:?}"))?;
    Ok(header.map(|value| value.to_str().unwrap().to_owned()))
}

#[test]
fn certificates_are_needed_where_anything_on_the_way_is_encrypted() {
    for (server, proxy, needed) in [
        ("http://api.test", None, false),
        ("https://api.test", None, true),
        ("http://api.test", Some("http://proxy.test:3128"), false),
        ("http://api.test", Some("https://proxy.test:3128"), true),
        ("https://api.test", Some("http://proxy.test:3128"), true),
    ] {
        let mut config = Config::new(server.parse().unwrap());
        config.proxy_url = proxy.map(|url| url.parse().unwrap());
        assert_eq!(uses_tls(&config), needed, "{server} {proxy:?}");
    }
}

#[tokio::test]
async fn an_empty_field_is_not_set() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tok"), "from-file\n").unwrap();
    let bearer = Ok(Some("Bearer t0ken".to_owned()));
    let insecure = format!("{SERVER}, insecure-skip-tls-verify: true");
    for (cluster, user) in [
        (
            format!("{insecure}, certificate-authority-data: ''"),
            "token: t0ken, client-certificate-data: '', client-key-data: ''",
        ),
        (
            format!("{insecure}, certificate-authority: '', proxy-url: '', tls-server-name: ''"),
            "token: t0ken, client-certificate: '', client-key: '', tokenFile: ''",
        ),
        (SERVER.to_owned(), "token: t0ken, username: '', password: ''"),
        (SERVER.to_owned(), "token: t0ken, as: '', as-uid: ''"),
    ] {
        assert_eq!(sent(&one(folder.path(), &cluster, user)).await, bearer, "{cluster} {user}");
    }
    let file = one(folder.path(), SERVER, "token: '', tokenFile: ./tok");
    assert_eq!(sent(&file).await.unwrap().unwrap(), "Bearer from-file");
    assert_eq!(sent(&one(folder.path(), SERVER, "token: '', username: ''")).await, Ok(None));
    let basic = one(folder.path(), SERVER, "token: '', username: me, password: secret");
    assert_eq!(sent(&basic).await.unwrap().unwrap(), "Basic bWU6c2VjcmV0");
}

#[tokio::test]
async fn a_token_ends_before_its_newline_and_one_that_no_header_holds_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tok"), "t0ken\n").unwrap();
    for user in
        ["tokenFile: tok", "token: \"t0ken\\n\"", "token: older, tokenFile: ./tok", "token: ' t0ken '"]
    {
        let said = sent(&one(folder.path(), SERVER, user)).await;
        assert_eq!(said.unwrap().unwrap(), "Bearer t0ken", "{user}");
    }
    let error = sent(&one(folder.path(), SERVER, "token: \"t0\\nken\"")).await.unwrap_err();
    assert!(error.contains("no header can hold") && !error.contains("ken\""), "{error}");
    let error = sent(&one(folder.path(), SERVER, "token: t0ken, username: me")).await.unwrap_err();
    assert!(error.contains("user name beside a token"), "{error}");
    let error = sent(&one(folder.path(), SERVER, "tokenFile: gone")).await.unwrap_err();
    assert!(error.contains("gone cannot be read"), "{error}");
}

#[tokio::test]
async fn base64_may_have_line_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let wrap = |text: &str, end: &str| {
        let text = STANDARD.encode(text);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
        lines.join(end) + end
    };
    let (authority, (certificate, key)) = (authority().1, leaf());
    for end in ["\\n", "\\r\\n"] {
        let cluster = format!("{SERVER}, certificate-authority-data: \"{}\"", wrap(&authority, end));
        let user = format!(
            "client-certificate-data: \"{}\", client-key-data: \"{}\"",
            wrap(&certificate, end),
            wrap(&key, end)
        );
        assert_eq!(sent(&one(folder.path(), &cluster, &user)).await, Ok(None));
    }
    for (cluster, user, field) in [
        (
            format!("{SERVER}, certificate-authority-data: 'a b'"),
            "",
            "certificate-authority-data is not base64",
        ),
        (SERVER.to_owned(), "client-key-data: '%'", "client-key-data is not base64"),
        (format!("{SERVER}, certificate-authority-data: aGVsbG8="), "", "holds no certificate in PEM"),
        (
            SERVER.to_owned(),
            "auth-provider: {name: gcp, config: {cmd-path: /bin/sleep, cmd-args: '1000', expiry: '2001-01-01T00:00:00Z'}}",
            "its auth-provider gcp is one that kubectl dropped too; use a credential plugin",
        ),
    ] {
        let error = sent(&one(folder.path(), &cluster, user)).await.unwrap_err();
        assert!(error.contains(field), "{error}");
    }
}

#[tokio::test]
async fn what_kubectl_config_view_left_out_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (omitted, redacted) = ("DATA+OMITTED", "REDACTED");
    for (cluster, user) in [
        (format!("{SERVER}, certificate-authority-data: {omitted}"), String::new()),
        (SERVER.to_owned(), format!("client-certificate-data: {omitted}, client-key-data: {omitted}")),
        (SERVER.to_owned(), format!("token: {redacted}")),
    ] {
        let error = sent(&one(folder.path(), &cluster, &user)).await.unwrap_err();
        assert!(error.contains("output of kubectl config view; make it again with --raw"), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_of_version_1_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // A certificate without extensions, as MicroK8s 1.34 writes it, made by `openssl x509 -req` without -extfile.
    let (certificate, key) = (include_str!("tests/v1.crt"), include_str!("tests/v1.key"));
    let user = format!(
        "client-certificate-data: {}, client-key-data: {}",
        STANDARD.encode(certificate),
        STANDARD.encode(key)
    );
    let error = sent(&one(folder.path(), SERVER, &user)).await.unwrap_err();
    assert!(error.contains("client certificate is of X.509 version 1"), "{error}");
}

#[test]
fn the_certificate_of_a_server_is_no_authority() {
    let der = |pem: &str| -> Vec<u8> {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(body).unwrap()
    };
    let (authority, leaf) = (der(&authority().1), der(&leaf().0));
    // openssl marks `CA:FALSE` as critical where it is told to.
    let critical = der(include_str!("tests/leaf.crt"));
    let v1 = der(include_str!("tests/v1.crt"));
    for good in [vec![authority.clone()], vec![leaf.clone(), authority], vec![v1]] {
        assert_eq!(certificate::authority_problem(Some(&good)), None);
    }
    for bad in [leaf, critical] {
        assert!(certificate::authority_problem(Some(&[bad])).unwrap().contains("no authority"));
    }
    assert_eq!(certificate::authority_problem(None), None);
}

#[test]
fn a_server_without_a_scheme_is_https_where_tls_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let ca = STANDARD.encode(authority().1);
    let url = |cluster: &str| {
        find(&one(folder.path(), cluster, "token: t0ken"))
            .map(|found| found.config.cluster_url.to_string())
            .map_err(|error| error.to_string())
    };
    let with_ca = |server: &str| url(&format!("server: '{server}', certificate-authority-data: {ca}"));
    assert_eq!(with_ca("127.0.0.1:6443").unwrap(), "https://127.0.0.1:6443/");
    assert_eq!(with_ca(" api.test\t").unwrap(), "https://api.test/");
    assert_eq!(with_ca("https://api.test/k8s/x").unwrap(), "https://api.test/k8s/x");
    assert_eq!(with_ca("HTTPS://api.test").unwrap(), "https://api.test/");
    assert_eq!(url("server: 'api.test', insecure-skip-tls-verify: true").unwrap(), "https://api.test/");
    for (cluster, part) in [
        ("server: '127.0.0.1:6443'", "has no https:// in front"),
        ("server: ''", "has no server"),
        ("server: 'ftp://api.test'", "no https:// URL"),
        ("server: 'https://me:secret@api.test'", "user name in the URL"),
    ] {
        let error = url(cluster).unwrap_err();
        assert!(error.contains(part) && !error.contains("secret"), "{error}");
    }
}

/// As kubeadm writes it for every cluster.
fn kubeadm(folder: &Path, name: &str, context: &str, server: &str, token: &str) -> PathBuf {
    let path = folder.join(name);
    let text = format!(
        "current-context: '{context}'\ncontexts: [{{name: {context}, context: {{cluster: kubernetes, user: admin}}}}]\n\
         clusters: [{{name: kubernetes, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: admin, user: {{token: {token}}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn two_contexts_of_one_name_are_a_fault_that_names_both_files() {
    let folder = tempfile::tempdir().unwrap();
    let one = kubeadm(folder.path(), "one", "admin@kubernetes", "https://one.test", "t-one");
    let two = kubeadm(folder.path(), "two", "admin@kubernetes", "https://two.test", "t-two");
    let paths = vec![one.clone(), two];
    for error in [
        contexts(&paths).unwrap_err().to_string(),
        fault(&[&paths[0], &paths[1]], None),
        fault(&[&paths[0], &paths[1]], Some("admin@kubernetes")),
    ] {
        let (one, two) = (paths[0].display(), paths[1].display());
        let named = format!("different contexts have the name 'admin@kubernetes': in {one} and in {two};");
        assert!(error.contains(&named), "{error}");
    }
    // Twice the same is no question.
    fs::copy(&one, folder.path().join("copy")).unwrap();
    assert_eq!(contexts(&[one, folder.path().join("copy")]).unwrap(), ["admin@kubernetes"]);
    let twice = folder.path().join("twice");
    fs::write(
        &twice,
        "contexts: [{name: a, context: {cluster: k}}, {name: a, context: {cluster: l}}]\n\
         clusters: [{name: k, cluster: {server: 'https://k.test'}}, {name: l, cluster: {server: 'https://l.test'}}]\n",
    )
    .unwrap();
    assert!(fault(&[&twice], Some("a")).contains("twice, twice;"), "{}", fault(&[&twice], Some("a")));
}

#[test]
fn a_context_keeps_its_own_files_cluster_and_user() {
    let folder = tempfile::tempdir().unwrap();
    let paths = vec![
        kubeadm(folder.path(), "one", "west", "https://west.test", "t-west"),
        kubeadm(folder.path(), "two", "east", "https://east.test", "t-east"),
    ];
    assert_eq!(contexts(&paths).unwrap(), ["west", "east"]);
    for name in ["west", "east"] {
        let access = Access::Kubeconfig { paths: paths.clone(), context: Some(name.into()) };
        let Config { cluster_url, auth_info: AuthInfo { token, .. }, .. } = find(&access).unwrap().config;
        assert_eq!(cluster_url.to_string(), format!("https://{name}.test/"));
        assert_eq!(token.unwrap().expose_secret(), format!("t-{name}"));
    }
    // One that has nothing of its own takes what the others agree on.
    let third = folder.path().join("third");
    fs::write(&third, "contexts: [{name: c, context: {cluster: kubernetes, user: admin}}]\n").unwrap();
    assert!(fault(&[&third, &paths[0], &paths[1]], Some("c")).contains("different clusters have the name"));
    let access = Access::Kubeconfig { paths: vec![third, paths[0].clone()], context: Some("c".into()) };
    assert_eq!(find(&access).unwrap().config.cluster_url.to_string(), "https://west.test/");
}

#[test]
fn the_first_current_context_that_is_set_wins() {
    let folder = tempfile::tempdir().unwrap();
    let paths = vec![
        kubeadm(folder.path(), "one", "west", "https://west.test", "t-west"),
        kubeadm(folder.path(), "two", "east", "https://east.test", "t-east"),
    ];
    let text =
        fs::read_to_string(&paths[0]).unwrap().replace("current-context: 'west'", "current-context: ''");
    fs::write(&paths[0], text).unwrap();
    let found = find(&Access::Kubeconfig { paths, context: None }).unwrap();
    assert_eq!(found.config.cluster_url.to_string(), "https://east.test/");
    assert!(found.label.starts_with("context 'east' of "), "{}", found.label);
}

#[test]
fn files_of_windows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a", "westus", "https://west.test");
    let text = fs::read_to_string(&path).unwrap();
    let wide = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(unit).collect()
    };
    for bytes in [format!("\u{feff}{text}").into_bytes(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(contexts(std::slice::from_ref(&path)).unwrap(), ["westus"]);
    }
    fs::write(&path, b"\xff\xfe\x00").unwrap();
    assert!(fault(&[&path], None).contains("neither UTF-8 nor UTF-16"));
}

#[tokio::test]
async fn a_plugin_that_is_missing_is_named_with_its_hint() {
    let folder = tempfile::tempdir().unwrap();
    let user =
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, installHint: brew it}";
    let error = sent(&one(folder.path(), SERVER, user)).await.unwrap_err();
    assert!(error.contains("'no-such-plugin' cannot be started") && error.contains("(brew it)"), "{error}");
}

#[tokio::test]
async fn a_plugin_runs_once_for_a_client_and_its_token_is_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo x >> \"$(dirname \"$0\")/starts\"\n\
        echo '{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"t0ken\\n\",\"expirationTimestamp\":null}}'";
    let access = with_plugin(folder.path(), script);
    assert_eq!(sent(&access).await.unwrap().unwrap(), "Bearer t0ken");
    assert_eq!(fs::read_to_string(folder.path().join("starts")).unwrap(), "x\n");
}
