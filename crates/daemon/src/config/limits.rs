//! The section `[limits]`: how much of anything one tenant may have.

use std::num::NonZeroU32;

use fleetdns_core::Limits;
use fleetdns_core::annotations::LARGEST_ANNOTATION;

use super::reader::Reader;
use super::settings::count;

/// `[limits]`.
pub(super) fn limits(reader: &mut Reader<'_>) -> Limits {
    let usual = Limits::default();
    let mut count = |key: &str, least: usize, most: usize| {
        let right = format!("a number from {least} to {most}");
        reader.parse(key, &right, |text| text.parse().ok().filter(|number| (least..=most).contains(number)))
    };
    Limits {
        annotation: count("max-annotation", 256, LARGEST_ANNOTATION).unwrap_or(usual.annotation),
        service_hostnames: count("service-hostnames", 1, MOST).unwrap_or(usual.service_hostnames),
        namespace_hostnames: count("namespace-hostnames", 1, MOST).unwrap_or(usual.namespace_hostnames),
        addresses: count("name-addresses", 1, MOST).unwrap_or(usual.addresses),
    }
}

/// Probes a second of one namespace.
pub(super) fn namespace_rate(reader: &mut Reader<'_>) -> Option<NonZeroU32> {
    count(reader, "namespace-probes", 1_000_000).and_then(NonZeroU32::new)
}

const MOST: usize = 1_000_000;
