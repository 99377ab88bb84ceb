//! Text from outside: read in the same way everywhere, and made fit for people.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use crate::secrets::{self, SECRET};

/// Characters of a text from outside that are shown; the rest is cut.
pub const MAX_SHOWN: usize = 200;

/// Escapes every character that moves the cursor, starts a line, reverses the direction or is invisible, takes out what
/// looks like a secret ([`redacted`]), and cuts at [`MAX_SHOWN`] characters, never within an escape. Applying it twice
/// changes nothing.
///
/// To be called once, where the text becomes part of a fault, a refusal, an event or an error.
pub fn printable(text: &str) -> Cow<'_, str> {
    printable_within(text, MAX_SHOWN)
}

/// [`printable`] with another number of characters.
pub fn printable_within(text: &str, most: usize) -> Cow<'_, str> {
    match redacted(text) {
        Cow::Borrowed(text) => escaped(text, most),
        Cow::Owned(text) => Cow::Owned(escaped(&text, most).into_owned()),
    }
}

/// Takes out the secrets in use ([`crate::secrets`]), and what looks like a secret that a server has echoed: what follows
/// `Bearer`, JSON web tokens (Azure, service accounts), and key ids of AWS. Applying it twice changes nothing.
pub fn redacted(text: &str) -> Cow<'_, str> {
    match secrets::without(text) {
        Cow::Borrowed(text) => without_tokens(text),
        Cow::Owned(text) => Cow::Owned(without_tokens(&text).into_owned()),
    }
}

fn without_tokens(text: &str) -> Cow<'_, str> {
    let in_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    let (mut shown, mut from, mut rest, mut bearer) = (String::new(), 0, 0, false);
    while let Some(start) =
        text.get(rest..).and_then(|tail| tail.find(in_token)).map(|at| rest.saturating_add(at))
    {
        let tail = text.get(start..).unwrap_or_default();
        let token = tail.get(..tail.find(|c| !in_token(c)).unwrap_or(tail.len())).unwrap_or_default();
        let end = start.saturating_add(token.len());
        // Only blanks may stand between the word and its token.
        let follows =
            bearer && text.get(rest..start).is_some_and(|gap| gap.chars().all(|c| c == ' ' || c == ':'));
        if (follows && token.len() >= 8) || is_secret(token) {
            shown.push_str(text.get(from..start).unwrap_or_default());
            shown.push_str(SECRET);
            from = end;
        }
        bearer = token.eq_ignore_ascii_case("bearer");
        rest = end;
    }
    if from == 0 && shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(shown)
}

fn is_secret(token: &str) -> bool {
    let upper = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    let key_id = token.strip_prefix("AKIA").or_else(|| token.strip_prefix("ASIA"));
    // A token may stand behind its name, as in token=eyJ….
    let value = token.rsplit_once('=').map_or(token, |(_, value)| value);
    (value.starts_with("eyJ") && value.len() >= 20)
        || (token.starts_with("eyJ") && token.len() >= 20)
        || key_id.is_some_and(|rest| rest.len() >= 12 && rest.bytes().all(upper))
}

fn escaped(text: &str, most: usize) -> Cow<'_, str> {
    let short = text.len() <= most || text.chars().nth(most).is_none();
    if short && !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().min(most));
    let mut room = most;
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

/// Whether a text says nothing: it is empty, or has only white space and commas. Such a text is never an override to have
/// nothing.
pub fn is_blank(text: &str) -> bool {
    text.split(',').all(|item| item.trim().is_empty())
}

/// `true`, `yes`, `on` and `1`; `false`, `no`, `off` and `0`; in any case.
pub fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "1" => Some(true),
        "off" | "no" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// Seconds as `45s`, `12m`, `3h` or `2d`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A duration with its units, largest first, with or without fractions, as Go's `time.ParseDuration` reads it: `500ms`,
