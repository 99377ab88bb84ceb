//! Route 53 as a backend of the conformance suite: the strict server of the provider's own tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fleetdns_core::Provider;
use fleetdns_fakes::conformance::{
    Backend, Blind, Blindness, Cut, Forbid, Marked, Moment, OTHER, OWNER, REFUSED, Refuse, Storm, Theirs,
    Vanish, ZONE,
};

use crate::keys;
use fleetdns_fakes::route53::{Fake, Fault, Set};

const WRITE: &str = "ChangeResourceRecordSets";
const LIST: &str = "ListResourceRecordSets";
const FOR_EVER: Duration = Duration::from_secs(3600);

pub(crate) struct Route53 {
    fake: Fake,
    /// Faults put in the way of writes.
    faults: AtomicUsize,
}

impl Backend for Route53 {
    async fn start() -> Self {
        Self { fake: Fake::start().await, faults: AtomicUsize::new(0) }
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        let file = self.fake.credentials_file();
        let keys = keys(&[("endpoint-url", &*self.fake.url), ("credentials-file", &*file)]);
        fleetdns_route53::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        let there = self.fake.get(name, record_type);
        let mut set = there.unwrap_or_else(|| Set::simple(name, record_type, 30, &[]));
        set.values.push(value.to_owned());
        self.fake.put(set);
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        let mut set = self.fake.get(name, record_type).unwrap();
        assert!(set.values.iter().any(|value| value == from));
        set.values.iter_mut().filter(|value| *value == from).for_each(|value| *value = to.to_owned());
        self.fake.put(set);
    }
}

impl Marked for Route53 {
    async fn unmark(&self, name: &str) {
        assert!(self.fake.delete(&format!("_fleetdns.{name}"), "TXT").is_some());
    }

    async fn hand_over(&self, name: &str) {
        let mut set = self.fake.get(&format!("_fleetdns.{name}"), "TXT").unwrap();
        set.values[0] = set.values[0].replace(&format!("owner={OWNER}"), &format!("owner={OTHER}"));
        self.fake.put(set);
    }

    async fn damage(&self, name: &str) {
        let text = format!("\"v=1 owner={OWNER} service=default/web member=;;\"");
        self.fake.put(Set::simple(&format!("_fleetdns.{name}"), "TXT", 300, &[&text]));
    }
}

impl Theirs for Route53 {
    async fn put_text(&self, name: &str, text: &str) {
        self.fake.put(Set::simple(name, "TXT", 300, &[&format!("\"{text}\"")]));
    }
}

impl Cut for Route53 {
    async fn cut(&self, moment: Moment) {
        let fault = match moment {
            Moment::Before => Fault::CutBefore,
            Moment::After => Fault::CutAfter,
        };
        self.faults.fetch_add(1, Ordering::SeqCst);
        self.fake.fault(WRITE, fault);
    }

    fn cuts(&self) -> usize {
        let waiting = self.fake.state().faults.get(WRITE).map_or(0, std::collections::VecDeque::len);
        self.faults.load(Ordering::SeqCst) - waiting
    }
}

impl Forbid for Route53 {
    async fn forbid(&self) {
        self.fake.state().denied.insert(WRITE);
    }

    async fn allow(&self) {
        self.fake.state().denied.clear();
    }
}

/// A policy with a condition on record names.
impl Refuse for Route53 {
    async fn refuse(&self) {
        let allowed = |name: &str| !REFUSED.iter().any(|part| name.ends_with(&format!(".{part}")));
        self.fake.state().allowed = Some(allowed);
    }

    async fn accept(&self) {
        self.fake.state().allowed = None;
    }
}

impl Blind for Route53 {
    async fn blind(&self, how: Blindness) {
        match how {
            Blindness::Refused => {
                self.fake.state().denied.insert(LIST);
            }
            Blindness::Stalled => (0..99).for_each(|_| self.fake.fault(LIST, Fault::Slow(FOR_EVER))),
        }
    }

    async fn see(&self) {
        let mut state = self.fake.state();
        state.denied.clear();
        state.faults.clear();
    }
}

impl Vanish for Route53 {
    async fn vanish(&self) {
        self.fake.state().zones.clear();
    }
}

impl Storm for Route53 {
    async fn storm(&self) {
        let mut state = self.fake.state();
        state.rate = Some((0.0, 0.0));
        state.throttled = 0;
    }

    async fn calm(&self) {
        self.fake.state().rate = None;
    }

    fn calls(&self) -> usize {
        self.fake.state().throttled
    }
}
