//! Whether the zone can be read and written, without changing it.

use std::path::Path;

use fleetdns_core::{Finding, Label};

use crate::client;

/// One finding for reading, one for writing.
pub(crate) fn check(file: &Path, owner: &Label) -> Vec<Finding> {
    let shown = file.display();
    let read = client::read(file).map_err(|fault| fault.error(file, "read the zone"));
    let write = client::can_write(file).map_err(|fault| fault.error(file, "write the zone"));
    vec![
        match read {
            Ok(zone) => {
                let ours = zone.listing(owner).observed.owned_count();
                Finding { good: true, text: format!("{shown} can be read; {ours} names are ours") }
            }
            Err(error) => Finding { good: false, text: error.to_string() },
        },
        match write {
            Ok(()) => Finding { good: true, text: format!("{shown} can be replaced") },
            Err(error) => Finding { good: false, text: error.to_string() },
        },
    ]
}
