//! Cases in which a backend fails at one name, at listing or halfway, and another name's dead address has to go.

use std::time::{Duration, Instant};

use fleetdns_core::{Applied, Outcome, Provider, ProviderError};

use super::faults::told;
use super::pass::{approved, at, converge, list, outcomes, plan, same_sets, shown};
use super::{Blind, Blindness, Fleet, Halve, OWNER, REFUSED, Refuse, TAKEN};

/// How long one plan may take in all of these cases: a dead address leaves DNS within 12 s.
const BUDGET: Duration = Duration::from_secs(12);

const LIVE: &str = "203.0.113.1";
const DEAD: &str = "203.0.113.66";

/// A name that loses its dead address.
fn victim() -> String {
    format!("dead.{TAKEN}")
}

/// Half of them come before the victim in the order of names, half after it.
fn refused_name(index: usize) -> String {
    format!("bad-{index}.{}", REFUSED[index % REFUSED.len()])
}

/// One new name that the backend refuses.
pub async fn one_refused_name<B: Refuse>() {
    refused_names::<B>(1).await;
}

/// Twenty names that the backend refuses, half of them new.
pub async fn twenty_refused_names<B: Refuse>() {
    refused_names::<B>(20).await;
}

/// Names that the backend refuses are told as such, each with a reason, and everything else of the plan is written as if
/// they were not there; the same again with a later plan. When they are taken again, they are written.
async fn refused_names<B: Refuse>(count: usize) {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let empty = shown(&list(&*provider).await);
    let mut fleet = Fleet::of(&[(&victim(), &[LIVE, DEAD])]);
    let is_new = |index: usize| (index / 2).is_multiple_of(2);
    for index in (0..count).filter(|index| !is_new(*index)) {
        fleet.publish(&refused_name(index), &["203.0.113.10"]);
    }
    converge(&*provider, &fleet).await;

    backend.refuse().await;
    fleet.publish(&victim(), &[LIVE]);
    fleet.publish(&format!("new.{TAKEN}"), &[LIVE]);
    for index in 0..count {
        fleet.publish(&refused_name(index), &["203.0.113.11"]);
    }
    write_but::<B>(&*provider, &fleet, count).await;
    assert_eq!(at(&list(&*provider).await, &victim()), [format!("ours 30 A {LIVE}")]);

    fleet.publish(&victim(), &["203.0.113.2"]);
    write_but::<B>(&*provider, &fleet, count).await;
    let listing = list(&*provider).await;
    assert_eq!(at(&listing, &victim()), ["ours 30 A 203.0.113.2"]);
    assert_eq!(at(&listing, &format!("new.{TAKEN}")), [format!("ours 30 A {LIVE}")]);
    for index in 0..count {
        let expected: &[&str] = if is_new(index) { &[] } else { &["ours 30 A 203.0.113.10"] };
        assert_eq!(at(&listing, &refused_name(index)), expected);
    }

    backend.accept().await;
    converge(&*provider, &fleet).await;
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert_eq!(shown(&listing), empty, "nothing is left behind");
}

/// Applies until everything but `count` refused names is written.
async fn write_but<B: Refuse>(provider: &dyn Provider, fleet: &Fleet, count: usize) {
    let begin = Instant::now();
    for turn in 1..=B::APPLIES {
        let planned = approved(plan(provider, fleet).await);
        let applied = provider.apply(&planned).await;
        told(&planned, &applied);
        let (refused, others): (Vec<_>, Vec<_>) = applied
            .names
            .iter()
            .partition(|(name, _)| REFUSED.iter().any(|part| name.as_str().ends_with(part)));
        for (name, outcome) in &refused {
            let reason = match outcome {
                Outcome::Failed(ProviderError::Rejected { problem }) => !problem.is_empty(),
                _ => false,
            };
            assert!(reason, "{name} is refused for itself: {outcome:?}");
        }
        assert_eq!(refused.len(), count);
        let is_done = |(_, outcome): &&(_, Outcome)| matches!(outcome, Outcome::Done(_));
        if others.iter().all(is_done) {
            let took = begin.elapsed();
            eprintln!("{count} refused: the others were written by plan {turn} in {took:?}");
            assert!(took < BUDGET, "{took:?}");
            return;
        }
    }
    panic!("not written beside {count} refused names: {:?}", list(provider).await);
}

/// A listing that is refused: see `unlisted`.
pub async fn listing_refused<B: Blind>() {
    unlisted::<B>(Blindness::Refused).await;
}

