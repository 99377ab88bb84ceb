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
}
