//! 'Did you mean': the known word that is nearest to what was written.

/// `; did you mean 'x'?` when one of the words is near enough to what was written.
pub(crate) fn suggestion<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    let near = words.into_iter().map(|word| (distance(written, word), word)).min();
    match near {
        Some((edits, word)) if edits <= (word.len() / 3).clamp(1, 3) => format!("; did you mean '{word}'?"),
        _ => String::new(),
    }
}

/// Insertions, deletions and replacements that lead from one word to the other.
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, b) in two.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let here = (diagonal + usize::from(a != *b)).min(left + 1).min(above + 1);
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            (diagonal, left) = (above, here);
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (one, two, edits) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("kitten", "sitting", 3),
            ("intervall", "interval", 1),
            ("abc", "abc", 0),
        ] {
            assert_eq!(distance(one, two), edits, "{one} {two}");
        }
        assert_eq!(suggestion("intervall", ["fall", "interval"]), "; did you mean 'interval'?");
        assert_eq!(suggestion("ttt", ["ttl"]), "; did you mean 'ttl'?");
        assert_eq!(suggestion("colour", ["fall", "interval"]), "");
    }
}
