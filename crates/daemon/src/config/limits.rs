//! The section `[limits]`: how much of anything one tenant may have.

use fleetdns_core::publish::MAX_ANNOTATION;
use fleetdns_core::service::LARGEST_ANNOTATION;

use super::reader::Reader;

/// How much one tenant may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one annotation.
    pub annotation: usize,
}

/// `[limits]`.
pub(super) fn limits(reader: &mut Reader<'_>) -> Limits {
    Limits {
        annotation: count(reader, "max-annotation", (256, LARGEST_ANNOTATION)).unwrap_or(MAX_ANNOTATION),
    }
}

fn count(reader: &mut Reader<'_>, key: &str, (least, most): (usize, usize)) -> Option<usize> {
    let right = format!("a number from {least} to {most}");
    reader.parse(key, &right, |text| text.parse().ok().filter(|number| (least..=most).contains(number)))
}
