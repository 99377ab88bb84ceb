//! An answer on the terminal: for people, or as JSON or YAML.

use std::io::{self, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use erased_serde::Serialize;

use crate::args::Format;
use crate::error::CommandError;

/// Prints a value as JSON or YAML, or by `text`; returns whether somebody still reads.
pub fn show(
    format: Format,
    value: &dyn Serialize,
    text: impl FnOnce(&mut Text<'_>) -> io::Result<()>,
) -> Result<bool, CommandError> {
    let done = match format {
        Format::Text | Format::Wide => on_terminal(format == Format::Wide, text),
        Format::Json => json(value).and_then(|text| io::stdout().lock().write_all(text.as_bytes())),
        Format::Yaml => yaml(value).and_then(|text| io::stdout().lock().write_all(text.as_bytes())),
    };
    still_read(done)
}

/// Prints a text as it is; returns whether somebody still reads.
///
/// # Errors
/// When it cannot be written.
pub fn plain(text: &str) -> Result<bool, CommandError> {
    still_read(io::stdout().lock().write_all(text.as_bytes()))
}

fn still_read(done: io::Result<()>) -> Result<bool, CommandError> {
    match done {
        Ok(()) => Ok(true),
        // Whoever closed the pipe has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CommandError::failed(&error)),
    }
}

/// Writes what people read to the terminal, or to a pipe.
///
/// # Errors
/// When the output is closed.
pub fn on_terminal(wide: bool, text: impl FnOnce(&mut Text<'_>) -> io::Result<()>) -> io::Result<()> {
    let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0);
    text(&mut Text { out: &mut anstream::stdout().lock(), width, wide })
}

/// A value as JSON for people, with a line feed.
///
/// # Errors
/// When it cannot be written so.
pub fn json(value: &dyn Serialize) -> io::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(io::Error::from)
}

/// A value as a YAML document.
///
/// # Errors
/// When it cannot be written as one.
pub fn yaml(value: &dyn Serialize) -> io::Result<String> {
    serde_saphyr::to_string(&value).map_err(io::Error::other)
}

/// Where the answer for people is written.
pub struct Text<'a> {
    out: &'a mut dyn Write,
    /// Columns of the terminal; a pipe has none.
    width: Option<u16>,
    /// Whether everything is asked for.
    pub wide: bool,
}

impl Write for Text<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.out.write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Text<'_> {
    /// Writes rows under their headings; columns of `wide` only when everything is asked for; an empty cell is `-`.
    ///
    /// Cells fold at the edge of a terminal. In a pipe each row is one line.
    ///
    /// # Errors
    /// When the output is closed.
    pub fn table<const N: usize>(
        &mut self,
        headings: [&str; N],
        wide: &[&str],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> io::Result<()> {
        let mut table = Table::new();
        let filled = |cell: String| if cell.is_empty() { "-".to_owned() } else { cell };
        table.set_header(headings).add_rows(rows.into_iter().map(|row| row.map(filled)));
        for (column, heading) in table.column_iter_mut().zip(headings) {
            if !self.wide && wide.contains(&heading) {
                column.set_constraint(ColumnConstraint::Hidden);
            }
        }
        self.fit(table)
    }

    /// Writes a line whose rest folds under itself at the edge of a terminal, beside its `start`.
    ///
    /// # Errors
    /// When the output is closed.
    pub fn line(&mut self, start: &str, rest: &str) -> io::Result<()> {
        let mut table = Table::new();
        table.add_row([start, rest]);
        self.fit(table)
    }

    fn fit(&mut self, mut table: Table) -> io::Result<()> {
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table.column_iter_mut().for_each(|column| {
            column.set_padding((0, 2));
        });
        table.lines().try_for_each(|line| writeln!(self.out, "{}", line.trim_end()))
    }
}

/// What `text` writes to a terminal of `width` columns, or to a pipe.
#[cfg(test)]
pub(crate) fn printed(
    width: Option<u16>,
    wide: bool,
    text: impl FnOnce(&mut Text<'_>) -> io::Result<()>,
) -> String {
    let mut out = Vec::new();
    text(&mut Text { out: &mut out, width, wide }).unwrap();
    String::from_utf8(out).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(width: Option<u16>, wide: bool, last: &str) -> String {
        let name = "calculatorlb.default.myfederation.svc.westus.syncweek.com";
        let row = |last: &str| [name.to_owned(), "30".to_owned(), String::new(), last.to_owned()];
        printed(width, wide, |out| {
            out.table(["NAME", "TTL", "CLUSTERS", "VALUES"], &["CLUSTERS"], [row("192.0.2.1"), row(last)])
        })
    }

    #[test]
    fn a_row_in_a_pipe_is_a_line_however_long_it_is() {
        let many = "203.0.113.1 ".repeat(500);
        let text = records(None, false, &many);
        let name = "calculatorlb.default.myfederation.svc.westus.syncweek.com";
        let heading = format!("{:57}  TTL  VALUES", "NAME");
        assert_eq!(text, format!("{heading}\n{name}  30   192.0.2.1\n{name}  30   {}\n", many.trim_end()));
        assert!(records(None, true, "").ends_with("  30   -         -\n"), "an empty cell can be counted");
    }

    #[test]
    fn a_table_fits_the_terminal() {
        for width in [60, 80, 120] {
            let text = records(Some(width), true, &"203.0.113.1 ".repeat(50));
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(
                longest <= Some(width.into()) && !text.contains('\u{1b}'),
                "{width}: {longest:?}\n{text}"
            );
            assert_eq!(text.matches("203.0.113.1").count(), 50, "no address is broken at {width}\n{text}");
        }
    }

    #[test]
    fn a_long_line_folds_beside_its_start() {
        let rest =
            "removed  web.example.com  203.0.113.7  (eastus)  unhealthy, 3 failures, connection refused";
        let text = |width| printed(width, false, |out| out.line("2026-01-02T03:04:05Z", rest));
        assert_eq!(text(None), format!("2026-01-02T03:04:05Z  {rest}\n"));
        let (first, second) =
            ("removed  web.example.com  203.0.113.7  (eastus)", "unhealthy, 3 failures, connection refused");
        assert_eq!(text(Some(80)), format!("2026-01-02T03:04:05Z  {first}\n{:22}{second}\n", ""));
    }

    #[test]
    fn yaml_says_what_json_says() {
        let value = serde_json::json!({
            "name": "web.example.com", "ttl": 30, "none": null, "on": true, "empty": [], "nested": [{"a": {"b": "c"}}],
            "text": "yes", "number": "007", "odd": "a: b #c\n- 'd' \u{1b}[31m \u{7f}", "ends": "x ", "tag": "!t", "star": "*",
        });
        let text = yaml(&value).unwrap();
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&text).unwrap(), value, "{text}");
    }
}
