//! The ownership record of a name as values of a TXT set, in the one form of [`txt`] and in Route 53's spelling.

use std::collections::BTreeSet;

use fleetdns_core::ownership::txt::{self, Room, Sets, TooLong};
use fleetdns_core::{Label, Owner, RecordType};

use crate::names::{read_text, write_text};

/// A value has at most 4,000 characters: 16 strings with their quotes. The old and the new record have to fit into one
/// batch.
pub(crate) const ROOM: Room = Room { value: 3850, values: 3 };

/// The types that a mark speaks for.
pub(crate) type Types = BTreeSet<RecordType>;

/// TXT values for an ownership text.
pub(crate) fn write(ownership: &str, types: &Types) -> Result<Vec<String>, TooLong> {
    let sets: Sets = types.iter().map(|record_type| (*record_type, String::new())).collect();
    Ok(txt::write(ownership, &sets, ROOM)?.iter().map(|value| write_text(value)).collect())
}

/// Whose a name is, and which types there.
pub(crate) fn read(values: &[String], owner: &Label) -> (Owner, Types) {
    let texts: Option<Vec<String>> = values.iter().map(|value| read_text(value)).collect();
    let Some(texts) = texts else { return (Owner::Foreign, Types::new()) };
    let record = txt::read(texts.iter().map(String::as_str), owner);
    let types = [RecordType::A, RecordType::Aaaa, RecordType::Cname];
    let types = types.into_iter().filter(|record_type| record.covers(*record_type)).collect();
    (record.owner, types)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Route 53 takes 4,000 characters, quotes included, whatever the text is.
    #[test]
    fn no_value_is_longer_than_route_53_takes() {
        for text in ["a".repeat(3838), "a\"".repeat(1900), "\\".repeat(3838)] {
            let ownership = format!("v=1 owner=fed service=default/web {text}");
            let values = write(&ownership, &Types::from([RecordType::A])).unwrap();
            assert!(values.iter().all(|value| value.len() <= 4000), "{}", values[0].len());
        }
    }

    #[test]
    fn a_value_that_is_not_quoted_is_foreign() {
        let owner: Label = "fed".parse().unwrap();
        let text = "v=1 owner=fed service=default/web sets=A";
        let (claim, types) = read(&[write_text(text)], &owner);
        assert!(claim.is_ours() && types == Types::from([RecordType::A]), "{types:?}");
        assert_eq!(read(&[text.to_owned()], &owner).0, Owner::Foreign);
    }
}
