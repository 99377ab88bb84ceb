//! CoreDNS's zones as backends of the conformance suite: in etcd, and in a file.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use etcd_client::{Client, ConnectOptions, GetOptions};
use fleetdns_core::Provider;
use fleetdns_fakes::conformance::{Backend, Cut, Forbid, Marked, Moment, OTHER, OWNER, Theirs, Vanish, ZONE};
use fleetdns_tests::etcd::Etcd;
use fleetdns_tests::proxy::Proxy;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::keys;

/// The etcd of a CoreDNS; the provider reaches it through a proxy.
pub(crate) struct CoreDnsEtcd {
    etcd: Etcd,
    proxy: Proxy,
}

fn etcd_key(name: &str) -> String {
    let lower = name.to_lowercase();
    let labels: Vec<&str> = lower.rsplit('.').collect();
    format!("/skydns/{}", labels.join("/"))
}

impl CoreDnsEtcd {
    /// Rewrites or deletes values at a name, as JSON.
    async fn rewrite(&self, name: &str, change: impl Fn(&mut Value)) {
        let mut client = self.etcd.client().await;
        let all = client.get(etcd_key(name), Some(GetOptions::new().with_prefix())).await.unwrap();
        let mut changed = 0;
        for kv in all.kvs() {
            let old: Value = serde_json::from_slice(kv.value()).unwrap();
            let mut new = old.clone();
            change(&mut new);
            if new != old {
                client.put(kv.key(), new.to_string(), None).await.unwrap();
                changed += 1;
            }
        }
        assert!(changed > 0, "nothing to change at {name}");
    }
}

impl Backend for CoreDnsEtcd {
    async fn start() -> Self {
        let etcd = Etcd::start("conformance").await;
        let proxy = Proxy::start(etcd.endpoint().trim_start_matches("http://").parse().unwrap()).await;
        Self { etcd, proxy }
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        let keys = keys(&[("etcd-endpoints", &format!("http://{}", self.proxy.address()))]);
        fleetdns_coredns::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    async fn put(&self, name: &str, _record_type: &str, value: &str) {
        // CoreDNS answers with the key of the name only where nothing is below it.
        let (mut client, key) = (self.etcd.client().await, etcd_key(name));
        let below = client.get(format!("{key}/"), Some(GetOptions::new().with_prefix())).await.unwrap();
        let leaf = if below.kvs().is_empty() { "" } else { "/x1" };
        let text = json!({ "host": value, "ttl": 30 }).to_string();
        client.put(key + leaf, text, None).await.unwrap();
    }

    async fn edit(&self, name: &str, _record_type: &str, from: &str, to: &str) {
        let change = |value: &mut Value| {
            if value["host"] == from {
                value["host"] = to.into();
            }
        };
        self.rewrite(name, change).await;
    }
}

impl Marked for CoreDnsEtcd {
    async fn unmark(&self, name: &str) {
        let change = |value: &mut Value| {
            value.as_object_mut().unwrap().remove("fleetdns");
        };
        self.rewrite(name, change).await;
    }

    async fn hand_over(&self, name: &str) {
        let change = |value: &mut Value| {
            let mark = value["fleetdns"].as_str().unwrap();
            value["fleetdns"] = mark.replace(&format!("owner={OWNER}"), &format!("owner={OTHER}")).into();
            value["owner"] = OTHER.into();
        };
        self.rewrite(name, change).await;
    }

    async fn damage(&self, name: &str) {
        let text = format!("v=1 owner={OWNER} service=default/web member=;;");
        self.rewrite(name, |value| value["fleetdns"] = text.as_str().into()).await;
    }
}

/// external-dns gives each value a key of its own, with a random last label.
impl Theirs for CoreDnsEtcd {
    async fn put_as_external_dns(&self, name: &str, _record_type: &str, value: &str) {
        let text = json!({ "host": value, "ttl": 30, "targetstrip": 1 }).to_string();
        self.etcd.client().await.put(random_leaf(name), text, None).await.unwrap();
    }

