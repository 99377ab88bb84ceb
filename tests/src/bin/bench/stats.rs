//! Percentiles of what was measured.

use std::time::Duration;

/// Nearest-rank percentile: the smallest of `values` that at least `percent` of 100 of them do not exceed.
///
/// # Panics
/// Without values.
pub(crate) fn percentile(values: impl IntoIterator<Item = Duration>, percent: usize) -> Duration {
    let mut sorted: Vec<Duration> = values.into_iter().collect();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64], percent: usize) -> u64 {
        percentile(values.iter().copied().map(Duration::from_secs), percent).as_secs()
    }

    #[test]
    fn percentiles_are_measured_values() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(
            (of(&hundred, 0), of(&hundred, 50), of(&hundred, 99), of(&hundred, 100)),
            (1, 50, 99, 100)
        );
        let two_hundred: Vec<u64> = (1..=200).collect();
        assert_eq!((of(&two_hundred, 50), of(&two_hundred, 99)), (100, 198));
        assert_eq!((of(&[7], 50), of(&[7], 99)), (7, 7));
        assert_eq!((of(&[3, 9, 5], 50), of(&[3, 9, 5], 99)), (5, 9));
    }
}
