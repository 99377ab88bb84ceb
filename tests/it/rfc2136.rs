//! Dynamic updates on real name servers: the backends of the conformance suite, and what only they have.

use fleetdns_core::{Brakes, Outcome, Provider, ProviderError, approve};
use std::net::SocketAddr;

use fleetdns_fakes::conformance::{
    Backend, Blind, Blindness, Cut, Fleet, Forbid, Marked, Moment, OTHER, OWNER, Refuse, TAKEN, Theirs,
    Vanish, ZONE, converge, with_causes,
};
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::proxy::Proxy;

use crate::keys;

/// The provider with the right key, or with other values of some keys.
pub(crate) fn connect(server: &NameServer, owner: &str, other: &[(&str, &str)]) -> Box<dyn Provider> {
    connect_at(server.address(), owner, other)
}

fn connect_at(address: SocketAddr, owner: &str, other: &[(&str, &str)]) -> Box<dyn Provider> {
    let address = address.to_string();
    let right = [("server", address.as_str()), ("tsig-key-name", KEY), ("tsig-secret", SECRET)];
    let pairs: Vec<(&str, &str)> = right.iter().chain(other).copied().collect();
    fleetdns_rfc2136::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys(&pairs)).unwrap()
}

/// What a question for a transfer ends with: AXFR, IN.
const AXFR: [u8; 4] = [0, 252, 0, 1];

macro_rules! backend {
    ($name:ident, $many:literal, $start:expr) => {
        pub(crate) struct $name {
            server: NameServer,
            proxy: Proxy,
        }

        impl Backend for $name {
            const MANY: usize = $many;

            async fn start() -> Self {
                let server = $start.await;
                let proxy = Proxy::start(server.address()).await;
                Self { server, proxy }
            }

            fn provider(&self, owner: &str) -> Box<dyn Provider> {
                connect_at(self.proxy.address(), owner, &[])
            }

            async fn put(&self, name: &str, record_type: &str, value: &str) {
                let value = if record_type == "CNAME" { format!("{value}.") } else { value.to_owned() };
                self.server.nsupdate(&[format!("update add {name}. 30 {record_type} {value}")]);
            }

            async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
                self.server.nsupdate(&[
                    format!("update delete {name}. {record_type} {from}"),
                    format!("update add {name}. 30 {record_type} {to}"),
                ]);
            }
        }

        impl Theirs for $name {
            async fn put_text(&self, name: &str, text: &str) {
                self.server.nsupdate(&[format!("update add {name}. 30 TXT \"{text}\"")]);
            }
        }

        impl Marked for $name {
            async fn unmark(&self, name: &str) {
                self.server.nsupdate(&[format!("update delete _fleetdns.{name}. TXT")]);
            }

            async fn hand_over(&self, name: &str) {
                remark(&self.server, name, |text| {
                    text.replace(&format!("owner={OWNER} "), &format!("owner={OTHER} "))
                });
            }

            async fn damage(&self, name: &str) {
                let text = format!("v=1 owner={OWNER} service=default/web member=;;");
                remark(&self.server, name, |_| text.clone());
            }
        }

        impl Cut for $name {
            async fn cut(&self, moment: Moment) {
                self.proxy.cut(moment);
            }

            fn cuts(&self) -> usize {
                self.proxy.cuts()
            }
        }

        impl Forbid for $name {
            async fn forbid(&self) {
                self.server.grant("").await;
            }

            async fn allow(&self) {
                self.server.grant(Rights::default().types).await;
            }
        }

        impl Refuse for $name {
            async fn refuse(&self) {
                self.server.allow(Rights { below: TAKEN, ..Rights::default() }).await;
            }

            async fn accept(&self) {
                self.server.allow(Rights::default()).await;
            }
        }

        impl Blind for $name {
            async fn blind(&self, how: Blindness) {
                match how {
                    Blindness::Refused => {
                        self.server.allow(Rights { transfer: false, ..Rights::default() }).await;
                    }
                    Blindness::Stalled => self.proxy.stall(Some(&AXFR)),
                }
            }

            async fn see(&self) {
                self.server.allow(Rights::default()).await;
                self.proxy.stall(None);
            }
        }

        impl Vanish for $name {
            async fn vanish(&self) {
                self.server.drop_zone().await;
            }
        }
    };
}

