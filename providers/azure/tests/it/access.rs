//! Credentials, rights, and what is said about them.

use fleetdns_core::keys::Keys;
use fleetdns_core::{Finding, ProviderError};

use crate::support::{ZONE, observed, pass, provider, provider_with, text};
use fleetdns_fakes::azure::{
    Answer, Call, Fake, IDENTITY_HEADER, IDENTITY_PATH, Kind, Mishap, SUBSCRIPTION, Zone,
};
use fleetdns_fakes::plans::{desired, name, owner};

fn bad(findings: &[Finding]) -> String {
    let texts: Vec<&str> = findings.iter().filter(|one| !one.good).map(|one| one.text.as_str()).collect();
    texts.join("\n")
}

async fn denied(fake: &Fake, more: &[(&str, &str)], parts: &[&str]) {
    let provider = provider_with(fake, more);
    let error = provider.list().await.unwrap_err();
    assert!(matches!(error, ProviderError::Denied { .. }), "{error:?}");
    let error = text(&error);
    for part in parts {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    assert!(!error.contains("geheim") && !error.contains("p#a;ss"), "{error}");
    let findings = provider.check(&name(ZONE)).await;
    for part in parts {
        assert!(bad(&findings).contains(part), "{part} is not in: {}", bad(&findings));
    }
}

#[tokio::test]
async fn a_good_zone_passes_the_check_and_nothing_is_written() {
    let fake = Fake::start().await;
    let findings = provider(&fake).check(&name(ZONE)).await;
    assert_eq!(bad(&findings), "");
    assert_eq!(findings.len(), 4, "{findings:?}");
    assert_eq!(fake.world().zones[0].sets.len(), 2);
}

#[tokio::test]
async fn a_wrong_secret_tenant_or_application_says_which_key_to_mend() {
    let fake = Fake::start().await;
    denied(&fake, &[("secret", "geheim")], &["AADSTS7000215", "set secret to the secret's value"]).await;
    denied(&fake, &[("client-id", "other")], &["AADSTS700016", "look at client-id"]).await;
    denied(&fake, &[("tenant-id", "other")], &["AADSTS90002", "look at tenant-id"]).await;
    fake.world().token_fault = Some(("AADSTS7000222", "The provided client secret keys are expired."));
    denied(&fake, &[], &["AADSTS7000222", "az ad app credential reset"]).await;
}

#[tokio::test]
async fn a_missing_right_names_the_command_for_this_zone() {
    let fake = Fake::start().await;
    let message = "The client 'x' with object id 'o-1' does not have authorization to perform action \
                   'Microsoft.Network/dnsZones/A/write' over scope '/subscriptions/x'.";
    let refusal = Answer::arm(403, "AuthorizationFailed", message);
    fake.trap(999, Mishap::Answer(refusal), Call::is_write);
    let provider = provider(&fake);
    let command = format!(
        "az role assignment create --assignee o-1 --role \"DNS Zone Contributor\" --scope \
         /subscriptions/{SUBSCRIPTION}/resourceGroups/Fed-DNS-rg/providers/Microsoft.Network/dnsZones/example.com"
    );
    assert!(bad(&provider.check(&name(ZONE)).await).contains(&command));
    let names: Vec<String> = (0..100).map(|index| format!("n{index}.example.com")).collect();
    let sets = desired(
        &names.iter().map(|name| (name.as_str(), fleetdns_fakes::plans::many(1, 1))).collect::<Vec<_>>(),
    );
    fake.world().calls.clear();
    let applied = pass(&*provider, ZONE, &sets).await;
    assert_eq!(applied.names.len(), 100);
    for (name, outcome) in &applied.names {
        assert!(crate::support::failure(&applied, name.as_str()).contains(&command), "{outcome:?}");
    }
    assert_eq!(fake.count(Call::is_write), 100, "each name is tried once");
}

/// A role on single record sets is enough for what is written, and `check` says so.
#[tokio::test]
async fn a_role_for_the_suffix_or_for_single_record_sets_passes_the_check() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    let suffix = name("apps.example.com");
    let forbid = |fake: &Fake, allowed: &'static str| {
        fake.world().traps.clear();
        let refusal = Answer::arm(403, "AuthorizationFailed", "no authorization for this record set");
        let elsewhere = move |call: &Call| call.is_write() && !call.path.ends_with(allowed);
        fake.trap(usize::MAX, Mishap::Answer(refusal), elsewhere);
    };
    forbid(&fake, ".apps");
    assert_eq!(bad(&provider.check(&suffix).await), "");
    assert!(bad(&provider.check(&name(ZONE)).await).contains("az role assignment create"));
    forbid(&fake, "/web.apps");
    assert!(bad(&provider.check(&suffix).await).contains("az role"), "nothing is ours yet");
    pass(&*provider, ZONE, &desired(&[("web.apps.example.com", fleetdns_fakes::plans::many(1, 1))])).await;
    let sets = fake.world().zones[0].sets.clone();
    let findings = provider.check(&suffix).await;
    assert_eq!(bad(&findings), "");
    assert!(
        findings.iter().any(|one| one.text.contains("web.apps.example.com can be written")),
        "{findings:?}"
    );
    assert_eq!(fake.world().zones[0].sets.len(), sets.len());
}

