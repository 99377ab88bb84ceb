//! A member whose names, labels and annotations would end a key, a line or a text and begin another: every backend holds
//! the records of its good Services and nothing else, over a restart too.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetdns_tests::conf::{Conf, FLEET, ZONE};
use fleetdns_tests::coredns::CoreDns;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::eventually;
use fleetdns_tests::hostile::{Body, Hostile, Reply};
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::ports;
use serde_json::{Value, json};

use crate::e2e_journey::keys;
use crate::e2e_others::key_of;
use crate::hostile_members::{FORGED, is_raw, list, object};

const EVIL: &str = "203.0.113.66";
const BIND: &str = "bind.example";
const EMBEDDED: &str = "embedded.example";
const FILE: &str = "file.example";
/// Until everything is written, on a busy machine.
const WRITTEN: Duration = Duration::from_secs(30);

/// Services with hostile names, and Services with good names and an address whose annotations are hostile.
fn services(address: &str) -> Vec<u8> {
    let mut items = vec![object("default", "good", &json!({}), address)];
    for (at, text) in FORGED.iter().enumerate() {
        let hosts: Vec<String> = [ZONE, BIND, EMBEDDED, FILE].map(|zone| format!("{text}.{zone}")).into();
        let asks = json!({
            "fleetdns.io/hostname": hosts.join(","), "fleetdns.io/probe": text, "fleetdns.io/ttl": text,
            "fleetdns.io/probe-path": text, "fleetdns.io/probe-host": text, "fleetdns.io/exclude": text,
            "external-dns.alpha.kubernetes.io/hostname": text, text.to_owned(): text,
        });
        items.push(object("default", &format!("asks{at}"), &asks, address));
        items.push(object("default", &format!("aims{at}"), &json!({"fleetdns.io/target": text}), text));
        items.push(object("default", text, &json!({}), EVIL));
        items.push(object(text, "web", &json!({}), EVIL));
    }
    list(&items)
}

/// Nodes whose labels name no region and no zone.
fn nodes() -> Vec<u8> {
    let node = |(at, text): (usize, &&str)| {
        json!({"metadata": {"name": format!("node{at}"), "resourceVersion": "5", "labels": {
            "topology.kubernetes.io/region": text, "topology.kubernetes.io/zone": text,
        }}})
    };
    let nodes: Vec<Value> = FORGED.iter().enumerate().map(node).collect();
    json!({"kind": "NodeList", "metadata": {"resourceVersion": "7"}, "items": nodes}).to_string().into_bytes()
}

/// The names that stand in a zone: those of the Services with good names.
fn names(zone: &str) -> BTreeSet<String> {
    let asks = (0..FORGED.len()).map(|at| format!("asks{at}"));
    let services = asks.chain(["good".to_owned()]);
    services.map(|service| format!("{service}.default.{FLEET}.svc.{zone}")).collect()
}

/// Name, type and value of the records in a zone's text; of a text without its value.
type Records = BTreeSet<(String, String, String)>;

/// The records in the text form of a zone, without those of its own name servers.
fn records(text: &str) -> Records {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lines = lines.filter(|words| words.first().is_some_and(|first| !first.starts_with([';', '$'])));
    let records = lines.map(|words| {
        let record_type = words[3].to_owned();
        let value = if record_type == "TXT" { "" } else { words[4] };
        (words[0].trim_end_matches('.').to_owned(), record_type, value.to_owned())
    });
    records.filter(|(name, kind, _)| !name.starts_with("ns.") && kind != "SOA" && kind != "NS").collect()
}

/// What each backend holds.
struct Site {
    coredns: CoreDns,
    bind: NameServer,
    embedded: SocketAddr,
    folder: tempfile::TempDir,
    address: String,
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn conf(&self, member: &Path) -> Conf {
        let zones = format!(
            "[zone \"{FILE}\"]\nprovider = coredns\nzone-file = {}\nns = ns1.example.net\n\
             [zone \"{EMBEDDED}\"]\nprovider = embedded\nlisten = {}\nstate-file = {}\n\
             [zone \"{BIND}\"]\nprovider = rfc2136\nserver = {}\ntsig-key-name = {KEY}\ntsig-secret = {SECRET}\n",
            self.path("zone").display(),
            self.embedded,
            self.path("state").display(),
            self.bind.address(),
        );
        Conf::new(&self.coredns.etcd_endpoint())
            .cluster("names", member)
            .more(&zones)
            .admin("log = json")
            .more("[brakes]\nstartup-timeout = 2s")
    }

