//! What the terminal shows: plain text in short lines, with colour only where a terminal reads along.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::Table;

use super::dns::Set;
use super::names;
use super::names::Zone;

/// Lines end here; times are aligned with it.
const WIDTH: usize = 78;

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Where the story is told.
pub(super) struct Screen<'a> {
    out: Box<dyn Write + Send + 'a>,
}

impl Screen<'static> {
    /// Standard output, with colours where it takes them.
    pub(super) fn stdout() -> Self {
        Self { out: Box::new(anstream::stdout()) }
    }
}

impl<'a> Screen<'a> {
    #[cfg(test)]
    pub(super) fn to(out: impl Write + Send + 'a) -> Self {
        Self { out: Box::new(out) }
    }

    /// A heading with an empty line before it.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = paint(BOLD, text);
        writeln!(self.out, "\n{text}")?;
        self.out.flush()
    }

    /// A line of text, or several.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        for line in text.split('\n') {
            let indent = if line.is_empty() { "" } else { "   " };
            writeln!(self.out, "{indent}{line}")?;
        }
        self.out.flush()
    }

    /// Something to type into another terminal.
    pub(super) fn hint(&mut self, command: &str) -> io::Result<()> {
        let command = paint(DIM, command);
        writeln!(self.out, "   {command}")?;
        self.out.flush()
    }

    /// What happened, and how long it took.
    pub(super) fn took(&mut self, text: &str, time: Duration) -> io::Result<()> {
        let time = seconds(time);
        let gap = WIDTH.saturating_sub(3 + text.chars().count() + time.len()).max(1);
        let time = paint(GREEN, &time);
        writeln!(self.out, "   {text}{:gap$}{time}", "")?;
        self.out.flush()
    }

    /// The records of a zone as a table; those that are not in `before`, unless that is empty,
    /// are marked with a `*`.
    pub(super) fn records(&mut self, zone: &Zone, before: &Zone) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header([" ", "NAME", "TTL", "TYPE", "VALUES"]);
        let changed = |entry| !before.is_empty() && !before.contains(entry);
        for entry @ (name, set) in zone {
            let mark = if changed(entry) { "*" } else { "" };
            let [ttl, record_type, values] = match set {
                Some(Set { ttl, data }) => {
                    [ttl.to_string(), data.record_type().to_owned(), names::short(&data.to_string())]
                }
                None => ["-", "-", "(no such name)"].map(str::to_owned),
            };
            table.add_row([mark.to_owned(), names::short(name), ttl, record_type, values]);
        }
        writeln!(self.out)?;
        let codes = zone.iter().map(|entry| changed(entry).then_some(YELLOW));
        for (line, code) in table.lines().zip(std::iter::once(Some(DIM)).chain(codes)) {
            let line = line.trim_end();
            writeln!(self.out, "{}", code.map_or_else(|| line.to_owned(), |code| paint(code, line)))?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }
}

/// What does not take colours takes the text without them.
fn paint(code: &str, text: &str) -> String {
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Milliseconds below a second, then seconds with one decimal.
pub(super) fn seconds(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Data;

    fn shown(show: impl FnOnce(&mut Screen<'_>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::to(&mut out);
        show(&mut screen).unwrap();
        drop(screen);
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    #[test]
    fn a_time_stands_at_the_right_edge() {
        let line = shown(|screen| screen.took("DNS follows", Duration::from_millis(7_240)));
        assert_eq!(line.trim_end().len(), WIDTH);
        assert!(line.starts_with("   DNS follows  ") && line.ends_with("  7.2 s\n"), "{line}");
        assert_eq!(seconds(Duration::from_micros(14_900)), "14 ms");
    }

    #[test]
    fn the_table_marks_what_changed() {
        let address = Set { ttl: 30, data: Data::Addresses([[127, 64, 0, 10].into()].into()) };
        let alias = Set { ttl: 5, data: Data::Alias(names::global()) };
        let zone = |east| vec![(names::global(), Some(address.clone())), (names::region("eastus"), east)];
        let (before, after) = (zone(None), zone(Some(alias)));
        let expected = "
    NAME                      TTL  TYPE   VALUES
    …svc.syncweek.com         30   A      127.64.0.10
 *  …svc.eastus.syncweek.com  5    CNAME  …svc.syncweek.com

";
        assert_eq!(shown(|screen| screen.records(&after, &before)), expected);
    }
}
