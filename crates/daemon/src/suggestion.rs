//! 'Did you mean': the known word that is nearest to what was written.

use strsim::levenshtein;

/// `; did you mean 'x'?` when one of the words is near enough to what was written.
pub(crate) fn suggestion<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    let near = words.into_iter().map(|word| (levenshtein(written, word), word)).min();
    match near {
        Some((edits, word)) if edits <= (word.len() / 3).clamp(1, 3) => format!("; did you mean '{word}'?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested() {
        assert_eq!(suggestion("intervall", ["fall", "interval"]), "; did you mean 'interval'?");
        assert_eq!(suggestion("ttt", ["ttl"]), "; did you mean 'ttl'?");
        assert_eq!(suggestion("colour", ["fall", "interval"]), "");
    }
}
