//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use crate::{etcd, file};

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] = &[
    ("ownership.etcd", 1_500, etcd::fuzz::mark),
    ("etcd_answer", 500, etcd::fuzz::answer),
    ("zone_file", 2_000, file::fuzz::zone_file),
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
