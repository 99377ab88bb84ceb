//! The conformance suite on every provider: a line each, and how its backend is reached from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod rfc2136;

use std::path::PathBuf;
use std::sync::Arc;

use etcd_client::GetOptions;
use fleetdns_core::keys::Keys;
use fleetdns_core::{
    Brakes, Change, Evidence, NameChange, NonEmpty, Outcome, Plan, Provider, RecordData, RecordSet, Ttl,
    approve,
};
use fleetdns_embedded::Servers;
use fleetdns_tests::conformance;
use fleetdns_tests::conformance::{Backend, Marked, OTHER, OWNER, ZONE};
use fleetdns_tests::etcd::Etcd;
use serde_json::{Value, json};
use tempfile::TempDir;

conformance!(coredns_etcd, CoreDnsEtcd);
conformance!(coredns_zone_file, ZoneFile);
conformance!(embedded, Embedded, no marks);
conformance!(bind, rfc2136::Bind);
conformance!(knot, rfc2136::Knot);
conformance!(power_dns, rfc2136::PowerDns);

pub(crate) fn keys(pairs: &[(&str, &str)]) -> Keys {
    Keys::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
}

/// The etcd of a CoreDNS.
struct CoreDnsEtcd(Etcd);

fn etcd_key(name: &str) -> String {
    let lower = name.to_lowercase();
    let labels: Vec<&str> = lower.rsplit('.').collect();
    format!("/skydns/{}", labels.join("/"))
}

impl CoreDnsEtcd {
    /// Rewrites or deletes values at a name, as JSON.
    async fn rewrite(&self, name: &str, change: impl Fn(&mut Value)) {
        let mut client = self.0.client().await;
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
        Self(Etcd::start("conformance").await)
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        let keys = keys(&[("etcd-endpoints", &self.0.endpoint())]);
        fleetdns_coredns::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    async fn put(&self, name: &str, _record_type: &str, value: &str) {
        // CoreDNS answers with the key of the name only where nothing is below it.
        let (mut client, key) = (self.0.client().await, etcd_key(name));
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

/// A zone file of a CoreDNS.
struct ZoneFile {
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

/// The server inside the daemon; others reach its zone through fleetdns only.
struct Embedded(Servers);

impl Backend for Embedded {
    async fn start() -> Self {
        Self(Servers::new())
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        let keys = keys(&[("listen", "127.0.0.1:0")]);
        self.0.connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        let new = set(name, record_type, &[value]);
        let listing = self.provider(OWNER).list().await.unwrap();
        let there = listing.observed.at(&new.name).iter().find(|set| set.type_name() == record_type);
        match there {
            // Another owner cannot add to a set of ours, so another process of ours does.
            Some(before) if before.claim.is_ours() => {
                let mut values = before.ours().unwrap().values();
                values.push(value.to_owned());
                let set = set(name, record_type, &values.iter().map(String::as_str).collect::<Vec<_>>());
                self.write(OWNER, Change::Update { before: before.clone(), set, evidence: evidence(OWNER) })
                    .await;
            }
            _ => self.write(OTHER, Change::Create { set: new, evidence: evidence(OTHER) }).await,
        }
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        let listing = self.provider(OWNER).list().await.unwrap();
        let sets = listing.observed.at(&name.parse().unwrap());
        let before = sets.iter().find(|set| set.type_name() == record_type).unwrap().clone();
        let old = before.ours().unwrap().values();
        let values: Vec<&str> = old.iter().map(|value| if value == from { to } else { value }).collect();
        let set = set(name, record_type, &values);
        self.write(OWNER, Change::Update { before, set, evidence: evidence(OWNER) }).await;
    }
}

fn evidence(owner: &str) -> Arc<Evidence> {
    Arc::new(format!("v=1 owner={owner} service=default/by-hand").parse().unwrap())
}

fn set(name: &str, record_type: &str, values: &[&str]) -> RecordSet {
    let data = match record_type {
        "A" => RecordData::A(NonEmpty::new(values.iter().map(|value| value.parse().unwrap())).unwrap()),
        "AAAA" => RecordData::Aaaa(NonEmpty::new(values.iter().map(|value| value.parse().unwrap())).unwrap()),
        _ => RecordData::Cname(values[0].parse().unwrap()),
    };
    RecordSet { name: name.parse().unwrap(), ttl: Ttl::DEFAULT, data }
}

impl Embedded {
    async fn write(&self, owner: &str, change: Change) {
        let name = change.after().unwrap().0.name.clone();
        let changes = vec![NameChange { name, changes: vec![change] }];
        let plan = Plan { zone: ZONE.parse().unwrap(), changes, held: vec![], refused: vec![], owned: 0 };
        let applied = self.provider(owner).apply(&approve(plan, &Brakes::default())).await;
        assert!(matches!(&applied.names[..], [(_, Outcome::Done(_))]), "{applied:?}");
    }
}
