//! Tables for people.

use std::io::{self, Write};

/// Widest column: a longer cell pushes the rest of its own row to the right and no other.
const WIDEST: usize = 100;

/// Writes rows under their headings, columns aligned, two spaces between them.
///
/// Cells come from outside and may have any length; a width in a format string may not (65,535 at most, or it panics).
///
/// # Errors
/// When the output is closed.
pub fn print(out: &mut impl Write, headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths: Vec<usize> = headings.iter().map(|text| text.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count()).min(WIDEST);
        }
    }
    let headings: Vec<String> = headings.iter().map(|text| (*text).to_owned()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            let padding = width.saturating_sub(cell.chars().count()) + 2;
            line.extend(std::iter::repeat_n(' ', padding));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `-` for an empty text.
pub fn dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = Vec::new();
        print(
            &mut out,
            &["NAME", "X"],
            &[vec!["a".into(), "1".into()], vec!["longer".into(), String::new()]],
        )
        .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME    X\na       1\nlonger\n");
    }

    #[test]
    fn a_cell_of_any_length_is_printed_and_widens_no_other_row() {
        let long = "x".repeat(70_000);
        let mut out = Vec::new();
        let rows = [vec![long.clone(), "1".to_owned()], vec!["short".to_owned(), "2".to_owned()]];
        print(&mut out, &["NAME", "X"], &rows).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("{long}  1"));
        assert_eq!(lines[2], format!("{:<100}  2", "short"));
    }

    #[test]
    fn an_age_has_one_unit() {
        assert_eq!([0, 119, 120, 7200, 200_000].map(age).join(" "), "0s 119s 2m 2h 2d");
    }
}
