//! Secrets that no text may have in it, and the search for them.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Octets of one part that is searched for: a text that has been cut shows a part at least.
const PART: usize = 16;
/// Octets by which a form is looked up.
const HEAD: usize = 8;

/// Secrets by what they are, each with the forms in which a text may have it.
#[derive(Debug, Default)]
pub struct Planted(Mutex<Vec<Secret>>);

#[derive(Debug)]
struct Secret {
    what: String,
    /// The form and how it looks.
    forms: Vec<(&'static str, String)>,
}

/// A form in which a part of a secret stands in a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// Where it is shown.
    pub place: String,
    /// Which secret it is.
    pub what: String,
    /// `plain`, `base64`, ….
    pub form: &'static str,
    /// What stands around it.
    pub around: String,
}

impl Planted {
    /// A new secret: 32 letters and digits, never the same twice.
    pub fn secret(&self, what: &str) -> String {
        let random = RandomState::new();
        let mut numbers = (0_u64..).map(|at| random.hash_one(at));
        let mut next = || usize::try_from(numbers.next().unwrap_or_default() % 62).unwrap_or_default();
        let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let text: String = (0..PART * 2).map(|_| char::from(alphabet[next()])).collect();
        self.add(what, &text);
        text
    }

    /// A text that is a secret too, such as a private key: its lines but for the shortest.
    ///
    /// # Panics
    /// When it is too short to be found.
    pub fn add(&self, what: &str, text: &str) {
        let lines = text.lines().filter(|line| line.len() >= PART && !line.starts_with("-----"));
        let parts: Vec<&[u8]> = lines.flat_map(|line| line.as_bytes().chunks_exact(PART)).collect();
        assert!(!parts.is_empty(), "{what} is too short to be found");
        let forms = parts.into_iter().flat_map(forms).collect();
        self.0.lock().expect("no thread panics with it").push(Secret { what: what.to_owned(), forms });
    }

    /// Every secret that a text shows, once.
    ///
    /// # Panics
    /// When a thread panicked with them.
    pub fn leaks(&self, place: &str, text: &str) -> Vec<Leak> {
        let secrets = self.0.lock().expect("no thread panics with it");
        let (bytes, mut heads, mut begins) = (text.as_bytes(), HashMap::new(), vec![false; 1 << 24]);
        // A log is long and there are thousands of forms: it is read once, and most octets begin none of them.
        for (at, secret) in secrets.iter().enumerate() {
            for (form, needle) in &secret.forms {
                let head: [u8; HEAD] = *needle.as_bytes().first_chunk().expect("no form is so short");
                begins[three(&head)] = true;
                heads.entry(head).or_insert_with(Vec::new).push((at, *form, needle.as_bytes()));
            }
        }
        let mut found = BTreeMap::new();
        for (at, window) in bytes.windows(HEAD).enumerate().filter(|(_, window)| begins[three(window)]) {
            let of_head = heads.get(window).into_iter().flatten();
            for (secret, form, _) in of_head.filter(|(.., needle)| bytes[at..].starts_with(needle)) {
                found.entry(*secret).or_insert((*form, at));
            }
        }
        let leak = |(secret, (form, at)): (usize, (&'static str, usize))| {
            let around = String::from_utf8_lossy(&bytes[line_start(bytes, at)..]).chars().take(600).collect();
            Leak { place: place.to_owned(), what: secrets[secret].what.clone(), form, around }
        };
        found.into_iter().map(leak).collect()
    }
}

fn three(bytes: &[u8]) -> usize {
    bytes[..3].iter().fold(0, |number, byte| (number << 8) | usize::from(*byte))
}

/// The beginning of the line, or some octets before the place in a longer one.
fn line_start(text: &[u8], at: usize) -> usize {
    let line = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    line.max(at.saturating_sub(300))
}

fn forms(part: &[u8]) -> Vec<(&'static str, String)> {
    let (mut hex, mut decimal) = (String::new(), String::new());
    for byte in part {
        let _ = write!(hex, "{byte:02x}");
        let _ = write!(decimal, "{byte}, ");
    }
    let mut all = vec![
        ("plain", String::from_utf8_lossy(part).into_owned()),
        ("reversed", String::from_utf8_lossy(part).chars().rev().collect()),
        ("hex", hex.to_uppercase()),
        ("hex", hex),
        ("decimal", decimal.trim_end_matches(", ").to_owned()),
        ("percent", part.iter().map(|byte| format!("%{byte:02X}")).collect()),
    ];
    // Whatever stands before it: without the digits that it shares with its neighbours.
    for before in 0..3 {
        let text = [&b"xx"[..before], part].concat();
        let first = (before * 8_usize).div_ceil(6);
        let last = text.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            all.push(("base64", encoded[first..last].to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_and_in_part() {
        let planted = Planted::default();
        let secret = planted.secret("password");
        let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
        for shown in [
            format!("the {secret} is"),
            secret[..20].to_owned(),
            secret[10..].to_owned(),
            hex,
            format!("{:?}", secret.as_bytes()),
            STANDARD_NO_PAD.encode(&secret),
            STANDARD_NO_PAD.encode(format!("u:{secret}")),
            URL_SAFE_NO_PAD.encode(format!("a{secret}bc")),
        ] {
            let leaks = planted.leaks("here", &format!("first\nbefore {shown}\nlast"));
            assert!(leaks.len() == 1 && leaks[0].around.starts_with("before"), "{shown}: {leaks:?}");
        }
        assert_eq!(planted.leaks("here", "nothing"), []);
        assert_ne!(planted.secret("another"), secret);
    }
}
