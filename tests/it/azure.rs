//! Azure's zones of both kinds as backends of the conformance suite: the strict server of the provider's own tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleetdns_core::Provider;
use fleetdns_fakes::conformance::{
    Backend, Blind, Blindness, Cut, Forbid, Halve, Marked, Moment, OTHER, OWNER, REFUSED, Refuse, Storm,
    Theirs, Vanish, ZONE,
};
use serde_json::{Value, json};

use crate::keys;
use fleetdns_fakes::azure::{
    Answer, CLIENT, Call, Fake, GROUP, Kind, Mishap, SECRET, SUBSCRIPTION, TENANT, Zone,
};

pub(crate) type Public = Azure<false>;
pub(crate) type Private = Azure<true>;

/// A server with one zone of the kind, and another one in the same group.
pub(crate) struct Azure<const PRIVATE: bool> {
    fake: Fake,
    cuts: Arc<AtomicUsize>,
    halves: Arc<AtomicUsize>,
    /// Calls before the storm.
    before: AtomicUsize,
}

fn relative(name: &str) -> String {
    let labels = name.len() - ZONE.len();
    if labels == 0 { "@".to_owned() } else { name[..labels - 1].to_owned() }
}

impl<const PRIVATE: bool> Azure<PRIVATE> {
    const KIND: Kind = if PRIVATE { Kind::Private } else { Kind::Public };

    /// The record set's values, as its service writes them.
    fn values(&self, record_type: &str, values: &[&str]) -> (&'static str, Value) {
        let [_, a, aaaa, cname] = Self::KIND.keys();
        let list = |key: &str| values.iter().map(|value| json!({ key: value })).collect();
        match record_type {
            "A" => (a, list("ipv4Address")),
            "AAAA" => (aaaa, list("ipv6Address")),
            _ => (cname, json!({ "cname": values[0] })),
        }
    }

    /// Changes the metadata of all sets of a name.
    fn remark(&self, name: &str, change: impl Fn(&mut Value)) {
        let relative = relative(name);
        let mut changed = 0;
        for record_type in ["A", "AAAA", "CNAME"] {
            let Some(mut set) = self.fake.at(ZONE, record_type, &relative) else { continue };
            change(&mut set["metadata"]);
            self.fake.seed(ZONE, record_type, &relative, set);
            changed += 1;
        }
        assert!(changed > 0, "nothing at {name}");
    }

    fn calls_so_far(&self) -> usize {
        self.fake.count(Call::is_arm)
    }
}

impl<const PRIVATE: bool> Backend for Azure<PRIVATE> {
    /// Each name is a call of its own, with TLS.
    const MANY: usize = if PRIVATE { 2_500 } else { 10_000 };

    async fn start() -> Self {
        let fake = Fake::start().await;
        let mut zone = Zone::new(Self::KIND, ZONE);
        // Raised, as Microsoft does on request: the usual 10,000 count SOA and NS too.
        zone.most = 25_000;
        fake.world().zones = vec![zone, Zone::new(Self::KIND, "other.example")];
        Self { fake, cuts: Arc::default(), halves: Arc::default(), before: AtomicUsize::new(0) }
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        let ca_file = self.fake.ca_file();
        let keys = keys(&[
            ("subscription-id", SUBSCRIPTION),
            ("tenant-id", TENANT),
            ("client-id", CLIENT),
            ("secret", SECRET),
            ("resource-group", GROUP),
            ("resource-manager", &self.fake.origin),
            ("authority-host", &self.fake.origin),
            ("ca-file", &ca_file),
        ]);
        let connect = if PRIVATE { fleetdns_azure::connect_private } else { fleetdns_azure::connect };
        connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        let relative = relative(name);
        let (key, mut values) = self.values(record_type, &[value]);
        let there = self.fake.at(ZONE, record_type, &relative.to_lowercase());
        let mut set = there.unwrap_or_else(|| json!({ Self::KIND.keys()[0]: 30 }));
        if let (Some(old), Some(new)) = (set[key].as_array(), values.as_array()) {
            values = old.iter().chain(new).cloned().collect();
        }
        set[key] = values;
        self.fake.seed(ZONE, record_type, &relative, set);
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        let relative = relative(name);
        let set = self.fake.at(ZONE, record_type, &relative).unwrap();
        let (key, _) = self.values(record_type, &[from]);
        let mut edited = set.clone();
        let quoted = |value: &str| format!("\"{value}\"");
        let values = set[key].to_string().replace(&quoted(from), &quoted(to));
        edited[key] = serde_json::from_str(&values).unwrap();
        assert_ne!(edited, set, "{name} has no {from}");
        self.fake.seed(ZONE, record_type, &relative, edited);
    }
}

impl<const PRIVATE: bool> Marked for Azure<PRIVATE> {
    async fn unmark(&self, name: &str) {
        self.remark(name, |metadata| *metadata = json!({}));
    }

