//! The log: every line passes one place, whatever a backend, an API or a library put into it.
//!
//! Invariant: an event is one line; no character in it acts on a terminal, and what looks like a token is taken out.

use std::io::{self, Write};

use fleetdns_core::text::{is_hidden, redacted};
use fleetdns_daemon::config::LogFormat;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error; `RUST_LOG` says more or less.
pub fn start(format: LogFormat, default: &str) {
    // One library says every query, the other every connection that fails: we say both once, in our own words.
    let quiet = format!("{default},hickory_server=warn,kube_client=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    let writer = move || Lines { to: io::stderr(), format };
    // Colours are what a hostile text would begin with.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // Fails only where a subscriber is set already, and then that one stays.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Takes one event at each call, and writes it as one line.
struct Lines<W> {
    to: W,
    format: LogFormat,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.to.write_all(line(text.strip_suffix('\n').unwrap_or(&text), self.format).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
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
    use proptest::prelude::*;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// What becomes of one event with a text from outside in its message and in a field.
    fn logged(text: &str, format: LogFormat) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let to = file.reopen().unwrap();
        let writer = move || Lines { to: to.try_clone().unwrap(), format };
        let _: &dyn MakeWriter<'_, Writer = Lines<std::fs::File>> = &writer;
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
            let log = logged(text, format);
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
        let log = logged("Authorization: Bearer abcdefgh12345678", LogFormat::Json);
        assert!(!log.contains("abcdefgh") && log.contains("[secret]"), "{log}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_is_one_line(text in "(?s).{0,80}") {
            check(&text);
        }
    }
}
