//! The conformance suite against the server in `fake`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

/// As a folder, so that the suite finds its own files.
#[path = "../../../tests/src"]
pub mod suite {
    pub mod conformance;
}
#[allow(dead_code, unreachable_pub)]
mod fake;

pub use suite::conformance;

use conformance::{Backend, Marked, OTHER, OWNER, ZONE};
use fake::{Fake, Set};
use fleetdns_core::Provider;
use fleetdns_core::keys::Keys;

conformance!(route53, Fake);

impl Backend for Fake {
    async fn start() -> Self {
        Self::start().await
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        let pairs = [("endpoint-url", self.url.clone()), ("credentials-file", self.credentials_file())];
        let keys = Keys::new(pairs.map(|(key, value)| (key.to_owned(), value)));
        fleetdns_route53::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        let mut set = self.get(name, record_type).unwrap_or_else(|| Set::simple(name, record_type, 30, &[]));
        set.values.push(value.to_owned());
        Self::put(self, set);
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        let mut set = self.get(name, record_type).unwrap();
        assert!(set.values.iter().any(|value| value == from));
        set.values.iter_mut().filter(|value| *value == from).for_each(|value| *value = to.to_owned());
        Self::put(self, set);
    }
}

impl Marked for Fake {
    async fn unmark(&self, name: &str) {
        assert!(self.delete(&format!("_fleetdns.{name}"), "TXT").is_some());
    }

    async fn hand_over(&self, name: &str) {
        let mut set = self.get(&format!("_fleetdns.{name}"), "TXT").unwrap();
        set.values[0] = set.values[0].replace(&format!("owner={OWNER}"), &format!("owner={OTHER}"));
        Self::put(self, set);
    }

    async fn damage(&self, name: &str) {
        let text = format!("\"v=1 owner={OWNER} service=default/web member=;;\"");
        Self::put(self, Set::simple(&format!("_fleetdns.{name}"), "TXT", 300, &[&text]));
    }
}
