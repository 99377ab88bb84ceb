//! The ownership record of a name as values of a TXT set, in the one form of [`txt`] and in Route 53's spelling.

use fleetdns_core::ownership::txt::{self, Room, Sets, TooLong, TxtRecord};
use fleetdns_core::{Content, Label};

use crate::names::{read_text, write_text};

/// A value has at most 4,000 characters: 16 strings with their quotes. The old and the new record have to fit into one
/// batch.
pub(crate) const ROOM: Room = Room { value: 3850, values: 3 };

/// TXT values for an ownership text.
pub(crate) fn write(ownership: &str, sets: &Sets) -> Result<Vec<String>, TooLong> {
    Ok(txt::write(ownership, sets, ROOM)?.iter().map(|value| write_text(value)).collect())
}

/// Whose a name is, and which types there.
pub(crate) fn read(values: &[String], owner: &Label) -> TxtRecord {
    let texts: Option<Vec<String>> = values.iter().map(|value| read_text(value)).collect();
    texts.map_or(TxtRecord::FOREIGN, |texts| txt::read(texts.iter().map(String::as_str), owner))
}

/// A TXT set of others.
pub(crate) fn content(values: &[String]) -> Content {
    let texts: Vec<String> = values.iter().filter_map(|value| read_text(value)).collect();
    match texts.len() == values.len() {
        true => Content::text(texts.iter().map(String::as_str)),
        false => Content::other("TXT"),
    }
}

#[cfg(test)]
mod tests {
    use fleetdns_core::{Owner, OwnershipRecord, RecordType};
    use proptest::prelude::*;

    use super::*;

    fn sets(types: &[RecordType]) -> Sets {
        types.iter().map(|record_type| (*record_type, String::new())).collect()
    }

    /// Route 53 takes 4,000 characters, quotes included, whatever the text is.
    #[test]
    fn no_value_is_longer_than_route_53_takes() {
        for text in ["a".repeat(3838), "a\"".repeat(1900), "\\".repeat(3838)] {
            let ownership = format!("v=1 owner=fed service=default/web {text}");
            let values = write(&ownership, &sets(&[RecordType::A])).unwrap();
            assert!(values.iter().all(|value| value.len() <= 4000), "{}", values[0].len());
        }
    }

    #[test]
    fn a_value_that_is_not_quoted_is_foreign() {
        let owner: Label = "fed".parse().unwrap();
        let text = "v=1 owner=fed service=default/web sets=A";
        assert_eq!(read(&[write_text(text)], &owner).sets, Some(sets(&[RecordType::A])));
        assert_eq!(read(&[text.to_owned()], &owner), TxtRecord::FOREIGN);
    }

    proptest! {
        /// Whatever text is in a mark, short, packed or in parts: its values are as Route 53 takes them, and it is read back
        /// as itself and as nothing beside it.
        #[test]
        fn no_text_breaks_out_of_a_mark(
            member in r#"[a-z0-9*_./@:;,="\\ \n\r\t\x7f\u{85}\u{2028}-]{1,20}"#,
            path in r#"[a-z0-9%"\\ -]{0,40}"#,
            members in prop_oneof![1 => Just(0_u32), 1 => 40..60_u32, 1 => 250..330_u32],
            both in any::<bool>(),
        ) {
            let mut texts = vec!["v=1 owner=fed service=default/web".to_owned()];
            texts.push(format!("{} member={member};;;none;10.0.0.1", texts[0]));
            texts.push(format!("{} member=a;;;http:80/{path};10.0.0.1", texts[0]));
            let text = texts.iter().rev().find(|text| text.parse::<OwnershipRecord>().is_ok()).unwrap();
            let far = |at: u32| {
                let host = u64::from(at).wrapping_mul(6_364_136_223_846_793_005);
                format!(" member=m{at};r{};z;tcp:{};lb{host:016x}.example.net", at % 7, at + 1)
            };
            let text = text.clone() + &(0..members).map(far).collect::<String>();
            let mark: OwnershipRecord = text.parse().unwrap();
            let sets = sets(if both { &[RecordType::A, RecordType::Aaaa] } else { &[RecordType::A] });
            let mut values = write(mark.as_str(), &sets).unwrap();
            for value in &values {
                prop_assert!(value.len() <= 4_000 && value.is_ascii() && !value.contains(|c: char| c.is_control()));
                prop_assert!(value.starts_with('"') && value.ends_with('"'));
                // Quotes come in pairs, each string has at most 255 octets: it is one value and no two.
                prop_assert!(read_text(value).is_some(), "{}", value);
            }
            values.reverse();
            let owner: Label = "fed".parse().unwrap();
            prop_assert_eq!(read(&values, &owner), TxtRecord::ours(&mark, sets));
            prop_assert_eq!(read(&values, &"other".parse().unwrap()).owner, Owner::Foreign);
        }
    }
}
