//! The section `[ha]`.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetdns_core::MemberName;
use fleetdns_core::keys::Keys;
use fleetdns_core::name::is_dns_label;
use fleetdns_watch::MemberConfig;

use super::fault::Fault;
use super::fleet::Fleet;
use super::outside::Outside;
use super::raw::Raw;
use super::reader::Reader;
use super::schema;
use super::secret::Sources;
use super::settings::duration;

/// Several replicas of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ha {
    /// How they elect a leader.
    pub engine: HaEngine,
    /// Within this another one takes over when the leader is gone.
    pub lease_time: Duration,
    /// Name of this replica; the host's when it is `None`.
    pub replica: Option<String>,
}

/// How replicas elect a leader, and where they keep what they share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HaEngine {
    /// A Lease in a member, and a ConfigMap beside it.
    Lease {
        /// The member.
        cluster: MemberName,
        /// Namespace of both.
        namespace: String,
        /// Name of both.
        name: String,
    },
    /// Keys of etcd.
    Etcd(Keys),
}

/// As long as is usual for controllers of Kubernetes.
const LEASE_TIME: Duration = Duration::from_secs(15);

/// `[ha]`, when it says anything.
pub(super) fn read(
    raw: &Raw,
    file: &str,
    fleet: Option<&Fleet>,
    members: &[MemberConfig],
    outside: &Outside<'_>,
    faults: &mut Vec<Fault>,
    notes: &mut Vec<Fault>,
) -> Option<Ha> {
    let section = raw.section("ha").filter(|section| !section.values.is_empty())?;
    let mut values = BTreeMap::new();
    let mut sources = Sources { section, outside, faults, notes };
    for spec in schema::HA.keys.iter().filter(|spec| spec.name.starts_with("etcd-")) {
        values.extend(sources.value(spec).map(|(text, _)| (spec.name.to_owned(), text)));
    }
    let mut reader = Reader::new(raw, "ha", file, faults);
    let lease_time = duration(&mut reader, "lease-time", Duration::from_secs(5)..=Duration::from_secs(300));
    let right = "a name of small letters, digits, '-' and '.', at most 200 of them";
    let replica = reader.parse("replica", right, |text| is_name(text, 200).then(|| text.to_owned()));
    let engine = match (reader.has("lease"), values.is_empty()) {
        (true, false) => {
            reader.fault("lease", "cannot stand beside the keys of etcd; a leader is elected in one place");
            None
        }
        (false, true) => {
            reader.missing("lease", "fleetdns/fleetdns, or etcd-endpoints = http://10.0.0.5:2379");
            None
        }
        (true, true) => lease(&mut reader, members),
        (false, false) => etcd(&mut reader, fleet, Keys::new(values)),
    };
    Some(Ha { engine: engine?, lease_time: lease_time.unwrap_or(LEASE_TIME), replica })
}

fn lease(reader: &mut Reader<'_>, members: &[MemberConfig]) -> Option<HaEngine> {
    let right = "NAMESPACE/NAME, such as fleetdns/fleetdns";
    let lease = reader.parse("lease", right, |text| {
        let (namespace, name) = text.split_once('/')?;
        (is_dns_label(namespace) && is_name(name, 253)).then(|| (namespace.to_owned(), name.to_owned()))
    });
    let cluster = match (reader.text("cluster"), members) {
        (Some(text), _) => {
            let found = members.iter().find(|member| member.name.as_str() == text);
            if found.is_none() {
                reader.fault("cluster", format!("no cluster '{text}'"));
            }
            found
        }
        (None, [member]) => Some(member),
        (None, _) if reader.has("cluster") || members.is_empty() => None,
        (None, _) => {
            reader.missing("cluster", "the name of the cluster that has the Lease");
            None
        }
    };
    let ((namespace, name), cluster) = (lease?, cluster?.name.clone());
    Some(HaEngine::Lease { cluster, namespace, name })
}

fn etcd(reader: &mut Reader<'_>, fleet: Option<&Fleet>, keys: Keys) -> Option<HaEngine> {
    if reader.has("cluster") {
        reader.fault("cluster", "belongs to lease, which is not given");
    }
    let faults = crate::ha::check_etcd(&crate::ha::usual_prefix(fleet), &keys);
    for fault in &faults {
        reader.fault(&fault.key, fault.problem.clone());
    }
    faults.is_empty().then_some(HaEngine::Etcd(keys))
}

/// Whether Kubernetes takes it for the name of an object.
fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.split('.').all(is_dns_label)
}
