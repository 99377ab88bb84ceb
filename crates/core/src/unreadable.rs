//! Entries of a zone that cannot be read: a bounded number of sentences, and a count of the rest.

use std::collections::BTreeSet;

use crate::redact::backend_text;

/// Most entries that a listing names; more are counted.
const MOST: usize = 100;

/// Entries of a zone that cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// The first in the order of their texts: the same ones in whatever order a backend lists them.
    named: BTreeSet<String>,
    unnamed: usize,
}

impl Unreadable {
    /// Adds an entry, with a sentence whose text may come from a backend.
    pub fn push(&mut self, sentence: &str) {
        self.named.insert(backend_text(sentence, &[]));
        if self.named.len() > MOST {
            self.named.pop_last();
            self.unnamed = self.unnamed.saturating_add(1);
        }
    }

    /// Whether everything could be read.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The sentences, and one about those that are not named.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences: Vec<String> = self.named.iter().cloned().collect();
        if self.unnamed > 0 {
            sentences.push(format!("{} more entries cannot be read", self.unnamed));
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_are_named_in_any_order_and_the_rest_is_counted() {
        let mut unreadable = Unreadable::default();
        assert!(unreadable.is_empty() && unreadable.sentences().is_empty());
        (0..1_000).rev().for_each(|at| unreadable.push(&format!("entry {at:03}\n{}", "x".repeat(1_000))));
        let sentences = unreadable.sentences();
        assert_eq!(sentences.len(), MOST + 1);
        assert!(sentences[99].starts_with("entry 099\\n") && sentences[99].len() < 300, "{}", sentences[99]);
        assert_eq!(sentences[100], "900 more entries cannot be read");
    }
}
