//! The strict name server of the provider's own tests as a backend of the conformance suite, for what real servers cannot
//! be made to do, and what a provider makes of it.

use std::time::{Duration, Instant};

use fleetdns_core::{Applied, Brakes, Outcome, Provider, ProviderError, approve};
use fleetdns_fakes::conformance::{
    Backend, Blind, Blindness, Cut, Fleet, Forbid, Halve, Moment, OWNER, REFUSED, Refuse, Theirs, converge,
};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, RecordType};

use fleetdns_fakes::rfc2136::{Signatures, Strict, Transfer};

pub(crate) struct StrictServer(Strict);

fn data(record_type: &str, value: &str) -> RData {
    match record_type {
        "A" => RData::A(A(value.parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(value.parse().unwrap())),
        _ => RData::CNAME(CNAME(Name::from_ascii(format!("{value}.")).unwrap())),
    }
}

impl Backend for StrictServer {
    const MANY: usize = 200;

    async fn start() -> Self {
        Self(Strict::start().await)
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        self.0.provider(owner, &[])
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        self.0.put(&name.to_lowercase(), 30, data(record_type, value));
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        let (from, to) = (data(record_type, from), data(record_type, to));
        let mut world = self.0.world();
        world.serial += 1;
        let changed = world
            .records
            .iter_mut()
            .find(|one| one.name.to_ascii() == format!("{name}.") && one.data == from);
        changed.unwrap().data = to;
    }
}

impl Theirs for StrictServer {
    async fn put_text(&self, name: &str, text: &str) {
        self.0.put(name, 30, RData::TXT(TXT::from_bytes(vec![text.as_bytes()])));
    }
}

impl Cut for StrictServer {
    async fn cut(&self, moment: Moment) {
        self.0.world().cut = Some(moment == Moment::After);
    }

    fn cuts(&self) -> usize {
        self.0.world().cuts
    }
}

impl Forbid for StrictServer {
    async fn forbid(&self) {
        self.0.world().answer = Some(ResponseCode::Refused);
    }

    async fn allow(&self) {
        self.0.world().answer = None;
    }
}

impl Refuse for StrictServer {
    async fn refuse(&self) {
        self.0.world().refused = REFUSED.map(|name| (name, ResponseCode::Refused)).to_vec();
    }

    async fn accept(&self) {
        self.0.world().refused.clear();
    }
}

impl Blind for StrictServer {
    async fn blind(&self, how: Blindness) {
        self.0.world().transfer = match how {
            Blindness::Refused => Transfer::Refused,
            Blindness::Stalled => Transfer::Stalled,
        };
    }

    async fn see(&self) {
        self.0.world().transfer = Transfer::SignedEach(1);
    }
}

impl Halve for StrictServer {
    async fn halve(&self, name: &str) {
        self.0.world().half = Some(name.to_owned());
    }

    fn halves(&self) -> usize {
        self.0.world().halves
    }
}

async fn apply(provider: &dyn Provider, fleet: &Fleet) -> Applied {
    let listing = provider.list().await.unwrap();
    let plan = fleet.plan(provider.capabilities(), &listing.observed);
    provider.apply(&approve(plan, &Brakes { max_delete: 100, ..Brakes::default() })).await
}

/// From addresses to a CNAME, to another one, and back, whatever the server makes of signatures; what it was told once it
/// is not told again.
#[tokio::test(flavor = "multi_thread")]
async fn types_change_in_a_signed_zone_of_every_kind() {
    for (signatures, most) in [
        (Signatures::None, [2, 2]),
        (Signatures::InTheWay, [2, 2]),
        // The zone is asked once whether it takes updates at all.
        (Signatures::Refused, [4, 2]),
        // A deletion and an addition of their own.
        (Signatures::RefusedAndInTheWay, [7, 5]),
    ] {
        let server = Strict::start().await;
        server.world().signatures = signatures;
        let provider = server.provider(OWNER, &[]);
        for most in most {
            converge(&*provider, &Fleet::of(&[("web.example.com", &["203.0.113.1", "2001:db8::1"])])).await;
            server.world().updates = 0;
            converge(&*provider, &Fleet::of(&[("web.example.com", &["one.example.net"])])).await;
            let updates = server.world().updates;
            assert!(updates <= most, "{signatures:?}: {updates} messages");
            assert_eq!(server.values("web.example.com", RecordType::CNAME), ["one.example.net."]);
            converge(&*provider, &Fleet::of(&[("web.example.com", &["two.example.net"])])).await;
        }
    }
}

/// A fault of the zone is found out with one message more, and nobody's name is to blame: the rest is not tried.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_zone_is_no_fault_of_its_names() {
    for (code, is_denied, told) in [
        (ResponseCode::Refused, true, &["frozen", "secondary", "update-policy"][..]),
        (ResponseCode::NotAuth, true, &["not the primary"]),
        (ResponseCode::NotZone, true, &["not the primary"]),
        (ResponseCode::NotImp, true, &["NOTIMP"]),
        (ResponseCode::ServFail, false, &["does not answer"]),
    ] {
        let server = Strict::start().await;
        let provider = server.provider(OWNER, &[]);
        let mut fleet = Fleet::new();
        (0..400).for_each(|index| fleet.publish(&format!("svc-{index}.example.com"), &["203.0.113.1"]));
        server.world().answer = Some(code);
        let applied = apply(&*provider, &fleet).await;
        assert_eq!(server.world().updates, 2, "{code}");
        assert_eq!(applied.names.len(), 400);
        let mut failed = 0;
        for (name, outcome) in &applied.names {
            match outcome {
                Outcome::NotTried => {}
                Outcome::Failed(error) => {
                    failed += 1;
                    let text = error.to_string();
                    assert_eq!(matches!(error, ProviderError::Denied { .. }), is_denied, "{code}: {error:?}");
                    assert!(told.iter().all(|part| text.contains(part)), "{code}: {text}");
                }
                other => panic!("{code}: {name}: {other:?}"),
            }
        }
        assert!((1..400).contains(&failed), "{failed}");
        server.world().answer = None;
        converge(&*provider, &fleet).await;
    }
}

