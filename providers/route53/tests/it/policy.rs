//! Exactly the rights that the operators' pages name, and each of them missing.

use fleetdns_core::Provider;

use crate::{all_done, names, pass};
use fleetdns_fakes::conformance::OWNER;
use fleetdns_fakes::route53::{Fake, Policy, ZONE_ID};

const MANUAL: &str = include_str!("../../../../config/README.md");

/// The policy of the manual, for the zone of the server.
fn policy() -> Policy {
    let blocks = MANUAL.split("```json").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.filter(|block| block.contains("route53:")).collect::<Vec<_>>();
    assert_eq!(block.len(), 1);
    Policy::of(&block[0].replace("Z0123456789ABCDEFGHIJ", ZONE_ID))
}

/// What `check` finds missing.
async fn missing(provider: &dyn Provider) -> Vec<String> {
    let findings = provider.check(&"example.com".parse().unwrap()).await;
    findings.into_iter().filter(|one| !one.good).map(|one| one.text).collect()
}

/// Writes, changes and removes names.
async fn works(provider: &dyn Provider) {
    all_done(&pass(provider, &names(20)).await, 20);
    let mut fleet = names(15);
    fleet.publish("svc-0003.example.com", &["203.0.113.3"]);
    all_done(&pass(provider, &fleet).await, 6);
}

#[tokio::test]
async fn the_policy_of_the_manual_is_enough() {
    for more in [&[][..], &[("zone-id", ZONE_ID)]] {
        let fake = Fake::start().await;
        fake.state().policy = Some(policy());
        let provider = fake.connect(OWNER, more);
        assert_eq!(missing(&*provider).await, [""; 0]);
        works(&*provider).await;
    }
}

#[tokio::test]
async fn the_policy_of_the_manual_is_for_one_zone() {
    let fake = Fake::start().await;
    fake.add_zone("ZOTHER", "example.com", false);
    fake.state().policy = Some(policy());
    let provider = fake.connect(OWNER, &[("zone-id", "ZOTHER")]);
    assert!(provider.list().await.unwrap_err().to_string().contains("AccessDenied"));
}

#[tokio::test]
async fn each_right_of_the_policy_is_needed_and_named_when_it_is_missing() {
    let fake = Fake::start().await;
    let mut tried = Vec::new();
    for (more, not_asked) in
        [(&[][..], "route53:GetHostedZone"), (&[("zone-id", ZONE_ID)], "route53:ListHostedZonesByName")]
    {
        for action in policy().actions() {
            fake.state().policy = Some(policy().without(&action));
            let missing = missing(&*fake.connect(OWNER, more)).await.join("\n");
            if action == not_asked {
                assert_eq!(missing, "");
            } else {
                assert!(missing.contains(&format!("not authorized to perform: {action}")), "{missing}");
                assert!(missing.contains(&format!("\"{action}\"")), "the remedy grants it: {missing}");
                tried.push(action);
            }
        }
    }
    tried.sort();
    tried.dedup();
    assert_eq!(tried.len(), policy().actions().len());
}

#[tokio::test]
async fn with_wait_insync_one_right_more_is_needed() {
    assert!(MANUAL.contains("`route53:GetChange` on `arn:aws:route53:::change/*`"));
    let fake = Fake::start().await;
    fake.state().policy = Some(policy());
    let provider = fake.connect(OWNER, &[("wait-insync", "yes")]);
    let text = missing(&*provider).await.join("\n");
    assert!(text.contains("not authorized to perform: route53:GetChange"), "{text}");
    fake.state().policy = Some(policy().with("route53:GetChange", "arn:aws:route53:::change/*"));
    assert_eq!(missing(&*provider).await, [""; 0]);
}
