//! Names and texts as Route 53 spells them.

use fleetdns_core::DnsName;
pub(crate) use fleetdns_core::ownership::txt::{owned_name as marked_name, record_name as mark_name};

/// Longest character string of a TXT record in octets (RFC 1035 §3.3).
const STRING: usize = 255;

/// A name that Route 53 gave: all but letters, digits, `-` and `_` come as `\ooo`, three octal digits.
/// `None` when it is none that could be published.
pub(crate) fn read_name(text: &str) -> Option<DnsName> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match (*byte, octal(tail)) {
            (b'\\', Some(escaped)) if escaped != b'.' => {
                bytes.push(escaped);
                rest = tail.get(3..)?;
            }
            (b'\\', _) => return None,
            (byte, _) => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    if text.is_ascii() { text.parse().ok() } else { None }
}

fn octal(text: &[u8]) -> Option<u8> {
    let digits = text.get(..3)?;
    let value = digits.iter().try_fold(0_u16, |sum, digit| match digit {
        b'0'..=b'7' => Some(sum * 8 + u16::from(digit - b'0')),
        _ => None,
    })?;
    u8::try_from(value).ok()
}

/// As Route 53 wants it.
pub(crate) fn write_name(name: &DnsName) -> String {
    format!("{name}.")
}

/// A text as the value of a TXT record: character strings in quotes.
pub(crate) fn write_text(text: &str) -> String {
    let mut value = String::with_capacity(text.len() + 3 * (text.len() / STRING + 1));
    for (index, string) in text.as_bytes().chunks(STRING).enumerate() {
        value.push_str(if index == 0 { "\"" } else { " \"" });
        for byte in string {
            match byte {
                b'"' | b'\\' => value.extend(['\\', char::from(*byte)]),
                b' '..=b'~' => value.push(char::from(*byte)),
                other => value.push_str(&format!("\\{other:03o}")),
            }
        }
        value.push('"');
    }
    value
}

/// The text of a TXT value, its strings put together. `None` when it is not written as one.
pub(crate) fn read_text(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    let mut inside = false;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, inside) {
            (b'"', _) => inside = !inside,
            (b'\\', true) => match octal(tail) {
                Some(escaped) => {
                    bytes.push(escaped);
                    rest = tail.get(3..)?;
                }
                None => {
                    bytes.push(*tail.first()?);
                    rest = tail.get(1..)?;
                }
            },
            (b' ' | b'\t', false) => {}
            (_, false) => return None,
            (byte, true) => bytes.push(*byte),
        }
    }
    if inside { None } else { String::from_utf8(bytes).ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> DnsName {
        text.parse().unwrap()
    }

    #[test]
    fn octal_escapes_become_what_they_stand_for() {
        assert_eq!(read_name("\\052.Example.com."), Some(name("*.example.com")));
        assert_eq!(read_name("_a-b.example.com."), Some(name("_a-b.example.com")));
        for bad in ["a\\056b.example.com.", "a\\9.example.com", "a\\", "\\100.example.com.", "\\303\\274.x."]
        {
            assert_eq!(read_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_text_is_cut_into_strings_of_255_octets() {
        let value = write_text(&"x".repeat(600));
        assert_eq!(value.len(), 600 + 6 + 2);
        assert_eq!(value.split(' ').map(str::len).collect::<Vec<_>>(), [257, 257, 92]);
        assert_eq!(read_text("\"a\" \"b\""), Some("ab".to_owned()));
        assert_eq!(read_text("\"a\\\"\\101\""), Some("a\"A".to_owned()));
        for bad in ["a", "\"a", "\"a\\", "\"a\"b"] {
            assert_eq!(read_text(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            prop_assert_eq!(read_text(&write_text(&text)), Some(text));
        }
    }
}
