//! Times for people and logs: moments as RFC 3339 in UTC, spans in milliseconds.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2026-11-23T18:12:00Z` of a time since the Unix epoch, in whole seconds. Times after the year 9999 are its end.
pub fn seconds(unix: u64) -> String {
    timestamp(Duration::from_secs(unix)).to_string()
}

/// `2026-11-23T18:12:00.123Z` of a time since the Unix epoch.
pub fn millis(unix: Duration) -> String {
    format!("{:.3}", timestamp(unix))
}

/// The day as YYYYMMDD, in UTC, of a time in seconds since the Unix epoch.
pub fn day(unix: u64) -> u32 {
    let date = timestamp(Duration::from_secs(unix)).to_zoned(TimeZone::UTC).date();
    let part = |number: i16| u32::from(number.unsigned_abs());
    part(date.year()) * 10_000 + part(date.month().into()) * 100 + part(date.day().into())
}

/// Whole milliseconds, as a field of a log: wider numbers become texts there.
pub fn span_ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The seconds since the Unix epoch of a time in RFC 3339, not before it.
pub fn parse(text: &str) -> Option<u64> {
    text.parse::<Timestamp>().ok()?.as_second().try_into().ok()
}

/// Seconds since the Unix epoch as RFC 3339, for serde.
pub(crate) mod text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(crate) fn serialize<S: Serializer>(unix: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::seconds(*unix))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text).ok_or_else(|| D::Error::custom(format!("'{text}' is not a time in RFC 3339")))
    }
}

/// The same where it may be missing.
pub(crate) mod optional_text {
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(unix: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match unix {
            Some(unix) => super::text::serialize(unix, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        super::text::deserialize(deserializer).map(Some)
    }
}

fn timestamp(unix: Duration) -> Timestamp {
    Timestamp::UNIX_EPOCH.checked_add(unix).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_has_its_leap_years() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (13_574_563_200, "2400-02-29T00:00:00Z"),
        ] {
            assert_eq!(seconds(unix), text);
        }
        assert_eq!(millis(Duration::from_millis(1_001)), "1970-01-01T00:00:01.001Z");
        assert_eq!(millis(Duration::from_nanos(1_999_999_999)), "1970-01-01T00:00:01.999Z");
        assert_eq!(day(1_709_164_800), 20_240_229);
        assert!(seconds(u64::MAX).starts_with("9999-12-30T"));
    }
}