/// `90s`, `1m30s`, `1.5h30m`, `.5m`, and `3d` (24 hours each). `None` when it is none, or longer than some thousand years.
pub fn duration(text: &str) -> Option<Duration> {
    // jiff reads ISO 8601, a sign and blanks as well, and a fraction of the last unit alone.
    let is_digit = |c: char| c.is_ascii_digit() || c == '.';
    let plain = text.starts_with(is_digit) && !text.contains(char::is_whitespace);
    if !plain {
        return None;
    }
    let (mut total, mut units, mut rest) = (Duration::ZERO, String::new(), text);
    while !rest.is_empty() {
        let (number, after) = rest.split_at_checked(rest.find(|c| !is_digit(c))?)?;
        let (unit, after) = after.split_at_checked(after.find(is_digit).unwrap_or(after.len()))?;
        units = format!("{units}1{unit}");
        let whole = if number.starts_with('.') { "0" } else { "" };
        let part = format!("{whole}{number}{unit}");
        total = total.checked_add(span(&part)?)?;
        rest = after;
    }
    // Each unit once, the largest first.
    span(&units).map(|_| total)
}

fn span(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}

/// Whether a character acts on a terminal or is not seen: control characters (Cc: C0, DEL, C1), format characters (Cf: bidi controls, zero width, tags), and the separators of
/// lines and paragraphs.
pub fn is_hidden(character: char) -> bool {
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

/// A message, and behind it the message of each cause that it does not hold yet.
pub fn with_causes(mut text: String, mut cause: Option<&(dyn Error + 'static)>) -> String {
    while let Some(error) = cause {
        let message = error.to_string();
        if !message.is_empty() && !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_that_a_server_echoes_are_taken_out() {
        let jwt = format!("eyJ{}.{}.{}", "a".repeat(30), "b".repeat(30), "c-_".repeat(30));
        for (text, shown) in [
            ("nothing of the kind", "nothing of the kind"),
            ("Bearer token is missing", "Bearer token is missing"),
            ("bad header 'Bearer abcdefgh12345678='", "bad header 'Bearer [secret]'"),
            ("authorization: bearer  abcdefgh12345678", "authorization: bearer  [secret]"),
            (&format!("token {jwt} has expired"), "token [secret] has expired"),
            (&format!("{jwt}{jwt}"), "[secret]"),
            (&format!("client_assertion={jwt}&x=1"), "[secret]&x=1"),
            ("no key AKIAIOSFODNN7EXAMPLE, ASIAIOSFODNN7EXAMPLE", "no key [secret], [secret]"),
            ("AKIArabia is a name, eyJ is short", "AKIArabia is a name, eyJ is short"),
            ("", ""),
        ] {
            assert_eq!(redacted(text), shown);
            assert_eq!(redacted(&redacted(text)), shown, "twice");
        }
        assert_eq!(printable("key AKIAIOSFODNN7EXAMPLE\n"), "key [secret]\\n");
    }

    #[test]
    fn an_age_has_one_unit() {
        assert_eq!([0, 119, 120, 7200, 200_000].map(age).join(" "), "0s 119s 2m 2h 2d");
    }

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

    #[test]
    fn empty_is_never_set() {
        for blank in ["", " ", ",", " , ,\t", "\n", "\u{a0}"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        assert!(!is_blank(",a"));
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [
            ("5s", Some(5_000)),
            ("1.5m", Some(90_000)),
            ("90.5s", Some(90_500)),
            ("1h30m", Some(5_400_000)),
            ("1h1ms", Some(3_600_001)),
            ("1m90s", Some(150_000)),
            ("3d", Some(259_200_000)),
            ("1d12h", Some(129_600_000)),
            ("1500ms", Some(1_500)),
            ("2000us", Some(2)),
            ("2000µs", Some(2)),
            ("3000000ns", Some(3)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("1.5h30m", Some(7_200_000)),
            ("1.5h.5m1.5s", Some(5_431_500)),
            (".5m", Some(30_000)),
            ("1h2h", None),
            ("1.h", None),
            (".", None),
            ("1h.", None),
            ("1:30s", None),
            ("1hé", None),
            ("5s1h", None),
            ("-5s", None),
            ("5 s", None),
            ("5s ago", None),
            ("PT5S", None),
            ("P1Y", None),
            ("1mo", None),
            ("1y", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(duration(text), ms.map(Duration::from_millis), "{text}");
        }
        assert_eq!(duration("0.333333333s"), Some(Duration::from_nanos(333_333_333)));
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
