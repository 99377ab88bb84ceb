//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use std::collections::BTreeMap;

use fleetdns_core::{Content, DnsName, Label, OwnershipRecord, RecordSet};
use serde_json::{Map, Value, json};

use crate::envelope::Envelope;
use crate::listing::{Raw, body, parts, stands};
use crate::ownership::{self, Metadata};
use crate::settings::Service;

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] = &[("ownership.azure", 5_000, mark), ("arm_answer", 8_000, answer)];

/// A mark is read back from the metadata as it was written, beside the entries of others.
fn mark(data: &[u8]) {
    let Ok(mark) = String::from_utf8_lossy(data).parse::<OwnershipRecord>() else { return };
    let Ok(mut metadata) = ownership::write(&mark) else { return };
    assert!(metadata.len() <= 15 && metadata.values().all(|value| value.len() <= 256), "{metadata:?}");
    let others =
        Metadata::from([("Fleet".to_owned(), "x".to_owned()), ("fleetdns0".to_owned(), String::new())]);
    metadata.extend(others.clone());
    assert_eq!(ownership::read(metadata), (Some(mark.as_str().to_owned()), others));
}

fn zone() -> (DnsName, Label) {
    ("example.com".parse().unwrap(), "fed".parse().unwrap())
}

/// A set of an answer lies in the zone and is the same in any case of its keys; one that is ours is read back as it would be
/// written. What an error says is no longer than the error.
fn answer(data: &[u8]) {
    let Envelope { code, message } = Envelope::read(data);
    assert!(code.len() + message.len() <= 3 * data.len(), "{code} {message}");
    let Ok(page) = serde_json::from_slice::<Value>(data) else { return };
    let sets = page.get("value").and_then(Value::as_array).into_iter().flatten();
    for value in sets {
        check_set(value);
    }
}

fn check_set(value: &Value) {
    let (zone, owner) = zone();
    let read = |value: Value| serde_json::from_value::<Raw>(value).ok().map(|raw| raw.read(&zone, &owner));
    let Some(item) = read(value.clone()) else { return };
    let mut capitals = value.clone();
    if let Some(Value::Object(properties)) = capitals.get_mut("properties") {
        let all: Map<String, Value> =
            properties.iter().map(|(key, v)| (key.to_ascii_uppercase(), v.clone())).collect();
        if all.len() < properties.len() {
            return;
        }
        *properties = all;
    }
    assert_eq!(format!("{:?}", read(capitals)), format!("{:?}", Some(&item)));
    let Ok(item) = item else { return };
    assert!(item.name.is_within(&zone), "{}", item.name);
    let (Content::Known(data), true) = (&item.set.content, item.set.claim.is_ours()) else { return };
    let set = RecordSet { name: item.name.clone(), ttl: item.set.ttl, data: data.clone() };
    let mark = item.set.claim.mark();
    let relative = crate::listing::relative(&set.name, &zone).unwrap();
    for service in [Service::Public, Service::Private] {
        let (_, others) = parts(&item.set.version);
        let Ok(mut body) = body(service, &set, mark, others.clone()) else { continue };
        let kind = format!("Microsoft.Network/dnszones/{}", set.data.record_type());
        let properties = body["properties"].take();
        let found = json!({ "name": relative, "type": kind, "etag": "e", "properties": properties });
        let found = read(found).unwrap().unwrap().set;
        assert!(mark.is_none() || stands(&found, &set, mark), "{found:?}");
        let kept: BTreeMap<_, _> = parts(&found.version).1;
        assert!(mark.is_none() || kept == others, "{kept:?} {others:?}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
