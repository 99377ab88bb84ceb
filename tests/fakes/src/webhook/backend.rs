//! The server as a backend of the conformance suite.

use fleetdns_core::Provider;
use fleetdns_core::keys::Keys;

use super::{Fault, Route, Webhook, endpoint};
use crate::conformance::{
    Backend, Cut, Forbid, Halve, Marked, Moment, OTHER, OWNER, REFUSED, Refuse, Storm, Theirs, ZONE,
};

const ROUTES: [Route; 4] = [Route::Negotiate, Route::Records, Route::Adjust, Route::Apply];
/// More calls than a storm may cause.
const MANY: usize = 1_000;

impl Backend for Webhook {
    async fn start() -> Self {
        Self::start().await
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        self.connect(owner, &[])
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        let there = self.get(name, record_type);
        match there {
            Some(_) => self
                .change(name, record_type, |one| one["targets"].as_array_mut().unwrap().push(value.into())),
            None => Self::put(self, endpoint(name, record_type, 30, &[value])),
        }
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        self.change(name, record_type, |one| {
            let targets = one["targets"].as_array_mut().unwrap();
            let value = targets.iter_mut().find(|target| *target == from).unwrap();
            *value = to.into();
        });
    }
}

impl Theirs for Webhook {
    async fn put_text(&self, name: &str, text: &str) {
        Self::put(self, endpoint(name, "TXT", 300, &[&format!("\"{text}\"")]));
    }
}

impl Marked for Webhook {
    async fn unmark(&self, name: &str) {
        assert!(self.remove(&format!("_fleetdns.{name}"), "TXT").is_some());
    }

    async fn hand_over(&self, name: &str) {
        self.change(&format!("_fleetdns.{name}"), "TXT", |mark| {
            let text = mark["targets"][0].as_str().unwrap();
            let text = text.replace(&format!("owner={OWNER} "), &format!("owner={OTHER} "));
            mark["targets"] = vec![text].into();
        });
    }

    async fn damage(&self, name: &str) {
        let text = format!("\"v=1 owner={OWNER} service=default/web member=;;\"");
        self.change(&format!("_fleetdns.{name}"), "TXT", |mark| mark["targets"] = vec![text].into());
    }
}

/// Changes are written by one call.
impl Cut for Webhook {
    async fn cut(&self, moment: Moment) {
        let fault = match moment {
            Moment::Before => Fault::CutBefore,
            Moment::After => Fault::Cut,
        };
        self.fault(Route::Apply, fault);
    }

    fn cuts(&self) -> usize {
        let queue = self.state().faults.get(&Route::Apply).map(std::collections::VecDeque::len);
        queue.map_or(0, |waiting| 1 - waiting)
    }
}

impl Forbid for Webhook {
    async fn forbid(&self) {
        self.state().token = Some("another one");
    }

    async fn allow(&self) {
        self.state().token = None;
    }
}

impl Refuse for Webhook {
    async fn refuse(&self) {
        self.state().ways.refuses = REFUSED.to_vec();
    }

    async fn accept(&self) {
        self.state().ways.refuses.clear();
    }
}

impl Halve for Webhook {
    async fn halve(&self, name: &str) {
        self.state().ways.halves = Some(name.to_owned());
    }

    fn halves(&self) -> usize {
        self.state().halved
    }
}

impl Storm for Webhook {
    async fn storm(&self) {
        self.state().calls.clear();
        for route in ROUTES {
            let wait = vec![("retry-after", "1".to_owned())];
            (0..MANY).for_each(|_| self.fault(route, Fault::Answer(429, wait.clone())));
        }
    }

    async fn calm(&self) {
        self.state().faults.clear();
    }

    fn calls(&self) -> usize {
        self.state().calls.values().sum()
    }
}

impl Webhook {
    /// The provider with further keys.
    ///
    /// # Panics
    /// When they are wrong.
    pub fn connect(&self, owner: &str, more: &[(&str, &str)]) -> Box<dyn Provider> {
        let pairs = [("url", &*self.url)].into_iter().chain(more.iter().copied());
        let keys = Keys::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
        fleetdns_webhook::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }
}
