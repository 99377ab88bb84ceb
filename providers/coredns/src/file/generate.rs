//! `$GENERATE`: one line that stands for many, as BIND and CoreDNS read it.

use super::scan::Statement;

/// Most lines that one directive makes.
const MOST: u64 = 65_536;

/// The lines for which a directive stands: `$GENERATE 1-20/2 host-${0,3,d} A 10.0.0.$`.
///
/// # Errors
/// What of it cannot be followed.
pub(crate) fn lines(statement: &Statement<'_>) -> Result<Vec<String>, String> {
    let [_, range, rest @ ..] = &statement.words[..] else { return Err("$GENERATE has no range".to_owned()) };
    if rest.is_empty() {
        return Err("$GENERATE has no name".to_owned());
    }
    let numbers = numbers(range.text).ok_or_else(|| format!("$GENERATE has the range '{}'", range.text))?;
    let pattern: Vec<String> = rest
        .iter()
        .map(|word| if word.quoted { format!("\"{}\"", word.text) } else { word.text.to_owned() })
        .collect();
    let pattern = pattern.join(" ");
    let made = |number| filled(&pattern, number);
    numbers.map(made).collect::<Option<_>>().ok_or_else(|| format!("$GENERATE has '{pattern}'"))
}

/// What of a name is the same in all lines: the labels behind the last one that differs.
pub(crate) fn fixed_part(name: &str) -> &str {
    let behind = name.rsplit_once('$').map_or(name, |(_, behind)| behind);
    let behind =
        behind.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or(behind, |(_, rest)| rest);
    behind.split_once('.').map_or("", |(_, fixed)| fixed)
}

fn numbers(text: &str) -> Option<impl Iterator<Item = u64>> {
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let step: usize = step.parse().ok().filter(|step| *step > 0)?;
    let count = last.checked_sub(first)? / step as u64;
    (count < MOST && last <= u64::from(u32::MAX)).then(|| (first..=last).step_by(step))
}

/// `$` and `${OFFSET,WIDTH,BASE}` replaced by a number; `\\$` is a dollar sign. `None` for what is none of these.
fn filled(pattern: &str, number: u64) -> Option<String> {
    let mut line = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(at) = rest.find(['$', '\\']) {
        let (before, behind) = rest.split_at(at);
        line.push_str(before);
        if let Some(escaped) = behind.strip_prefix('\\') {
            let character = escaped.chars().next()?;
            line.extend((character != '$').then_some('\\'));
            line.push(character);
            rest = escaped.strip_prefix(character)?;
            continue;
        }
        rest = behind.strip_prefix('$')?;
        match rest.strip_prefix('{') {
            None if rest.starts_with('$') => return None,
            None => line.push_str(&number.to_string()),
            Some(modifier) => {
                let (modifier, behind) = modifier.split_once('}')?;
                line.push_str(&modified(modifier, number)?);
                rest = behind;
            }
        }
    }
    line.push_str(rest);
    Some(line)
}

fn modified(modifier: &str, number: u64) -> Option<String> {
    let mut parts = modifier.split(',').map(str::trim);
    let offset: i64 = parts.next()?.parse().ok()?;
    let width: usize = parts.next().map_or(Some(0), |text| text.parse().ok().filter(|width| *width <= 63))?;
    let base = parts.next().unwrap_or("d");
    let number = i64::try_from(number).ok()?.checked_add(offset).and_then(|sum| u64::try_from(sum).ok())?;
    if parts.next().is_some() {
        return None;
    }
    Some(match base {
        "d" => format!("{number:0width$}"),
        "o" => format!("{number:0width$o}"),
        "x" => format!("{number:0width$x}"),
        "X" => format!("{number:0width$X}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::scan::statements;

    fn made(text: &str) -> Result<Vec<String>, String> {
        let all = statements(text).unwrap();
        lines(&all[0])
    }

    #[test]
    fn a_directive_stands_for_its_lines() {
        for (text, expected) in [
            (
                "$GENERATE 1-3 host-$ A 10.0.0.$",
                vec!["host-1 A 10.0.0.1", "host-2 A 10.0.0.2", "host-3 A 10.0.0.3"],
            ),
            (
                "$GENERATE 0-4/4 $ 60 IN CNAME \\$x${8,3,x}",
                vec!["0 60 IN CNAME $x008", "4 60 IN CNAME $x00c"],
            ),
            ("$GENERATE 9-9 a${-2} TXT \"no $\"", vec!["a7 TXT \"no 9\""]),
        ] {
            assert_eq!(made(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_an_error_and_what_is_too_much_too() {
        for text in [
            "$GENERATE",
            "$GENERATE 1-3",
            "$GENERATE 3-1 a$ A 10.0.0.1",
            "$GENERATE 1-3/0 a$ A 10.0.0.1",
            "$GENERATE 0-65536 a$ A 10.0.0.1",
            "$GENERATE 0-18446744073709551615 a$ A 10.0.0.1",
            "$GENERATE 1-2 a${0,4,n} A 10.0.0.1",
            "$GENERATE 1-2 a${-5} A 10.0.0.1",
            "$GENERATE 1-2 a${0,99999999999999999999} A 10.0.0.1",
            "$GENERATE 1-2 a$$ A 10.0.0.1",
            "$GENERATE 1-2 a${0 A 10.0.0.1",
        ] {
            assert!(made(text).is_err(), "{text}");
        }
        assert_eq!(made("$GENERATE 0-65535 a$ A 10.0.0.1").unwrap().len(), 65_536);
    }

    #[test]
    fn the_fixed_part_of_a_name_is_behind_its_last_number() {
        for (name, fixed) in [
            ("host-$", ""),
            ("$.eu", "eu"),
            ("a$-${0,3,d}x.eu.example.com.", "eu.example.com."),
            ("a.b", "b"),
        ] {
            assert_eq!(fixed_part(name), fixed, "{name}");
        }
    }
}
