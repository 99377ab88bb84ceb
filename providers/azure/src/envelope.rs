//! The forms in which ARM, the DNS services behind it, and proxies between put an error.

use fleetdns_core::Pause;
use serde::Deserialize;
use serde_json::Value;

/// An error as far as it says anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) code: String,
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
struct Plain {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    details: Option<Vec<Value>>,
}

/// Longest text of a body that is no JSON.
const EXCERPT: usize = 200;

impl Envelope {
    /// Reads `{"error":{…}}`, `{"code":…}`, and a JSON string that holds one of them.
    pub(crate) fn read(body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(value) => Self::of(value, 2).unwrap_or_else(|| Self::excerpt(body)),
            Err(_) => Self::excerpt(body),
        }
    }

    fn of(value: Value, depth: u8) -> Option<Self> {
        match value {
            Value::String(text) if depth > 0 => match serde_json::from_str(&text) {
                Ok(inner) => Self::of(inner, depth - 1),
                Err(_) => Some(Self { code: String::new(), message: text }),
            },
            Value::Object(mut entries) => match entries.remove("error") {
                Some(inner @ Value::Object(_)) if depth > 0 => Self::of(inner, depth - 1),
                _ => Self::plain(Value::Object(entries)),
            },
            _ => None,
        }
    }

    fn plain(value: Value) -> Option<Self> {
        let Plain { code, message, details } = serde_json::from_value(value).ok()?;
        let mut message = message.unwrap_or_default();
        // What is really wrong with a value often stands in the details alone.
        for detail in details.unwrap_or_default() {
            let Some(inner) = Self::plain(detail) else { continue };
            if !inner.message.is_empty() && !message.contains(&inner.message) {
                message = format!("{message} {}", inner.message).trim().to_owned();
            }
        }
        let code = code.unwrap_or_default();
        (!code.is_empty() || !message.is_empty()).then_some(Self { code, message })
    }

    fn excerpt(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let words: Vec<&str> = text.split_whitespace().collect();
        Self { code: String::new(), message: words.join(" ").chars().take(EXCERPT).collect() }
    }

    /// `CODE: message`, with the status where nothing else is said.
    pub(crate) fn text(&self, status: u16) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => format!("HTTP {status}"),
            ("", message) => format!("HTTP {status}: {message}"),
            (code, "") => format!("HTTP {status} {code}"),
            (code, message) => format!("HTTP {status} {code}: {message}"),
        }
    }

    /// Whether the message has all these parts, in any case.
    pub(crate) fn says(&self, parts: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        parts.iter().all(|part| message.contains(part))
    }

    /// Seconds that stand in the message: `Please try again after '307' seconds.`
    pub(crate) fn wait(&self) -> Option<Pause> {
        let (_, rest) = self.message.split_once("after '")?;
        Pause::seconds_in(rest.split_once('\'')?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, code: &str, message: &str) {
        let envelope = Envelope::read(body.as_bytes());
        assert_eq!((envelope.code.as_str(), envelope.message.as_str()), (code, message), "{body}");
    }

    #[test]
    fn every_form_is_read() {
        check(r#"{"error":{"code":"A","message":"m","target":null,"details":null}}"#, "A", "m");
        check(r#"{"code":"B","message":"m"}"#, "B", "m");
        check(r#""{\"code\":\"Throttled\",\"message\":\"too many\"}""#, "Throttled", "too many");
        check(r#""{\"error\":{\"code\":\"C\",\"message\":\"m\"}}""#, "C", "m");
        check(
            r#"{"error":{"code":"D","message":"m","details":[{"code":"d","message":"why"}]}}"#,
            "D",
            "m why",
        );
        check(r#"{"error":"plain"}"#, "", r#"{"error":"plain"}"#);
        check("<html>  Bad\n gateway</html>", "", "<html> Bad gateway</html>");
        check("", "", "");
        check(r#""text""#, "", "text");
    }

    #[test]
    fn seconds_are_found_in_the_message() {
        let message =
            "exceeded the limit of '500' for time interval '00:05:00'. Please try again after '307' seconds.";
        let envelope = Envelope { code: String::new(), message: message.to_owned() };
        assert_eq!(envelope.wait().map(Pause::seconds), Some(307));
        assert_eq!(Envelope::default().wait(), None);
        assert_eq!(Envelope::default().text(502), "HTTP 502");
    }
}
