//! Other spellings of names and types (RFC 1035 §5.1, RFC 3597 §5) in the form in which everything else compares them.

use std::borrow::Cow;

/// Types whose records decide what may be written, with their numbers (IANA, DNS parameters).
const NUMBERED: [(u16, &str); 6] =
    [(1, "A"), (2, "NS"), (5, "CNAME"), (6, "SOA"), (28, "AAAA"), (39, "DNAME")];

/// The mnemonic of a type in capitals: `TYPE1` is `A`.
pub(crate) fn kind(kind: String) -> String {
    let number = kind.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok());
    let known = number.and_then(|number| NUMBERED.iter().find(|(one, _)| *one == number));
    known.map_or(kind, |(_, name)| (*name).to_owned())
}

/// Whether a word in capitals is a class.
pub(crate) fn is_class(word: &str) -> bool {
    matches!(word, "IN" | "CH" | "CS" | "HS")
        || word.strip_prefix("CLASS").is_some_and(|number| number.parse::<u16>().is_ok())
}

/// A name with the escapes `\DDD` and `\X` of characters that host names have resolved: `w\119w` is `www`. Other escapes
/// stay, so that the name is not taken for one without them.
pub(crate) fn name(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        plain.push_str(before);
        let (character, length) = escaped(behind);
        let escape = behind.get(..length).unwrap_or(behind);
        match character.filter(|character| is_of_hosts(*character)) {
            Some(character) => plain.push(character),
            None => plain.extend(["\\", escape]),
        }
        rest = behind.get(length..).unwrap_or_default();
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The character for which an escape stands, which begins behind its backslash, and the length of the escape.
fn escaped(behind: &str) -> (Option<char>, usize) {
    match behind.get(..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit())) {
        Some(digits) => (digits.parse::<u8>().ok().map(char::from), 3),
        None => (behind.chars().next(), behind.chars().next().map_or(0, char::len_utf8)),
    }
}

const fn is_of_hosts(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_host_characters_are_resolved() {
        for (text, expected) in [
            ("www.eu", "www.eu"),
            (r"w\119w2", "www2"),
            (r"\W\087w", "WWw"),
            (r"\1190", "w0"),
            (r"\*.eu", "*.eu"),
            // A dot within a label, a backslash, and what is no escape.
            (r"a\.b", r"a\.b"),
            (r"a\046b\119", r"a\046bw"),
            (r"a\\119", r"a\\119"),
            (r"\064", r"\064"),
            (r"\300\12", r"\30012"),
            (r"\ü\", r"\ü\"),
        ] {
            assert_eq!(name(text), expected, "{text}");
        }
    }

    #[test]
    fn types_by_number_are_those_by_name() {
        for (text, expected) in
            [("TYPE1", "A"), ("TYPE05", "CNAME"), ("TYPE65534", "TYPE65534"), ("MX", "MX")]
        {
            assert_eq!(kind(text.to_owned()), expected);
        }
        assert!(is_class("IN") && is_class("CLASS1") && !is_class("CLASSY") && !is_class("A"));
    }
}
