//! One page of a list, taken apart while it comes in: never more than one of its objects is held.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::limits::too_large;

/// What may stand around the items.
const LONGEST_HEAD: usize = 64 << 10;
const ITEMS: &[u8] = b"items";

/// Why a page cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PageFault {
    /// It is none.
    Broken(String),
    /// It is more than what is allowed.
    TooMuch(String),
}

/// What stands around the items of a whole page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: String,
    /// Where the next page begins; `None` at the last one.
    pub(crate) next: Option<String>,
}

/// Splits the bytes of a page into its items and what stands around them.
///
/// Invariant: it holds at most one item of the largest size, and `LONGEST_HEAD`.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    largest: usize,
    head: Vec<u8>,
    item: Vec<u8>,
    /// Brackets that are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The last string directly in the page's object, as far as it can be the key that is looked for.
    word: Vec<u8>,
    /// The key whose value is read is that of the items.
    at_items: bool,
    in_items: bool,
}

impl Splitter {
    pub(crate) fn new(largest: usize) -> Self {
        Self { largest, ..Self::default() }
    }

    /// Takes the next bytes; each item that is whole goes to `take`.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), PageFault>,
    ) -> Result<(), PageFault> {
        let (mut from, mut at, mut part) = (0, 0, Part::Between);
        while let Some(byte) = bytes.get(at) {
            let (next, ended) = self.step(*byte)?;
            if next != part {
                self.keep(bytes.get(from..at).unwrap_or_default(), part)?;
                (from, part) = (at, next);
            }
            if ended {
                self.keep(bytes.get(from..=at).unwrap_or_default(), part)?;
                take(&self.item)?;
                self.item.clear();
                from = at + 1;
            }
            at += 1;
            at += self.plain(bytes.get(at..).unwrap_or_default());
        }
        self.keep(bytes.get(from..).unwrap_or_default(), part)
    }

    /// How many of the next bytes are in the middle of a text: most of a large list is text.
    fn plain(&self, bytes: &[u8]) -> usize {
        if !self.in_string || self.escaped || self.depth <= 1 {
            return 0;
        }
        bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(bytes.len())
    }

    /// What stood around the items, when the page has ended.
    pub(crate) fn end(self) -> Result<Head, PageFault> {
        head(&self.head).map_err(PageFault::Broken)
    }

    fn keep(&mut self, bytes: &[u8], part: Part) -> Result<(), PageFault> {
        let (kept, most) = match part {
            Part::Head => (&mut self.head, LONGEST_HEAD),
            Part::Item => (&mut self.item, self.largest),
            Part::Between => return Ok(()),
        };
        if kept.len().saturating_add(bytes.len()) > most {
            return Err(PageFault::TooMuch(too_large(most)));
        }
        kept.extend_from_slice(bytes);
        Ok(())
    }

    /// Where a byte belongs, and whether it ends an item.
    fn step(&mut self, byte: u8) -> Result<(Part, bool), PageFault> {
        let here = if self.in_items { Part::Item } else { Part::Head };
        if self.in_string {
            self.string(byte);
            return Ok((here, false));
        }
        if self.in_items && self.depth == 2 {
            return self.between(byte);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                if self.depth == 1 {
                    self.word.clear();
                }
            }
            b':' if self.depth == 1 => self.at_items = self.word == ITEMS,
            b',' if self.depth == 1 => self.at_items = false,
            b'[' if self.depth == 1 && self.at_items => (self.depth, self.in_items) = (2, true),
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                let closed = self.depth.checked_sub(1);
                self.depth = closed.ok_or_else(|| PageFault::Broken("it is not JSON".to_owned()))?;
                return Ok((here, self.in_items && self.depth == 2));
            }
            _ => {}
        }
        Ok((here, false))
    }

    fn between(&mut self, byte: u8) -> Result<(Part, bool), PageFault> {
        match byte {
            b'{' => {
                self.depth = 3;
                Ok((Part::Item, false))
            }
            b']' => {
                (self.depth, self.in_items) = (1, false);
                Ok((Part::Head, false))
            }
            b',' | b' ' | b'\t' | b'\r' | b'\n' => Ok((Part::Between, false)),
            _ => Err(PageFault::Broken("it has an item that is no object".to_owned())),
        }
    }

    fn string(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
            return;
        }
        if self.depth == 1 && self.word.len() <= ITEMS.len() {
            self.word.push(byte);
        }
    }
}

