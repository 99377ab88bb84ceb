//! An authoritative DNS server inside the daemon that is a [`Provider`](fleetdns_core::Provider) too.
//!
//! Reads: the keys of a zone section ([`KEYS`]), approved plans, DNS queries over UDP and TCP, and a state file when
//! one is named. Returns: one [`Provider`](fleetdns_core::Provider) for each zone, and answers.
//!
//! What is answered: A, AAAA and CNAME as they were written, SOA and NS at the apex, addresses of name servers that
//! lie in the zone. CNAMEs are followed within all zones of the server, and the response code is that of the last name
//! of the chain (RFC 6604 §3): an alias to a name that does not exist in its zone is NXDOMAIN with the CNAME in the
//! answer section; an alias to a name of somebody else's zone is NOERROR with the CNAME alone. Empty non-terminals are
//! NODATA (RFC 8020), wildcards are synthesized (RFC 4592), negative answers carry the SOA (RFC 2308 §3), `ANY` gets
//! one record set (RFC 8482 §4.1). Names of no zone, classes other than IN, AXFR and IXFR (from loopback too), NOTIFY
//! and UPDATE are refused. There is no DNSSEC.
//!
//! Invariant: nothing is answered from a zone that may lack names: without a whole state file it is SERVFAIL until start-up
//! has converged.
//! Invariant: an answer is made from one snapshot of a zone, which is swapped whole; a plan is seen whole or not at all.
//! Invariant: the cost of an answer depends on the labels of the name, never on the size of the zone.
//! Invariant: no client takes more than its share: of connections, of time, and of what a forged address would be sent.
//! Invariant: the serial of the SOA grows with every change, and over restarts as long as the clock does.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod handler;
mod listen;
mod provider;
mod rate;
mod records;
mod servers;
mod settings;
mod site;
mod state;
mod store;
mod wire;
mod zone;

pub use servers::{Bound, RunError, Servers};
pub use settings::{DEFAULT_LISTEN, KEYS};
pub use site::BindError;
