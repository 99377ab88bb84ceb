//! All fuzz targets: the one that `FUZZ_TARGET` names is run. Without it their names are printed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

type Target = (&'static str, usize, fn(&[u8]));

fn targets() -> impl Iterator<Item = &'static Target> {
    let all = [
        fleetdns_core::fuzz::TARGETS,
        fleetdns_planner::fuzz::TARGETS,
        fleetdns_watch::fuzz::TARGETS,
        fleetdns_daemon::fuzz::TARGETS,
        fleetdns_azure::fuzz::TARGETS,
        fleetdns_coredns::fuzz::TARGETS,
        fleetdns_embedded::fuzz::TARGETS,
        fleetdns_rfc2136::fuzz::TARGETS,
        fleetdns_route53::fuzz::TARGETS,
        fleetdns_webhook::fuzz::TARGETS,
    ];
    all.into_iter().flatten()
}

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match targets().find(|(target, ..)| *target == name) {
        Some((.., run)) => *run,
        None => {
            targets().for_each(|(target, ..)| println!("{target}"));
            |_| ()
        }
    }
});

fuzz_target!(|data: &[u8]| RUN(data));
