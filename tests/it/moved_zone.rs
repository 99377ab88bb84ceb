//! A zone that moves from one provider to another, as an export of its records does it: the ownership records are the same,
//! so that nothing is lost.
//!
//! The other providers keep no TXT: Azure metadata, etcd and a zone file a field or a comment beside each record, and the
//! embedded server is filled from its own state.

use std::collections::BTreeMap;

use fleetdns_core::{Content, Listing, Ownership, Provider};
use fleetdns_fakes::conformance::{Fleet, OWNER, ZONE, converge};
use fleetdns_fakes::rfc2136::Strict;
use fleetdns_fakes::route53::{Fake, Set};
use fleetdns_fakes::webhook::{Webhook, endpoint};
use fleetdns_tests::dns;
use fleetdns_tests::nameserver::{NameServer, Rights, Software};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData};

use crate::rfc2136::connect;

const NAMES: [&str; 3] = ["web.example.com", "*.example.com", "alias.example.com"];

/// So many members that the ownership record of a name takes several values.
fn fleet(members: usize) -> Fleet {
    let mut fleet = Fleet::with_members(
        (0..members)
            .map(|n| format!("arn:aws:eks:eu-central-1:123456789012:cluster/c-{n:02}-{}", n * n * 7919)),
    );
    fleet.publish(NAMES[0], &["203.0.113.1", "203.0.113.2", "2001:db8::1"]);
    fleet.publish(NAMES[1], &["203.0.113.3"]);
    fleet.publish(NAMES[2], &["lb.example.net"]);
    fleet
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Webhook,
    Route53,
    Rfc2136,
    Server(Software),
}

/// Where a zone is kept.
enum Home {
    Webhook(Webhook),
    Route53(Fake),
    Rfc2136(Strict),
    Server(Box<NameServer>),
}

