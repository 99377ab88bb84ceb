//! What only Route 53 has, against the server in `fake`. The conformance suite runs on the same server, in
//! `tests/it/conformance.rs` of the workspace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod aliases;
mod batches;
mod clients;
mod faults;
mod foreign;
mod insync;
mod marks;
mod moto;
mod numbers;
mod policy;
mod refusals;
mod zones;

use std::collections::BTreeMap;

use fleetdns_core::{Applied, ApprovedPlan, Brakes, Outcome, Provider, approve};
use fleetdns_fakes::conformance::Fleet;

/// A pass: what is listed now, planned for what is published.
async fn planned(provider: &dyn Provider, fleet: &Fleet) -> ApprovedPlan {
    let listing = provider.list().await.unwrap();
    let plan = fleet.plan(provider.capabilities(), &listing.observed);
    approve(plan, &Brakes { max_delete: 100, ..Brakes::default() })
}

/// A pass whose outcomes are given by name: `done`, `conflict`, or the text of the error.
async fn pass(provider: &dyn Provider, fleet: &Fleet) -> BTreeMap<String, String> {
    words(&provider.apply(&planned(provider, fleet).await).await)
}

fn words(applied: &Applied) -> BTreeMap<String, String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Conflict => "conflict".to_owned(),
        Outcome::Failed(error) => error.to_string(),
        Outcome::Incomplete { problem } => format!("incomplete: {problem}"),
        Outcome::NotTried => "not tried".to_owned(),
    };
    applied.names.iter().map(|(name, outcome)| (name.to_string(), word(outcome))).collect()
}

/// `count` names, each with one address.
fn names(count: usize) -> Fleet {
    let mut fleet = Fleet::new();
    for index in 0..count {
        fleet.publish(&name(index), &[&format!("10.0.{}.{}", index / 256, index % 256)]);
    }
    fleet
}

fn name(index: usize) -> String {
    format!("svc-{index:04}.example.com")
}

#[track_caller]
fn all_done(words: &BTreeMap<String, String>, count: usize) {
    let bad: Vec<_> = words.iter().filter(|(_, word)| *word != "done").take(5).collect();
    assert!(bad.is_empty() && words.len() == count, "{} names, {bad:?}", words.len());
}
