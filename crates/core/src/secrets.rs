//! Secrets in use, known to the whole process, so that no text shows one: a server may echo what it was sent, and a library
//! may log it. [`crate::text::redacted`] takes them out, through which each error, event and line of the log passes.
//!
//! Invariant: a secret is known from before its first use until after its last.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands in the place of a secret.
pub(crate) const SECRET: &str = "[secret]";

/// A secret is looked up by its first octets, so that a text is read once, however many secrets there are.
const HEAD: usize = 8;
/// Small letters alone may be a word of ours, unless there are so many of them.
const NO_WORD: usize = 16;

/// Characters that a URL or a form has as they are (RFC 3986 §2.3).
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

type Known = BTreeMap<[u8; HEAD], Vec<Arc<str>>>;

static KNOWN: RwLock<Known> = RwLock::new(BTreeMap::new());

/// A secret that is kept out of texts as long as this value lives.
#[must_use = "the secret is forgotten when this is dropped"]
pub struct KeptOut(Vec<Arc<str>>);

impl fmt::Debug for KeptOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptOut")
    }
}

/// Keeps a secret out of texts: as it stands, as a quoted text has it, in base64, and percent-encoded. One of fewer than 8
/// octets, or of fewer than 16 small letters, is not known by its looks and is left where it is; of one with several lines,
/// each line counts.
pub fn keep_out(secret: &str) -> KeptOut {
    let lines = secret.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let mut forms: Vec<Arc<str>> = Vec::new();
    for line in lines.filter(|line| is_opaque(line)) {
        let quoted = format!("{line:?}");
        let encoded = utf8_percent_encode(line, &ENCODED).to_string();
        for form in [line, quoted.trim_matches('"'), &encoded, STANDARD.encode(line).trim_end_matches('=')] {
            if forms.iter().all(|other| **other != *form) {
                forms.push(form.into());
            }
        }
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for form in &forms {
        if let Some(head) = head(form.as_bytes()) {
            known.entry(head).or_default().push(Arc::clone(form));
        }
    }
    KeptOut(forms)
}

impl KeptOut {
    /// Keeps it out until the process ends: for what a configuration has, which is read a few times.
    pub fn forever(self) {
        std::mem::forget(self);
    }
}

impl Drop for KeptOut {
    fn drop(&mut self) {
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        for form in &self.0 {
            let Some(head) = head(form.as_bytes()) else { continue };
            if let Some(with_head) = known.get_mut(&head) {
                with_head.retain(|other| !Arc::ptr_eq(other, form));
                if with_head.is_empty() {
                    known.remove(&head);
                }
            }
        }
    }
}

fn is_opaque(text: &str) -> bool {
    text.len() >= NO_WORD || (text.len() >= HEAD && text.bytes().any(|byte| !byte.is_ascii_lowercase()))
}

fn head(bytes: &[u8]) -> Option<[u8; HEAD]> {
    bytes.first_chunk().copied()
}

/// The text without the secrets in use.
pub(crate) fn without(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if known.is_empty() {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let (mut shown, mut from, mut at) = (String::new(), 0, 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEAD) {
        let with_head = head(rest).and_then(|head| known.get(&head)).into_iter().flatten();
        let longest = with_head.filter(|one| rest.starts_with(one.as_bytes())).map(|one| one.len()).max();
        match longest {
            Some(length) => {
                shown.push_str(text.get(from..at).unwrap_or_default());
                shown.push_str(SECRET);
                at += length;
                from = at;
            }
            None => at += 1,
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_in_each_form_until_it_is_forgotten() {
        let secret = "K3pt\"out/of ä texts";
        let kept = keep_out(secret);
        for shown in [
            secret.to_owned(),
            format!("{secret:?}"),
            "K3pt%22out%2Fof%20%C3%A4%20texts".to_owned(),
            STANDARD.encode(secret),
        ] {
            let text = format!("ä {shown}{shown} ü");
            let plain = without(&text).replace(['"', '='], "");
            assert_eq!(plain, "ä [secret][secret] ü", "{text}");
        }
        let again = keep_out(secret);
        drop(kept);
        assert_eq!(without(secret), SECRET);
        drop(again);
        assert_eq!(without(secret), secret);
        assert_eq!(format!("{:?}", keep_out(secret)), "KeptOut");
    }

    #[test]
    fn the_longest_of_two_that_begin_alike_goes() {
        let (_short, _long) = (keep_out("begin-alike-1"), keep_out("begin-alike-1-and-more"));
        assert_eq!(without("begin-alike-1-and-more begin-alike-1"), "[secret] [secret]");
    }

    #[test]
    fn of_a_key_in_pem_each_line_goes() {
        let _key = keep_out("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\nAgEGCCqGSM49AwEHBG0w\n");
        assert_eq!(without("MIGHAgEAMBMGByqGSM49\nAgEGCCqGSM49AwEHBG0w"), "[secret]\n[secret]");
        assert_eq!(without("-----BEGIN PRIVATE KEY-----"), "-----BEGIN PRIVATE KEY-----");
    }

    #[test]
    fn a_word_is_left_where_it_is() {
        let _kept = ["", "p#a;ss", "fleetdns", "password"].map(keep_out);
        for text in ["", "fleetdns", "password p#a;ss"] {
            assert_eq!(without(text), text);
        }
    }
}
