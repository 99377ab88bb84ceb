//! The zone that all servers have, as the files that they read.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

/// Its name.
pub(super) const ZONE: &str = "answers.example";
/// Whose the records are, in the state file.
pub(super) const OWNER: &str = "fleet";

/// The name with this number, below the zone: as deep as those of a Service of a fleet.
pub(super) fn name(number: u32) -> String {
    format!("web-{number}.team-{}.fleet.svc", number % 500)
}

fn address(number: u32) -> String {
    let [_, a, b, c] = number.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("the temporary folder can be written to");
    path
}

/// A zone file.
pub(super) fn file(folder: &TempDir, names: u32) -> PathBuf {
    let mut text = format!(
        "$ORIGIN {ZONE}.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 604800 30\n@ IN NS ns\nns IN A 127.0.0.1\n"
    );
    for number in 0..names {
        let _ = writeln!(text, "{} IN A {}", name(number), address(number));
    }
    write(folder, "zone", &text)
}

/// A state file of the embedded server.
pub(super) fn state(folder: &TempDir, names: u32) -> PathBuf {
    let mut text = format!("fleetdns-zone 1 {ZONE} serial 1 changes {names}\n");
    for number in 0..names {
        let _ = writeln!(
            text,
            "{}.{ZONE} {} 60 A {} v=1 owner={OWNER} service=team/web",
            name(number),
            number + 1,
            address(number)
        );
    }
    write(folder, "state", &text)
}
