//! The log: every line passes one place, whatever a backend, an API or a library put into it.
//!
//! Invariant: an event is one line; no character in it acts on a terminal, and what looks like a token is taken out.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

use anstream::{AutoStream, ColorChoice};
use fleetdns_core::text::{is_hidden, redacted};
use fleetdns_daemon::config::LogFormat;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::progress;

/// Sets another level while the process runs.
pub type SetLevel = Box<dyn Fn(Level) + Send + Sync>;

/// Starts logging to standard error; `RUST_LOG` says more or less, and no level changes that.
pub fn start(format: LogFormat, level: Level) -> SetLevel {
    let mark = match AutoStream::choice(&io::stderr()) {
        _ if is_journal() => Some(Mark::Priority),
        ColorChoice::Never => None,
        _ => Some(Mark::Colour),
    };
    let writer = ToLines { to: io::stderr, format, mark };
    let (targets, handle) = reload::Layer::new(targets(level));
    let filtered = tracing_subscriber::registry().with(targets);
    // Colours are what a hostile text would begin with: only ours are let through.
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    // Both fail only where a subscriber is set already, and then that one stays.
    let _ = match format {
        LogFormat::Text => filtered.with(lines).try_init(),
        LogFormat::Json => filtered.with(lines.json().flatten_event(true)).try_init(),
    };
    Box::new(move |level| drop(handle.reload(self::targets(level))))
}

fn targets(level: Level) -> Targets {
    targets_of(std::env::var("RUST_LOG").ok().filter(|said| !said.is_empty()).as_deref(), level)
}

fn targets_of(said: Option<&str>, level: Level) -> Targets {
    // One library says every query, the other every connection that fails: we say both once, in our own words.
    let quiet = [("hickory_server", LevelFilter::WARN), ("kube_client", LevelFilter::OFF)];
    let usual = Targets::new().with_default(level).with_targets(quiet);
    match said.and_then(|said| said.parse::<Targets>().ok()) {
        Some(said) if said.default_level().is_some() => said,
        // Any word is read as a target: alone, a mistyped one would silence errors too.
        Some(said) => usual.with_targets(said),
        None => usual,
    }
}

/// Whether systemd passes standard error to its journal (`$JOURNAL_STREAM` in systemd.exec(5)).
fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let file = std::fs::metadata("/proc/self/fd/2");
    file.is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

/// How the level of a line is shown.
#[derive(Debug, Clone, Copy)]
enum Mark {
    Colour,
    /// As the journal reads it (sd-daemon(3)).
    Priority,
}

/// Makes the writer of each event.
struct ToLines<F> {
    to: F,
    format: LogFormat,
    mark: Option<Mark>,
}

impl<'a, W: Write, F: Fn() -> W> MakeWriter<'a> for ToLines<F> {
    type Writer = Lines<W>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines { to: (self.to)(), format: self.format, mark: None }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        let mark = self.mark.map(|mark| (mark, *event.level()));
        Lines { mark, ..self.make_writer() }
    }
}

/// Takes one event at each call, and writes it as one line.
struct Lines<W> {
    to: W,
    format: LogFormat,
    mark: Option<(Mark, Level)>,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = line(text.strip_suffix('\n').unwrap_or(&text), self.format);
        match (self.mark, self.format) {
            // Only the time stands in front of the level.
            (Some((Mark::Colour, level)), LogFormat::Text) => {
                line = line.replacen(level.as_str(), &painted(level), 1);
            }
            (Some((Mark::Priority, level)), _) => line.insert_str(0, priority(level)),
            _ => {}
        }
        progress::suspend(|| self.to.write_all(line.as_bytes()))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn painted(level: Level) -> String {
    let code = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        _ => 2,
    };
    format!("\u{1b}[{code}m{level}\u{1b}[0m")
}

