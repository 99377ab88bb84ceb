//! Tokens and passwords in use, kept out of every text.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use fleetdns_core::secrets::{KeptOut, keep_out};

/// Tokens that are kept out of texts: the last ones.
const REMEMBERED: usize = 8;

/// Tokens and passwords in use, to be kept out of every text.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Arc<Mutex<VecDeque<(String, KeptOut)>>>);

/// What is shorter would tear up texts, and is no secret.
const SHORTEST_SECRET: usize = 6;

impl Secrets {
    /// Keeps a text out from now on, of the texts of libraries too.
    pub(crate) fn add(&self, secret: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if secret.len() < SHORTEST_SECRET || known.iter().any(|(other, _)| other == secret) {
            return;
        }
        known.truncate(REMEMBERED - 1);
        known.push_front((secret.to_owned(), keep_out(secret)));
    }

    /// The text without what a server echoes of our credentials: those that are known, whatever stands behind `Bearer`
    /// or `Basic`, and everything that looks like a JSON web token.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, _) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text = text.replace(secret.as_str(), "...");
        }
        let mut after_scheme = false;
        let words = text.split_inclusive(|c: char| c.is_whitespace() || "\"',;()[]{}<>".contains(c));
        words
            .map(|word| {
                let end = word.trim_end_matches(|c: char| c.is_whitespace() || "\"',;()[]{}<>".contains(c));
                // `bearer token` is no token: a word of small letters alone is not hidden.
                let opaque = end.bytes().any(|byte| !byte.is_ascii_lowercase());
                let hidden = (after_scheme && opaque) || end.contains("eyJ");
                if !end.is_empty() {
                    after_scheme = ["bearer", "basic"].iter().any(|scheme| {
                        let tail = end.len().checked_sub(scheme.len()).and_then(|at| end.get(at..));
                        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(scheme))
                    });
                }
                if hidden {
                    format!("...{}", word.get(end.len()..).unwrap_or_default())
                } else {
                    word.to_owned()
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoed_credentials_are_redacted() {
        let secrets = Secrets::default();
        secrets.add("k8s-aws-v1.c2VjcmV0");
        for (said, shown) in [
            ("token k8s-aws-v1.c2VjcmV0 has expired", "token ... has expired"),
            ("got 'Authorization: Bearer abc.def-1', no", "got 'Authorization: Bearer ...', no"),
            ("Authorization: bearer  Abc", "Authorization: bearer  ..."),
            ("invalid bearer token, lookup failed", "invalid bearer token, lookup failed"),
            ("Basic Og== is not known", "Basic ... is not known"),
            ("{\"jwt\":\"eyJhbGciOi.eyJzdWIi.c2ln\"}", "{\"jwt\":\"...\"}"),
            ("nothing here", "nothing here"),
            ("", ""),
        ] {
            assert_eq!(secrets.redact(said), shown);
        }
    }
}