backend!(Bind, 10_000, NameServer::start(Software::Bind, ZONE, Rights::default()));
backend!(Knot, 10_000, NameServer::start(Software::Knot, ZONE, Rights::default()));
// Each prerequisite is a query to its database.
backend!(PowerDns, 1_000, NameServer::start(Software::PowerDns, ZONE, Rights::default()));
backend!(SignedBind, 1_000, NameServer::start_signed(Software::Bind, ZONE));
backend!(SignedKnot, 1_000, NameServer::start_signed(Software::Knot, ZONE));
backend!(SignedPowerDns, 500, NameServer::start_signed(Software::PowerDns, ZONE));

/// What `check` says, one line for each finding.
pub(crate) async fn checked(provider: &dyn Provider) -> String {
    provider.check(&ZONE.parse().unwrap()).await.iter().map(|finding| format!("{finding}\n")).collect()
}

const ALL: [Software; 3] = [Software::Bind, Software::Knot, Software::PowerDns];

/// A key that is wrong is named as such, for listing, writing and `check`, on each server in its own way.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_named() {
    for software in ALL {
        let server = NameServer::start(software, ZONE, Rights::default()).await;
        let wrong_secret = [("tsig-secret", "YW5vdGhlciBzZWNyZXQ=")];
        for other in [&wrong_secret[..], &[("tsig-key-name", "nobody")], &[("tsig-algorithm", "hmac-sha512")]]
        {
            let provider = connect(&server, OWNER, other);
            let error = provider.list().await.unwrap_err();
            let text = with_causes(&error);
            assert!(matches!(error, ProviderError::Denied { .. }), "{software:?} {other:?}: {text}");
            assert!(text.contains("key") && !text.contains("truncated"), "{software:?} {other:?}: {text}");
            let found = checked(&*provider).await;
            assert!(found.starts_with("FAIL") && found.contains("key"), "{software:?} {other:?}: {found}");
            eprintln!("{software:?} {other:?}: {text}");
        }
    }
}

/// A key without a right is told which one, and how it is given.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named() {
    for software in ALL {
        let no_transfer = Rights { transfer: false, ..Rights::default() };
        let server = NameServer::start(software, ZONE, no_transfer).await;
        let provider = connect(&server, OWNER, &[]);
        let text = with_causes(&provider.list().await.unwrap_err());
        assert!(
            text.contains("transfer the zone") && text.contains("TSIG-ALLOW-AXFR"),
            "{software:?}: {text}"
        );
        let found = checked(&*provider).await;
        assert!(found.starts_with("FAIL") && found.contains("can be updated"), "{software:?}: {found}");

        let server = NameServer::start(software, ZONE, Rights { types: "", ..Rights::default() }).await;
        let provider = connect(&server, OWNER, &[]);
        let found = checked(&*provider).await;
        let last = found.lines().last().unwrap();
        assert!(last.starts_with("FAIL") && last.contains("update"), "{software:?}: {found}");
        let fleet = Fleet::of(&[("web.example.com", &["203.0.113.1"])]);
        let error = only_error(&*provider, &fleet).await;
        assert!(matches!(error, ProviderError::Denied { .. }), "{software:?}: {error:?}");
    }
    // A right to some of the types is not enough, and is found out without writing anything.
    for software in [Software::Bind, Software::Knot] {
        let server = NameServer::start(software, ZONE, Rights { types: "A AAAA", ..Rights::default() }).await;
        let provider = connect(&server, OWNER, &[]);
        let found = checked(&*provider).await;
        assert!(found.lines().last().unwrap().starts_with("FAIL"), "{software:?}: {found}");
        assert_eq!(provider.list().await.unwrap().observed.owned_count(), 0);
    }
}

async fn only_error(provider: &dyn Provider, fleet: &Fleet) -> ProviderError {
    let listing = provider.list().await.unwrap();
    let plan = fleet.plan(provider.capabilities(), &listing.observed);
    let applied = provider.apply(&approve(plan, &Brakes::default())).await;
    match applied.names.into_iter().next() {
        Some((_, Outcome::Failed(error))) => error,
        other => panic!("{other:?}"),
    }
}