/// A listing that never ends: see `unlisted`.
pub async fn listing_stalled<B: Blind>() {
    unlisted::<B>(Blindness::Stalled).await;
}

/// What was listed last is enough to write while no listing works, and while one is under way; what somebody changed
/// since is not written over.
async fn unlisted<B: Blind>(how: Blindness) {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let mut fleet = Fleet::of(&[(&victim(), &[LIVE, DEAD]), ("edited.example.com", &[LIVE])]);
    let (mut listing, _) = converge(&*provider, &fleet).await;
    backend.blind(how).await;

    for (turn, address) in [LIVE, "203.0.113.2", "203.0.113.3"].into_iter().enumerate() {
        fleet.publish(&victim(), &[address]);
        let planned = approved(fleet.plan(provider.capabilities(), &listing.observed));
        assert_eq!(planned.plan().changes.len(), 1, "{}", planned.plan());
        let apply = provider.apply(&planned);
        // Until something is written a provider may know without a listing that nothing has changed.
        let applied = match turn {
            0 => in_time(apply).await,
            _ => beside_a_listing(&*provider, how, apply).await,
        };
        let words = outcomes(&applied);
        assert_eq!(words[&victim()], "done", "{words:?}");
        for (name, outcome) in applied.names {
            let Outcome::Done(sets) = outcome else { continue };
            listing.observed.replace(name, sets);
        }
    }
    backend.edit("edited.example.com", "A", LIVE, "198.51.100.7").await;
    fleet.publish("edited.example.com", &["203.0.113.3"]);
    let planned = approved(fleet.plan(provider.capabilities(), &listing.observed));
    let words = outcomes(&beside_a_listing(&*provider, how, provider.apply(&planned)).await);
    assert_eq!(words["edited.example.com"], "conflict", "{words:?}");

    backend.see().await;
    assert_eq!(at(&list(&*provider).await, &victim()), ["ours 30 A 203.0.113.3"]);
    converge(&*provider, &fleet).await;
}

/// Applies while a listing is under way, which does not work.
async fn beside_a_listing(
    provider: &dyn Provider,
    how: Blindness,
    apply: impl Future<Output = Applied>,
) -> Applied {
    let listing = provider.list();
    tokio::pin!(listing, apply);
    if how == Blindness::Refused {
        let result = listing.await;
        assert!(result.is_err(), "the listing works: {result:?}");
        return in_time(apply).await;
    }
    // It is under way before the write begins.
    let begun = tokio::time::timeout(Duration::from_millis(300), &mut listing).await;
    assert!(begun.is_err(), "the listing ends: {begun:?}");
    tokio::select! {
        applied = in_time(apply) => applied,
        result = async { let _ = listing.await; std::future::pending::<()>().await } => unreachable!("{result:?}"),
    }
}

async fn in_time(apply: impl Future<Output = Applied>) -> Applied {
    let begin = Instant::now();
    let applied = apply.await;
    assert!(begin.elapsed() < BUDGET, "{:?}", begin.elapsed());
    applied
}

/// The backend takes the deletion of a change of type and leaves the addition out: that is known at once, nothing is told
/// as done that is not there, the other names of the plan are written, and the next plan puts everything right.
pub async fn write_done_by_half<B: Halve>() {
    let backend = B::start().await;
    let provider = backend.provider(OWNER);
    let empty = shown(&list(&*provider).await);
    let mut fleet = Fleet::of(&[(&victim(), &[LIVE, DEAD]), ("turns.example.com", &[DEAD])]);
    converge(&*provider, &fleet).await;
    fleet.publish(&victim(), &[LIVE]);
    fleet.publish("turns.example.com", &["lb.example.net"]);
    let planned = approved(plan(&*provider, &fleet).await);
    backend.halve("turns.example.com").await;
    let applied = in_time(provider.apply(&planned)).await;
    assert_eq!(backend.halves(), 1, "{applied:?}");
    told(&planned, &applied);
    let words = outcomes(&applied);
    assert_eq!(words[&victim()], "done", "{words:?}");
    let listing = list(&*backend.provider(OWNER)).await;
    for (name, outcome) in &applied.names {
        match outcome {
            // A provider may put it right by itself.
            Outcome::Done(sets) => same_sets(name, sets, listing.observed.at(name)),
            Outcome::Incomplete { problem } => assert!(!problem.is_empty(), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    converge(&*provider, &fleet).await;
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert_eq!(shown(&listing), empty, "nothing is left behind");
}
