//! What a backend says, fit to be shown: secrets that it echoes are taken out, the rest is escaped and cut.

use crate::text::printable;

/// What stands in the place of a secret.
const HIDDEN: &str = "[redacted]";
/// Characters of a key id of AWS, with its prefix.
const KEY_ID: usize = 20;

/// The text of a backend without `secrets`, bearer tokens, JSON web tokens and key ids of AWS, escaped and cut for
/// people. To be called once, where the text becomes part of an error or a finding.
pub fn backend_text(text: &str, secrets: &[&str]) -> String {
    let mut plain = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        plain = plain.replace(secret, HIDDEN);
    }
    printable(&without_tokens(&plain)).into_owned()
}

/// Takes out words that look like secrets. A word is a run of the characters of which tokens consist.
fn without_tokens(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let mut bearer = false;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let secret = bearer || is_web_token(word) || is_key_id(word);
        shown.push_str(if secret && !word.is_empty() { HIDDEN } else { word });
        let apart = tail.find(is_token).unwrap_or(tail.len());
        let (between, next) = tail.split_at(apart);
        shown.push_str(between);
        bearer = word.eq_ignore_ascii_case("bearer")
            && between.trim_matches([' ', ':', '=', '"', '\'']).is_empty();
        rest = next;
    }
    shown
}

/// Characters of a bearer token (RFC 6750 §2.1), but for `=`, with which one only ends.
fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | '~' | '+' | '/')
}

/// A JSON object in base64 begins so.
fn is_web_token(word: &str) -> bool {
    word.len() > KEY_ID && word.split('/').any(|part| part.starts_with("eyJ") && part.len() > KEY_ID)
}

/// Of a person, or of a session.
fn is_key_id(word: &str) -> bool {
    word.split(['/', '.']).any(|part| {
        part.len() == KEY_ID
            && (part.starts_with("AKI") || part.starts_with("ASI"))
            && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(backend_text(text, &["p#a;ss", ""]), expected);
    }

    #[test]
    fn secrets_that_a_server_echoes_are_not_shown() {
        check("no right for 'web' at /a/b", "no right for 'web' at /a/b");
        check("Authorization: Bearer abc.DEF-1~2 is bad", "Authorization: Bearer [redacted] is bad");
        check("{\"authorization\":\"bearer x\"}", "{\"authorization\":\"bearer [redacted]\"}");
        check("the secret p#a;ss is bad", "the secret [redacted] is bad");
        check("token=eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln!", "token=[redacted]!");
        check("Credential=AKIDFAKEFAKEFAKEFAKE/20261129/us-east-1", "Credential=[redacted]");
        check("key ASIAFAKEFAKEFAKEFAKE.", "key [redacted]");
        check("key ASIAFAKEFAKEFAKEFAKE, and AKIA", "key [redacted], and AKIA");
        check("bearer tokens are for bears; ü", "bearer [redacted] are for bears; ü");
        check("\u{1b}[2Jforged\nWARN", "\\u{1b}[2Jforged\\nWARN");
    }

    #[test]
    fn a_secret_at_the_cut_is_not_shown_in_part() {
        let text = format!("{} eyJ{}", "x".repeat(195), "a".repeat(400));
        assert!(!backend_text(&text, &[]).contains("eyJ"));
    }
}
