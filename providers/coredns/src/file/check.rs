//! What `fleetdns check` finds.

use fleetdns_core::Finding;

use super::error::Failure;
use super::{Inner, replace};

impl Inner {
    pub(super) fn check(&self) -> Vec<Finding> {
        let good = |text: String| Finding { good: true, text };
        let bad = |text: String| Finding { good: false, text };
        let file = self.file.display();
        let mut findings = Vec::new();
        match self.text() {
            Ok(Some(text)) => match self.take_apart(&text) {
                Ok(zone) => {
                    let listing = zone.listing();
                    let (names, ours) = (listing.observed.iter().count(), listing.observed.owned().count());
                    findings.push(good(format!("{file} can be read: {names} names, {ours} of them ours")));
                    if let Err(why) = zone.serial {
                        findings.push(bad(Failure::NoSerial(why).error(self.subject()).to_string()));
                    }
                    findings.extend(listing.unreadable.into_iter().map(|text| bad(format!("{file} {text}"))));
                }
                Err(damage) => findings.push(bad(Failure::Damaged(damage).error(self.subject()).to_string())),
            },
            Ok(None) if self.name_servers.is_empty() => {
                findings.push(bad(Failure::NoNameServers.error(self.subject()).to_string()));
            }
            Ok(None) => findings.push(good(format!("{file} is not there yet and will be made"))),
            Err(error) => findings.push(bad(Failure::Io(error).error(self.subject()).to_string())),
        }
        findings.push(match replace::can_write(&self.file) {
            Ok(()) => good(format!("the folder of {file} can be written")),
            Err(error) => bad(Failure::Io(error).error(self.subject()).to_string()),
        });
        findings.push(good(format!(
            "CoreDNS serves it when its Corefile has: file {file} {} {{ reload 10s }}",
            self.zone
        )));
        findings
    }
}
