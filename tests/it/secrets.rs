//! A secret in every place that takes one, with servers that take it and servers that refuse and show it, at log level trace of
//! every library: no text of ours has one of them in it.

mod backends;
mod members;
mod servers;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::{Daemon, fleetdns_with};
use fleetdns_tests::eventually;
use fleetdns_tests::hostile::Hostile;
use fleetdns_tests::openapi;
use fleetdns_tests::planted::{Leak, Planted};
use fleetdns_tests::ports;
use serde_json::Value;

use backends::{Backends, Inputs};
use servers::{Words, refusing};

/// A debug build with every line of its libraries in the log.
const SOON: Duration = Duration::from_secs(60);
const DNS_CONF: &str = include_str!("../../config/dns.conf");

/// Keys of dns.conf with secrets. A key that can be given as a variable is one.
const KEYS: [&str; 4] = ["bearer-token", "etcd-password", "secret", "tsig-secret"];
/// Keys that name files with secrets, beside `KEY-file` of these.
const FILES: [&str; 6] = [
    "certificate-file",
    "credentials-file",
    "etcd-key-file",
    "kubeconfig",
    "profile-providers",
    "token-file",
];

/// The keys that dns.conf shows.
fn keys() -> BTreeSet<&'static str> {
    let lines = DNS_CONF.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    let keys = lines.filter_map(|line| Some(line.split_once(" = ")?.0));
    keys.filter(|key| {
        key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte.is_ascii_digit())
    })
    .collect()
}

#[test]
fn every_key_with_a_secret_is_planted() {
    let keys = keys();
    let secret: Vec<&str> = keys.iter().filter_map(|key| key.strip_suffix("-env")).collect();
    assert_eq!(secret, KEYS, "plant the new one in secrets/backends.rs");
    // What names a file may name one with a secret: it is in one of these lists.
    let public = ["ca-file", "etcd-ca-file", "etcd-cert-file", "probe-ca-file", "state-file", "zone-file"];
    let files = keys.iter().filter(|key| key.ends_with("-file") && !public.contains(key));
    let files: Vec<&&str> =
        files.filter(|key| !KEYS.iter().any(|secret| **key == format!("{secret}-file"))).collect();
    assert!(files.iter().all(|file| FILES.contains(file)), "{files:?}");
    // The texts of the planted ones name each.
    let planted = [include_str!("secrets/backends.rs"), include_str!("secrets/members.rs")].concat();
    let forms = KEYS.iter().flat_map(|key| [(*key).to_owned(), format!("{key}-file"), format!("{key}-env")]);
    let missing: Vec<String> =
        forms.chain(FILES.map(str::to_owned)).filter(|key| !planted.contains(&format!("\"{key}"))).collect();
    let other = ["kubeconfig", "profile-providers", "secret-file", "secret-env", "tsig-secret-env"]
        .map(str::to_owned);
    let missing: Vec<&String> = missing.iter().filter(|key| !other.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

struct Site {
    planted: Planted,
    folder: tempfile::TempDir,
    conf: Conf,
    backends: Backends,
    environment: Vec<(String, String)>,
    servers: Vec<(String, Hostile)>,
    _idle: Vec<Hostile>,
}

impl Site {
    async fn start() -> Self {
        let (planted, folder) = (Planted::default(), tempfile::tempdir().unwrap());
        let inputs = folder.path().join("inputs");
        for name in ["inputs", "seen", "state"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let proxy = refusing(Words::Text("407 Proxy Authentication Required")).await;
        let backends = backends::all(&Inputs { planted: &planted, folder: &inputs }).await;
        let seen = folder.path().join("seen");
        let zone = format!(
            "provider = embedded\nlisten = {}\nstate-file = {}\n",
            ports::free_address(),
            seen.join("embedded").display()
        );
        let conf = Conf::with_zone(&zone)
            .fleet(&format!("state-dir = {}", folder.path().join("state").display()))
            .admin(&format!("audit = {}\nlog-level = trace", seen.join("audit").display()))
            .more(&format!(
                "[zone \"file.example\"]\nprovider = coredns\nzone-file = {}\nns = ns1.example.net\n",
                seen.join("zone").display()
            ))
            .more("[brakes]\nstartup-timeout = 2s\ndrift = 2s\n")
            .more("[kubernetes]\nevents = on\nservice-ingresses = on\n")
            .more(&backends.sections);
        let (conf, mut servers, idle) = members::members(&planted, &inputs, &proxy, conf).await;
        let mut environment = backends.environment.clone();
        let login = format!(
            "http://operator:{}@{}",
            planted.secret("HTTPS_PROXY"),
            proxy.url().trim_start_matches("http://")
        );
        for (name, value) in [
            ("HTTPS_PROXY", login.as_str()),
            ("NO_PROXY", "127.0.0.1,localhost"),
            ("RUST_LOG", "trace"),
            ("RUST_BACKTRACE", "full"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ] {
            environment.push((name.to_owned(), value.to_owned()));
        }
        servers.push(("the proxy".to_owned(), proxy));
        Self { planted, folder, conf, backends, environment, servers, _idle: idle }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn zone<'a>(status: &'a Value, name: &str) -> &'a Value {
    let zones = status["zones"].as_array().into_iter().flatten();
    zones.into_iter().find(|zone| zone["name"] == name).unwrap_or(&Value::Null)
}

/// Every place was used: zones are read or have a fault, and each server that refuses was asked again.
async fn is_used(daemon: &mut Daemon, site: &Site) {
    eventually("the daemon to answer", SOON, Duration::from_millis(50), async || {
        daemon.assert_running();
        daemon.page("/livez").ok_or("it does not")
    })
    .await;
    for name in &site.backends.good {
        daemon
            .status_shows(&format!("{name} as read"), SOON, |status| zone(status, name)["fault"].is_null())
            .await;
    }
    for name in &site.backends.bad {
        daemon
            .status_shows(&format!("{name} with a fault"), SOON, |status| {
                zone(status, name)["fault"].is_string()
            })
            .await;
    }
    eventually("every server to be asked", SOON, Duration::from_millis(50), async || {
        let idle =
            site.servers.iter().filter(|(_, server)| server.requests() < 2).map(|(name, _)| name.as_str());
        let idle: Vec<&str> = idle.collect();
        if idle.is_empty() { Ok(()) } else { Err(idle.join(", ")) }
    })
    .await;
}

/// What the daemon answers to all that can be asked: each path of the API, and each page that another page leads to.
fn answers(daemon: &Daemon) -> Vec<(String, String)> {
    let documented = openapi::document()["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let more = [
        format!("/v1/why?name={}", name("web", "")),
        "/v1/records?all=true".to_owned(),
        "/".to_owned(),
        "/healthz".to_owned(),
    ];
    let mut waiting: Vec<String> = documented.into_iter().chain(more).collect();
    let (mut known, mut answers) = (waiting.iter().cloned().collect::<BTreeSet<_>>(), Vec::new());
    while let Some(path) = waiting.pop().filter(|_| answers.len() < 400) {
        let Some(answer) = daemon.page(&path) else { continue };
        let links = answer.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let links = links
            .map(|link| link.replace("&amp;", "&"))
            .filter(|link| link.starts_with('/') && link != "/stream");
        let new: Vec<String> = links.filter(|link| known.insert(link.clone())).collect();
        waiting.extend(new);
        answers.push((path, answer));
    }
    answers
}

/// What every command prints, in every form.
async fn printed(daemon: &Daemon, site: &Site) -> Vec<(String, String)> {
    let conf = daemon.conf_path().display().to_string();
    let (web, mut environment) = (name("web", ""), site.environment());
    let mut all = Vec::new();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["check"],
        vec!["plan"],
        vec!["status"],
        vec!["clusters"],
        vec!["records", "--all"],
        vec!["events"],
        vec!["overrides"],
        vec!["why", &web],
        vec!["snapshot"],
        vec!["simulate", "--down", "token-taken"],
        vec!["get", "clusters"],
        vec!["drain", "token-taken", "--reason", "x"],
        vec!["undrain", "token-taken"],
        vec!["reload"],
        vec!["health"],
        vec!["adopt", "--orphans"],
        vec!["adopt", "--from", "kubefed"],
        vec!["release-zone", "hook-500.example"],
        vec!["release-zone", "azure-arm.example"],
    ];
    for form in ["json", "yaml", "wide"] {
        for command in ["check", "plan", "status", "clusters", "records", "events"] {
            commands.push(vec![command, "-o", form]);
        }
    }
    for mut command in commands {
        let what = command.join(" ");
        command.extend(["-c", &conf]);
        // The libraries' own lines are those of the daemon; one command shows them all.
        let quiet = what != "check";
        environment.retain(|(name, _)| *name != "RUST_LOG" || !quiet);
        let printed = fleetdns_with(&command, &environment).await;
        all.push((format!("fleetdns {what}"), printed.out));
        all.push((format!("fleetdns {what}, standard error"), printed.err));
    }
    all
}

/// Every file below a folder, but for the inputs.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut waiting: Vec<PathBuf> = vec![folder.to_owned()];
    let mut all = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|file| file.unwrap().path())
                    .filter(|path| !path.ends_with("inputs")),
            );
        } else if let Ok(bytes) = fs::read(&path) {
            all.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    all
}

