//! What the tests share.

use std::time::Duration;

use fleetdns_core::keys::Keys;
use fleetdns_core::{Applied, DnsName, Listing, Observed, Outcome, Plan, Provider, ProviderError};
use serde_json::{Value, json};

use fleetdns_fakes::azure::{CLIENT, Fake, GROUP, SECRET, SUBSCRIPTION, TENANT};
use fleetdns_fakes::plans::{Desired, approved, difference, name, owner};

pub(crate) const ZONE: &str = "example.com";
pub(crate) const PRIVATE: &str = "private.example.com";

/// The five keys of kubefed and where the server is; a later pair wins.
pub(crate) fn keys(fake: &Fake, more: &[(&str, &str)]) -> Keys {
    let ca_file = fake.ca_file();
    let seed = [
        ("subscription-id", SUBSCRIPTION),
        ("tenant-id", TENANT),
        ("client-id", CLIENT),
        ("secret", SECRET),
        ("resource-group", GROUP),
        ("resource-manager", &fake.origin),
        ("authority-host", &fake.origin),
        ("ca-file", &ca_file),
    ];
    Keys::new(seed.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
}

pub(crate) fn provider_with(fake: &Fake, more: &[(&str, &str)]) -> Box<dyn Provider> {
    fleetdns_azure::connect(&name(ZONE), &owner(), &keys(fake, more)).unwrap()
}

pub(crate) fn provider(fake: &Fake) -> Box<dyn Provider> {
    provider_with(fake, &[])
}

pub(crate) fn private(fake: &Fake) -> Box<dyn Provider> {
    fleetdns_azure::connect_private(&name(PRIVATE), &owner(), &keys(fake, &[])).unwrap()
}

pub(crate) async fn observed(provider: &dyn Provider) -> Observed {
    let Listing { observed, unreadable } = provider.list().await.unwrap();
    assert_eq!(unreadable, Vec::<String>::new());
    observed
}

/// The plan from what is there to what is wanted.
pub(crate) async fn plan(provider: &dyn Provider, zone: &str, desired: &Desired) -> Plan {
    difference(&name(zone), &owner(), &observed(provider).await, desired)
}

/// Lists, plans and applies.
pub(crate) async fn pass(provider: &dyn Provider, zone: &str, desired: &Desired) -> Applied {
    let plan = plan(provider, zone, desired).await;
    provider.apply(&approved(plan)).await
}

/// As [`pass`]; everything is done, and the next plan is empty.
pub(crate) async fn sync(provider: &dyn Provider, zone: &str, desired: &Desired) {
    let applied = pass(provider, zone, desired).await;
    for (name, outcome) in &applied.names {
        assert!(matches!(outcome, Outcome::Done(_)), "{name}: {outcome:?}");
    }
    let again = plan(provider, zone, desired).await;
    assert!(again.is_empty(), "{again}");
}

/// Passes until the plan is empty, waiting as long as asked for; returns how many passes that took.
pub(crate) async fn converge(provider: &dyn Provider, zone: &str, desired: &Desired) -> usize {
    for pass in 0..200 {
        let wait = match provider.list().await {
            Ok(Listing { observed, .. }) => {
                let plan = difference(&name(zone), &owner(), &observed, desired);
                if plan.is_empty() {
                    return pass;
                }
                wait(&provider.apply(&approved(plan)).await)
            }
            Err(ProviderError::Throttled { seconds, .. }) => seconds,
            Err(error) => panic!("{error}"),
        };
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
    panic!("no end");
}

/// The longest wait that was asked for.
pub(crate) fn wait(applied: &Applied) -> u64 {
    let seconds = applied.names.iter().filter_map(|(_, outcome)| match outcome {
        Outcome::Failed(ProviderError::Throttled { seconds, .. }) => Some(*seconds),
        _ => None,
    });
    seconds.max().unwrap_or(0)
}

pub(crate) fn outcome<'a>(applied: &'a Applied, text: &str) -> &'a Outcome {
    let desired: DnsName = name(text);
    let found = applied.names.iter().find(|(name, _)| *name == desired);
    &found.unwrap_or_else(|| panic!("{text} is not among {:?}", applied.names)).1
}

/// The whole chain of an error.
pub(crate) fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

pub(crate) fn failure(applied: &Applied, name: &str) -> String {
    match outcome(applied, name) {
        Outcome::Failed(error) => text(error),
        other => panic!("{name}: {other:?}"),
    }
}

/// Properties of somebody else's set in a public zone.
pub(crate) fn foreign(address: &str) -> Value {
    json!({ "TTL": 300, "ARecords": [{ "ipv4Address": address }] })
}
