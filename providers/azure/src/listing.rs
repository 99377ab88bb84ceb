//! Record sets as ARM writes them in JSON, and ours.
//!
//! The two services differ in the case of property names; reading takes any case.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use fleetdns_core::{
    Content, DnsName, Label, NonEmpty, ObservedSet, Owner, OwnershipRecord, RecordData, RecordSet,
    RecordType, Ttl, Version,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ownership::{self, Metadata};
use crate::settings::Service;

#[cfg(test)]
mod tests;

/// A record set in an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Raw {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    etag: Option<String>,
    #[serde(default)]
    properties: Map<String, Value>,
}

/// A record set, understood.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: DnsName,
    pub(crate) set: ObservedSet,
    /// Why a set with our mark is not ours to change.
    pub(crate) odd: Option<String>,
    /// The name servers of an NS set.
    pub(crate) servers: Vec<DnsName>,
}

/// The relative name in URLs: `@` for the apex.
pub(crate) fn relative<'a>(name: &'a DnsName, zone: &DnsName) -> Option<&'a str> {
    name.relative_to(zone).map(|relative| if relative.is_empty() { "@" } else { relative })
}

impl Raw {
    /// # Errors
    /// One sentence when the name is none, or the TTL: such a set is left alone.
    pub(crate) fn read(self, zone: &DnsName, owner: &Label) -> Result<Item, String> {
        let Self { name: relative, kind, etag, properties } = self;
        let record_type = kind.rsplit('/').next().unwrap_or_default().to_ascii_uppercase();
        let name = match relative.as_str() {
            "@" | "" => Ok(zone.clone()),
            labels => zone.prepend(labels),
        };
        let name = name.map_err(|error| format!("{record_type} set '{relative}': {error}"))?;
        let mut properties: BTreeMap<String, Value> =
            properties.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect();
        let ttl = properties.remove("ttl").and_then(|value| u32::try_from(value.as_u64()?).ok());
        // An alias set that follows a Traffic Manager profile may have no TTL of its own.
        let ttl =
            Ttl::new(ttl.unwrap_or(0)).ok_or(format!("{record_type} set {name}: its TTL is out of range"))?;
        let (text, others) = ownership::read(metadata(properties.remove("metadata")));
        let mark = Owner::read(text.as_deref(), owner);
        let servers = name_servers(properties.get("nsrecords"));
        let texts = texts(properties.get("txtrecords"));
        let (content, odd) = match content(&record_type, properties) {
            Ok(data) => (Content::Known(data), None),
            Err(why) if record_type == "TXT" => (Content::text(texts.iter().map(String::as_str)), why),
            Err(why) => (Content::other(&record_type), why),
        };
        let odd = odd.filter(|_| mark.is_ours()).map(|why| {
            format!(
                "{record_type} set {name} has our mark and {why}; it is left alone: delete it or its metadata"
            )
        });
        let claim = if matches!(content, Content::Known(_)) { mark } else { Owner::Foreign };
        let version = version(etag.unwrap_or_default(), &others);
        Ok(Item { name, set: ObservedSet { ttl, content, claim, version }, odd, servers })
    }
}

/// The hosts of NS records, those that can be read.
fn name_servers(records: Option<&Value>) -> Vec<DnsName> {
    let records = records.and_then(Value::as_array).into_iter().flatten();
    records.filter_map(|record| record.get("nsdname")?.as_str()?.parse().ok()).collect()
}

/// The values of TXT records, the strings of each put together.
fn texts(records: Option<&Value>) -> Vec<String> {
    let records = records.and_then(Value::as_array).into_iter().flatten();
    let strings =
        |record: &Value| Some(record.get("value")?.as_array()?.iter().filter_map(Value::as_str).collect());
    records.filter_map(strings).collect()
}

fn metadata(value: Option<Value>) -> Metadata {
    let entries = match value {
        Some(Value::Object(entries)) => entries,
        _ => Map::new(),
    };
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    entries.into_iter().map(|(key, value)| (key, text(value))).collect()
}

