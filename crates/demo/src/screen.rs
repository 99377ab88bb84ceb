//! What the terminal shows: plain text in short lines, with colour only where a terminal reads along.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

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
    colour: bool,
}

impl Screen<'static> {
    /// Standard output. `NO_COLOR` is obeyed.
    pub(super) fn stdout() -> Self {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = io::stdout().is_terminal() && !quiet;
        Self { out: Box::new(io::stdout()), colour }
    }
}

impl<'a> Screen<'a> {
    #[cfg(test)]
    pub(super) fn plain(out: impl Write + Send + 'a) -> Self {
        Self { out: Box::new(out), colour: false }
    }

    /// A heading with an empty line before it.
    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint(BOLD, text);
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
        let command = self.paint(DIM, command);
        writeln!(self.out, "   {command}")?;
        self.out.flush()
    }

    /// What happened, and how long it took.
    pub(super) fn took(&mut self, text: &str, time: Duration) -> io::Result<()> {
        let time = seconds(time);
        let gap = WIDTH.saturating_sub(3 + text.chars().count() + time.len()).max(1);
        let time = self.paint(GREEN, &time);
        writeln!(self.out, "   {text}{:gap$}{time}", "")?;
        self.out.flush()
    }

    /// The records of a zone as a table; those that are not in `before`, unless that is empty,
    /// are marked with a `*`.
    pub(super) fn records(&mut self, zone: &Zone, before: &Zone) -> io::Result<()> {
        let rows: Vec<[String; 4]> = zone
            .iter()
            .map(|(name, set)| match set {
                Some(set) => [
                    names::short(name),
                    set.ttl.to_string(),
                    set.data.record_type().to_owned(),
                    names::short(&set.data.to_string()),
                ],
                None => [names::short(name), "-".to_owned(), "-".to_owned(), "(no such name)".to_owned()],
            })
            .collect();
        let width = |column: fn(&[String; 4]) -> &String, least: usize| {
            rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0).max(least)
        };
        let (name, ttl, kind) = (width(|row| &row[0], 4), width(|row| &row[1], 3), width(|row| &row[2], 5));
        writeln!(self.out)?;
        let header = format!("   {:name$}  {:>ttl$}  {:kind$}  VALUES", "NAME", "TTL", "TYPE");
        let header = self.paint(DIM, &header);
        writeln!(self.out, "{header}")?;
        for ([short, seconds, record_type, values], entry) in rows.iter().zip(zone) {
            let changed = !before.is_empty() && !before.contains(entry);
            let mark = if changed { '*' } else { ' ' };
            let line = format!(" {mark} {short:name$}  {seconds:>ttl$}  {record_type:kind$}  {values}");
            let line = if changed { self.paint(YELLOW, &line) } else { line };
            writeln!(self.out, "{line}")?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
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
    use crate::dns::{Data, Set};

    fn shown(show: impl FnOnce(&mut Screen<'_>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::plain(&mut out);
        show(&mut screen).unwrap();
        drop(screen);
        String::from_utf8(out).unwrap()
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
   …svc.syncweek.com          30  A      127.64.0.10
 * …svc.eastus.syncweek.com    5  CNAME  …svc.syncweek.com

";
        assert_eq!(shown(|screen| screen.records(&after, &before)), expected);
    }
}
