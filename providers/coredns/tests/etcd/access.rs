//! Users, rights and certificates.

use etcd_client::{Permission, PermissionType};
use fleetdns_core::{Outcome, ProviderError};

use crate::common::plans::{a, desired, name};
use crate::common::{Certificates, Etcd, make, plan, provider};

#[track_caller]
fn denied(error: &ProviderError, part: &str) {
    let text = format!("{error} {error:?}");
    assert!(matches!(error, ProviderError::Denied { .. }) && text.contains(part), "{text}");
    assert!(!text.contains("geheim"), "{text}");
}

/// Authentication with a user `dns` (password `geheim`) who may do `permission` below the zone, and write below `good`.
async fn enable_auth(etcd: &Etcd, permission: PermissionType) {
    let mut root = etcd.client().await;
    root.user_add("root", "root", None).await.unwrap();
    root.user_grant_role("root", "root").await.unwrap();
    root.user_add("dns", "geheim", None).await.unwrap();
    root.role_add("zone").await.unwrap();
    let permission = Permission::new(permission, "/skydns/com/example").with_prefix();
    root.role_grant_permission("zone", permission).await.unwrap();
    let part = Permission::new(PermissionType::Readwrite, "/skydns/com/example/good").with_prefix();
    root.role_grant_permission("zone", part).await.unwrap();
    root.user_grant_role("dns", "zone").await.unwrap();
    root.auth_enable().await.unwrap();
}

#[tokio::test]
async fn user_and_password_are_used_and_never_shown() {
    let mut etcd = Etcd::start().await;
    let as_user = |password: &str| {
        provider(&[("etcd-endpoints", &etcd.endpoint), ("etcd-username", "dns"), ("etcd-password", password)])
    };
    let (right, wrong) = (as_user("geheim"), as_user("geheim-2"));
    assert!(right.list().await.is_ok(), "with authentication off the user is not used");
    let (right, nobody) = (as_user("geheim"), etcd.provider());
    enable_auth(&etcd, PermissionType::Readwrite).await;
    make(&*right, &desired(&[("www.example.com", a(&["203.0.113.1"]))])).await;
    denied(&wrong.list().await.unwrap_err(), "mend etcd-username or etcd-password");
    denied(&nobody.list().await.unwrap_err(), "set etcd-username and etcd-password");
    assert!(right.check(&name("example.com")).await.iter().all(|finding| finding.good));
    assert!(wrong.check(&name("example.com")).await.iter().any(|finding| !finding.good));
    // A restarted etcd knows no token any more: we log in again.
    etcd.restart().await;
    make(&*right, &desired(&[("www.example.com", a(&["203.0.113.2"]))])).await;
}

/// A role for a part of the keys: names outside of it are refused, each for itself, and the others are written.
#[tokio::test]
async fn names_outside_of_the_role_do_not_stop_the_others() {
    let etcd = Etcd::start().await;
    enable_auth(&etcd, PermissionType::Read).await;
    let provider = provider(&[
        ("etcd-endpoints", &etcd.endpoint),
        ("etcd-username", "dns"),
        ("etcd-password", "geheim"),
    ]);
    assert!(provider.check(&name("good.example.com")).await.iter().all(|finding| finding.good));
    let mut sets: Vec<(String, fleetdns_core::RecordData)> =
        (0..20).map(|index| (format!("bad{index}.example.com"), a(&["203.0.113.1"]))).collect();
    sets.push(("web.good.example.com".to_owned(), a(&["203.0.113.1"])));
    let sets: Vec<_> = sets.iter().map(|(name, data)| (name.as_str(), data.clone())).collect();
    for turn in 0..2 {
        let (_, plan_of) = plan(&*provider, &desired(&sets)).await;
        let applied = provider.apply(&plan_of).await.names;
        let rejected = |outcome: &Outcome| matches!(outcome, Outcome::Failed(ProviderError::Rejected { .. }));
        assert_eq!(applied.iter().filter(|(_, outcome)| rejected(outcome)).count(), 20, "{applied:?}");
        let done = applied.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Done(_))).count();
        assert_eq!(done, 1 - turn, "{applied:?}");
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let etcd = Etcd::start().await;
    enable_auth(&etcd, PermissionType::Read).await;
    let provider = provider(&[
        ("etcd-endpoints", &etcd.endpoint),
        ("etcd-username", "dns"),
        ("etcd-password", "geheim"),
    ]);
    let (_, plan_of) = plan(&*provider, &desired(&[("www.example.com", a(&["203.0.113.1"]))])).await;
    match &provider.apply(&plan_of).await.names[0].1 {
        Outcome::Failed(ProviderError::Rejected { problem }) => {
            let remedy = "role grant-permission ROLE --prefix=true readwrite /skydns/com/example";
            assert!(problem.contains(remedy) && !problem.contains("geheim"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    let findings = provider.check(&name("example.com")).await;
    let bad: Vec<_> = findings.iter().filter(|finding| !finding.good).collect();
    assert_eq!(bad.len(), 1, "{findings:?}");
    assert!(bad[0].text.contains("permission denied"), "{findings:?}");
}

#[tokio::test]
async fn certificates_are_checked_in_both_directions() {
    let etcd = Etcd::start_with(Some(Certificates::new())).await;
    let files = Certificates::new();
    let own = |name: &str| etcd_file(&etcd, name);
    let with = |pairs: &[(&str, String)]| {
        let mut keys = vec![("etcd-endpoints", etcd.endpoint.as_str())];
        keys.extend(pairs.iter().map(|(key, value)| (*key, value.as_str())));
        provider(&keys)
    };
    let good = with(&[
        ("etcd-ca-file", own("ca.crt")),
        ("etcd-cert-file", own("client.crt")),
        ("etcd-key-file", own("client.key")),
    ]);
    make(&*good, &desired(&[("www.example.com", a(&["203.0.113.1"]))])).await;
    let untrusted = with(&[("etcd-ca-file", files.file("other-ca.crt"))]);
    denied(&untrusted.list().await.unwrap_err(), "set etcd-ca-file");
    denied(&with(&[]).list().await.unwrap_err(), "set etcd-ca-file");
    let anonymous = with(&[("etcd-ca-file", own("ca.crt"))]);
    refused(&anonymous.list().await.unwrap_err());
    let stranger = with(&[
        ("etcd-ca-file", own("ca.crt")),
        ("etcd-cert-file", files.file("client.crt")),
        ("etcd-key-file", files.file("client.key")),
    ]);
    refused(&stranger.list().await.unwrap_err());
    let missing = with(&[("etcd-ca-file", "/nonexistent/ca.crt".to_owned())]);
    denied(&missing.list().await.unwrap_err(), "/nonexistent/ca.crt");
}

/// Whether etcd's reason comes before it hangs up is a matter of luck.
#[track_caller]
fn refused(error: &ProviderError) {
    let text = format!("{error} {error:?}");
    assert!(text.contains("etcd-cert-file"), "{text}");
}

fn etcd_file(etcd: &Etcd, name: &str) -> String {
    etcd.certificates.as_ref().unwrap().file(name)
}