/// The values, when nothing else stands in the set; otherwise what does, as far as it can surprise anyone.
fn content(record_type: &str, mut properties: BTreeMap<String, Value>) -> Result<RecordData, Option<String>> {
    let Ok(record_type) = record_type.parse::<RecordType>() else { return Err(None) };
    let key = match record_type {
        RecordType::A => "arecords",
        RecordType::Aaaa => "aaaarecords",
        RecordType::Cname => "cnamerecord",
    };
    let values = properties.remove(key).unwrap_or_default();
    properties
        .retain(|key, value| !(matches!(key.as_str(), "fqdn" | "provisioningstate") || is_nothing(value)));
    if let Some(key) = properties.keys().next() {
        return Err(Some(format!("the property '{key}', which is not known here")));
    }
    let data = match record_type {
        RecordType::A => addresses(&values, "ipv4address").and_then(NonEmpty::new).map(RecordData::A),
        RecordType::Aaaa => addresses(&values, "ipv6address").and_then(NonEmpty::new).map(RecordData::Aaaa),
        RecordType::Cname => text(&values, "cname").and_then(|text| text.parse().ok()).map(RecordData::Cname),
    };
    data.ok_or_else(|| Some("no values, or values that cannot be read".to_owned()))
}

/// Whether a property says no more than its absence.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.values().all(is_nothing),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn addresses<T: FromStr>(values: &Value, key: &str) -> Option<Vec<T>> {
    values.as_array()?.iter().map(|value| text(value, key)?.parse().ok()).collect()
}

/// The only property of an object; another one beside it is not ours to lose.
fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    let entries = value.as_object()?;
    let (name, value) = entries.iter().next()?;
    (entries.len() == 1 && name.eq_ignore_ascii_case(key)).then_some(value.as_str()?)
}

/// The etag, and the metadata that is not ours: a write replaces the whole set.
fn version(etag: String, others: &Metadata) -> Version {
    if others.is_empty() {
        return Version(etag.into());
    }
    Version(format!("{etag}\n{}", json!(others)).into())
}

/// Etag and foreign metadata of a [`Version`].
pub(crate) fn parts(version: &Version) -> (&str, Metadata) {
    match version.0.split_once('\n') {
        None => (&version.0, Metadata::new()),
        Some((etag, others)) => (etag, serde_json::from_str(others).unwrap_or_default()),
    }
}

/// The body of a write, or why there is none.
pub(crate) fn body(
    service: Service,
    set: &RecordSet,
    mark: Option<&OwnershipRecord>,
    others: Metadata,
) -> Result<Value, String> {
    let marked = mark.map_or_else(|| Ok(Metadata::new()), ownership::write);
    let marked = marked.map_err(|ownership::TooLong(octets)| {
        format!(
            "{}: what says which cluster gave which address has {octets} octets, and record-set metadata holds {}; \
             publish this name from fewer clusters",
            set.name,
            ownership::LONGEST
        )
    })?;
    let mut metadata = others;
    metadata.extend(marked);
    let [ttl, a, aaaa, cname] = match service {
        Service::Public => ["TTL", "ARecords", "AAAARecords", "CNAMERecord"],
        Service::Private => ["ttl", "aRecords", "aaaaRecords", "cnameRecord"],
    };
    let (key, values) = match &set.data {
        RecordData::A(values) => (a, list("ipv4Address", values.iter())),
        RecordData::Aaaa(values) => (aaaa, list("ipv6Address", values.iter())),
        RecordData::Cname(target) => (cname, json!({ "cname": target.as_str() })),
    };
    Ok(json!({ "properties": { ttl: set.ttl.seconds(), "metadata": metadata, key: values } }))
}

/// The body of a write of a TXT set.
pub(crate) fn text_body(service: Service, ttl: Ttl, text: &str, metadata: Metadata) -> Value {
    let [seconds, key] = match service {
        Service::Public => ["TTL", "TXTRecords"],
        Service::Private => ["ttl", "txtRecords"],
    };
    // A text is ASCII, and a string of it has at most 255 octets.
    let strings: Vec<_> = text.as_bytes().chunks(255).map(String::from_utf8_lossy).collect();
    json!({ "properties": { seconds: ttl.seconds(), "metadata": metadata, key: [{ "value": strings }] } })
}

fn list<T: Display>(key: &str, values: impl Iterator<Item = T>) -> Value {
    values.map(|value| json!({ key: value.to_string() })).collect()
}

/// Whether a set that was read is what was written.
pub(crate) fn stands(found: &ObservedSet, set: &RecordSet, mark: Option<&OwnershipRecord>) -> bool {
    let is_marked = mark.map_or(!found.claim.is_ours(), |mark| found.claim.mark() == Some(mark));
    found.content.data() == Some(&set.data) && found.ttl == set.ttl && is_marked
}