/// Where bytes belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Around the items.
    Head,
    Item,
    /// Between two items: commas and blanks.
    Between,
}

/// Reads what stands around the items, or says why it is no list.
fn head(text: &[u8]) -> Result<Head, String> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
        metadata: Meta,
        /// Go writes an empty list as `null` or `[]`; without the key it is no list. Items that the splitter has not seen,
        /// under a key with an escape in it, are a fault: they would be missing.
        #[serde(rename = "items", deserialize_with = "Option::deserialize")]
        _items: Option<[IgnoredAny; 0]>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        resource_version: String,
        #[serde(rename = "continue")]
        next: Option<String>,
    }
    let page: Page<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if !page.kind.ends_with("List") {
        return Err(format!("it is a {} and not a list", page.kind));
    }
    if page.metadata.resource_version.is_empty() {
        return Err("it has no resourceVersion".to_owned());
    }
    Ok(Head {
        version: page.metadata.resource_version,
        next: page.metadata.next.filter(|next| !next.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, size: usize, largest: usize) -> Result<(Head, Vec<String>), PageFault> {
        let mut splitter = Splitter::new(largest);
        let mut items = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            splitter.feed(chunk, |item| {
                items.push(String::from_utf8(item.to_vec()).unwrap());
                Ok(())
            })?;
        }
        Ok((splitter.end()?, items))
    }

    #[test]
    fn a_page_is_taken_apart_however_it_is_cut() {
        let text = r#" {"kind":"ServiceList","x":["items",[{"items":[1]}]],"items": [ {"a":"]}\"{,"},{},
            {"b":[{"items":[]}]} ] ,"metadata":{"resourceVersion":"7","continue":"n\"e"},"apiVersion":"v1"} "#;
        for size in 1..=text.len() {
            let (head, items) = split(text, size, 100).unwrap();
            assert_eq!((head.version.as_str(), head.next.as_deref()), ("7", Some("n\"e")), "{size}");
            assert_eq!(items, [r#"{"a":"]}\"{,"}"#, "{}", r#"{"b":[{"items":[]}]}"#], "{size}");
        }
    }

    #[test]
    fn only_a_whole_page_is_a_page() {
        let good = |text: &str| split(text, 5, 100).map(|(head, items)| (head.next, items.len()));
        let whole =
            r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7","continue":""},"items":[{},{}]}"#;
        assert_eq!(good(whole), Ok((None, 2)));
        let null = r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":null}"#;
        assert_eq!(good(null), Ok((None, 0)));
        for end in 0..whole.len() {
            assert!(good(&whole[..end]).is_err(), "{end}");
        }
        for bad in [
            "",
            "{}",
            "[]",
            "<html>",
            "}",
            r#"{"kind":"Status","metadata":{"resourceVersion":"7"},"items":[]}"#,
            r#"{"kind":"ServiceList","metadata":{"resourceVersion":""},"items":[]}"#,
            r#"{"kind":"ServiceList","metadata":{},"items":[]}"#,
            r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"}}"#,
            r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":{}}"#,
            r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":[3]}"#,
            r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":[{}}"#,
            r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":[],"items":[{}]}"#,
            r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":[]}{}"#,
        ] {
            assert!(matches!(good(bad), Err(PageFault::Broken(_))), "{bad}");
        }
    }

    #[test]
    fn a_key_with_an_escape_does_not_make_a_full_list_an_empty_one() {
        let page = r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"\u0069tems":[{}]}"#;
        assert!(matches!(split(page, 5, 100), Err(PageFault::Broken(_))));
    }

    #[test]
    fn what_is_too_large_ends_the_page_before_it_is_held() {
        let item = format!(r#"{{"a":"{}"}}"#, "x".repeat(100));
        let page =
            format!(r#"{{"kind":"ServiceList","metadata":{{"resourceVersion":"7"}},"items":[{item}]}}"#);
        assert!(split(&page, 7, item.len()).is_ok());
        assert!(matches!(split(&page, 7, item.len() - 1), Err(PageFault::TooMuch(_))));
        let head = format!(r#"{{"kind":"{}"#, "x".repeat(LONGEST_HEAD));
        assert!(matches!(split(&head, 1000, 10), Err(PageFault::TooMuch(_))));
    }
}
