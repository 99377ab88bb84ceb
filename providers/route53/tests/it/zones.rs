//! Which hosted zone it is, who we are, and what `check` says.

use fleetdns_core::ProviderError;

use crate::{all_done, names, pass, planned};
use fleetdns_fakes::conformance::{Fleet, OWNER};
use fleetdns_fakes::route53::{Fake, OTHER_ID, ZONE_ID};

/// The error of a listing in one line.
async fn refused(fake: &Fake, keys: &[(&str, &str)]) -> String {
    match fake.connect(OWNER, keys).list().await.unwrap_err() {
        error @ ProviderError::Denied { .. } => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_public_and_a_private_zone_of_one_name_are_told_apart() {
    let fake = Fake::start().await;
    fake.add_zone(OTHER_ID, "example.com", true);
    let text = refused(&fake, &[]).await;
    assert!(text.contains(&format!("{OTHER_ID} (private), {ZONE_ID} (public)")), "{text}");
    assert!(text.contains("set zone-id"), "{text}");
    let private = fake.connect(OWNER, &[("zone-type", "private")]);
    all_done(&pass(&*private, &names(1)).await, 1);
    assert_eq!(fake.dump(), Vec::<String>::new());
    assert_eq!(fake.state().zones[OTHER_ID].sets.len(), 4);
    let by_id = fake.connect(OWNER, &[("zone-id", &format!("/hostedzone/{ZONE_ID}"))]);
    all_done(&pass(&*by_id, &names(1)).await, 1);
    assert_eq!(fake.dump().len(), 2);
}

#[tokio::test]
async fn a_zone_is_found_by_its_whole_name_among_many() {
    let fake = Fake::start().await;
    fake.state().zones.clear();
    // What Route 53 gives begins at the name, and goes on with others.
    for number in 0..120 {
        fake.add_zone(&format!("ZA{number:03}"), &format!("n{number:03}.example.com"), false);
    }
    let text = refused(&fake, &[]).await;
    assert!(text.contains("there is no hosted zone example.com; create it"), "{text}");
    for number in 0..120 {
        fake.add_zone(&format!("ZB{number:03}"), "example.com", number != 110);
    }
    let provider = fake.connect(OWNER, &[("zone-type", "public")]);
    provider.list().await.unwrap();
    assert_eq!(fake.calls("ListHostedZonesByName"), 3, "one for the refusal, two pages");
}

#[tokio::test]
async fn a_zone_id_of_another_zone_is_refused() {
    let fake = Fake::start().await;
    fake.add_zone("ZORG", "example.org", false);
    let text = refused(&fake, &[("zone-id", "ZORG")]).await;
    assert!(text.contains("the hosted zone ZORG is example.org., not example.com"), "{text}");
    let text = refused(&fake, &[("zone-id", "ZNONE")]).await;
    assert!(text.contains("NoSuchHostedZone"), "{text}");
    let text = refused(&fake, &[("zone-id", ZONE_ID), ("zone-type", "private")]).await;
    assert!(text.contains("is public; mend zone-type"), "{text}");
}

#[tokio::test]
async fn a_zone_that_was_made_again_is_found_again() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    all_done(&pass(&*provider, &names(1)).await, 1);
    fake.state().zones.clear();
    fake.add_zone("ZNEW", "example.com", false);
    all_done(&pass(&*provider, &names(1)).await, 1);
    assert_eq!(fake.state().zones["ZNEW"].sets.len(), 4);
}

#[tokio::test]
async fn missing_rights_are_named_with_the_policy_to_grant() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let plan = planned(&*provider, &names(2)).await;
    fake.state().denied.insert("ChangeResourceRecordSets");
    let policy = format!("arn:aws:route53:::hostedzone/{ZONE_ID}");
    for (_, outcome) in provider.apply(&plan).await.names {
        let fleetdns_core::Outcome::Failed(error) = outcome else { panic!("{outcome:?}") };
        let text = error.to_string();
        assert!(text.contains("not authorized to perform: route53:ChangeResourceRecordSets"), "{text}");
        assert!(text.contains("grant this policy: {") && text.contains(&policy), "{text}");
    }
    assert_eq!(fake.calls("ChangeResourceRecordSets"), 3, "each name is tried for itself");
    let findings = provider.check(&"example.com".parse().unwrap()).await;
    let bad: Vec<_> = findings.iter().filter(|finding| !finding.good).collect();
    assert!(bad.len() == 1 && bad[0].text.contains("refuses to write the zone"), "{findings:#?}");
    fake.state().denied = ["ListResourceRecordSets"].into();
    let text = provider.list().await.unwrap_err().to_string();
    assert!(text.contains("refuses to list the zone: AccessDenied"), "{text}");
}

