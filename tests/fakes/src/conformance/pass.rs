//! Passes of a fleet over a zone, and what is there afterwards.

use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::{
    Applied, ApprovedPlan, Brakes, DnsName, Listing, ObservedSet, Outcome, Plan, Provider, approve,
};

use super::Fleet;

pub(super) fn approved(plan: Plan) -> ApprovedPlan {
    approve(plan, &Brakes { max_delete: 100, ..Brakes::default() })
}

pub(super) async fn list(provider: &dyn Provider) -> Listing {
    provider.list().await.unwrap_or_else(|e| panic!("cannot list: {}", with_causes(&e)))
}

/// The error and its causes, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The plan from what is listed now.
pub(super) async fn plan(provider: &dyn Provider, fleet: &Fleet) -> Plan {
    fleet.plan(provider.capabilities(), &list(provider).await.observed)
}

/// Lists, plans, applies, with nothing but success, and looks that it is so: the planner has nothing more to do, and
/// what [`Outcome::Done`] told is what a new list says. Returns that list and what was refused.
///
/// # Panics
/// When it is not so.
pub async fn converge(provider: &dyn Provider, fleet: &Fleet) -> (Listing, Vec<String>) {
    let first = plan(provider, fleet).await;
    let refused =
        first.refused.iter().map(|refused| format!("{}: {}", refused.name, refused.reason)).collect();
    let planned: BTreeSet<DnsName> = first.changes.iter().map(|change| change.name.clone()).collect();
    let applied = provider.apply(&approved(first)).await;
    let told: BTreeSet<DnsName> = applied.names.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(told, planned, "one outcome for each name");
    assert_eq!(applied.names.len(), planned.len(), "one outcome for each name");
    let listing = list(provider).await;
    for (name, outcome) in applied.names {
        match outcome {
            Outcome::Done(sets) => same_sets(&name, &sets, listing.observed.at(&name)),
            Outcome::Conflict => panic!("{name}: conflict"),
            Outcome::Failed(error) => panic!("{name}: {}", with_causes(&error)),
            other @ (Outcome::Incomplete { .. } | Outcome::NotTried) => panic!("{name}: {other:?}"),
        }
    }
    let again = fleet.plan(provider.capabilities(), &listing.observed);
    assert!(again.is_empty(), "there is nothing left to do, and yet: {again}");
    (listing, refused)
}

/// As sets: neither the order of types nor anything else may differ, versions included.
pub(super) fn same_sets(name: &DnsName, told: &[ObservedSet], listed: &[ObservedSet]) {
    let same = told.len() == listed.len() && told.iter().all(|set| listed.contains(set));
    assert!(same, "{name}: told {told:#?}, listed {listed:#?}");
}

/// Outcomes by name: `done`, `conflict`, `incomplete`, `not tried`, or the text of the error.
pub(super) fn outcomes(applied: &Applied) -> BTreeMap<String, String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Conflict => "conflict".to_owned(),
        Outcome::Failed(error) => with_causes(error),
        Outcome::Incomplete { problem } => format!("incomplete: {problem}"),
        Outcome::NotTried => "not tried".to_owned(),
    };
    applied.names.iter().map(|(name, outcome)| (name.to_string(), word(outcome))).collect()
}

/// A zone as text, one line for each set: `NAME ours|foreign TTL TYPE VALUES`.
pub(super) fn shown(listing: &Listing) -> BTreeSet<String> {
    let sets = listing.observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)));
    sets.map(|(name, set)| format!("{name} {} {set}", if set.claim.is_ours() { "ours" } else { "foreign" }))
        .collect()
}

/// The lines of one name.
pub(super) fn at(listing: &Listing, name: &str) -> Vec<String> {
    let name: DnsName = name.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
    let sets = listing.observed.at(&name).iter();
    let mut lines: Vec<String> =
        sets.map(|set| format!("{} {set}", if set.claim.is_ours() { "ours" } else { "foreign" })).collect();
    lines.sort();
    lines
}