    async fn put_text(&self, name: &str, text: &str) {
        let text = json!({ "text": format!("\"{text}\""), "targetstrip": 1 }).to_string();
        self.etcd.client().await.put(random_leaf(name), text, None).await.unwrap();
    }
}

fn random_leaf(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0x1acb_ad7e);
    format!("{}/{:08x}", etcd_key(name), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Cut for CoreDnsEtcd {
    async fn cut(&self, moment: Moment) {
        self.proxy.cut(moment);
    }

    fn cuts(&self) -> usize {
        self.proxy.cuts()
    }
}

/// The user that etcd asks to have before it asks for users.
const ROOT: &str = "root";
const PASSWORD: &str = "secret";

/// From the moment that etcd asks for users, the provider, which has none, may do nothing.
impl Forbid for CoreDnsEtcd {
    async fn forbid(&self) {
        let mut client = self.etcd.client().await;
        client.user_add(ROOT, PASSWORD, None).await.unwrap();
        client.role_add(ROOT).await.unwrap();
        client.user_grant_role(ROOT, ROOT).await.unwrap();
        client.auth_enable().await.unwrap();
    }

    async fn allow(&self) {
        let options = ConnectOptions::new().with_user(ROOT, PASSWORD);
        let mut client = Client::connect([self.etcd.endpoint()], Some(options)).await.unwrap();
        client.auth_disable().await.unwrap();
    }
}

/// A zone file of a CoreDNS.
pub(crate) struct ZoneFile {
    file: PathBuf,
    _folder: TempDir,
}

impl ZoneFile {
    fn rewrite(&self, change: impl FnOnce(Vec<String>) -> Vec<String>) {
        let old = std::fs::read_to_string(&self.file).unwrap();
        let new = change(old.lines().map(str::to_owned).collect()).join("\n") + "\n";
        assert_ne!(old, new, "nothing to change");
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, new).unwrap();
        std::fs::rename(&beside, &self.file).unwrap();
    }

    /// The lines without those of a name, and those.
    fn take(lines: Vec<String>, name: &str) -> (Vec<String>, Vec<String>) {
        let (theirs, rest) = lines.into_iter().partition(|line| line.starts_with(&format!("{name}.\t")));
        (rest, theirs)
    }
}

impl Backend for ZoneFile {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.example.com");
        let text = "$ORIGIN example.com.\n@ 60 IN SOA ns hostmaster 7 60 60 600 30\n@ 60 IN NS ns\nns 60 IN A 192.0.2.53\n";
        std::fs::write(&file, text).unwrap();
        Self { file, _folder: folder }
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        let keys = keys(&[("zone-file", self.file.to_str().unwrap())]);
        fleetdns_coredns::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        let dot = if record_type == "CNAME" { "." } else { "" };
        let line = format!("{name}.\t30\tIN\t{record_type}\t{value}{dot}");
        self.rewrite(|lines| lines.into_iter().chain([line]).collect());
    }

    async fn edit(&self, name: &str, _record_type: &str, from: &str, to: &str) {
        let edit = |line: String| match line.starts_with(&format!("{name}.\t")) {
            true => line.replace(&format!("\t{from}"), &format!("\t{to}")),
            false => line,
        };
        self.rewrite(|lines| lines.into_iter().map(edit).collect());
    }
}

impl Marked for ZoneFile {
    async fn unmark(&self, name: &str) {
        self.rewrite(|lines| {
            let (rest, theirs) = Self::take(lines, name);
            rest.into_iter().chain(theirs).collect()
        });
    }

    async fn hand_over(&self, name: &str) {
        self.rewrite(|lines| {
            let (rest, theirs) = Self::take(lines, name);
            let begin = format!("; fleetdns begin owner={OTHER}");
            let end = format!("; fleetdns end owner={OTHER}");
            rest.into_iter().chain([begin]).chain(theirs).chain([end]).collect()
        });
    }

    async fn damage(&self, name: &str) {
        let text = format!("; v=1 owner={OWNER} service=default/web member=;;");
        self.rewrite(|mut lines| {
            let first = lines.iter().position(|line| line.starts_with(&format!("{name}.\t"))).unwrap();
            lines[first - 1] = text;
            lines
        });
    }
}

impl Vanish for ZoneFile {
    async fn vanish(&self) {
        std::fs::remove_file(&self.file).unwrap();
    }
}
