//! The three zones, and what stands in them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use etcd_client::GetOptions;
use fleetdns_fakes::azure;
use fleetdns_tests::busy::Busy;
use fleetdns_tests::cloud::azure_keys;
use fleetdns_tests::conf::{FLEET, ZONE};
use fleetdns_tests::coredns::CoreDns;
use fleetdns_tests::dns;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::resolver::Resolver;
use futures::stream::{self, StreamExt};
use hickory_proto::op::ResponseCode;
use serde_json::json;

pub(super) const BIND_ZONE: &str = "bind.example";
pub(super) const AZURE_ZONE: &str = "azure.example";

/// What others wrote into etcd.
const FOREIGN: [(&str, &str); 2] = [
    ("/skydns/com/syncweek/mail", r#"{"host":"198.51.100.25","ttl":300}"#),
    ("/skydns/com/syncweek/svc/myfederation/default/foreign/x", r#"{"host":"198.51.100.26"}"#),
];
/// What others wrote into BIND, as a transfer shows it.
const FOREIGN_LINES: [&str; 2] =
    ["mail.bind.example. 300 IN A 198.51.100.25", "notes.bind.example. 300 IN TXT \"ours\""];

/// Addresses by name; an empty set where a name has none.
pub(super) type Answers = BTreeMap<String, BTreeSet<String>>;

/// The servers of BIND's and Azure's zones, and the resolver of host names; CoreDNS is the fleet's.
pub(super) struct Stores {
    pub(super) bind: NameServer,
    pub(super) azure: Arc<azure::Fake>,
    pub(super) resolver: Resolver,
    /// Stands in for etcd when that throttles.
    pub(super) busy: Busy,
}

/// The global name of a Service in a zone.
pub(super) fn name_in(zone: &str, service: &str) -> String {
    format!("{service}.default.{FLEET}.svc.{zone}")
}

/// The addresses that Azure has at the global name of a Service.
pub(super) fn in_azure(azure: &azure::Fake, service: &str) -> BTreeSet<String> {
    let relative = format!("{service}.default.{FLEET}.svc");
    let set = azure.at(AZURE_ZONE, "A", &relative).unwrap_or_default();
    let values = set["ARecords"].as_array().into_iter().flatten();
    values.filter_map(|value| value["ipv4Address"].as_str().map(str::to_owned)).collect()
}

/// A connection to the etcd of a CoreDNS.
pub(super) async fn etcd_of(dns: &CoreDns) -> etcd_client::Client {
    etcd_client::Client::connect([dns.etcd_endpoint()], None).await.unwrap()
}

impl Stores {
    /// All, with what others wrote, there and in etcd.
    pub(super) async fn start(dns: &CoreDns, load_balancers: BTreeMap<String, Ipv4Addr>) -> Self {
        let mut client = etcd_of(dns).await;
        for (key, value) in FOREIGN {
            client.put(key, value, None).await.unwrap();
        }
        let bind = NameServer::start(Software::Bind, BIND_ZONE, Rights::default()).await;
        bind.nsupdate(&FOREIGN_LINES.map(|line| format!("update add {line}")));
        let azure = Arc::new(azure::Fake::start().await);
        azure.world().zones = vec![azure::Zone::new(azure::Kind::Public, AZURE_ZONE)];
        azure.seed(AZURE_ZONE, "A", "mail", foreign_set());
        let resolver =
            Resolver::start(move |name| Some(load_balancers.get(name).copied().into_iter().collect())).await;
        Self { bind, azure, resolver, busy: Busy::start().await }
    }

    /// Their sections of `dns.conf`, with `[probe]`; `bind`: where that is reached.
    pub(super) fn conf(&self, bind: SocketAddr) -> String {
        format!(
            "[zone \"{BIND_ZONE}\"]\nprovider = rfc2136\nserver = {bind}\ntsig-key-name = {KEY}\ntsig-secret = {SECRET}\n\
             [zone \"{AZURE_ZONE}\"]\n{}\n[probe]\nnameservers = {}\nmax-ttl = 5s",
            azure_keys(&self.azure),
            self.resolver.address(),
        )
    }

    /// What a zone has of these Services, and the first thing that it has of no Service.
    ///
    /// # Panics
    /// When something of another's has changed.
    pub(super) async fn found<'a>(
        &self,
        dns: &CoreDns,
        zone: &str,
        services: impl Iterator<Item = &'a String>,
        known: impl Fn(&str) -> bool,
    ) -> Result<Answers, String> {
        let services: Vec<&String> = services.collect();
        let orphan = match zone {
            ZONE => orphan_in_etcd(dns, known).await?,
            BIND_ZONE => orphan_in_bind(&self.bind, known),
            _ => self.orphan_in_azure(known),
        };
        if let Some(orphan) = orphan {
            return Err(format!("{orphan}: of no Service"));
        }
        if zone == AZURE_ZONE {
            return Ok(services.iter().map(|one| (name_in(zone, one), in_azure(&self.azure, one))).collect());
        }
        let server = if zone == ZONE { dns.address() } else { self.bind.address() };
        let ask = services.into_iter().map(|service| async move {
            let name = name_in(zone, service);
            let answer = dns::query(server, &name, "A").await.map_err(|error| format!("{name}: {error}"))?;
            Ok((name, answer.values("A")))
        });
        stream::iter(ask).buffer_unordered(8).collect::<Vec<_>>().await.into_iter().collect()
    }

    fn orphan_in_azure(&self, known: impl Fn(&str) -> bool) -> Option<String> {
        assert_eq!(self.azure.at(AZURE_ZONE, "A", "mail"), Some(foreign_set()), "what another wrote");
        let world = self.azure.world();
        let mut names = world.zones[0].sets.keys().map(|(_, name)| name);
        let orphan = names.find(|name| name.contains(".svc") && !name.split('.').any(&known));
        orphan.map(|name| format!("{name}.{AZURE_ZONE}"))
    }
}

fn foreign_set() -> serde_json::Value {
    json!({ "TTL": 300, "ARecords": [{ "ipv4Address": "198.51.100.25" }] })
}

async fn orphan_in_etcd(dns: &CoreDns, known: impl Fn(&str) -> bool) -> Result<Option<String>, String> {
    let mut client = etcd_of(dns).await;
    let found = client.get("/skydns/com/syncweek/", Some(GetOptions::new().with_prefix())).await;
    let found = found.map_err(|error| error.to_string())?;
    let keys: BTreeMap<&str, &str> =
        found.kvs().iter().map(|kv| (kv.key_str().unwrap(), kv.value_str().unwrap())).collect();
    for (key, value) in FOREIGN {
        assert_eq!(keys.get(key), Some(&value), "what another wrote");
    }
    let foreign = |key: &str| FOREIGN.iter().any(|(foreign, _)| *foreign == key);
    let orphan =
        keys.keys().find(|key| key.contains("/svc/") && !foreign(key) && !key.split('/').any(&known));
    Ok(orphan.map(|key| (*key).to_owned()))
}

fn orphan_in_bind(bind: &NameServer, known: impl Fn(&str) -> bool) -> Option<String> {
    let transfer = tokio::task::block_in_place(|| bind.transfer());
    let lines: Vec<String> =
        transfer.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for foreign in FOREIGN_LINES {
        assert!(lines.iter().any(|line| line == foreign), "what another wrote: {foreign} in {transfer}");
    }
    let names = lines.iter().filter_map(|line| line.split(' ').next());
    names.into_iter().find(|name| name.contains(".svc.") && !name.split('.').any(&known)).map(str::to_owned)
}

/// Whether an answer says something of what the zone has: CoreDNS has an answer when its etcd has.
pub(super) fn is_answer(answer: &dns::Answer) -> bool {
    [ResponseCode::NoError, ResponseCode::NXDomain].contains(&answer.rcode)
}
