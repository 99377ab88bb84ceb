//! An etcd whose database is full.

use etcd_client::{AlarmAction, AlarmOptions, AlarmType};
use fleetdns_core::{Outcome, ProviderError};

use crate::common::plans::{a, aaaa, cname, desired};
use crate::common::{Etcd, make, plan};
use crate::outcome_of;

/// The ownership record moves with the first address, so that every removal writes too, and a full etcd refused it all.
#[tokio::test]
async fn dead_addresses_leave_an_etcd_that_is_full() {
    let mut etcd = Etcd::start().await;
    let provider = etcd.provider();
    let before = [
        ("first.example.com", a(&["203.0.113.1", "203.0.113.2", "203.0.113.3"])),
        ("family.example.com", a(&["203.0.113.1"])),
        ("family.example.com", aaaa(&["2001:db8::1"])),
        ("moved.example.com", a(&["203.0.113.1", "203.0.113.2"])),
        ("replaced.example.com", a(&["203.0.113.1"])),
        ("alias.example.com", a(&["203.0.113.1"])),
        ("gone.example.com", a(&["203.0.113.1"])),
    ];
    make(&*provider, &desired(&before)).await;
    etcd.arguments.push("--quota-backend-bytes=1".to_owned());
    etcd.restart().await;
    let after = desired(&[
        ("first.example.com", a(&["203.0.113.2", "203.0.113.3"])),
        ("family.example.com", aaaa(&["2001:db8::1"])),
        ("moved.example.com", a(&["203.0.113.2", "203.0.113.4"])),
        ("replaced.example.com", a(&["203.0.113.4"])),
        ("alias.example.com", cname("lb.example.net")),
    ]);
    let (_, plan_of) = plan(&*provider, &after).await;
    let applied = provider.apply(&plan_of).await;
    for (name, done) in [("first", true), ("moved", true), ("replaced", false), ("alias", false)] {
        let outcome = outcome_of(&applied, &format!("{name}.example.com"));
        let as_expected = match outcome {
            Outcome::Incomplete { problem } => done && problem.contains("space exceeded"),
            Outcome::Failed(ProviderError::Denied { remedy, .. }) => !done && remedy.contains("alarm disarm"),
            Outcome::NotTried => !done,
            _ => false,
        };
        assert!(as_expected, "{name}: {outcome:?}");
    }
    let left = etcd.dump().await;
    let keys: Vec<&str> =
        left.iter().filter_map(|(key, _)| key.strip_prefix("/skydns/com/example/")).collect();
    for (dead, there) in [
        ("first/v4-cb007101", false),
        ("first/v4-cb007102", true),
        ("moved/v4-cb007101", false),
        ("moved/v4-cb007102", true),
        ("replaced/v4-cb007101", true),
        ("alias/v4-cb007101", true),
    ] {
        assert_eq!(keys.contains(&dead), there, "{dead}: {keys:?}");
    }
    let listing = provider.list().await.unwrap();
    assert!(listing.observed.iter().all(|(_, sets)| sets.iter().all(|set| set.claim.is_ours())), "{left:?}");
    etcd.arguments.pop();
    etcd.restart().await;
    let mut client = etcd.client().await;
    for alarm in client.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap().alarms() {
        let mut member = AlarmOptions::new();
        member.with_member(alarm.member_id());
        client.alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(member)).await.unwrap();
    }
    make(&*provider, &after).await;
}
