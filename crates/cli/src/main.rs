//! The `fleetdns` binary: see the library's crate root.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetdns::main()
}
