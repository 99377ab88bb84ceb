//! Serial numbers of zones.

use fleetdns_core::stamp;

/// The serial of a zone that is new, `now` in seconds of Unix time: two replicas that each write a file of their own have
/// serials that grow together.
pub(crate) fn first(now: u64) -> u32 {
    u32::try_from(now).unwrap_or(1).max(1)
}

/// The serial after `old`, in the arithmetic of RFC 1982. One in the style YYYYMMDDnn stays so: it becomes today's
/// first, unless it is as far already. One that is a time becomes the time now, unless it is as far.
pub(crate) fn next(old: u32, now: u64) -> u32 {
    let plain = match old.wrapping_add(1) {
        // Some software takes 0 for "unknown".
        0 => 1,
        serial => serial,
    };
    let style = if is_dated(old) {
        stamp::day(now).saturating_mul(100)
    } else if (TIMES..first(now)).contains(&old) {
        first(now)
    } else {
        plain
    };
    if is_after(style, old) { style } else { plain }
}

/// From here on a serial that is no date is a time (2001).
const TIMES: u32 = 1_000_000_000;

/// Whether `a` comes after `b` (RFC 1982 §3.2).
fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

fn is_dated(serial: u32) -> bool {
    let (year, month, day) = (serial / 1_000_000, serial / 10_000 % 100, serial / 100 % 100);
    (1980..=2199).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_always_grows() {
        for (old, new) in [
            (1, 2),
            (1_790_000_000, 1_795_435_200),
            (1_795_435_200, 1_795_435_201),
            (1_795_435_300, 1_795_435_301),
            (u32::MAX, 1),
            (0x7fff_ffff, 0x8000_0000),
            (2_026_112_203, 2_026_112_300),
            (2_026_112_300, 2_026_112_301),
            (2_026_112_399, 2_026_112_400),
            (2_026_120_100, 2_026_120_101),
            (2_026_133_000, 2_026_133_001),
        ] {
            // 2026-11-23T12:00:00Z
            assert_eq!(next(old, 1_795_435_200), new, "{old}");
            assert!(is_after(new, old), "{old}");
        }
    }
}
