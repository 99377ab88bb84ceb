//! The ownership record of a name: the evidence, and the types at the name that it speaks for, as values of a TXT set.
//!
//! `v=1 owner=fed service=default/web member=west;…;203.0.113.1 types=A,AAAA`
//!
//! The types keep somebody's AAAA beside our A from being taken for ours. A text that would not fit in one value is
//! packed ([`pack`]); what still does not fit is spread over several values, each of which begins with `part=1/3`.

use std::collections::BTreeSet;

use fleetdns_core::ownership::{pack, unpack};
use fleetdns_core::{Label, Owner, RecordType};

use crate::names::{read_text, write_text};

/// Longest TXT value that Route 53 takes, quotes included.
const VALUE: usize = 4000;
/// Characters of text that fit into a value: 16 strings with their quotes, and the words at both ends.
const TEXT: usize = 3850;
/// Most values of a mark: the old and the new one have to fit into one batch.
const VALUES: usize = 3;

/// The types that a mark speaks for.
pub(crate) type Types = BTreeSet<RecordType>;

/// A text that does not fit, in characters after packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) usize);

/// Most characters that fit.
pub(crate) const LONGEST: usize = TEXT * VALUES;

/// TXT values for an evidence text.
pub(crate) fn write(ownership: &str, types: &Types) -> Result<Vec<String>, TooLong> {
    let names: Vec<&str> = types.iter().map(|record_type| record_type.as_str()).collect();
    let suffix = format!(" types={}", names.join(","));
    let plain = write_text(&(ownership.to_owned() + &suffix));
    if plain.len() <= VALUE {
        return Ok(vec![plain]);
    }
    let packed = pack(ownership) + &suffix;
    let parts: Vec<&[u8]> = packed.as_bytes().chunks(TEXT).collect();
    let count = parts.len();
    if count > VALUES {
        return Err(TooLong(packed.len()));
    }
    let value = |(index, part): (usize, &&[u8])| {
        let part = String::from_utf8_lossy(part);
        if count == 1 { write_text(&part) } else { write_text(&format!("part={}/{count} {part}", index + 1)) }
    };
    Ok(parts.iter().enumerate().map(value).collect())
}

/// Whose a name is, and which types there.
pub(crate) fn read(values: &[String], owner: &Label) -> (Owner, Types) {
    let all = || Types::from([RecordType::A, RecordType::Aaaa, RecordType::Cname]);
    let Some(text) = text(values) else { return (Owner::Foreign, Types::new()) };
    let (text, types) = match text.rsplit_once(" types=") {
        Some((ownership, names)) => {
            let types: Option<Types> = names.split(',').map(|name| name.parse().ok()).collect();
            (ownership, types.unwrap_or_else(all))
        }
        None => (&*text, all()),
    };
    (Owner::read(Some(&unpack(text)), owner), types)
}

/// One value is the text; several have to be all parts of one.
fn text(values: &[String]) -> Option<String> {
    let texts: Option<Vec<String>> = values.iter().map(|value| read_text(value)).collect();
    let mut texts = texts?;
    if texts.len() == 1 && !texts.first()?.starts_with("part=") {
        return texts.pop();
    }
    let mut parts = Vec::new();
    for text in &texts {
        let (number, part) = text.strip_prefix("part=")?.split_once(' ')?;
        let (index, count) = number.split_once('/')?;
        let (index, count): (usize, usize) = (index.parse().ok()?, count.parse().ok()?);
        parts.push((index, part));
        if count != texts.len() {
            return None;
        }
    }
    parts.sort_unstable();
    let complete = parts.iter().enumerate().all(|(at, (index, _))| at + 1 == *index);
    complete.then(|| parts.into_iter().map(|(_, part)| part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Label {
        "fed".parse().unwrap()
    }

    fn ownership(members: usize, random: bool) -> String {
        let mut text = "v=1 owner=fed service=default/web".to_owned();
        let mut seed = 1_u64;
        for number in 0..members {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let host = if random { seed } else { 7 };
            text += &format!(" member=m{number:04};westus;1,2;tcp:80;a{host:016x}.elb.example.com");
        }
        text
    }

    fn back(text: &str) -> usize {
        let types = Types::from([RecordType::A]);
        let values = write(text, &types).unwrap();
        for value in &values {
            assert!(value.len() <= VALUE, "{}", value.len());
        }
        let reversed: Vec<String> = values.iter().rev().cloned().collect();
        let (claim, read_types) = read(&reversed, &owner());
        assert_eq!(claim.ownership().unwrap().to_string(), text);
        assert_eq!(read_types, types);
        values.len()
    }

    #[test]
    fn evidence_comes_back_whole_however_long_it_is() {
        let count = |members, random| back(&ownership(members, random));
        assert_eq!(count(2, true), 1);
        assert_eq!(count(500, false), 1, "packed");
        assert_eq!(count(200, true), 2, "packed and in parts");
    }

    #[test]
    fn too_long_is_said() {
        let TooLong(characters) = write(&ownership(2000, true), &Types::new()).unwrap_err();
        assert!(characters > LONGEST, "{characters}");
    }

    #[test]
    fn a_mark_that_is_not_plainly_ours_is_foreign() {
        let value = |text: &str| write_text(text);
        let claim = |values: &[String]| read(values, &owner()).0;
        let good = value("v=1 owner=fed service=default/web types=A");
        assert!(claim(std::slice::from_ref(&good)).is_ours());
        assert_eq!(claim(&[good.clone(), value("somebody's")]), Owner::Foreign);
        assert_eq!(claim(&[value("part=1/2 v=1 owner=fed service=default/web")]), Owner::Foreign);
        assert_eq!(claim(&[value("v=1 owner=other service=default/web types=A")]), Owner::Foreign);
        assert_eq!(claim(&["not quoted".to_owned()]), Owner::Foreign);
        assert_eq!(claim(&[value("v=1 owner=fed service=default/web z=%%%")]), Owner::Ours(None));
        let (claim, types) = read(&[value("v=1 owner=fed service=default/web")], &owner());
        assert!(claim.is_ours());
        assert_eq!(types.len(), 3, "a mark without types speaks for all");
    }
}
