//! Cases of records that change hands.

use std::collections::BTreeSet;

use fleetdns_core::ownership::external_dns::Naming;
use fleetdns_core::{DnsName, Outcome, Plan, Provider};
use fleetdns_planner::{Handover, release};

use super::pass::{approved, at, converge, list, outcomes, same_sets, shown};
use super::{Backend, Fleet, OTHER, OWNER, Theirs};

const NAME: &str = "web.example.com";

/// Applies a plan; all of it is done, and what is told is what is listed.
async fn carried_out(provider: &dyn Provider, plan: Plan) {
    assert!(!plan.is_empty(), "{plan}");
    let applied = provider.apply(&approved(plan)).await;
    let listing = list(provider).await;
    for (name, outcome) in applied.names {
        match outcome {
            Outcome::Done(sets) => same_sets(&name, &sets, listing.observed.at(&name)),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Without whose they are.
fn values(listing: &fleetdns_core::Listing) -> BTreeSet<String> {
    let plain = |line: String| line.replace(" ours ", " ").replace(" foreign ", " ");
    shown(listing).into_iter().filter(|line| !line.contains(" TXT ")).map(plain).collect()
}

fn mark_of(owner: &str) -> String {
    format!("heritage=external-dns,external-dns/owner={owner},external-dns/resource=service/default/web")
}

/// `NAME` and an alias of an external-dns with the owner id `me`, in both forms; and names that stay.
async fn external_dns<B: Theirs>() -> B {
    let backend = B::start().await;
    for (name, record_type, value) in [
        (NAME, "A", "203.0.113.1"),
        (NAME, "A", "203.0.113.2"),
        (NAME, "AAAA", "2001:db8::1"),
        ("alias.example.com", "CNAME", "lb-1.example.net"),
        ("half.example.com", "A", "203.0.113.1"),
        ("half.example.com", "AAAA", "2001:db8::5"),
        ("nobody.example.com", "A", "198.51.100.1"),
        ("theirs.example.com", "A", "198.51.100.2"),
        ("by-hand.example.com", "A", "198.51.100.3"),
    ] {
        backend.put_as_external_dns(name, record_type, value).await;
    }
    for name in [
        NAME,
        "a-web.example.com",
        "aaaa-web.example.com",
        "cname-alias.example.com",
        "a-nobody.example.com",
        "a-half.example.com",
    ] {
        backend.put_text(name, &mark_of("me")).await;
    }
    backend.put_text("a-theirs.example.com", &mark_of("you")).await;
    backend
}

fn fleet() -> Fleet {
    Fleet::of(&[
        (NAME, &["203.0.113.1", "203.0.113.3"]),
        ("alias.example.com", &["lb-1.example.net"]),
        ("half.example.com", &["203.0.113.1"]),
        ("theirs.example.com", &["203.0.113.1"]),
        ("by-hand.example.com", &["203.0.113.1"]),
    ])
}

async fn plan(provider: &dyn Provider) -> Handover {
    let listing = list(provider).await;
    let mut planner = fleet().planner(provider.capabilities());
    planner.adopt_external_dns(&listing.observed, (&Naming::default(), "me"), |_| true)
}

/// What external-dns owned and the fleet publishes is ours with the values that it had, and external-dns's ownership records of
/// it are gone. The next pass then writes what the fleet has.
pub async fn external_dns_adopted<B: Theirs>() {
    let backend = external_dns::<B>().await;
    let provider = backend.provider(OWNER);
    let before = list(&*provider).await;
    let Handover { plan: adoption, left } = plan(&*provider).await;
    let left: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(left, ["nobody.example.com"]);
    carried_out(&*provider, adoption).await;
    let provider = backend.provider(OWNER);
    let listing = list(&*provider).await;
    assert_eq!(values(&listing), values(&before));
    let owned: Vec<&str> = listing.observed.owned().map(DnsName::as_str).collect();
    assert_eq!(owned, ["alias.example.com", "half.example.com", NAME]);
    let half = ["foreign 30 AAAA 2001:db8::5", "ours 30 A 203.0.113.1"];
    assert_eq!(at(&listing, "half.example.com"), half, "by hand stands what has no ownership record");
    let texts = || shown(&listing).into_iter().filter(|line| line.contains(" TXT ")).collect::<Vec<_>>();
    let names: Vec<String> =
        texts().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(names, ["a-nobody.example.com", "a-theirs.example.com"], "{:?}", texts());
    assert!(plan(&*provider).await.plan.is_empty());

    let (listing, refused) = converge(&*provider, &fleet()).await;
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert_eq!(at(&listing, NAME), ["ours 30 A 203.0.113.1 203.0.113.3"]);
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert!(listing.observed.at(&super::cases::name(NAME)).is_empty());
    assert_eq!(at(&listing, "half.example.com"), half[..1]);
}

/// A record that external-dns changed since the plan was made stays as it is, and its own; so does its ownership record.
pub async fn external_dns_was_faster<B: Theirs>() {
    let backend = external_dns::<B>().await;
    let provider = backend.provider(OWNER);
    let adoption = plan(&*provider).await.plan;
    backend.edit(NAME, "A", "203.0.113.2", "203.0.113.7").await;
    backend.put_text("cname-alias.example.com", &mark_of("you")).await;
    let told = outcomes(&provider.apply(&approved(adoption)).await);
    assert_eq!(told[NAME], "conflict", "{told:?}");
    assert_ne!(told["alias.example.com"], "done", "{told:?}");
    let listing = list(&*provider).await;
    assert_eq!(at(&listing, "cname-alias.example.com").len(), 1);
    let web = at(&listing, NAME);
    assert!(web.iter().any(|line| line == "foreign 30 A 203.0.113.1 203.0.113.7"), "{web:?}");
    assert_eq!(at(&listing, "a-web.example.com").len(), 1);
    // The next adoption takes it as it is.
    let Handover { plan: mut adoption, .. } = plan(&*provider).await;
    adoption.changes.retain(|change| change.name.as_str() == NAME);
    carried_out(&*provider, adoption).await;
    assert!(at(&list(&*provider).await, NAME).contains(&"ours 30 A 203.0.113.1 203.0.113.7".to_owned()));
}

/// Records of another owner id are ours with the values that they had; those that nobody claims stay the other's.
pub async fn another_owner_adopted<B: Backend>() {
    let backend = B::start().await;
    let theirs = backend.provider(OTHER);
    let mut old = Fleet::of(&[
        (NAME, &["203.0.113.1", "203.0.113.2", "2001:db8::1"]),
        ("alias.example.com", &["lb-1.example.net"]),
        ("gone.example.com", &["203.0.113.9"]),
    ])
    .owned_by(OTHER);
    converge(&*theirs, &old).await;
    let before = list(&*theirs).await;
    let fleet = Fleet::of(&[(NAME, &["203.0.113.1"]), ("alias.example.com", &["lb-1.example.net"])]);
    let Handover { plan, left } =
        fleet.planner(theirs.capabilities()).adopt_owner(&before.observed, |_| true);
    assert_eq!(left.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["gone.example.com"]);
    let told = outcomes(&theirs.apply(&approved(plan)).await);
    assert!(told.len() == 2 && told.values().all(|outcome| outcome == "done"), "{told:?}");
    let provider = backend.provider(OWNER);
    let listing = list(&*provider).await;
    assert_eq!(values(&listing), values(&before));
    let owned: Vec<&str> = listing.observed.owned().map(DnsName::as_str).collect();
    assert_eq!(owned, ["alias.example.com", NAME]);
    converge(&*provider, &fleet).await;
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert_eq!(at(&listing, "gone.example.com"), ["foreign 30 A 203.0.113.9"]);
    old.withdraw(NAME);
    old.withdraw("alias.example.com");
    old.withdraw("gone.example.com");
    converge(&*theirs, &old).await;
}

/// What is given up stays as it is and is nobody's; or goes with its records.
pub async fn zone_given_up<B: Backend>() {
    let backend = B::start().await;
    backend.put("theirs.example.com", "A", "198.51.100.1").await;
    let provider = backend.provider(OWNER);
    let fleet = Fleet::of(&[
        (NAME, &["203.0.113.1", "203.0.113.2", "2001:db8::1"]),
        ("alias.example.com", &["lb-1.example.net"]),
    ]);
    let empty = shown(&list(&*provider).await);
    let (before, _) = converge(&*provider, &fleet).await;
    let settings = fleet.settings();
    carried_out(&*provider, release(&settings, &before.observed, false)).await;
    let provider = backend.provider(OWNER);
    let listing = list(&*provider).await;
    assert_eq!((values(&listing), listing.observed.owned_count()), (values(&before), 0));
    assert!(!shown(&listing).iter().any(|line| line.contains(" TXT ")), "{:?}", shown(&listing));
    let (_, refused) = converge(&*provider, &fleet).await;
    assert_eq!(refused.len(), 3, "the alias and both families: {refused:?}");

    let backend = B::start().await;
    backend.put("theirs.example.com", "A", "198.51.100.1").await;
    let provider = backend.provider(OWNER);
    let (before, _) = converge(&*provider, &fleet).await;
    carried_out(&*provider, release(&settings, &before.observed, true)).await;
    assert_eq!(shown(&list(&*provider).await), empty);
}
