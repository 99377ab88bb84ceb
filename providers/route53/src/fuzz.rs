//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_route53::types::{AliasTarget, ResourceRecord, ResourceRecordSet};
use fleetdns_core::ownership::txt::{Sets, TxtRecord};
use fleetdns_core::{Content, DnsName, Label, OwnershipRecord, RecordType};

use crate::listing::View;
use crate::names::{marked_name, read_name, read_text, write_name, write_text};
use crate::ownership;
use crate::said::{Said, blamed};
use crate::shape::Shapes;

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] =
    &[("ownership.route53", 1_500, mark), ("route53_answer", 3_000, answer), ("route53_error", 3_000, error)];

/// A mark is read back from the values of a TXT set as it was written, in any order; so is any text and any name.
fn mark(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert_eq!(read_text(&write_text(&text)).as_deref(), Some(&*text));
    if let Ok(name) = text.parse::<DnsName>() {
        assert_eq!(read_name(&write_name(&name)), Some(name));
    }
    let Ok(mark) = text.parse::<OwnershipRecord>() else { return };
    let sets = Sets::from([(RecordType::A, String::new()), (RecordType::Aaaa, String::new())]);
    let Ok(mut values) = ownership::write(mark.as_str(), &sets) else { return };
    assert!(values.iter().all(|value| value.len() <= 4_000), "{values:?}");
    values.reverse();
    assert_eq!(ownership::read(&values, &mark.owner().unwrap()), TxtRecord::ours(&mark, sets));
}

/// `NAME|TYPE|TTL|VALUE|…`; with `alias ZONE NAME` for a value, an alias.
fn set(line: &str) -> Option<ResourceRecordSet> {
    let fields: Vec<&str> = line.split('|').collect();
    let [name, kind, ttl, values @ ..] = fields.as_slice() else { return None };
    let mut set = ResourceRecordSet::builder().name(*name).r#type((*kind).into()).set_ttl(ttl.parse().ok());
    for value in values {
        let alias = value.strip_prefix("alias ").and_then(|alias| alias.split_once(' '));
        set = match alias {
            Some((zone, name)) => {
                let alias = AliasTarget::builder().hosted_zone_id(zone).dns_name(name);
                set.alias_target(alias.evaluate_target_health(false).build().ok()?)
            }
            None => set.resource_records(ResourceRecord::builder().value(*value).build().ok()?),
        };
    }
    set.build().ok()
}

type Line = (DnsName, String, String, bool);

/// The sets as far as they do not depend on an order.
fn lines(sets: &[ResourceRecordSet], owner: &str) -> BTreeSet<Line> {
    let owner: Label = owner.parse().unwrap();
    let view = View::of(sets, &owner, Shapes { aliases: true });
    let listing = view.listing();
    assert!(listing.unreadable.len() <= 101);
    let all = listing.observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)));
    all.map(|(name, set)| {
        let ours = set.claim.is_ours();
        assert!(
            !ours || view.marks.get(name).is_some_and(|kept| kept.record.owner.is_ours()),
            "{name} {set}"
        );
        let version: BTreeSet<&str> = set.version.0.split('\n').collect();
        // What is misshapen is written again, whatever it holds.
        let shown =
            if matches!(set.content, Content::Misshapen(_)) { String::new() } else { set.to_string() };
        (name.clone(), set.type_name().to_owned(), format!("{shown} {version:?}"), ours)
    })
    .collect()
}

/// What stands in the zone does not depend on the order in which it is listed, and only a mark of ours makes a set ours.
fn answer(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut sets: Vec<ResourceRecordSet> = text.lines().filter_map(set).collect();
    // Route 53 has no two sets of one type at a name, and nothing beside a CNAME; beside a mark nobody puts anything.
    let mut types: BTreeMap<Option<DnsName>, Vec<String>> = BTreeMap::new();
    for set in &sets {
        types.entry(read_name(set.name())).or_default().push(set.r#type().as_str().to_uppercase());
    }
    let possible = |(name, types): (&Option<DnsName>, &Vec<String>)| {
        let different: BTreeSet<&String> = types.iter().collect();
        let alone = types.contains(&"CNAME".to_owned()) || name.as_ref().and_then(marked_name).is_some();
        name.is_none() || different.len() == types.len() && (types.len() == 1 || !alone)
    };
    let forth = lines(&sets, "fed");
    let theirs = lines(&sets, "other");
    assert!(!forth.iter().any(|line| line.3 && theirs.contains(line)));
    sets.reverse();
    if types.iter().all(possible) {
        assert_eq!(lines(&sets, "fed"), forth);
    }
}

/// A reason is read back as it was escaped; only names of the batch are blamed, each once.
fn error(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let batch: BTreeSet<DnsName> =
        ["x.example.com", "*.example.com", "example.com"].map(|name| name.parse().unwrap()).into();
    let known = |name: &DnsName| batch.get(name).cloned();
    let said = Said::read(data);
    assert!(!said.text().is_empty());
    let blamed: Vec<DnsName> = blamed(&said.messages, known).into_iter().map(|(name, _)| name).collect();
    let once: BTreeSet<&DnsName> = blamed.iter().collect();
    assert!(once.len() == blamed.len() && once.iter().all(|name| batch.contains(*name)), "{blamed:?}");
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let body =
        format!("<ErrorResponse><Error><Code>X</Code><Message>{escaped}</Message></Error></ErrorResponse>");
    let again = Said::read(body.as_bytes());
    assert_eq!((again.code.as_str(), again.messages.as_slice()), ("X", [text.into_owned()].as_slice()));
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
