//! Cases of what goes wrong between a provider and its backend.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fleetdns_core::{Applied, ApprovedPlan, Outcome, ProviderError};

use super::pass::{approved, at, converge, list, plan, same_sets, shown, with_causes};
use super::{Cut, Fleet, Forbid, Moment, OWNER, Storm, Vanish};

/// How long a provider may take to write again after a storm.
const AFTER_STORM: Duration = Duration::from_secs(30);
/// Names of a plan that meets a storm.
const NAMES: usize = 60;
/// Calls that a provider may make for one plan while it is asked to wait.
const CALLS: usize = 10;

/// What there is before something goes wrong, and what is set then: an update, a deletion, a change of type and a
/// creation.
fn fleets() -> (Fleet, Fleet) {
    let before = Fleet::of(&[
        ("changes.example.com", &["203.0.113.1"]),
        ("goes.example.com", &["203.0.113.1", "2001:db8::1"]),
        ("turns.example.com", &["203.0.113.1"]),
        ("stays.example.com", &["lb.example.net"]),
    ]);
    let mut kind = before.clone();
    kind.publish("changes.example.com", &["203.0.113.2", "203.0.113.3"]);
    kind.withdraw("goes.example.com");
    kind.publish("turns.example.com", &["lb.example.net"]);
    kind.publish("comes.example.com", &["2001:db8::4"]);
    (before, kind)
}

pub(super) fn told(plan: &ApprovedPlan, applied: &Applied) {
    let planned: BTreeSet<_> = plan.plan().changes.iter().map(|change| &change.name).collect();
    let told: BTreeSet<_> = applied.names.iter().map(|(name, _)| name).collect();
    assert!(told == planned && applied.names.len() == planned.len(), "an outcome for each name: {applied:?}");
}

/// The connection ends in the middle of a write, before or after it is carried out: nothing is told as done that is
/// not there, and the next pass puts everything right.
pub async fn cut_in_a_write<B: Cut>() {
    for moment in [Moment::Before, Moment::After] {
        let backend = B::start().await;
        let provider = backend.provider(OWNER);
        let empty = shown(&list(&*provider).await);
        let (before, kind) = fleets();
        converge(&*provider, &before).await;
        let planned = approved(plan(&*provider, &kind).await);
        assert_eq!(planned.plan().changes.len(), 4);
        backend.cut(moment).await;
        let applied = provider.apply(&planned).await;
        assert_eq!(backend.cuts(), 1, "{moment:?}: {applied:?}");
        told(&planned, &applied);
        let listing = list(&*backend.provider(OWNER)).await;
        for (name, outcome) in &applied.names {
            match outcome {
                Outcome::Done(sets) => same_sets(name, sets, listing.observed.at(name)),
                Outcome::Conflict
                | Outcome::Incomplete { .. }
                | Outcome::NotTried
                | Outcome::Failed(ProviderError::Unavailable { .. }) => {}
                Outcome::Failed(error) => panic!("{moment:?}: {name}: {}", with_causes(error)),
            }
        }
        converge(&*provider, &kind).await;
        let (listing, _) = converge(&*provider, &Fleet::new()).await;
        assert_eq!(shown(&listing), empty, "{moment:?}: nothing is left behind");
    }
}

/// Without the right to write: nothing is written, every name is told why, and what to do about it; `check` says the
/// same. With the right, things go on.
pub async fn forbidden<B: Forbid>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let (before, kind) = fleets();
    let (listing, _) = converge(&*provider, &before).await;
    let planned = approved(plan(&*provider, &kind).await);
    backend.forbid().await;
    let applied = provider.apply(&planned).await;
    told(&planned, &applied);
    let remedy = denied(&applied);
    let findings = provider.check(&super::ZONE.parse().expect("the zone is a name")).await;
    assert!(
        findings.iter().any(|finding| !finding.good && finding.text.contains(&remedy)),
        "{remedy}: {findings:#?}"
    );
    backend.allow().await;
    assert_eq!(shown(&list(&*provider).await), shown(&listing));
    converge(&*provider, &kind).await;
}