#[tokio::test]
async fn check_says_who_we_are_and_changes_nothing() {
    let fake = Fake::start().await;
    let before = fake.state().zones[ZONE_ID].sets.len();
    let findings = fake.provider(OWNER).check(&"example.com".parse().unwrap()).await;
    assert!(findings.len() == 4 && findings.iter().all(|finding| finding.good), "{findings:#?}");
    assert!(findings[0].text.contains("access key …FAKE"), "{findings:#?}");
    assert!(!format!("{findings:?}").contains("AKIDFAKE"), "{findings:#?}");
    assert!(!format!("{findings:?}").contains("geheim"));
    assert!(findings[1].text.contains(ZONE_ID) && findings[1].text.contains("public"), "{findings:#?}");
    assert_eq!(fake.state().zones[ZONE_ID].sets.len(), before);
}

/// A policy with conditions on record names is enough for what is written, and `check` says so.
#[tokio::test]
async fn a_policy_for_the_suffix_or_for_single_names_passes_the_check() {
    let fake = Fake::start().await;
    let provider = fake.provider(OWNER);
    let suffix = "apps.example.com".parse().unwrap();
    fake.state().allowed = Some(|name| name.ends_with(".apps.example.com"));
    let findings = provider.check(&suffix).await;
    assert!(findings.iter().all(|finding| finding.good), "{findings:#?}");
    let findings = provider.check(&"example.com".parse().unwrap()).await;
    assert!(findings.iter().any(|finding| !finding.good), "{findings:#?}");

    fake.state().allowed = Some(|name| name.ends_with("web.apps.example.com"));
    assert!(provider.check(&suffix).await.iter().any(|finding| !finding.good), "nothing is ours yet");
    let fleet = Fleet::of(&[("web.apps.example.com", &["203.0.113.1"])]);
    all_done(&pass(&*provider, &fleet).await, 1);
    let dump = fake.dump();
    let findings = provider.check(&suffix).await;
    assert!(findings.iter().all(|finding| finding.good), "{findings:#?}");
    assert!(
        findings.iter().any(|one| one.text.contains("web.apps.example.com can be written")),
        "{findings:#?}"
    );
    assert_eq!(fake.dump(), dump);
}

#[tokio::test]
async fn credentials_that_are_missing_or_wrong_name_the_remedy() {
    let fake = Fake::start().await;
    let text = refused(&fake, &[("profile", "nobody")]).await;
    assert!(text.contains("nobody") && text.contains("set profile and credentials-file"), "{text}");
    let findings = fake.connect(OWNER, &[("profile", "nobody")]).check(&"example.com".parse().unwrap()).await;
    assert!(findings.len() == 1 && !findings[0].good, "{findings:#?}");
    let file = fake.credentials_file();
    let text = std::fs::read_to_string(&file).unwrap().replace("AKIDFAKE", "AKIDOTHER");
    std::fs::write(&file, text).unwrap();
    let text = refused(&fake, &[]).await;
    assert!(text.contains("InvalidClientTokenId") && text.contains("renew the credentials"), "{text}");
}
