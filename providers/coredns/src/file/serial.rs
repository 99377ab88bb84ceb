//! Serial numbers of zones.

/// The serial after `old`, in the arithmetic of RFC 1982. One in the style YYYYMMDDnn stays so: it becomes today's
/// first, unless it is as far already.
pub(crate) fn next(old: u32, today: u32) -> u32 {
    let plain = match old.wrapping_add(1) {
        // Some software takes 0 for "unknown".
        0 => 1,
        serial => serial,
    };
    let dated = today.saturating_mul(100);
    if is_dated(old) && is_after(dated, old) { dated } else { plain }
}

/// Whether `a` comes after `b` (RFC 1982 §3.2).
fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

fn is_dated(serial: u32) -> bool {
    let (year, month, day) = (serial / 1_000_000, serial / 10_000 % 100, serial / 100 % 100);
    (1980..=2199).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// The day as YYYYMMDD, from seconds since 1970. The proleptic Gregorian calendar in eras of 400 years that begin in
/// March, so that the day of a leap year comes last.
pub(crate) fn day(seconds: u64) -> u32 {
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    u32::try_from(year * 10_000 + month * 100 + day).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_always_grows() {
        for (old, new) in [
            (1, 2),
            (u32::MAX, 1),
            (0x7fff_ffff, 0x8000_0000),
            (2_026_112_203, 2_026_112_300),
            (2_026_112_300, 2_026_112_301),
            (2_026_112_399, 2_026_112_400),
            (2_026_120_100, 2_026_120_101),
            (2_026_133_000, 2_026_133_001),
        ] {
            assert_eq!(next(old, 20_261_123), new, "{old}");
            assert!(is_after(new, old), "{old}");
        }
    }

    #[test]
    fn seconds_become_days() {
        for (seconds, expected) in [
            (0, 19_700_101),
            (951_782_399, 20_000_228),
            (951_782_400, 20_000_229),
            (951_868_800, 20_000_301),
            (1_709_164_800, 20_240_229),
            (4_107_542_400, 21_000_301),
        ] {
            assert_eq!(day(seconds), expected);
        }
    }
}