/// The zone is not there any more: nothing is told as done, and a person is told what to do; an empty listing is only
/// given where a zone that is not there is made.
pub async fn zone_gone<B: Vanish>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let (before, kind) = fleets();
    converge(&*provider, &before).await;
    let planned = approved(plan(&*provider, &kind).await);
    backend.vanish().await;
    let applied = provider.apply(&planned).await;
    told(&planned, &applied);
    denied(&applied);
    match provider.list().await {
        Err(ProviderError::Denied { problem, remedy, .. }) => {
            assert!(!problem.is_empty() && !remedy.is_empty(), "{problem}; {remedy}");
        }
        Ok(listing) => assert_eq!(listing, fleetdns_core::Listing::default()),
        Err(error) => panic!("{}", with_causes(&error)),
    }
    let findings = provider.check(&super::ZONE.parse().expect("the zone is a name")).await;
    assert!(findings.iter().any(|finding| !finding.good), "{findings:#?}");
}

/// Every name was denied, for itself or with the zone, or not tried because of it; returns what to do about it.
fn denied(applied: &Applied) -> String {
    let mut last = String::new();
    for (name, outcome) in &applied.names {
        match outcome {
            Outcome::NotTried => {}
            Outcome::Failed(ProviderError::Denied { endpoint, problem, remedy, .. }) => {
                let parts = [endpoint, problem, remedy];
                assert!(!parts.iter().any(|part| part.is_empty()), "{name}: {outcome:?}");
                last.clone_from(remedy);
            }
            Outcome::Failed(ProviderError::Rejected { problem }) => {
                let remedy = problem.split("; ").nth(1);
                last = remedy.unwrap_or_else(|| panic!("{name}: no remedy in '{problem}'")).to_owned();
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(!last.is_empty(), "no name was denied: {applied:?}");
    last
}

/// Asked to wait, a provider tells so after a few calls, tries no other name, and keeps nothing for later: what is written
/// once the storm is over is the newest override and nothing else.
pub async fn storm<B: Storm>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let name = |index: usize| format!("svc-{index}.example.com");
    let kind = |number: usize, names: usize| {
        let mut fleet = Fleet::new();
        (0..names).for_each(|index| fleet.publish(&name(index), &[&format!("203.0.113.{number}")]));
        fleet
    };
    let (listing, _) = converge(&*provider, &kind(1, NAMES / 2)).await;
    let plans =
        [2, 3].map(|number| approved(kind(number, NAMES).plan(provider.capabilities(), &listing.observed)));
    backend.storm().await;
    for plan in &plans {
        let applied = provider.apply(plan).await;
        told(plan, &applied);
        let throttled = |(_, outcome): &(_, Outcome)| {
            matches!(outcome, Outcome::Failed(ProviderError::Throttled { seconds: 1.., .. }))
        };
        let untried = |(_, outcome): &(_, Outcome)| matches!(outcome, Outcome::NotTried);
        assert!(applied.names.iter().any(throttled), "{applied:?}");
        assert!(applied.names.iter().all(|one| throttled(one) || untried(one)), "{applied:?}");
    }
    let calls = backend.calls();
    assert!((1..=CALLS * plans.len()).contains(&calls), "{calls} calls for {} plans", plans.len());
    let error = provider.list().await.err();
    assert!(matches!(error, Some(ProviderError::Throttled { .. })), "{error:?}");
    backend.calm().await;
    assert_eq!(shown(&list(&*backend.provider(OWNER)).await), shown(&listing), "nothing came later");

    let newest = kind(4, NAMES / 3);
    let begin = Instant::now();
    while provider.list().await.is_err()
        || !written(&provider.apply(&approved(plan(&*provider, &newest).await)).await)
    {
        assert!(begin.elapsed() < AFTER_STORM, "it never writes again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (listing, _) = converge(&*provider, &newest).await;
    assert_eq!(listing.observed.owned_count(), NAMES / 3);
    assert_eq!(at(&listing, &name(0)), ["ours 30 A 203.0.113.4"]);
}

fn written(applied: &Applied) -> bool {
    let waits = |outcome: &Outcome| {
        matches!(outcome, Outcome::NotTried | Outcome::Failed(ProviderError::Throttled { .. }))
    };
    match applied.names.iter().find(|(_, outcome)| !matches!(outcome, Outcome::Done(_))) {
        Some((_, outcome)) if waits(outcome) => false,
        Some(other) => panic!("{other:?}"),
        None => true,
    }
}