/// One leak of each secret and place is enough to see.
fn report(leaks: &[Leak]) -> String {
    let shown =
        leaks.iter().map(|leak| format!("{} ({}) in {}: {}", leak.what, leak.form, leak.place, leak.around));
    shown.collect::<Vec<String>>().join("\n\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_secret_is_in_any_log_answer_page_file_or_argument() {
    let site = Site::start().await;
    let mut daemon = Daemon::spawn(&site.conf, &site.environment());
    is_used(&mut daemon, &site).await;
    let mut texts = printed(&daemon, &site).await;
    texts.extend(answers(&daemon));
    let arguments = fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    texts.push(("arguments".to_owned(), String::from_utf8_lossy(&arguments).into_owned()));
    texts.extend(files(site.folder.path()));
    let log = daemon.log();
    texts.push(("log".to_owned(), log.clone()));
    // One search for all: of a leak it says the place.
    let mut leaks: Vec<Leak> =
        texts.iter().flat_map(|(place, text)| site.planted.leaks(place, text)).collect();
    leaks.sort();
    leaks.dedup_by(|one, other| (&one.place, &one.what) == (&other.place, &other.what));
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), report(&leaks));

    // The search is one: the log has what libraries say at this level, and of every place.
    for part in [
        "hyper_util::",
        "rustls::",
        "h2::",
        "kube_client::",
        ZONE,
        "route53-refused.example",
        "hook-401.example",
    ] {
        assert!(log.contains(part), "{part} is not in the log");
    }
    let seen = texts
        .iter()
        .filter(|(place, text)| place.contains("arguments-") && text.contains("ExecCredential"))
        .count();
    assert!(seen >= 2, "no plugin has written down how it was started");
    assert!(texts.iter().any(|(place, _)| place.starts_with("/service/")), "no page leads to another");
}
