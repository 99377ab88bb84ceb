//! The ownership record of a name: the evidence, and what we know of each set that it speaks for, as targets of a TXT.
//!
//! `v=1 owner=fed service=default/web member=west;…;203.0.113.1 sets=A:30,AAAA:30:300:1a2b3c4d`
//!
//! Behind each type stand the TTL that was wanted, the one that the webhook has in its place, and a number for the
//! properties that it lists with the set; the latter two only where they differ from what was wanted. So a webhook with a
//! will of its own is not written to again and again, and an edit by hand is still seen.
//!
//! What follows the Service is deflated (RFC 1951, `z=` in base64) when the text would not fit into one character
//! string; what still does not fit is spread over several targets, each of which begins with `part=1/3`.

use std::collections::BTreeMap;

use fleetdns_core::ownership::{pack, unpack};
use fleetdns_core::{DnsName, Label, Owner, RecordType as Kind};

use crate::wire::Property;

/// Leftmost label of the name that holds the mark of the name behind it.
const MARK: &str = "_fleetdns";
/// The same for `*`, which can only stand as the leftmost label itself.
const MARK_OF_WILDCARD: &str = "_fleetdns-wildcard";
/// Characters of one target without its quotes: some backends count these among the 255 octets of a string.
const TEXT: usize = 250;
/// Room for `part=10/20 `.
const PART: usize = TEXT - 11;
/// Most targets of a mark: what the stricter vendors take in one record set.
const TARGETS: usize = 20;
/// Most characters that fit.
pub(crate) const LONGEST: usize = PART * TARGETS;

/// What was written for one type, and what the webhook makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    /// TTL that was wanted.
    pub(crate) desired: i64,
    /// TTL that is listed.
    pub(crate) listed: i64,
    /// Of the properties that are listed; 0 for none.
    pub(crate) properties: u32,
}

/// By type.
pub(crate) type Sets = BTreeMap<Kind, Stored>;

/// A mark that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnershipRecord {
    pub(crate) claim: Owner,
    /// `None` where it does not say: it speaks for all types.
    pub(crate) sets: Option<Sets>,
    /// Evidence and all, for a comparison. `None` when it is not whole.
    pub(crate) text: Option<String>,
}

/// A text that does not fit, in characters after packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) usize);

/// Where the mark of a name is kept.
///
/// # Errors
/// When that name would be too long.
pub(crate) fn mark_name(name: &DnsName) -> Result<DnsName, String> {
    let at = match name.parent().filter(|_| name.is_wildcard()) {
        Some(parent) => parent.prepend(MARK_OF_WILDCARD),
        None => name.prepend(MARK),
    };
    at.map_err(|error| format!("there is no room for its ownership record: {error}"))
}

/// The name that a mark at `name` would belong to.
pub(crate) fn marked_name(name: &DnsName) -> Option<DnsName> {
    let parent = name.parent()?;
    match name.labels().next()? {
        MARK => Some(parent),
        MARK_OF_WILDCARD => parent.prepend("*").ok(),
        _ => None,
    }
}

