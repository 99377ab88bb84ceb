//! What a batch has to be like, and what becomes of it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Zone;
use super::alias::Alias;
use super::xml::Element;

/// Labels from the top, type, identifier: the order of a listing.
pub type Key = (Vec<String>, String, String);

/// A record set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Set {
    /// Lower case, without the final dot, nothing escaped.
    pub name: String,
    pub record_type: String,
    pub identifier: Option<String>,
    pub weight: Option<u8>,
    pub ttl: Option<u32>,
    pub values: Vec<String>,
    pub alias: Option<Alias>,
    pub health_check: Option<String>,
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(alias) = &self.alias {
            return write!(f, "{} {} alias {}", self.name, self.record_type, alias.name);
        }
        write!(f, "{} {} {}", self.name, self.record_type, self.values.join(" "))
    }
}

/// As it is sent back: all but letters, digits, `-` and `_` in octal.
pub(super) fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => text.push(char::from(byte)),
            other => text.push_str(&format!("\\{other:03o}")),
        }
    }
    text + "."
}

/// What a client says a name is. Escapes are taken as they come back.
pub(super) fn plain(name: &str) -> String {
    name.trim_end_matches('.').replace("\\052", "*").to_ascii_lowercase()
}

pub(super) fn labels(name: &str) -> Vec<String> {
    plain(name).rsplit('.').map(str::to_owned).collect()
}

