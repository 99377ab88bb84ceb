//! Moments in words: RFC 3339, in UTC.

use std::time::Duration;

/// `2026-11-23T18:12:00Z` of a time since the Unix epoch, in whole seconds.
pub fn seconds(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// `2026-11-23T18:12:00.123Z` of a time since the Unix epoch.
pub fn millis(unix: Duration) -> String {
    let whole = seconds(unix.as_secs());
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), unix.subsec_millis())
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    // 400 years have 146,097 days; what is left after that takes few turns.
    year += 400 * (days / 146_097);
    days %= 146_097;
    while days >= length_of(year) {
        days -= length_of(year);
        year += 1;
    }
    let february = if length_of(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

const fn length_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
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
    }
}