    async fn hand_over(&self, name: &str) {
        self.remark(name, |metadata| {
            let mark = metadata["fleetdns1"].as_str().unwrap();
            metadata["fleetdns1"] = mark.replace(&format!("owner={OWNER}"), &format!("owner={OTHER}")).into();
        });
    }

    async fn damage(&self, name: &str) {
        let text = format!("v=1 owner={OWNER} service=default/web member=;;");
        self.remark(name, |metadata| *metadata = json!({ "fleetdns1": text }));
    }
}

impl<const PRIVATE: bool> Theirs for Azure<PRIVATE> {
    async fn put_text(&self, name: &str, text: &str) {
        let key = if PRIVATE { "txtRecords" } else { "TXTRecords" };
        let set = json!({ Self::KIND.keys()[0]: 300, key: [{ "value": [text] }] });
        self.fake.seed(ZONE, "TXT", &relative(name), set);
    }
}

impl<const PRIVATE: bool> Cut for Azure<PRIVATE> {
    async fn cut(&self, moment: Moment) {
        let mishap = match moment {
            Moment::Before => Mishap::CutBefore,
            Moment::After => Mishap::CutAfter,
        };
        let cuts = Arc::clone(&self.cuts);
        self.fake.trap(1, mishap, move |call| {
            let hit = call.is_write();
            cuts.fetch_add(usize::from(hit), Ordering::SeqCst);
            hit
        });
    }

    fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

impl<const PRIVATE: bool> Forbid for Azure<PRIVATE> {
    async fn forbid(&self) {
        let message = "The client 'x' with object id 'o-1' does not have authorization to perform action \
                       'Microsoft.Network/dnsZones/A/write' over scope '/subscriptions/x'.";
        let refusal = Answer::arm(403, "AuthorizationFailed", message);
        self.fake.trap(usize::MAX, Mishap::Answer(refusal), Call::is_write);
    }

    async fn allow(&self) {
        self.fake.world().traps.clear();
    }
}

/// Locks on record sets.
impl<const PRIVATE: bool> Refuse for Azure<PRIVATE> {
    async fn refuse(&self) {
        let message =
            "The scope '/x' cannot perform write operation because following scope(s) are locked: '/x'.";
        let locked = |call: &Call| {
            let below = |name: &&str| call.path.ends_with(&format!(".{}", relative(name)));
            call.is_write() && REFUSED.iter().any(below)
        };
        self.fake.trap(usize::MAX, Mishap::Answer(Answer::arm(409, "ScopeLocked", message)), locked);
    }

    async fn accept(&self) {
        self.fake.world().traps.clear();
    }
}

fn is_list(call: &Call) -> bool {
    call.path.to_lowercase().ends_with("/all")
}

impl<const PRIVATE: bool> Blind for Azure<PRIVATE> {
    async fn blind(&self, how: Blindness) {
        match how {
            Blindness::Refused => {
                let refusal = Answer::arm(403, "AuthorizationFailed", "no right to list");
                self.fake.trap(usize::MAX, Mishap::Answer(refusal), is_list);
            }
            Blindness::Stalled => self.fake.world().stalled = Some(is_list),
        }
    }

    async fn see(&self) {
        let mut world = self.fake.world();
        world.traps.clear();
        world.stalled = None;
    }
}

impl<const PRIVATE: bool> Halve for Azure<PRIVATE> {
    async fn halve(&self, name: &str) {
        let end = format!("/CNAME/{}", relative(name));
        let halves = Arc::clone(&self.halves);
        // As often as it is tried in one plan.
        let broken = Mishap::Answer(Answer::dns(500, "InternalServerError", "Oops."));
        self.fake.trap(4, broken, move |call| {
            let hit = call.method == "PUT" && call.path.ends_with(&end);
            halves.fetch_max(usize::from(hit), Ordering::SeqCst);
            hit
        });
    }

    fn halves(&self) -> usize {
        self.halves.load(Ordering::SeqCst)
    }
}

impl<const PRIVATE: bool> Vanish for Azure<PRIVATE> {
    async fn vanish(&self) {
        self.fake.world().zones.retain(|zone| zone.name != ZONE);
    }
}

impl<const PRIVATE: bool> Storm for Azure<PRIVATE> {
    async fn storm(&self) {
        self.before.store(self.calls_so_far(), Ordering::SeqCst);
        let answer = Answer::twice(429, "Throttled", "Too many operations are requested; try again later.");
        self.fake.trap(usize::MAX, Mishap::Answer(answer.header("x-ms-retry-after-ms", 300)), Call::is_arm);
    }

    async fn calm(&self) {
        self.fake.world().traps.clear();
    }

    fn calls(&self) -> usize {
        self.calls_so_far() - self.before.load(Ordering::SeqCst)
    }
}