/// A number for properties, the same in every process (FNV-1a); 0 for none.
pub(crate) fn fingerprint(properties: &[Property]) -> u32 {
    let mut sorted: Vec<&Property> = properties.iter().collect();
    sorted.sort_unstable();
    let texts =
        sorted.iter().flat_map(|property| [property.name.as_bytes(), b"=", property.value.as_bytes(), b"\n"]);
    let number = texts
        .flatten()
        .fold(0x811c_9dc5, |sum: u32, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    if properties.is_empty() { 0 } else { number.max(1) }
}

fn sets_text(sets: &Sets) -> String {
    let one = |(kind, stored): (&Kind, &Stored)| match stored {
        Stored { desired, listed, properties: 0 } if desired == listed => format!("{kind}:{desired}"),
        Stored { desired, listed, properties: 0 } => format!("{kind}:{desired}:{listed}"),
        Stored { desired, listed, properties } => format!("{kind}:{desired}:{listed}:{properties:08x}"),
    };
    sets.iter().map(one).collect::<Vec<String>>().join(",")
}

fn parse_sets(text: &str) -> Option<Sets> {
    let one = |text: &str| {
        let mut fields = text.split(':');
        let kind = fields.next()?.parse().ok()?;
        let desired = fields.next()?.parse().ok()?;
        let listed = fields.next().map_or(Some(desired), |field| field.parse().ok())?;
        let properties = fields.next().map_or(Some(0), |field| u32::from_str_radix(field, 16).ok())?;
        fields.next().is_none().then_some((kind, Stored { desired, listed, properties }))
    };
    text.split(',').map(one).collect()
}

/// The text that [`write`] would keep.
pub(crate) fn whole(ownership: &str, sets: &Sets) -> String {
    format!("{ownership} sets={}", sets_text(sets))
}

/// TXT targets for an evidence text, in quotes, as external-dns writes its own.
pub(crate) fn write(ownership: &str, sets: &Sets) -> Result<Vec<String>, TooLong> {
    let plain = whole(ownership, sets);
    if plain.len() <= TEXT {
        return Ok(vec![quoted(&plain)]);
    }
    let packed = whole(&pack(ownership), sets);
    if packed.len() <= TEXT {
        return Ok(vec![quoted(&packed)]);
    }
    let parts: Vec<&[u8]> = packed.as_bytes().chunks(PART).collect();
    let count = parts.len();
    if count > TARGETS {
        return Err(TooLong(packed.len()));
    }
    let target = |(index, part): (usize, &&[u8])| {
        quoted(&format!("part={}/{count} {}", index + 1, String::from_utf8_lossy(part)))
    };
    Ok(parts.iter().enumerate().map(target).collect())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Targets in the form of [`write`]. external-dns never sends a TXT back as it was listed, so that webhooks need not
/// understand what they list themselves, such as a text without its quotes.
pub(crate) fn as_written(targets: &[String]) -> Vec<String> {
    targets.iter().map(|target| quoted(&unquoted(target))).collect()
}

/// Whose a name is, and which sets there.
pub(crate) fn read(targets: &[String], owner: &Label) -> OwnershipRecord {
    let texts: Vec<String> = targets.iter().map(|target| unquoted(target)).collect();
    match joined(&texts) {
        Joined::Whole(text) => {
            let text = match text.rsplit_once(" sets=") {
                Some((ownership, sets)) => format!("{} sets={sets}", unpack(ownership)),
                None => unpack(&text).into_owned(),
            };
            let (ownership, sets) = match text.rsplit_once(" sets=") {
                Some((ownership, sets)) => (ownership, parse_sets(sets)),
                None => (&*text, None),
            };
            let claim = Owner::read(Some(ownership), owner);
            OwnershipRecord { claim, sets, text: Some(text) }
        }
        // Some parts are lost: it is ours to write again, but nothing that it says is believed.
        Joined::Part(first) => {
            let ours = Owner::read(Some(&first), owner).is_ours();
            let claim = if ours { Owner::Ours(None) } else { Owner::Foreign };
            OwnershipRecord { claim, sets: None, text: None }
        }
        Joined::Else => OwnershipRecord { claim: Owner::Foreign, sets: None, text: None },
    }
}

enum Joined {
    Whole(String),
    /// Only some parts, the first among them.
    Part(String),
    Else,
}

/// One text is whole; several have to be all parts of one.
fn joined(texts: &[String]) -> Joined {
    if let [only] = texts
        && !only.starts_with("part=")
    {
        return Joined::Whole(only.clone());
    }
    let parse = |text: &String| {
        let (number, part) = text.strip_prefix("part=")?.split_once(' ')?;
        let (index, count) = number.split_once('/')?;
        Some((index.parse().ok()?, count.parse().ok()?, part.to_owned()))
    };
    let parts: Option<Vec<(usize, usize, String)>> = texts.iter().map(parse).collect();
    let Some(mut parts) = parts else { return Joined::Else };
    parts.sort_unstable();
    let complete =
        parts.iter().enumerate().all(|(at, (index, count, _))| at + 1 == *index && *count == parts.len());
    match parts.first() {
        Some(_) if complete => Joined::Whole(parts.into_iter().map(|(.., part)| part).collect()),
        Some((1, _, first)) => Joined::Part(first.clone()),
        _ => Joined::Else,
    }
}

/// A target as some webhooks give it: as it was written, without the quotes, with `\;` and the like, or as several
/// strings.
fn unquoted(target: &str) -> String {
    let target = target.trim();
    let inner = target.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(target);
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner.replace("\" \"", "");
    rest = rest.replace("\"\"", "");
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
