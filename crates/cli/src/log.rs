//! The log: every line passes one place, whatever a backend, an API or a library put into it.
//!
//! Invariant: an event is one line; no character in it acts on a terminal, and what looks like a token is taken out.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use fleetdns_core::text::{is_hidden, redacted};
use fleetdns_daemon::config::LogFormat;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts logging to standard error; `RUST_LOG` says more or less.
pub fn start(format: LogFormat, default: &str) {
    // One library says every query, the other every connection that fails: we say both once, in our own words.
    let quiet = format!("{default},hickory_server=warn,kube_client=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    let colour = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let writer = ToLines { to: io::stderr, format, colour };
    // Colours are what a hostile text would begin with: only ours are let through.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // Fails only where a subscriber is set already, and then that one stays.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Makes the writer of each event.
struct ToLines<F> {
    to: F,
    format: LogFormat,
    colour: bool,
}

impl<'a, W: Write, F: Fn() -> W> MakeWriter<'a> for ToLines<F> {
    type Writer = Lines<W>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines { to: (self.to)(), format: self.format, painted: None }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        let painted = self.colour.then(|| *event.level());
        Lines { painted, ..self.make_writer() }
    }
}

/// Takes one event at each call, and writes it as one line.
struct Lines<W> {
    to: W,
    format: LogFormat,
    painted: Option<Level>,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = line(text.strip_suffix('\n').unwrap_or(&text), self.format);
        if let (Some(level), LogFormat::Text) = (self.painted, self.format) {
            // Only the time stands in front of the level.
            line = line.replacen(level.as_str(), &painted(level), 1);
        }
        self.to.write_all(line.as_bytes())?;
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
    use proptest::prelude::*;

    /// What becomes of one event with a text from outside in its message and in a field.
    fn logged(text: &str, format: LogFormat, colour: bool) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let to = file.reopen().unwrap();
        let writer = ToLines { to: move || to.try_clone().unwrap(), format, colour };
        let builder = tracing_subscriber::fmt().with_writer(writer).with_ansi(false);
        let say = || tracing::warn!(shown = %text, debug = ?text, "{text}");
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
            let log = logged(text, format, false);
            let one = log.strip_suffix('\n').unwrap();
            assert!(!one.is_empty() && !one.chars().any(is_hidden), "{one:?}");
            if format == LogFormat::Json {
                let read: serde_json::Value = serde_json::from_str(one).unwrap();
                assert_eq!(read["shown"], redacted(text).as_ref(), "nothing but tokens is lost");
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
        let log = logged("Authorization: Bearer abcdefgh12345678", LogFormat::Json, true);
        assert!(!log.contains("abcdefgh") && log.contains("[secret]"), "{log}");
    }

    #[test]
    fn only_the_level_is_painted() {
        let log = logged("\u{1b}[31mWARN", LogFormat::Text, true);
        assert_eq!(log.matches('\u{1b}').count(), 2, "{log:?}");
        assert!(log.contains("Z  \u{1b}[33mWARN\u{1b}[0m "), "{log:?}");
        assert_eq!(logged("{\u{1b}}", LogFormat::Json, true).matches('\u{1b}').count(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_is_one_line(text in "(?s).{0,80}") {
            check(&text);
        }
    }
}
