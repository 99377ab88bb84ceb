//! Private zones: another path, another case, and sets that virtual machines register by themselves.

use fleetdns_core::Owner;
use serde_json::json;

use crate::support::{PRIVATE, private, sync};
use fleetdns_fakes::azure::{Call, Fake};
use fleetdns_fakes::plans::{a, aaaa, cname, desired, name};

#[tokio::test]
async fn every_type_comes_back_as_it_was_written() {
    let fake = Fake::start().await;
    let provider = private(&fake);
    let sets = desired(&[
        ("private.example.com", a(&["10.0.0.1", "10.0.0.2"])),
        ("*.private.example.com", a(&["10.0.0.3"])),
        ("a.b.private.example.com", aaaa(&["2001:db8::1"])),
        ("c.private.example.com", cname("x.example.net")),
    ]);
    sync(&*provider, PRIVATE, &sets).await;
    assert_eq!(fake.at(PRIVATE, "A", "@").unwrap()["ttl"], 30);
    assert!(fake.count(|call| call.path.ends_with("/privateDnsZones/private.example.com/ALL")) > 0);
    sync(&*provider, PRIVATE, &desired(&[])).await;
    assert_eq!(fake.world().zones[1].sets.len(), 1, "the SOA record");
}

#[tokio::test]
async fn sets_of_virtual_machines_are_never_touched() {
    let fake = Fake::start().await;
    let provider = private(&fake);
    sync(&*provider, PRIVATE, &desired(&[("vm.private.example.com", a(&["10.0.0.1"]))])).await;
    let mut set = fake.at(PRIVATE, "A", "vm").unwrap();
    set["isAutoRegistered"] = json!(true);
    fake.seed(PRIVATE, "A", "vm", set);
    let listing = provider.list().await.unwrap();
    assert_eq!(listing.observed.at(&name("vm.private.example.com"))[0].claim, Owner::Foreign);
    assert!(
        listing.unreadable[0].contains("vm.private.example.com has our mark"),
        "{:?}",
        listing.unreadable
    );
    assert_eq!(fake.count(Call::is_write), 1);
}

#[tokio::test]
async fn check_names_the_role_of_private_zones() {
    let fake = Fake::start().await;
    let provider = private(&fake);
    let findings = provider.check(&name(PRIVATE)).await;
    assert!(findings.iter().all(|finding| finding.good), "{findings:?}");
    let refusal = fleetdns_fakes::azure::Answer::arm(
        403,
        "AuthorizationFailed",
        "The client does not have authorization.",
    );
    fake.trap(1, fleetdns_fakes::azure::Mishap::Answer(refusal), Call::is_write);
    let findings = provider.check(&name(PRIVATE)).await;
    let bad = findings.iter().find(|finding| !finding.good).unwrap();
    assert!(bad.text.contains("--role \"Private DNS Zone Contributor\" --scope /subscriptions/"), "{bad}");
}
