//! The ownership record of a name as targets of a TXT, in the one form of [`txt`], with what we know of each set.
//!
//! `v=1 owner=fed service=default/web member=west;…;203.0.113.1 sets=A:30,AAAA:30:300:1a2b3c4d`
//!
//! Behind each type stand the TTL that was wanted, the one that the webhook has in its place, and a number for the
//! properties that it lists with the set; the latter two only where they differ from what was wanted. So a webhook with a
//! will of its own is not written to again and again, and an edit by hand is still seen.

use std::collections::BTreeMap;

use fleetdns_core::ownership::txt::{self, Room, TooLong, TxtRecord};
use fleetdns_core::{Content, DnsName, Label, RecordType as Kind};

pub(crate) use fleetdns_core::ownership::txt::owned_name as marked_name;

use crate::wire::Property;

/// Without its quotes, as some backends count these among the 255 octets of a string; and what the stricter vendors take in
/// one record set.
pub(crate) const ROOM: Room = Room { value: 250, values: 20 };

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

/// Where the mark of a name is kept.
///
/// # Errors
/// When that name would be too long.
pub(crate) fn mark_name(name: &DnsName) -> Result<DnsName, String> {
    txt::record_name(name).map_err(|error| format!("there is no room for its ownership record: {error}"))
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

fn note(stored: &Stored) -> String {
    match stored {
        Stored { desired, listed, properties: 0 } if desired == listed => desired.to_string(),
        Stored { desired, listed, properties: 0 } => format!("{desired}:{listed}"),
        Stored { desired, listed, properties } => format!("{desired}:{listed}:{properties:08x}"),
    }
}

fn notes(sets: &Sets) -> txt::Sets {
    sets.iter().map(|(kind, stored)| (*kind, note(stored))).collect()
}

/// What a record says of a set of ours. Of a type of which another provider wrote it, it has no note.
pub(crate) fn stored(record: &TxtRecord, kind: Kind) -> Option<Stored> {
    read_note(record.sets.as_ref()?.get(&kind)?)
}

fn read_note(text: &str) -> Option<Stored> {
    let mut fields = text.split(':');
    let desired = fields.next()?.parse().ok()?;
    let listed = fields.next().map_or(Some(desired), |field| field.parse().ok())?;
    let properties = fields.next().map_or(Some(0), |field| u32::from_str_radix(field, 16).ok())?;
    fields.next().is_none().then_some(Stored { desired, listed, properties })
}

/// The text that [`write`] would keep.
pub(crate) fn whole(ownership: &str, sets: &Sets) -> String {
    txt::text(ownership, &notes(sets))
}

/// TXT targets for an ownership text, in quotes, as external-dns writes its own.
pub(crate) fn write(ownership: &str, sets: &Sets) -> Result<Vec<String>, TooLong> {
    Ok(txt::write(ownership, &notes(sets), ROOM)?.iter().map(|text| quoted(text)).collect())
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
pub(crate) fn read(targets: &[String], owner: &Label) -> TxtRecord {
    let texts: Vec<String> = targets.iter().map(|target| unquoted(target)).collect();
    txt::read(texts.iter().map(String::as_str), owner)
}

/// A TXT of others.
pub(crate) fn content(targets: &[String]) -> Content {
    let texts: Vec<String> = targets.iter().map(|target| unquoted(target)).collect();
    Content::text(texts.iter().map(String::as_str))
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
