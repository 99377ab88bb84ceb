//! Text from outside, made fit for people: logs, faults, events, tables and errors.

use std::borrow::Cow;

/// Characters of a text from outside that are shown; the rest is cut.
pub const MAX_SHOWN: usize = 200;

/// Escapes every character that moves the cursor, starts a line, reverses the direction or is invisible, and cuts at
/// [`MAX_SHOWN`] characters, never within an escape. Applying it twice changes nothing.
///
/// To be called once, where the text becomes part of a fault, a refusal, an event or an error.
pub fn printable(text: &str) -> Cow<'_, str> {
    let short = text.len() <= MAX_SHOWN || text.chars().nth(MAX_SHOWN).is_none();
    if short && !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().min(MAX_SHOWN));
    let mut room = MAX_SHOWN;
    for character in text.chars() {
        let width = if is_hidden(character) { character.escape_default().len() } else { 1 };
        let Some(left) = room.checked_sub(width) else {
            shown.push('…');
            break;
        };
        room = left;
        if is_hidden(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Control characters (Cc: C0, DEL, C1), format characters (Cf: bidi controls, zero width, tags), and the separators of
/// lines and paragraphs.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        for (text, shown) in [
            ("plain 'text' \\ with \"quotes\", ü and 日本", "plain 'text' \\ with \"quotes\", ü and 日本"),
            ("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("a\r\nWARN forged\tline", "a\\r\\nWARN forged\\tline"),
            ("a\u{2028}b\u{2029}c\u{85}d", "a\\u{2028}b\\u{2029}c\\u{85}d"),
            (
                "\u{202e}moc.elpmaxe\u{2066}\u{200b}\u{feff}",
                "\\u{202e}moc.elpmaxe\\u{2066}\\u{200b}\\u{feff}",
            ),
            ("", ""),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn long_text_is_cut_in_front_of_an_escape() {
        let exact = "ä".repeat(MAX_SHOWN);
        assert_eq!(printable(&exact), exact);
        assert_eq!(printable(&format!("{exact}x")), format!("{exact}…"));
        let almost = "a".repeat(MAX_SHOWN - 1);
        assert_eq!(printable(&format!("{almost}\n")), format!("{almost}…"));
    }

    proptest! {
        #[test]
        fn any_text_is_one_short_line_and_stays_so(text in "(?s).{0,300}") {
            let shown = printable(&text).into_owned();
            prop_assert!(shown.chars().count() <= MAX_SHOWN + 1);
            prop_assert!(!shown.chars().any(is_hidden), "{:?}", shown);
            prop_assert_eq!(&printable(&shown), &shown);
        }
    }
}
