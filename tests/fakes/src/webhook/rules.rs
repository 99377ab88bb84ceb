//! What changes have to be like, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::Ways;

/// Name, type, set identifier.
pub type Key = (String, String, String);

pub(super) fn text<'a>(endpoint: &'a Value, field: &str) -> &'a str {
    endpoint[field].as_str().unwrap_or_default()
}

pub(super) fn targets(endpoint: &Value) -> Vec<&str> {
    endpoint["targets"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

pub(super) fn key(endpoint: &Value) -> Key {
    let of = |field| text(endpoint, field).to_owned();
    (of("dnsName").to_lowercase(), of("recordType"), of("setIdentifier"))
}

pub(super) fn plain_key(name: &str, record_type: &str) -> Key {
    (name.to_lowercase(), record_type.to_owned(), String::new())
}

/// One operation: what has to be there, and what is there afterwards.
pub(super) struct Op {
    old: Option<Value>,
    new: Option<Value>,
}

fn list(changes: &Value, field: &str) -> Vec<Value> {
    changes[field].as_array().cloned().unwrap_or_default()
}

/// The operations of a call, deletions first unless it creates first.
pub(super) fn ops(changes: &Value, ways: &Ways) -> Result<Vec<Op>, String> {
    let fields = changes.as_object().ok_or("not an object")?;
    if let Some(field) =
        fields.keys().find(|f| !["create", "updateOld", "updateNew", "delete"].contains(&f.as_str()))
    {
        return Err(format!("an unknown list {field}"));
    }
    let (old, new) = (list(changes, "updateOld"), list(changes, "updateNew"));
    if old.len() != new.len() {
        return Err("updateOld and updateNew do not pair".to_owned());
    }
    let create = list(changes, "create").into_iter().map(|new| Op { old: None, new: Some(new) });
    let update = old.into_iter().zip(new).map(|(old, new)| Op { old: Some(old), new: Some(new) });
    let delete = list(changes, "delete").into_iter().map(|old| Op { old: Some(old), new: None });
    let ops: Vec<Op> = if ways.creates_first {
        create.chain(update).chain(delete).collect()
    } else {
        delete.chain(update).chain(create).collect()
    };
    let mut seen = BTreeSet::new();
    for op in &ops {
        if let (Some(old), Some(new)) = (&op.old, &op.new)
            && key(old) != key(new)
        {
            return Err(format!("{:?} does not pair with {:?}", key(old), key(new)));
        }
        let one = op.new.as_ref().or(op.old.as_ref()).map(key).unwrap_or_default();
        if !seen.insert(one.clone()) {
            return Err(format!("{one:?} twice in one call"));
        }
    }
    Ok(ops)
}

/// Does one operation, or says why not.
pub(super) fn apply(
    records: &mut BTreeMap<Key, Value>,
    op: &Op,
    ways: &Ways,
    zone: &str,
) -> Result<(), String> {
    let key = op.new.as_ref().or(op.old.as_ref()).map(key).unwrap_or_default();
    match (&op.old, records.get(&key)) {
        (None, Some(_)) => return Err(format!("{key:?} exists")),
        (Some(_), None) => return Err(format!("{key:?} does not exist")),
        (Some(old), Some(there)) if !same(old, there, ways) => {
            return Err(format!("{key:?} is not as it was listed: {old} is not {there}"));
        }
        _ => {}
    }
    let dropped = ways.drops.as_ref() == Some(&key.0);
    match &op.new {
        _ if dropped => {}
        None => {
            records.remove(&key);
        }
        Some(new) => {
            valid(new, zone)?;
            let mut new = new.clone();
            let ttl = new["recordTTL"].as_i64().unwrap_or_default();
            new["recordTTL"] = ttl.max(ways.silent_ttl).into();
            if ways.one_txt && key.1 == "TXT" {
                new["targets"] = vec![targets(&new)[0]].into();
            }
            let before = records.insert(key.clone(), new);
            match clash(records, &key.0) {
                Err(_) if ways.drops_clashes && before.is_none() => {
                    records.remove(&key);
                }
                result => result?,
            }
        }
    }
    Ok(())
}

/// Whether what is to be replaced is sent back as it was listed, a TXT as it was written.
fn same(old: &Value, there: &Value, ways: &Ways) -> bool {
    let ttl =
        |endpoint: &Value| if ways.no_ttl { 0 } else { endpoint["recordTTL"].as_i64().unwrap_or_default() };
    let properties = |endpoint: &Value| {
        if ways.lists.is_some() { Value::Null } else { endpoint["providerSpecific"].clone() }
    };
    let set =
        |endpoint: &Value| -> BTreeSet<String> { targets(endpoint).into_iter().map(str::to_owned).collect() };
    set(old) == set(there)
        && ttl(old) == ttl(there)
        && properties(old) == properties(there)
        && old["labels"] == there["labels"]
}

/// What every backend wants of a record.
fn valid(endpoint: &Value, zone: &str) -> Result<(), String> {
    let (name, record_type) = (text(endpoint, "dnsName"), text(endpoint, "recordType"));
    let bad = |why: &str| Err(format!("{name} {record_type}: {why}"));
    const FIELDS: [&str; 7] =
        ["dnsName", "targets", "recordType", "setIdentifier", "recordTTL", "labels", "providerSpecific"];
    if let Some(field) =
        endpoint.as_object().into_iter().flat_map(|o| o.keys()).find(|f| !FIELDS.contains(&f.as_str()))
    {
        return bad(&format!("an unknown field {field}"));
    }
    if name != zone && !name.ends_with(&format!(".{zone}")) {
        return bad("not in the zone");
    }
    let label_is_bad = |(index, label): (usize, &str)| {
        let star = index == 0 && label == "*";
        let character = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        !star && (label.is_empty() || label.len() > 63 || !label.chars().all(character))
    };
    if name.len() > 253 || name.split('.').enumerate().any(label_is_bad) {
        return bad("not a name");
    }
    if !(1..=i64::from(i32::MAX)).contains(&endpoint["recordTTL"].as_i64().unwrap_or_default()) {
        return bad("not a TTL");
    }
    let all = targets(endpoint);
    if all.is_empty() || all.iter().collect::<BTreeSet<_>>().len() != all.len() {
        return bad("no targets, or one twice");
    }
    let good = |target: &&str| match record_type {
        "A" => target.parse::<Ipv4Addr>().is_ok(),
        "AAAA" => target.parse::<Ipv6Addr>().is_ok(),
        "CNAME" => all.len() == 1 && name != zone && !target.ends_with('.') && target.len() <= 253,
        // In quotes, and within one character string with them.
        "TXT" => {
            let inner = target.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            inner.is_some_and(|inner| target.len() <= 255 && !inner.replace("\\\"", "").contains('"'))
        }
        _ => false,
    };
    match all.iter().find(|target| !good(target)) {
        Some(target) => bad(&format!("not a target: {target}")),
        None => Ok(()),
    }
}

/// A CNAME is alone at its name (RFC 1034 §3.6.2).
fn clash(records: &BTreeMap<Key, Value>, name: &str) -> Result<(), String> {
    let first = (name.to_owned(), String::new(), String::new());
    let types: BTreeSet<&String> = records
        .range(first..)
        .map(|(key, _)| key)
        .take_while(|key| key.0 == name)
        .map(|key| &key.1)
        .collect();
    let alias = types.iter().any(|one| *one == "CNAME");
    if alias && types.len() > 1 { Err(format!("{name} has a CNAME beside others")) } else { Ok(()) }
}