/// Values by name and type, those of TXT without quotes.
type Records = BTreeMap<(String, &'static str), Vec<String>>;

fn places() -> impl Iterator<Item = (String, &'static str)> {
    let of = |name: &str| match name.strip_prefix("*.") {
        Some(parent) => format!("_fleetdns-wildcard.{parent}"),
        None => format!("_fleetdns.{name}"),
    };
    let texts = NAMES.iter().map(move |name| (of(name), "TXT"));
    let sets = NAMES.iter().flat_map(|name| ["A", "AAAA", "CNAME"].map(|kind| ((*name).to_owned(), kind)));
    texts.chain(sets)
}

fn ttl(kind: &str) -> u32 {
    if kind == "TXT" { 300 } else { 30 }
}

/// In strings of at most 200 octets.
fn quoted(text: &str) -> String {
    let strings = text.as_bytes().chunks(200).map(|part| format!("\"{}\"", String::from_utf8_lossy(part)));
    strings.collect::<Vec<_>>().join(" ")
}

fn unquoted(text: &str) -> String {
    text.trim_matches('"').replace("\" \"", "")
}

fn data(kind: &str, value: &str) -> RData {
    match kind {
        "A" => RData::A(A(value.parse().unwrap())),
        "AAAA" => RData::AAAA(AAAA(value.parse().unwrap())),
        "CNAME" => RData::CNAME(CNAME(Name::from_ascii(format!("{value}.")).unwrap())),
        _ => RData::TXT(TXT::from_bytes(value.as_bytes().chunks(255).collect())),
    }
}

impl Home {
    async fn new(kind: Kind) -> Self {
        match kind {
            Kind::Webhook => Self::Webhook(Webhook::start().await),
            Kind::Route53 => Self::Route53(Fake::start().await),
            Kind::Rfc2136 => Self::Rfc2136(Strict::start().await),
            Kind::Server(software) => {
                Self::Server(Box::new(NameServer::start(software, ZONE, Rights::default()).await))
            }
        }
    }

    fn provider(&self) -> Box<dyn Provider> {
        match self {
            Self::Webhook(hook) => hook.connect(OWNER, &[]),
            Self::Route53(fake) => fake.provider(OWNER),
            Self::Rfc2136(strict) => strict.provider(OWNER, &[]),
            Self::Server(server) => connect(server, OWNER, &[]),
        }
    }

    async fn values(&self, name: &str, kind: &str) -> Vec<String> {
        match self {
            Self::Webhook(hook) => {
                let endpoint = hook.get(name, kind);
                let targets = endpoint.iter().flat_map(|one| one["targets"].as_array().unwrap());
                targets.map(|one| one.as_str().unwrap().to_owned()).collect()
            }
            Self::Route53(fake) => fake.get(name, kind).map(|set| set.values).unwrap_or_default(),
            Self::Rfc2136(strict) if kind == "TXT" => {
                let world = strict.world();
                let at = Name::from_ascii(format!("{name}.")).unwrap();
                let texts = world.records.iter().filter(|one| one.name == at).map(|one| match &one.data {
                    RData::TXT(text) => String::from_utf8(text.txt_data.concat()).unwrap(),
                    other => panic!("{other}"),
                });
                texts.collect()
            }
            Self::Rfc2136(strict) => strict.values(name, kind.parse().unwrap()),
            Self::Server(server) if kind == "TXT" => {
                server.texts(name).into_iter().map(|strings| strings.concat()).collect()
            }
            Self::Server(server) => {
                let answer = dns::query(server.address(), name, kind).await.unwrap();
                let own = answer.answers.iter().filter(|one| one.name == name && one.record_type == kind);
                own.map(|one| one.value.clone()).collect()
            }
        }
    }

    async fn export(&self) -> Records {
        let mut records = Records::new();
        for (name, kind) in places() {
            let values = self.values(&name, kind).await;
            let plain = |value: &String| unquoted(value).trim_end_matches('.').to_owned();
            if !values.is_empty() {
                records.insert((name, kind), values.iter().map(plain).collect());
            }
        }
        records
    }

    fn import(&self, records: &Records) {
        for ((name, kind), values) in records {
            let quoted: Vec<String> = match *kind {
                "TXT" => values.iter().map(|text| quoted(text)).collect(),
                "CNAME" => values.iter().map(|target| format!("{target}.")).collect(),
                _ => values.clone(),
            };
            let texts: Vec<&str> = quoted.iter().map(String::as_str).collect();
            match self {
                // A webhook lists a TXT as one text, wherever its strings end.
                Self::Webhook(hook) => {
                    let texts: Vec<String> = texts.iter().map(|text| text.replace("\" \"", "")).collect();
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    hook.put(endpoint(name, kind, ttl(kind).into(), &texts));
                }
                Self::Route53(fake) => fake.put(Set::simple(name, kind, ttl(kind), &texts)),
                Self::Rfc2136(strict) => {
                    values.iter().for_each(|value| strict.put(name, ttl(kind), data(kind, value)));
                }
                Self::Server(server) => {
                    let add = |text: &&str| format!("update add {name}. {} {kind} {text}", ttl(kind));
                    server.nsupdate(&texts.iter().map(add).collect::<Vec<_>>());
                }
            }
        }
    }
}

/// What a listing says of the names: the values, and whose they are.
fn told(listing: &Listing) -> BTreeMap<(String, String), (Content, Option<Ownership>)> {
    let of = |name: &&str| {
        let sets = listing.observed.at(&name.parse().unwrap()).iter();
        let key = |kind: &str| ((*name).to_owned(), kind.to_owned());
        sets.map(|set| (key(set.type_name()), (set.content.clone(), set.claim.ownership())))
            .collect::<Vec<_>>()
    };
    NAMES.iter().flat_map(of).collect()
}

/// Along the way each provider reads what the one before has left. It writes it itself as well where it `rewrites`, and
/// otherwise passes it on untouched. Returns how many values an ownership record took at most.
async fn moves(way: &[Kind], members: usize, rewrites: bool) -> usize {
    let fleet = fleet(members);
    let mut home = Home::new(way[0]).await;
    let (first, _) = converge(&*home.provider(), &fleet).await;
    let first = told(&first);
    assert_eq!(first.len(), 4);
    assert!(first.values().all(|(_, ownership)| ownership.is_some()), "{first:#?}");
    let mut parts = 0;
    for steps in way.windows(2) {
        let records = home.export().await;
        parts = records
            .iter()
            .filter(|((_, kind), _)| *kind == "TXT")
            .map(|(_, all)| all.len())
            .fold(parts, usize::max);
        home = Home::new(steps[1]).await;
        home.import(&records);
        let provider = home.provider();
        let listing = provider.list().await.unwrap();
        assert_eq!(told(&listing), first, "{steps:?}");
        let plan = fleet.plan(provider.capabilities(), &listing.observed);
        assert!(plan.is_empty() && plan.refused.is_empty(), "{steps:?}: {plan}");
        if rewrites {
            let mut other = fleet.clone();
            other.publish(NAMES[0], &["203.0.113.9"]);
            converge(&*provider, &other).await;
            converge(&*provider, &fleet).await;
        }
    }
    converge(&*home.provider(), &Fleet::new()).await;
    assert_eq!(home.export().await, Records::new(), "nothing is left behind");
    parts
}

/// Each of three to each other.
const EACH: [Kind; 7] =
    [Kind::Webhook, Kind::Route53, Kind::Rfc2136, Kind::Webhook, Kind::Rfc2136, Kind::Route53, Kind::Webhook];

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_moves_from_each_provider_to_each_other() {
    for rewrites in [false, true] {
        assert_eq!(moves(&EACH, 2, rewrites).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_with_ownership_records_in_parts_moves_from_each_provider_to_each_other() {
    for rewrites in [false, true] {
        assert!(moves(&EACH, 40, rewrites).await > 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_moves_to_bind_and_knot_and_back() {
    let (bind, knot) = (Kind::Server(Software::Bind), Kind::Server(Software::Knot));
    let way =
        [Kind::Webhook, bind, Kind::Route53, knot, bind, Kind::Webhook, knot, Kind::Route53, bind, knot];
    for rewrites in [false, true] {
        assert!(moves(&way, 40, rewrites).await > 2);
    }
}