/// Each kind of refusal that a server may give to one name is that name's own, with what is known of it.
#[tokio::test(flavor = "multi_thread")]
async fn any_answer_to_one_name_is_about_that_name() {
    for (code, told) in [
        (ResponseCode::Refused, "update-policy"),
        (ResponseCode::ServFail, "its log says why"),
        (ResponseCode::FormErr, "its log says why"),
        (ResponseCode::NotZone, "its log says why"),
    ] {
        let server = Strict::start().await;
        server.world().refused = vec![("bad.example.com", code)];
        let provider = server.provider(OWNER, &[]);
        let fleet =
            Fleet::of(&[("bad.example.com", &["203.0.113.1"]), ("good.example.com", &["203.0.113.1"])]);
        for (name, outcome) in apply(&*provider, &fleet).await.names {
            match outcome {
                Outcome::Done(_) => assert_eq!(name.as_str(), "good.example.com"),
                Outcome::Failed(ProviderError::Rejected { problem }) => {
                    assert!(
                        name.as_str() == "bad.example.com" && problem.contains(told),
                        "{code}: {problem}"
                    );
                }
                other => panic!("{code}: {name}: {other:?}"),
            }
        }
    }
}

/// A server that closes the connection on a message about one name takes those about others.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_on_which_the_server_hangs_up_stops_no_other() {
    let server = Strict::start().await;
    server.world().hangs_up = Some("bad.example.com");
    let provider = server.provider(OWNER, &[]);
    let mut fleet = Fleet::of(&[("bad.example.com", &["203.0.113.1"])]);
    (0..20).for_each(|index| fleet.publish(&format!("svc-{index}.example.com"), &["203.0.113.1"]));
    for (name, outcome) in apply(&*provider, &fleet).await.names {
        let is_bad = name.as_str() == "bad.example.com";
        let expected = match outcome {
            Outcome::Done(_) => !is_bad,
            Outcome::Failed(ProviderError::Rejected { .. }) => is_bad,
            _ => false,
        };
        assert!(expected, "{name}: {outcome:?}");
    }
}

/// A thousand refused names, near and far: another name's dead address goes with the first few messages of each plan, and
/// a plan ends before its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_refused_names_cost_a_bounded_time() {
    for way in [Duration::ZERO, Duration::from_millis(20)] {
        let server = Strict::start().await;
        let provider = server.provider(OWNER, &[]);
        let mut fleet = Fleet::of(&[("victim.example.com", &["203.0.113.1", "203.0.113.66"])]);
        converge(&*provider, &fleet).await;
        server.world().refused = vec![("bad.example.com", ResponseCode::Refused)];
        server.world().way = way;
        for index in 0..1000 {
            fleet.publish(&format!("n{index}.bad.example.com"), &["203.0.113.1"]);
        }
        for address in ["203.0.113.1", "203.0.113.2"] {
            fleet.publish("victim.example.com", &[address]);
            let begin = Instant::now();
            server.world().updates = 0;
            let applied = apply(&*provider, &fleet).await;
            let (took, updates) = (begin.elapsed(), server.world().updates);
            eprintln!("{updates} messages in {took:?}");
            assert!(took < Duration::from_secs(12) && updates <= 2100, "{updates} messages in {took:?}");
            assert_eq!(server.values("victim.example.com", RecordType::A), [address]);
            for (name, outcome) in &applied.names {
                let is_good = name.as_str() == "victim.example.com";
                let expected = match outcome {
                    Outcome::Done(_) => is_good,
                    Outcome::Failed(ProviderError::Rejected { .. }) | Outcome::NotTried => !is_good,
                    _ => false,
                };
                assert!(expected, "{name}: {outcome:?}");
            }
        }
    }
}
