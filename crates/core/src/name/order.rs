//! Canonical order of names (RFC 4034 §6.1): label by label from the right, a name before all that lies below it.

use std::cmp::Ordering;

/// Compares two names in lower case. A zone's names share their last labels, which are skipped octet by octet: a map of
/// names does little else than this.
pub(super) fn canonical(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let octets = alike(one, other);
    let begins_label = |name: &[u8]| name.len() == octets || name[name.len() - octets - 1] == b'.';
    let labels = if begins_label(one) && begins_label(other) {
        octets
    } else {
        let same = &one[one.len() - octets..];
        same.iter().position(|octet| *octet == b'.').map_or(0, |dot| octets - dot - 1)
    };
    next_label(one, labels).cmp(&next_label(other, labels))
}

/// How many octets at the end are the same in both; eight at a time.
fn alike(one: &[u8], other: &[u8]) -> usize {
    let ((_, eights), (_, others)) = (one.as_rchunks::<8>(), other.as_rchunks::<8>());
    let pairs = eights.iter().rev().zip(others.iter().rev());
    let octets = 8 * pairs.take_while(|(a, b)| a == b).count();
    let rest = |name: &[u8]| name.len() - octets;
    let pairs = one[..rest(one)].iter().rev().zip(other[..rest(other)].iter().rev());
    octets + pairs.take_while(|(a, b)| a == b).count()
}

/// The label that comes before the last `octets` of a name, which are whole labels.
fn next_label(name: &[u8], octets: usize) -> Option<&[u8]> {
    let rest = match name.len() - octets {
        0 => return None,
        whole if octets == 0 => &name[..whole],
        with_dot => &name[..with_dot - 1],
    };
    Some(rest.rsplit(|octet| *octet == b'.').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn it_is_the_order_of_the_labels_from_the_right(
            one in proptest::collection::vec("[ab-]{1,3}", 1..9),
            other in proptest::collection::vec("[ab-]{1,3}", 1..9),
            shared in proptest::collection::vec("[ab-]{1,3}", 0..9),
        ) {
            let labels = |own: Vec<String>| -> Vec<String> { own.into_iter().chain(shared.clone()).collect() };
            let (one, other) = (labels(one), labels(other));
            let expected = one.iter().rev().cmp(other.iter().rev());
            prop_assert_eq!(canonical(&one.join("."), &other.join(".")), expected);
        }
    }

    #[test]
    fn a_name_comes_right_before_what_lies_below_it() {
        for (lower, higher) in [
            ("example", "a.example"),
            ("z.a.example", "b.example"),
            ("a.b.example", "b-c.example"),
            ("a", "b.a"),
        ] {
            assert_eq!(canonical(lower, higher), Ordering::Less, "{lower} {higher}");
            assert_eq!(canonical(higher, lower), Ordering::Greater, "{higher} {lower}");
            assert_eq!(canonical(higher, higher), Ordering::Equal);
        }
    }
}