const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// The line of an event, with its end.
fn line(event: &str, format: LogFormat) -> String {
    let plain = redacted(event);
    let mut line = String::with_capacity(plain.len() + 1);
    for character in plain.chars() {
        match format {
            _ if !is_hidden(character) => line.push(character),
            LogFormat::Text => line.extend(character.escape_default()),
            // As JSON escapes it (RFC 8259 §7).
            LogFormat::Json => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    line.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use fleetdns_core::stamp::span_ms;
    use proptest::prelude::*;

    const TOOK: Duration = Duration::from_millis(7);

    #[test]
    fn a_word_that_is_no_level_silences_nothing() {
        let shows = |said: &str, target, level: Level| {
            targets_of(Some(said), Level::INFO).would_enable(target, &level)
        };
        for said in ["warning", "garbage", "info[span]", "="] {
            assert!(shows(said, "fleetdns_daemon", Level::ERROR), "{said}");
            assert!(!shows(said, "fleetdns_daemon", Level::DEBUG), "{said}");
        }
        assert!(shows("fleetdns_probe=debug", "fleetdns_probe", Level::DEBUG));
        assert!(!shows("error", "fleetdns_daemon", Level::WARN), "a level is one");
    }

    /// What becomes of one event with a text from outside in its message and in a field.
    fn logged(text: &str, format: LogFormat, mark: Option<Mark>) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let to = file.reopen().unwrap();
        let writer = ToLines { to: move || to.try_clone().unwrap(), format, mark };
        let builder = tracing_subscriber::fmt().with_writer(writer).with_ansi(false);
        let say = || tracing::warn!(shown = %text, debug = ?text, took_ms = span_ms(TOOK), "{text}");
        match format {
            LogFormat::Text => tracing::subscriber::with_default(builder.finish(), say),
            LogFormat::Json => {
                tracing::subscriber::with_default(builder.json().flatten_event(true).finish(), say);
            }
        }
        std::fs::read_to_string(file.path()).unwrap()
    }

    fn check(text: &str) {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = logged(text, format, None);
            let one = log.strip_suffix('\n').unwrap();
            assert!(!one.is_empty() && !one.chars().any(is_hidden), "{one:?}");
            if format == LogFormat::Json {
                let read: serde_json::Value = serde_json::from_str(one).unwrap();
                assert_eq!(read["shown"], redacted(text).as_ref(), "nothing but tokens is lost");
                assert_eq!(read["took_ms"], 7, "a number stays one");
            }
        }
    }

    #[test]
    fn no_text_from_outside_begins_a_line_or_acts_on_a_terminal() {
        for text in [
            "a\nWARN forged",
            "\u{1b}[2J\u{7}\u{9b}31m\r",
            "\u{202e}txt\u{2066}\u{e0041}\u{feff}\u{2028}",
            "\"}\n{\"level\":\"ERROR\"",
            "\\u001b[2J",
        ] {
            check(text);
        }
        let log = logged("Authorization: Bearer abcdefgh12345678", LogFormat::Json, Some(Mark::Colour));
        assert!(!log.contains("abcdefgh") && log.contains("[secret]"), "{log}");
    }

    #[test]
    fn only_the_level_is_painted() {
        let log = logged("\u{1b}[31mWARN", LogFormat::Text, Some(Mark::Colour));
        assert_eq!(log.matches('\u{1b}').count(), 2, "{log:?}");
        assert!(log.contains("Z  \u{1b}[33mWARN\u{1b}[0m "), "{log:?}");
        assert_eq!(logged("{\u{1b}}", LogFormat::Json, Some(Mark::Colour)).matches('\u{1b}').count(), 0);
    }

    #[test]
    fn the_journal_is_told_the_priority_of_each_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = logged("a\n<0>b", format, Some(Mark::Priority));
            assert!(log.starts_with("<4>") && log.lines().count() == 1, "{log:?}");
        }
        assert_eq!([Level::ERROR, Level::INFO, Level::DEBUG].map(priority), ["<3>", "<6>", "<7>"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_is_one_line(text in "(?s).{0,80}") {
            check(&text);
        }
    }
}
