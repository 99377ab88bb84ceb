//! What a body of a write has to be like.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use super::Answer;
use super::sets::{Kind, Zone};

type Checked = Result<Value, Answer>;

fn bad(message: impl AsRef<str>) -> Answer {
    Answer::dns(400, "BadRequest", message.as_ref())
}

/// Returns the properties as they are kept.
pub(super) fn properties(zone: &Zone, record_type: &str, body: &[u8]) -> Checked {
    let body: Value = serde_json::from_slice(body)
        .map_err(|_| Answer::arm(400, "InvalidRequestContent", "The request content was invalid."))?;
    let Some(Value::Object(mut properties)) = body.get("properties").cloned() else {
        return Err(bad("The resource has no properties."));
    };
    let [ttl, a, aaaa, cname] = zone.kind.keys();
    let key = match record_type {
        "A" => a,
        "AAAA" => aaaa,
        "CNAME" => cname,
        "TXT" => return Ok(Value::Object(properties)),
        other => return Err(bad(format!("The record type '{other}' is not served here."))),
    };
    let alias =
        zone.kind == Kind::Public && properties.get("targetResource").is_some_and(|v| v.get("id").is_some());
    for name in properties.keys() {
        let known = [ttl, key, "metadata", "targetResource"].contains(&name.as_str());
        if !known || (name == "targetResource" && zone.kind == Kind::Private) {
            return Err(bad(format!(
                "The property '{name}' is not valid for a record set of type {record_type}."
            )));
        }
    }
    let seconds = properties.get(ttl).and_then(Value::as_u64).unwrap_or_default();
    if !alias && !(1..=2_147_483_647).contains(&seconds) {
        return Err(bad(format!("The TTL '{seconds}' is not between 1 and 2147483647.")));
    }
    metadata(&mut properties)?;
    match (record_type, properties.get(key)) {
        (_, None) if alias => {}
        (_, None) => return Err(bad(format!("'{key}' is missing."))),
        ("CNAME", Some(value)) => domain(value)?,
        (_, Some(values)) => addresses(record_type, values)?,
    }
    Ok(Value::Object(properties))
}

/// Keys with a space are taken with success and not kept.
fn metadata(properties: &mut Map<String, Value>) -> Result<(), Answer> {
    let Some(metadata) = properties.get_mut("metadata") else { return Ok(()) };
    let Value::Object(entries) = metadata else { return Err(bad("'metadata' is not an object.")) };
    entries.retain(|key, _| !key.contains(' '));
    let fits = |value: &Value| value.as_str().is_some_and(|text| text.chars().count() <= 256);
    if entries.len() > 15 || !entries.values().all(fits) {
        return Err(bad("The metadata has too many entries, or one that is too long."));
    }
    Ok(())
}

fn addresses(record_type: &str, values: &Value) -> Result<(), Answer> {
    let Some(values) = values.as_array() else { return Err(bad("The records are not a list.")) };
    if values.len() > 20 {
        return Err(bad("The maximum number of records in a record set, 20, is exceeded."));
    }
    let mut once = BTreeSet::new();
    for value in values {
        let key = if record_type == "A" { "ipv4Address" } else { "ipv6Address" };
        let text = value.get(key).and_then(Value::as_str).unwrap_or_default();
        let valid = if record_type == "A" {
            text.parse::<Ipv4Addr>().is_ok()
        } else {
            text.parse::<Ipv6Addr>().is_ok()
        };
        if !valid {
            return Err(bad(format!("The value '{text}' for the {record_type} record is not valid.")));
        }
        if !once.insert(text) {
            return Err(bad(format!("The record '{text}' stands twice.")));
        }
    }
    Ok(())
}

fn domain(value: &Value) -> Result<(), Answer> {
    let text = value.get("cname").and_then(Value::as_str).unwrap_or_default();
    if is_domain(text) { Ok(()) } else { Err(bad(format!("The domain name '{text}' is invalid."))) }
}

pub(super) fn is_domain(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |(index, label): (usize, &str)| {
        (index == 0 && label == "*")
            || ((1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'))
    };
    text.len() <= 253 && text.split('.').enumerate().all(label)
}

/// A CNAME stands alone at its name, so that there is none at the apex, where SOA and NS are.
pub(super) fn exclusive(zone: &Zone, record_type: &str, relative: &str) -> Result<(), Answer> {
    let mut others = zone.others_at(record_type, relative);
    let message = match record_type {
        "CNAME" if others.next().is_some() => {
            "The CNAME record could not be created because another record with the same name already exists in this zone."
        }
        "CNAME" => return Ok(()),
        _ if others.any(|other| other == "CNAME") => {
            "The record could not be created because a CNAME record with the same name already exists in this zone."
        }
        _ => return Ok(()),
    };
    Err(Answer::dns(409, "Conflict", message))
}