#[tokio::test]
async fn a_missing_zone_group_or_subscription_is_told_apart() {
    let fake = Fake::start().await;
    denied(
        &fake,
        &[("resource-group", "other")],
        &["ResourceGroupNotFound", "look at resource-group (other)"],
    )
    .await;
    denied(&fake, &[("subscription-id", "other")], &["SubscriptionNotFound", "look at subscription-id"])
        .await;
    // It is in another group, and we may see it there.
    fake.world().zones[0].group = "elsewhere".to_owned();
    let id = fake.world().zones[0].id();
    denied(&fake, &[], &["ResourceNotFound", "az network dns zone create"]).await;
    assert!(bad(&provider(&fake).check(&name(ZONE)).await).contains(&format!("set zone-id = {id}")));
    let provider = provider_with(&fake, &[("zone-id", &id), ("resource-group", "")]);
    assert_eq!(bad(&provider.check(&name(ZONE)).await), "");
    fake.world().zones.retain(|zone| zone.kind == Kind::Private);
    fake.world().zones.push(Zone::new(Kind::Public, "other.example"));
    assert!(
        bad(&provider.check(&name(ZONE)).await)
            .contains("none of the 1 zones that we may see is example.com")
    );
}

#[tokio::test]
async fn a_locked_zone_is_not_taken_for_a_queue() {
    let fake = Fake::start().await;
    let message =
        "The scope '/x' cannot perform write operation because following scope(s) are locked: '/x'.";
    fake.trap(1, Mishap::Answer(Answer::arm(409, "ScopeLocked", message)), Call::is_write);
    let applied =
        pass(&*provider(&fake), ZONE, &desired(&[("a.example.com", fleetdns_fakes::plans::many(1, 1))]))
            .await;
    assert!(crate::support::failure(&applied, "a.example.com").contains("az lock delete"));
    assert_eq!(fake.count(Call::is_write), 1);
}

#[tokio::test]
async fn an_unknown_authority_is_told_at_once_and_names_the_key() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let started = std::time::Instant::now();
    denied(&fake, &[("ca-file", &other.ca_file())], &["set ca-file", "invalid peer certificate"]).await;
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    denied(&fake, &[("ca-file", "/nonexistent")], &["/nonexistent: No such file", "mend ca-file"]).await;
}

#[tokio::test]
async fn nobody_at_home_is_no_fault_of_a_person() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    fake.stop().await;
    let error = provider.list().await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{}", text(&error));
    assert!(text(&error).to_lowercase().contains("connection refused"), "{}", text(&error));
}

#[tokio::test]
async fn a_revoked_token_is_replaced() {
    let fake = Fake::start().await;
    let provider = provider(&fake);
    observed(&*provider).await;
    fake.world().tokens.clear();
    let error = provider.list().await.unwrap_err();
    assert!(text(&error).contains("HTTP 401 AuthenticationFailed"), "{}", text(&error));
}