    /// Waits until every good name is answered or written.
    async fn is_written(&self) {
        for (server, zone) in
            [(self.coredns.address(), ZONE), (self.embedded, EMBEDDED), (self.bind.address(), BIND)]
        {
            for name in names(zone) {
                dns::wait_for(server, &name, "A", &[&self.address], WRITTEN).await;
            }
        }
        for (file, zone) in [("zone", FILE), ("state", EMBEDDED)] {
            eventually(file, WRITTEN, Duration::from_millis(50), async || {
                let text = std::fs::read_to_string(self.path(file)).unwrap_or_default();
                let all = names(zone).iter().all(|name| text.contains(name.as_str()));
                if all { Ok(()) } else { Err(text) }
            })
            .await;
        }
    }

    /// Every backend has the good records and no others.
    async fn holds_the_good_records_alone(&mut self) {
        let good = |zone| names(zone).into_iter().map(|name| (name, "A".to_owned(), self.address.clone()));
        let in_file = std::fs::read_to_string(self.path("zone")).unwrap();
        assert_eq!(records(&in_file), good(FILE).collect(), "{in_file}");
        let in_bind = self.bind.transfer();
        let marks = names(BIND).into_iter().map(|name| format!("_fleetdns.{name}"));
        let marks = marks.map(|name| (name, "TXT".to_owned(), String::new()));
        assert_eq!(records(&in_bind), good(BIND).chain(marks).collect(), "{in_bind}");

        let state = std::fs::read_to_string(self.path("state")).unwrap();
        let (head, sets) = state.split_once('\n').unwrap();
        assert!(head.starts_with(&format!("fleetdns-zone 1 {EMBEDDED} serial ")), "{state}");
        let stored: BTreeSet<String> =
            sets.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(stored, names(EMBEDDED), "{state}");

        let etcd = keys(&mut self.coredns).await;
        let above: Vec<String> = names(ZONE).iter().map(|name| key_of(name)).collect();
        for (key, value) in &etcd {
            assert!(above.iter().any(|above| key.starts_with(above.as_str())), "{key:?}");
            let value: Value = serde_json::from_str(value).unwrap();
            assert_eq!(value["host"], *self.address, "{key}: {value}");
        }
        assert_eq!(etcd.len(), above.len(), "{etcd:#?}");

        let values: Vec<&str> = etcd.iter().map(|(_, value)| value.as_str()).collect();
        for text in [&in_file, &in_bind, &state, &values.join("\n")] {
            for part in [EVIL, "evil", "member=westus", "%2f", "\u{1b}"] {
                assert!(!text.contains(part), "{part:?} in {text}");
            }
            // One member gives each address, whatever the texts say.
            assert_eq!(text.matches(" member=").count(), names(ZONE).len(), "{text}");
        }
    }
}

/// Whether a text in it acts on a terminal once it is taken out of the JSON.
fn has_raw(value: &Value) -> bool {
    match value {
        Value::String(text) => is_raw(text) || text.contains('\n'),
        Value::Array(all) => all.iter().any(has_raw),
        Value::Object(all) => all.values().any(has_raw),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_breaks_out_of_no_key_line_or_mark_and_a_restart_reads_its_state() {
    let endpoint = Endpoint::on_port(5001);
    let address = endpoint.ip().to_string();
    let shown = address.clone();
    let member = Hostile::start(move |request| {
        let body = match request.path.starts_with("/api/v1/services") {
            _ if request.path.contains("watch=") => Body::Held(Vec::new()),
            true => Body::Whole(services(&shown)),
            false => Body::Whole(nodes()),
        };
        Reply::json(body)
    })
    .await;
    let mut site = Site {
        coredns: CoreDns::with_etcd(&[ZONE]).await,
        bind: NameServer::start(Software::Bind, BIND, Rights::default()).await,
        embedded: ports::free_address(),
        folder: tempfile::tempdir().unwrap(),
        address,
    };
    let kubeconfig = member.kubeconfig(site.folder.path(), "names");
    let mut daemon = Daemon::start(&site.conf(&kubeconfig)).await;
    site.is_written().await;
    site.holds_the_good_records_alone().await;

    // The member is away: what is known after the restart is what the backends and the state file say.
    drop(member);
    daemon.kill();
    daemon.start_again();
    daemon.ready(Duration::from_secs(60)).await;
    site.is_written().await;
    site.holds_the_good_records_alone().await;
    let files = std::fs::read_dir(site.folder.path()).unwrap().map(|file| file.unwrap().file_name());
    let set_aside: Vec<_> = files.filter(|name| name.to_string_lossy().contains(".broken")).collect();
    assert!(set_aside.is_empty(), "{set_aside:?}: {}", daemon.log());
    for line in daemon.log().lines() {
        let fields: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(!is_raw(line) && !has_raw(&fields), "{line}");
    }
    daemon.assert_running();
    tokio::task::block_in_place(|| drop(endpoint));
}