impl Set {
    pub fn simple(name: &str, record_type: &str, ttl: u32, values: &[&str]) -> Self {
        Self {
            name: plain(name),
            record_type: record_type.to_owned(),
            ttl: Some(ttl),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub fn key(&self) -> Key {
        let identifier = self.identifier.clone().unwrap_or_default();
        (labels(&self.name), self.record_type.clone(), identifier)
    }

    fn same(&self, other: &Self) -> bool {
        let sorted = |set: &Self| set.values.iter().cloned().collect::<BTreeSet<String>>();
        sorted(self) == sorted(other)
            && self.ttl == other.ttl
            && self.alias == other.alias
            && self.weight == other.weight
            && self.health_check == other.health_check
    }

    /// `Err` with what is malformed.
    fn parse(element: &Element) -> Result<Self, String> {
        const ORDER: [&str; 8] = [
            "Name",
            "Type",
            "SetIdentifier",
            "Weight",
            "TTL",
            "ResourceRecords",
            "AliasTarget",
            "HealthCheckId",
        ];
        let order: Option<Vec<usize>> =
            element.children.iter().map(|child| ORDER.iter().position(|name| *name == child.name)).collect();
        let order = order.ok_or("an element is not known")?;
        // As the API reference has them; Amazon's SDK for Go sorts them by name, and is served too.
        if !order.is_sorted() && !element.children.is_sorted_by_key(|child| &child.name) {
            return Err("the elements are out of order".to_owned());
        }
        let number = |name: &str| element.text_of(name).map(|text| text.parse::<u32>()).transpose();
        let alias = element.child("AliasTarget").map(Alias::parse).transpose()?;
        let records = element.child("ResourceRecords").map(|all| &all.children[..]).unwrap_or_default();
        let (name, record_type) = (
            element.text_of("Name").ok_or("Name is missing")?,
            element.text_of("Type").ok_or("Type is missing")?,
        );
        if alias.is_some() == (!records.is_empty() || element.child("TTL").is_some()) {
            let found = if alias.is_some() { "more than one" } else { "none" };
            return Err(format!(
                "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or \
                 TrafficPolicyInstanceId], but found {found} in Change with [Name={name}, Type={record_type}]"
            ));
        }
        Ok(Self {
            name: plain(&name),
            record_type,
            identifier: element.text_of("SetIdentifier"),
            weight: number("Weight").map_err(|_| "Weight")?.map(|weight| weight as u8),
            ttl: number("TTL").map_err(|_| "TTL is not a number")?,
            values: records.iter().filter_map(|record| record.text_of("Value")).collect(),
            alias,
            health_check: element.text_of("HealthCheckId"),
        })
    }
}

/// What is wrong with a request.
pub(super) enum Refusal {
    Input(String),
    Batch(Vec<String>),
}

/// Does a whole batch, or nothing.
pub(super) fn change(zone: &mut Zone, request: &Element) -> Result<usize, Refusal> {
    let changes = request.child("ChangeBatch").and_then(|batch| batch.child("Changes"));
    let changes = changes.map(|changes| &changes.children[..]).unwrap_or_default();
    if request.name != "ChangeResourceRecordSetsRequest" || changes.is_empty() {
        return Err(Refusal::Input("the batch has no changes".to_owned()));
    }
    let mut parsed = Vec::new();
    for change in changes {
        let action = change.text_of("Action").unwrap_or_default();
        let set = change.child("ResourceRecordSet").ok_or_else(|| Refusal::Input("no set".to_owned()))?;
        parsed.push((action, Set::parse(set).map_err(Refusal::Input)?));
    }
    limits(&parsed)?;
    let mut next = zone.clone();
    let mut messages = Vec::new();
    for (action, set) in &parsed {
        messages.extend(one(&mut next, action, set).err());
    }
    if messages.is_empty() {
        for name in parsed.iter().map(|(_, set)| set.name.clone()).collect::<BTreeSet<String>>() {
            messages.extend(clash(&next, &name, &parsed));
        }
    }
    if !messages.is_empty() {
        return Err(Refusal::Batch(messages));
    }
    *zone = next;
    Ok(parsed.len())
}

fn limits(changes: &[(String, Set)]) -> Result<(), Refusal> {
    let (mut elements, mut characters) = (0, 0);
    for (action, set) in changes {
        let times = if action == "UPSERT" { 2 } else { 1 };
        elements += times * set.values.len().max(usize::from(set.alias.is_some()));
        characters += times * set.values.iter().map(|value| value.chars().count()).sum::<usize>();
    }
    if elements > 1000 {
        return Err(Refusal::Batch(vec![format!("Number of records limit of 1000 exceeded ({elements}).")]));
    }
    if characters > 32_000 {
        return Err(Refusal::Batch(vec![format!(
            "Maximum request value length of 32000 exceeded ({characters})."
        )]));
    }
    Ok(())
}

fn one(zone: &mut Zone, action: &str, set: &Set) -> Result<(), String> {
    let what = format!("[name='{}', type='{}']", escaped(&set.name), set.record_type);
    let there = zone.sets.get(&set.key());
    match (action, there) {
        ("DELETE", None) => Err(format!("Tried to delete resource record set {what} but it was not found")),
        ("DELETE", Some(there)) if !there.same(set) => Err(format!(
            "Tried to delete resource record set {what} but the values provided do not match the current values"
        )),
        ("DELETE", Some(_)) if set.name == zone.name && matches!(&*set.record_type, "SOA" | "NS") => Err(
            format!("A HostedZone must contain at least one {} record for the zone itself.", set.record_type),
        ),
        ("DELETE", Some(_)) => {
            zone.sets.remove(&set.key());
            Ok(())
        }
        ("CREATE", Some(_)) => {
            Err(format!("Tried to create resource record set {what} but it already exists"))
        }
        ("CREATE" | "UPSERT", _) => {
            valid(zone, set)?;
            zone.put(set.clone());
            Ok(())
        }
        _ => Err(format!("Invalid action {action}")),
    }
}

fn valid(zone: &Zone, set: &Set) -> Result<(), String> {
    let name = escaped(&set.name);
    if set.name != zone.name && !set.name.ends_with(&format!(".{}", zone.name)) {
        return Err(format!("RRSet with DNS name {name} is not permitted in zone {}.", zone.name));
    }
    let bad_label = |label: &str| label.is_empty() || label.len() > 63;
    if set.name.len() > 253 || set.name.split('.').any(bad_label) {
        return Err("FATAL problem: DomainLabelTooLong or DomainNameTooLong".to_owned());
    }
    if set.record_type == "CNAME" && set.name == zone.name {
        return Err(format!(
            "RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {}.",
            zone.name
        ));
    }
    if let Some(alias) = &set.alias {
        return alias.valid(set);
    }
    if set.identifier.is_some() != set.weight.is_some() {
        return Err(
            "Invalid request: SetIdentifier needs a routing policy, and the other way round".to_owned()
        );
    }
    match set.ttl {
        None => return Err("Invalid request: Missing field 'TTL'".to_owned()),
        Some(ttl) if ttl > i32::MAX as u32 => return Err("Invalid TTL".to_owned()),
        Some(_) => {}
    }
    if set.values.is_empty() || set.values.len() > 400 {
        return Err(format!("Invalid number of values: {}", set.values.len()));
    }
    if set.values.iter().collect::<BTreeSet<_>>().len() != set.values.len() {
        return Err("Duplicate Resource Record".to_owned());
    }
    for value in &set.values {
        valid_value(&set.record_type, value).map_err(|code| {
            format!("Invalid Resource Record: FATAL problem: {code} encountered with '{value}'")
        })?;
    }
    if set.record_type == "CNAME" && set.values.len() != 1 {
        return Err("Invalid Resource Record: FATAL problem: CNAMERRSetMultipleValues".to_owned());
    }
    Ok(())
}

fn valid_value(record_type: &str, value: &str) -> Result<(), &'static str> {
    if value.len() > 4000 {
        return Err("RDataTooLong");
    }
    match record_type {
        "A" if value.parse::<Ipv4Addr>().is_err() => {
            Err("ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)")
        }
        "AAAA" if value.parse::<Ipv6Addr>().is_err() => Err("AAAARRDATAIllegalIPv6Address"),
        "CNAME" if value.trim_end_matches('.').len() > 253 || value.contains(' ') => {
            Err("CNAMERRDATAIllegal")
        }
        "TXT" => {
            let mut strings = value.split("\" \"").collect::<Vec<&str>>();
            let count = strings.len();
            strings[0] = strings[0].strip_prefix('"').ok_or("TXTRDATAMissingQuotes")?;
            strings[count - 1] = strings[count - 1].strip_suffix('"').ok_or("TXTRDATAMissingQuotes")?;
            let long = |text: &&str| text.replace("\\\"", "\"").len() > 255;
            if strings.iter().any(long) { Err("TXTRDATATooLong") } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// The sets of a name that cannot stand beside each other.
fn clash(zone: &Zone, name: &str, changes: &[(String, Set)]) -> Option<String> {
    let first = (labels(name), String::new(), String::new());
    let sets: Vec<&Set> =
        zone.sets.range(first..).map(|(_, set)| set).take_while(|set| set.name == name).collect();
    let shown = escaped(name);
    let others = sets.iter().any(|set| set.record_type != "CNAME");
    if others && sets.iter().any(|set| set.record_type == "CNAME") {
        let created = changes.iter().find(|(action, set)| action != "DELETE" && set.name == name);
        return Some(match created.map(|(_, set)| &*set.record_type) {
            Some("CNAME") | None => format!(
                "RRSet of type CNAME with DNS name {shown} is not permitted as it conflicts with other records with the \
                 same DNS name in zone {}.",
                zone.name
            ),
            Some(other) => format!(
                "RRSet of type {other} with DNS name {shown} is not permitted because a conflicting RRSet of type  CNAME \
                 with the same DNS name already exists in zone {}.",
                zone.name
            ),
        });
    }
    let mixed = |set: &&&Set| {
        set.identifier.is_none()
            && sets.iter().any(|other| other.record_type == set.record_type && other.identifier.is_some())
    };
    sets.iter().find(mixed).map(|set| {
        format!("RRSet with DNS name {shown}, type {}, SetIdentifier null cannot be created because a non multivalue answer rrset exists with the same name and type.", set.record_type)
    })
}