#[tokio::test]
async fn a_workload_identity_sends_its_token_without_the_end_of_the_line() {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "eyJ.assertion.x\n").unwrap();
    let file = file.display().to_string();
    let more = [("credential", "workload"), ("token-file", file.as_str()), ("secret", "")];
    observed(&*provider_with(&fake, &more)).await;
    let gone = [("credential", "workload"), ("token-file", "/nonexistent"), ("secret", "")];
    denied(&fake, &gone, &["the token file /nonexistent cannot be read"]).await;
}

#[tokio::test]
async fn a_certificate_signs_for_a_token() {
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, PublicKeyData};
    let fake = Fake::start().await;
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let certificate = CertificateParams::new(vec![]).unwrap().self_signed(&pair).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("azure.pem");
    std::fs::write(&file, format!("{}{}", pair.serialize_pem(), certificate.pem())).unwrap();
    let file = file.display().to_string();
    let more = [("certificate-file", file.as_str()), ("secret", "")];
    denied(&fake, &more, &["AADSTS7000215"]).await;
    fake.world().public_key = Some(pair.der_bytes().to_vec());
    observed(&*provider_with(&fake, &more)).await;
    let gone = [("certificate-file", "/nonexistent"), ("secret", "")];
    denied(&fake, &gone, &["the certificate file /nonexistent cannot be used: No such file"]).await;
}

/// Runs one test that needs variables of the environment in a process of its own: a test cannot set them for itself.
async fn alone(test: &str, fake: &Fake, variables: &[(&str, String)]) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([&format!("access::{test}"), "--exact", "--ignored", "--nocapture"]);
    command.env("FAKE_ORIGIN", &fake.origin).env("FAKE_CA_FILE", fake.ca_file());
    command.envs(variables.iter().map(|(name, value)| (*name, value)));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Lists with the credential of that name, on a server in another process.
async fn list_elsewhere(credential: &str) -> Result<usize, ProviderError> {
    let (origin, ca_file) = (std::env::var("FAKE_ORIGIN").unwrap(), std::env::var("FAKE_CA_FILE").unwrap());
    let pairs = [
        ("subscription-id", SUBSCRIPTION),
        ("resource-group", fleetdns_fakes::azure::GROUP),
        ("resource-manager", &origin),
        ("authority-host", &origin),
        ("ca-file", &ca_file),
        ("credential", credential),
    ];
    let keys = Keys::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let provider = fleetdns_azure::connect(&name(ZONE), &owner(), &keys).unwrap();
    provider.list().await.map(|listing| listing.observed.iter().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_of_the_machine_and_the_az_command_give_tokens() {
    let fake = Fake::start().await;
    let endpoint = format!("{}{}", fake.origin, IDENTITY_PATH);
    let variables = [("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", IDENTITY_HEADER.to_owned())];
    alone("managed_alone", &fake, &variables).await;
    assert_eq!(fake.count(|call| call.path == IDENTITY_PATH), 1);

    fake.world().tokens.push("from-az".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\necho '{\"accessToken\":\"from-az\",\"expires_on\":4102444800,\"tokenType\":\"Bearer\"}'\n";
    let file = folder.path().join("az");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    alone("cli_alone", &fake, &[("PATH", path)]).await;
    std::fs::write(&file, "#!/bin/sh\necho \"ERROR: Please run 'az login' to setup account.\" >&2\nexit 1\n")
        .unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    alone("cli_without_login_alone", &fake, &[("PATH", path)]).await;
}

#[tokio::test]
#[ignore = "run by another test"]
async fn managed_alone() {
    assert_eq!(list_elsewhere("managed").await.unwrap(), 1);
}

#[tokio::test]
#[ignore = "run by another test"]
async fn cli_alone() {
    assert_eq!(list_elsewhere("cli").await.unwrap(), 1);
}

#[tokio::test]
#[ignore = "run by another test"]
async fn cli_without_login_alone() {
    let error = list_elsewhere("cli").await.unwrap_err();
    assert!(matches!(error, ProviderError::Denied { .. }), "{}", text(&error));
    assert!(text(&error).contains("az login"), "{}", text(&error));
}