/// The other algorithm, a zone that is not there, and a server that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn algorithm_zone_and_server() {
    for software in ALL {
        let rights = Rights { algorithm: "hmac-sha512", ..Rights::default() };
        let server = NameServer::start(software, "example.net", rights).await;
        let sha512 = [("tsig-algorithm", "hmac-sha512")];
        let error = connect(&server, OWNER, &sha512).list().await.unwrap_err();
        assert!(matches!(error, ProviderError::Denied { .. }), "{software:?}: {}", with_causes(&error));

        let mut server = NameServer::start(software, ZONE, rights).await;
        let provider = connect(&server, OWNER, &sha512);
        let fleet = Fleet::of(&[("web.example.com", &["203.0.113.1"])]);
        let (listing, _) = converge(&*provider, &fleet).await;
        server.process().kill();
        let error = provider.list().await.unwrap_err();
        assert!(matches!(error, ProviderError::Unavailable { .. }), "{software:?}: {}", with_causes(&error));
        let more = Fleet::of(&[("web.example.com", &["203.0.113.2"])]);
        let plan = more.plan(provider.capabilities(), &listing.observed);
        let applied = provider.apply(&approve(plan, &Brakes::default())).await;
        assert!(matches!(&applied.names[..], [(_, Outcome::Failed(ProviderError::Unavailable { .. }))]));
        server.restart().await;
        converge(&*provider, &more).await;
    }
}

/// BIND takes no address at a name with an underscore: that name is told, and the others are written.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_bind_refuses_stops_no_other() {
    let server = NameServer::start(Software::Bind, ZONE, Rights::default()).await;
    let provider = connect(&server, OWNER, &[]);
    let mut fleet = Fleet::of(&[("un_der.example.com", &["203.0.113.1"])]);
    for index in 0..20 {
        fleet.publish(&format!("svc-{index}.example.com"), &["203.0.113.1"]);
    }
    let listing = provider.list().await.unwrap();
    let plan = fleet.plan(provider.capabilities(), &listing.observed);
    let applied = provider.apply(&approve(plan, &Brakes::default())).await;
    let failed: Vec<_> = applied.names.iter().filter(|(_, o)| !matches!(o, Outcome::Done(_))).collect();
    let [(name, Outcome::Failed(ProviderError::Rejected { problem }))] = &failed[..] else {
        panic!("{failed:?}")
    };
    assert!(name.as_str() == "un_der.example.com" && problem.contains("check-names"), "{problem}");
    assert_eq!(provider.list().await.unwrap().observed.owned_count(), 20);
}

/// An idle zone costs one question: it is not transferred again until its serial moves.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_zone_is_not_transferred_again() {
    let mut server = NameServer::start(Software::Bind, ZONE, Rights::default()).await;
    let provider = connect(&server, OWNER, &[]);
    let transfers = |server: &mut NameServer| {
        let log = std::fs::read_to_string(server.process().log_path()).unwrap();
        log.matches("AXFR started").count()
    };
    let first = provider.list().await.unwrap();
    for _ in 0..5 {
        assert_eq!(provider.list().await.unwrap(), first);
    }
    assert_eq!(transfers(&mut server), 1);
    server.nsupdate(&["update add new.example.com. 30 A 198.51.100.1"]);
    assert_ne!(provider.list().await.unwrap(), first);
    assert_eq!(transfers(&mut server), 2);
}

/// Writes the text of the ownership record of a name again.
fn remark(server: &NameServer, name: &str, change: impl Fn(&str) -> String) {
    let texts = server.texts(&format!("_fleetdns.{name}"));
    assert!(!texts.is_empty(), "{name} has no ownership record");
    let mut lines = vec![format!("update delete _fleetdns.{name}. TXT")];
    for strings in texts {
        let text = change(&strings.concat());
        let chunks = text.as_bytes().chunks(200).map(String::from_utf8_lossy);
        let quoted: Vec<String> = chunks.map(|part| format!("\"{part}\"")).collect();
        lines.push(format!("update add _fleetdns.{name}. 60 TXT {}", quoted.join(" ")));
    }
    server.nsupdate(&lines);
}
