//! Zones and record sets as they are kept.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{GROUP, SUBSCRIPTION};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Public,
    Private,
}

#[derive(Debug, Clone)]
pub struct Set {
    pub name: String,
    pub etag: String,
    pub properties: Value,
}

#[derive(Debug, Clone)]
pub struct Zone {
    pub kind: Kind,
    pub name: String,
    pub group: String,
    /// By type and relative name in lower case.
    pub sets: BTreeMap<(String, String), Set>,
    pub most: usize,
}

impl Kind {
    /// As ids and types have it; clients compare without case.
    pub const fn segment(self) -> &'static str {
        match self {
            Self::Public => "dnszones",
            Self::Private => "privateDnsZones",
        }
    }

    /// Property names in this service's case: TTL, A, AAAA, CNAME.
    pub const fn keys(self) -> [&'static str; 4] {
        match self {
            Self::Public => ["TTL", "ARecords", "AAAARecords", "CNAMERecord"],
            Self::Private => ["ttl", "aRecords", "aaaaRecords", "cnameRecord"],
        }
    }
}

impl Zone {
    /// With what every new zone has.
    pub fn new(kind: Kind, name: &str) -> Self {
        let (most, group) = (if kind == Kind::Public { 10_000 } else { 25_000 }, GROUP.to_owned());
        let mut zone = Self { kind, name: name.to_owned(), group, sets: BTreeMap::new(), most };
        let [ttl, ..] = kind.keys();
        let soa = json!({ ttl: 3600, if kind == Kind::Public { "SOARecord" } else { "soaRecord" }: {
            "host": "ns1-01.azure-dns.com.", "email": "azuredns-hostmaster.microsoft.com", "serialNumber": 1 } });
        zone.apex("SOA", soa);
        if kind == Kind::Public {
            zone.apex("NS", json!({ "TTL": 172_800, "NSRecords": [{ "nsdname": "ns1-01.azure-dns.com." }] }));
        }
        zone
    }

    fn apex(&mut self, record_type: &str, properties: Value) {
        let set = Set { name: "@".to_owned(), etag: "etag-apex".to_owned(), properties };
        self.sets.insert((record_type.to_owned(), "@".to_owned()), set);
    }

    pub fn id(&self) -> String {
        format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/{}/providers/Microsoft.Network/{}/{}",
            self.group.to_lowercase(),
            self.kind.segment(),
            self.name
        )
    }

    pub fn resource(&self) -> Value {
        json!({ "id": self.id(), "name": self.name, "type": format!("Microsoft.Network/{}", self.kind.segment()),
            "etag": "zone", "location": "global", "tags": {}, "properties": {
                "maxNumberOfRecordSets": self.most, "numberOfRecordSets": self.sets.len(),
                "maxNumberOfRecordsPerRecordSet": 20,
                "nameServers": if self.kind == Kind::Public { json!(["ns1-01.azure-dns.com."]) } else { Value::Null },
            } })
    }

    pub fn set_resource(&self, record_type: &str, set: &Set) -> Value {
        // Private DNS answers in lower case.
        let name = if self.kind == Kind::Private { set.name.to_lowercase() } else { set.name.clone() };
        let fqdn = if name == "@" { format!("{}.", self.name) } else { format!("{name}.{}.", self.name) };
        let mut properties = set.properties.clone();
        properties["fqdn"] = json!(fqdn);
        match self.kind {
            Kind::Public => {
                properties["provisioningState"] = json!("Succeeded");
                if properties.get("targetResource").is_none() {
                    properties["targetResource"] = json!({});
                }
            }
            Kind::Private if properties.get("isAutoRegistered").is_none() => {
                properties["isAutoRegistered"] = json!(false);
            }
            Kind::Private => {}
        }
        json!({ "id": format!("{}/{record_type}/{name}", self.id()), "name": name, "etag": set.etag,
            "type": format!("Microsoft.Network/{}/{record_type}", self.kind.segment()), "properties": properties })
    }

    /// Whether something stands at a name beside this type.
    pub fn others_at(&self, record_type: &str, relative: &str) -> impl Iterator<Item = &str> {
        self.sets
            .keys()
            .filter(move |(kind, name)| name == relative && kind != record_type)
            .map(|(kind, _)| kind.as_str())
    }
}
