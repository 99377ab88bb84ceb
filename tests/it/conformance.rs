//! The conformance suite on every provider: a line each. How a backend is reached from outside, and what can be done to
//! it there, is in the module that its line names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod azure;
mod coredns;
mod embedded;
mod example;
mod moved_zone;
mod rfc2136;
mod rfc2136_real;
mod rfc2136_strict;
mod route53;

use fleetdns_core::keys::Keys;
use fleetdns_fakes::conformance;

// Beside the cases that every provider has to pass, there are those of what others do to its backend: they change marks,
// cut connections, take rights away, delete the zone, or ask to wait. What is missing in a line has no meaning there:
//
// - embedded: it is a part of the daemon, and nobody else comes near its records or could have those that are released; there
//   is no connection, right or rate.
// - coredns_zone_file: external-dns writes none; there is no connection and no rate; the rights of files do not bind root, as whom tests may run.
// - example_file: as for coredns_zone_file.
// - coredns_etcd: a zone is a prefix of keys, which cannot be missing; etcd refuses for load only at 5,000 proposals.
// - bind, knot, power_dns, and the same with signed zones: no answer of RFC 2136 asks to wait. They carry an update out
//   whole, or as they understand it; rfc2136_strict does it by half.
// - webhook_strict: the protocol knows domain filters only, which are asked for once, and no zone that could be gone.
// - webhook_of_external_dns: the in-memory provider and the one for BIND have no rate, and its server no rights; on a cut
//   connection it differs in nothing from the strict one.
conformance!(
    azure_azuredns,
    azure::Public,
    [marks, theirs, owner, release, cut, forbid, vanish, storm, refuse, blind, stall, half]
);
conformance!(
    azure_private_dns,
    azure::Private,
    [marks, theirs, owner, release, cut, forbid, vanish, storm, refuse, blind, stall, half]
);
conformance!(
    aws_route53,
    route53::Route53,
    [marks, theirs, owner, release, cut, forbid, vanish, storm, refuse, blind, stall]
);
conformance!(bind, rfc2136::Bind, [marks, theirs, owner, release, cut, forbid, vanish, refuse, blind, stall]);
conformance!(knot, rfc2136::Knot, [marks, theirs, owner, release, cut, forbid, vanish, refuse, blind, stall]);
conformance!(
    power_dns,
    rfc2136::PowerDns,
    [marks, theirs, owner, release, cut, forbid, vanish, refuse, blind, stall]
);
conformance!(
    bind_signed,
    rfc2136::SignedBind,
    [marks, theirs, owner, release, cut, forbid, vanish, refuse, blind, stall]
);
conformance!(
    knot_signed,
    rfc2136::SignedKnot,
    [marks, theirs, owner, release, cut, forbid, vanish, refuse, blind, stall]
);
conformance!(
    power_dns_signed,
    rfc2136::SignedPowerDns,
    [marks, theirs, owner, release, cut, forbid, vanish, refuse, blind, stall]
);
conformance!(
    rfc2136_strict_server,
    rfc2136_strict::StrictServer,
    [theirs, owner, release, cut, forbid, refuse, blind, stall, half]
);
conformance!(coredns_etcd, coredns::CoreDnsEtcd, [marks, theirs, owner, release, cut, forbid]);
conformance!(coredns_zone_file, coredns::ZoneFile, [marks, owner, release, vanish]);
conformance!(example_file, example::Example, [marks, theirs, owner, release, vanish]);
conformance!(embedded_server, embedded::Embedded, [owner]);
conformance!(
    webhook_strict,
    fleetdns_fakes::webhook::Webhook,
    [marks, theirs, owner, release, cut, forbid, storm, refuse, half]
);
conformance!(
    webhook_of_external_dns,
    fleetdns_tests::external_dns::ExternalDns,
    [marks, theirs, owner, release]
);
conformance!(
    webhook_of_external_dns_on_bind,
    fleetdns_tests::external_dns::OnBind,
    [marks, theirs, owner, release]
);

pub(crate) fn keys(pairs: &[(&str, &str)]) -> Keys {
    Keys::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
}
