//! The octets of a zone file as text, and back: a zone file may have any octets in comments and quotes (RFC 1035 §5.1).

/// The character for an octet that is not UTF-8, less the octet: such octets are 0x80 to 0xFF, and become U+F780 to U+F7FF,
/// which are for private use.
const STAND_IN: u32 = 0xF700;

/// Text from which [`to_octets`] makes the same octets, whatever they are.
pub(crate) fn to_text(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let stand_in = |octet: &u8| char::from_u32(STAND_IN + u32::from(*octet)).unwrap_or_default();
    for chunk in octets.utf8_chunks() {
        for character in chunk.valid().chars() {
            if octet_of(character).is_some() {
                text.extend(character.encode_utf8(&mut [0; 4]).as_bytes().iter().map(stand_in));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().map(stand_in));
    }
    text
}

/// The octets of a text that [`to_text`] made, of one that was written by us, or of parts of both.
pub(crate) fn to_octets(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    for character in text.chars() {
        match octet_of(character) {
            Some(octet) => octets.push(octet),
            None => octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    octets
}

/// The octet that a character stands for.
fn octet_of(character: char) -> Option<u8> {
    let octet = u8::try_from(u32::from(character).checked_sub(STAND_IN)?).ok()?;
    (!octet.is_ascii()).then_some(octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_other_octets_get_a_character() {
        assert_eq!(to_text("; Zürich €".as_bytes()), "; Zürich €");
        assert_eq!(to_text(b"; Z\xfcrich\n"), "; Z\u{f7fc}rich\n");
        assert_eq!(to_octets("; Zürich \u{f700}"), "; Zürich \u{f700}".as_bytes());
    }

    proptest::proptest! {
        /// Octets of all kinds, and the characters that stand for some.
        #[test]
        fn any_octets_come_back(
            octets in proptest::collection::vec(proptest::prop_oneof![
                proptest::prelude::any::<u8>(),
                proptest::sample::select(&b"\xef\x9e\x9f\xbf\x80\xc3\xbc"[..]),
            ], 0..60),
        ) {
            proptest::prop_assert_eq!(to_octets(&to_text(&octets)), octets);
        }
    }
}
