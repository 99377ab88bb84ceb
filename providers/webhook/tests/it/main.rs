//! What only webhooks have, against the strict server of the harness. The conformance suite runs on it beside the other
//! providers, in `tests/it/conformance.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod access;
mod adjusted;
mod faults;
mod foreign;

use std::collections::BTreeMap;

use fleetdns_core::{Applied, ApprovedPlan, Brakes, Outcome, Provider, approve};
use fleetdns_fakes::conformance::{Fleet, with_causes};

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
        Outcome::Failed(error) => with_causes(error),
        Outcome::Incomplete { problem } => format!("incomplete: {problem}"),
        Outcome::NotTried => "not tried".to_owned(),
    };
    applied.names.iter().map(|(name, outcome)| (name.to_string(), word(outcome))).collect()
}

/// What `check` says, one line for each finding.
async fn checked(provider: &dyn Provider) -> String {
    provider
        .check(&"example.com".parse().unwrap())
        .await
        .iter()
        .map(|finding| format!("{finding}\n"))
        .collect()
}

fn name(index: usize) -> String {
    format!("svc-{index:04}.example.com")
}

/// `count` names, each with one address.
fn names(count: usize) -> Fleet {
    let mut fleet = Fleet::new();
    for index in 0..count {
        fleet.publish(&name(index), &[&format!("10.0.{}.{}", index / 256, index % 256)]);
    }
    fleet
}

#[track_caller]
fn all_done(words: &BTreeMap<String, String>, count: usize) {
    let bad: Vec<_> = words.iter().filter(|(_, word)| *word != "done").take(5).collect();
    assert!(bad.is_empty() && words.len() == count, "{} names, {bad:?}", words.len());
}
