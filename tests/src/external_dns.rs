//! external-dns's own webhook server as a backend of the conformance suite, with two of its own providers behind it.
//!
//! [`ExternalDns`]: the in-memory one. It can do all cases. What it lacks of a vendor's: it writes a call whole or not at
//! all, takes any values, lets a CNAME stand beside other records and keeps names apart by case.
//! [`OnBind`]: the one for name servers that take dynamic updates, with a BIND. It writes record by record, lists TXT
//! without quotes, and its time grows with the square of the records, so that it has fewer names to do.
//!
//! Neither has a domain filter of its own; our main package returns it the zone as one.

use std::time::Duration;

use fleetdns_core::Provider;
use fleetdns_core::keys::Keys;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use crate::process::Process;
use crate::servers::Server;
use crate::{eventually, ports};
use fleetdns_fakes::conformance::{Backend, Marked, OTHER, OWNER, Theirs, ZONE};
use fleetdns_fakes::webhook;

/// A running server with an empty zone.
#[derive(Debug)]
pub struct ExternalDns {
    /// Where it listens.
    pub url: String,
    client: reqwest::Client,
    process: Process,
    _folder: TempDir,
}

impl ExternalDns {
    /// One with a zone, which its domain filter names too.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn with_zone(zone: &str) -> Self {
        Self::run(&["-zone", zone], &[]).await
    }

    async fn run(more: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free().to_string();
        let arguments = ["-port", &*port].into_iter().chain(more.iter().copied());
        let log = folder.path().join("webhook.log");
        let mut process =
            Process::start("external-dns's webhook", Server::Webhook.path(), arguments, environment, log);
        let url = format!("http://127.0.0.1:{port}");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        eventually("the webhook to answer", Duration::from_secs(20), Duration::from_millis(20), async || {
            process.assert_running();
            client.get(&url).send().await.map(drop)
        })
        .await;
        Self { url, client, process, _folder: folder }
    }

    /// The process, to stop or kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// All records.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn records(&self) -> Vec<Value> {
        let answer = self.client.get(format!("{}/records", self.url)).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn write(&self, changes: Value) {
        let request =
            self.client.post(format!("{}/records", self.url)).header("content-type", webhook::MEDIA_TYPE);
        let answer = request.body(changes.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 204, "{changes}");
    }

    /// Somebody else changes an endpoint.
    ///
    /// # Panics
    /// When there is none.
    pub async fn change(&self, name: &str, record_type: &str, change: impl FnOnce(&mut Vec<Value>)) {
        let old = self.get(name, record_type).await.unwrap_or_else(|| panic!("no {name} {record_type}"));
        let mut new = old.clone();
        change(new["targets"].as_array_mut().unwrap());
        self.write(json!({ "updateOld": [old], "updateNew": [new] })).await;
    }

    /// The endpoint of a type at a name.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn get(&self, name: &str, record_type: &str) -> Option<Value> {
        let all = self.records().await;
        all.into_iter().find(|one| one["dnsName"] == name && one["recordType"] == record_type)
    }
}

impl Backend for ExternalDns {
    async fn start() -> Self {
        Self::with_zone(ZONE).await
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        connect(&self.url, owner)
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        // In other letters the name would lie in none of its zones.
        let name = name.to_lowercase();
        match self.get(&name, record_type).await {
            Some(_) => self.change(&name, record_type, |targets| targets.push(value.into())).await,
            None => {
                self.write(json!({ "create": [webhook::endpoint(&name, record_type, 30, &[value])] })).await;
            }
        }
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        self.change(name, record_type, |targets| {
            *targets.iter_mut().find(|target| *target == from).unwrap() = to.into();
        })
        .await;
    }
}

impl Marked for ExternalDns {
    async fn unmark(&self, name: &str) {
        let mark = self.get(&format!("_fleetdns.{name}"), "TXT").await.unwrap();
        self.write(json!({ "delete": [mark] })).await;
    }

    async fn hand_over(&self, name: &str) {
        self.change(&format!("_fleetdns.{name}"), "TXT", |targets| {
            let text = targets[0].as_str().unwrap();
            targets[0] = text.replace(&format!("owner={OWNER} "), &format!("owner={OTHER} ")).into();
        })
        .await;
    }

    async fn damage(&self, name: &str) {
        let text = format!("\"v=1 owner={OWNER} service=default/web member=;;\"");
        self.change(&format!("_fleetdns.{name}"), "TXT", |targets| *targets = vec![text.into()]).await;
    }
}

impl Theirs for ExternalDns {
    async fn put_text(&self, name: &str, text: &str) {
        self.put(name, "TXT", &format!("\"{text}\"")).await;
    }
}

impl Theirs for OnBind {
    async fn put_text(&self, name: &str, text: &str) {
        self.bind.nsupdate(&[format!("update add {name}. 30 TXT \"{text}\"")]);
    }
}

fn connect(url: &str, owner: &str) -> Box<dyn Provider> {
    let keys = Keys::new([("url".to_owned(), url.to_owned())]);
    fleetdns_webhook::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
}

/// A running server with a BIND behind it.
#[derive(Debug)]
pub struct OnBind {
    hook: ExternalDns,
    bind: NameServer,
}

impl OnBind {
    /// Writes the mark of a name again.
    fn remark(&self, name: &str, change: impl Fn(&str) -> String) {
        let at = format!("_fleetdns.{name}");
        let old: Vec<String> = self.bind.texts(&at).into_iter().map(|strings| strings.concat()).collect();
        let [old] = &old[..] else { panic!("{name} has no mark in one record: {old:?}") };
        let new = change(old);
        self.bind
            .nsupdate(&[format!("update delete {at}. TXT"), format!("update add {at}. 60 TXT \"{new}\"")]);
    }
}

impl Backend for OnBind {
    const MANY: usize = 1_000;

    async fn start() -> Self {
        let bind = NameServer::start(Software::Bind, ZONE, Rights::default()).await;
        let port = bind.address().port().to_string();
        let arguments = ["-zone", ZONE, "-rfc2136-port", &port, "-tsig-key", KEY];
        let hook = ExternalDns::run(&arguments, &[("TSIG_SECRET", SECRET)]).await;
        Self { hook, bind }
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        connect(&self.hook.url, owner)
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        let value = if record_type == "CNAME" { format!("{value}.") } else { value.to_owned() };
        self.bind.nsupdate(&[format!("update add {name}. 30 {record_type} {value}")]);
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        self.bind.nsupdate(&[
            format!("update delete {name}. {record_type} {from}"),
            format!("update add {name}. 30 {record_type} {to}"),
        ]);
    }
}

impl Marked for OnBind {
    async fn unmark(&self, name: &str) {
        self.bind.nsupdate(&[format!("update delete _fleetdns.{name}. TXT")]);
    }

    async fn hand_over(&self, name: &str) {
        self.remark(name, |text| text.replace(&format!("owner={OWNER} "), &format!("owner={OTHER} ")));
    }

    async fn damage(&self, name: &str) {
        self.remark(name, |_| format!("v=1 owner={OWNER} service=default/web member=;;"));
    }
}
