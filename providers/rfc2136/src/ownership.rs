//! Whose the record sets of a name are, in TXT records at `_fleetdns.` before the name.
//!
//! ```text
//! _fleetdns.web.example.com. 60 IN TXT "A AAAA" "v=1 owner=fed service=default/web member=…" "…"
//! ```
//!
//! The first string names the types for which the rest holds; the rest, put together, is the text of an
//! [`Ownership`](fleetdns_core::Evidence), cut where a string ends (255 octets, RFC 1035 §3.3.14). A set whose type is
//! not named has no mark, so that an AAAA that somebody else puts beside our A is not taken for ours.

use std::collections::BTreeMap;

use fleetdns_core::{Label, Owner, RecordType};

/// Seconds; nobody but us asks for them.
pub(crate) const TTL: u32 = 60;

const MAX_STRING: usize = 255;

/// Octets of the text of a mark. Two of them, before and after, fit into an update.
pub(crate) const MAX_TEXT: usize = 24_000;

/// One TXT record: a mark, or something else that stands where marks do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OwnershipRecord(Vec<Vec<u8>>);

impl OwnershipRecord {
    pub(crate) fn new(strings: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(strings.into_iter().collect())
    }

    pub(crate) fn strings(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.iter()
    }

    /// Types and text; `None` when it is no mark: nothing that we write is longer or has control characters.
    fn read(&self) -> Option<(Vec<RecordType>, String)> {
        let (first, rest) = self.0.split_first()?;
        let types =
            std::str::from_utf8(first).ok()?.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let text = String::from_utf8(rest.concat()).ok()?;
        let readable = text.len() <= MAX_TEXT && !text.contains(char::is_control);
        readable.then_some((types, text))
    }

    /// Octets of its strings.
    pub(crate) fn octets(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// Whether it is one, ours or another owner's.
    pub(crate) fn is_mark(&self) -> bool {
        self.read().is_some()
    }

    /// What it says of a type: `None` when nothing.
    pub(crate) fn claim(&self, kind: RecordType, owner: &Label) -> Option<Owner> {
        let (types, text) = self.read()?;
        types.contains(&kind).then(|| Owner::read(Some(&text), owner))
    }

    /// Text by type, when it is ours.
    pub(crate) fn ours(&self, owner: &Label) -> Option<BTreeMap<RecordType, String>> {
        let (types, text) = self.read()?;
        let ours = Owner::read(Some(&text), owner).is_ours();
        ours.then(|| types.into_iter().map(|kind| (kind, text.clone())).collect())
    }
}

/// The marks that say so: one for each text.
pub(crate) fn write(texts: &BTreeMap<RecordType, String>) -> Vec<OwnershipRecord> {
    let mut by_text: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (kind, text) in texts {
        by_text.entry(text).or_default().push(kind.as_str());
    }
    let mark = |(text, types): (&str, Vec<&str>)| {
        let types = types.join(" ").into_bytes();
        OwnershipRecord::new(
            [types].into_iter().chain(text.as_bytes().chunks(MAX_STRING).map(<[u8]>::to_vec)),
        )
    };
    by_text.into_iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let owner: Label = "fed".parse().unwrap();
        let member = |n: usize| format!(" member=cluster-{n};westus;1,2;tcp:80;203.0.113.1");
        let long = format!("v=1 owner=fed service=default/web{}", (0..40).map(member).collect::<String>());
        let short = "v=1 owner=fed service=default/web".to_owned();
        let (a, aaaa) = (RecordType::A, RecordType::Aaaa);
        for texts in [
            BTreeMap::from([(a, long.clone()), (aaaa, long.clone())]),
            BTreeMap::from([(a, short.clone()), (aaaa, long.clone())]),
        ] {
            let marks = write(&texts);
            let same = texts.values().all(|text| *text == long);
            assert_eq!(marks.len(), if same { 1 } else { 2 });
            assert!(marks.iter().flat_map(OwnershipRecord::strings).all(|string| string.len() <= MAX_STRING));
            let read: BTreeMap<_, _> = marks.iter().flat_map(|mark| mark.ours(&owner).unwrap()).collect();
            assert_eq!(read, texts);
        }
    }

    #[test]
    fn what_is_no_mark_or_anothers_is_not_ours() {
        let owner: Label = "fed".parse().unwrap();
        let mark =
            |strings: &[&str]| OwnershipRecord::new(strings.iter().map(|string| string.as_bytes().to_vec()));
        let other = mark(&["A", "v=1 owner=other service=default/web"]);
        assert!(other.is_mark());
        assert_eq!(other.ours(&owner), None);
        assert_eq!(other.claim(RecordType::A, &owner), Some(Owner::Foreign));
        assert_eq!(other.claim(RecordType::Aaaa, &owner), None);
        for strings in [&["v=spf1 -all"][..], &["A MX", "v=1"], &["", "v=1"], &[]] {
            assert!(!mark(strings).is_mark(), "{strings:?}");
        }
        let forged = "v=1 owner=other service=default/web\nowner=fed service=default/web";
        assert!(!mark(&["A", forged]).is_mark());
        let endless = format!("v=1 owner=fed service=default/{}", "a".repeat(MAX_TEXT));
        assert!(!mark(&["A", &endless]).is_mark());
        let damaged = mark(&["A", "v=1 owner=fed service=default/web member=;;"]);
        assert_eq!(damaged.claim(RecordType::A, &owner), Some(Owner::Ours(None)));
    }

    proptest::proptest! {
        /// Strings of TXT end at 255 octets, and wherever somebody lets them end: a text is read back as it was written,
        /// or is no mark.
        #[test]
        fn any_text_is_read_back_or_is_no_mark(
            text in "(?s).{0,60}|[ -~]{250,260}|[ä\"\\\\]{120,130}|v=1 owner=fed.{0,3}owner=other",
        ) {
            let marks = write(&BTreeMap::from([(RecordType::A, text.clone())]));
            proptest::prop_assert_eq!(marks.len(), 1);
            proptest::prop_assert!(marks[0].strings().all(|string| string.len() <= MAX_STRING));
            let read = marks[0].read();
            if text.contains(char::is_control) {
                proptest::prop_assert_eq!(read, None);
            } else {
                proptest::prop_assert_eq!(read, Some((vec![RecordType::A], text)));
            }
        }
    }
}
