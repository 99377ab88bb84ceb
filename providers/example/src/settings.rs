//! Keys of the config, checked.

use std::path::{Path, PathBuf};

use fleetdns_core::DnsName;
use fleetdns_core::keys::{KeyFault, KeySpec, Keys};

/// Keys that a zone of this provider may have.
pub const KEYS: &[KeySpec] =
    &[KeySpec { name: "directory", secret: false, help: "directory with one JSON file for each zone" }];

/// The file of a zone.
pub(crate) fn read(zone: &DnsName, keys: &Keys) -> Result<PathBuf, Vec<KeyFault>> {
    let mut faults = Vec::new();
    let directory = keys.required("directory", "/var/lib/dns", &mut faults);
    directory.map(|directory| Path::new(directory).join(format!("{zone}.json"))).ok_or(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_is_a_fault_with_an_example() {
        let zone = "example.com".parse().unwrap();
        let faults = read(&zone, &Keys::default()).unwrap_err();
        assert_eq!(faults[0].problem, "is missing; for example directory = /var/lib/dns");
        let keys = Keys::new([("directory".to_owned(), "/srv".to_owned())]);
        assert_eq!(read(&zone, &keys).unwrap(), Path::new("/srv/example.com.json"));
    }
}
