//! Exactly the role that the operators' pages name.

use fleetdns_core::{DnsName, Provider};

use crate::support::{PRIVATE, ZONE, private, provider, sync, text};
use fleetdns_fakes::azure::{Fake, GROUP, Role, SUBSCRIPTION};
use fleetdns_fakes::plans::{a, desired, name};

const MANUAL: &str = include_str!("../../../../config/README.md");

/// The words behind an option of the command that assigns the role.
fn option<'a>(command: &'a str, name: &str) -> &'a str {
    let (_, rest) = command.split_once(name).unwrap();
    let rest = rest.trim_start();
    rest.strip_prefix('"')
        .map_or_else(|| rest.split(' ').next().unwrap(), |rest| rest.split('"').next().unwrap())
}

/// The role of the manual, on the zone of that name.
fn role(kind: &str, zone: &str) -> Role {
    let command = MANUAL.lines().find(|line| line.starts_with("az role assignment create")).unwrap();
    let scope = option(command, "--scope")
        .replace("SUBSCRIPTION", SUBSCRIPTION)
        .replace("/dns/", &format!("/{GROUP}/"))
        .replace("example.com", zone);
    if kind == "dnszones" {
        return Role::new(option(command, "--role"), &scope);
    }
    // As the sentence above the command says.
    let words = "for a private zone it is\n*Private DNS Zone Contributor*, and the type is `privateDnsZones`";
    assert!(MANUAL.contains(words));
    Role::new("Private DNS Zone Contributor", &scope.replace("dnszones", kind))
}

async fn missing(provider: &dyn Provider, suffix: &DnsName) -> Vec<String> {
    provider.check(suffix).await.into_iter().filter(|one| !one.good).map(|one| one.text).collect()
}

async fn works(provider: &dyn Provider, zone: &str) {
    assert_eq!(missing(provider, &name(zone)).await, [""; 0]);
    let (web, api) = (format!("web.{zone}"), format!("api.{zone}"));
    sync(provider, zone, &desired(&[(&web, a(&["203.0.113.1"])), (&api, a(&["203.0.113.2"]))])).await;
    sync(provider, zone, &desired(&[(&web, a(&["203.0.113.3"]))])).await;
    sync(provider, zone, &desired(&[])).await;
}

#[tokio::test]
async fn the_role_of_the_manual_is_enough() {
    let fake = Fake::start().await;
    fake.world().role = Some(role("dnszones", ZONE));
    works(&*provider(&fake), ZONE).await;
    fake.world().role = Some(role("privateDnsZones", PRIVATE));
    works(&*private(&fake), PRIVATE).await;
}

#[tokio::test]
async fn a_role_on_another_zone_or_of_the_other_kind_is_refused_with_the_command() {
    let fake = Fake::start().await;
    for other in [role("dnszones", "other.example"), role("privateDnsZones", ZONE)] {
        fake.world().role = Some(other);
        let provider = provider(&fake);
        let refused = text(&provider.list().await.unwrap_err());
        let missing = missing(&*provider, &name(ZONE)).await.join("\n");
        for text in [refused, missing] {
            assert!(text.contains("--role \"DNS Zone Contributor\" --scope /subscriptions/"), "{text}");
            assert!(text.contains("AuthorizationFailed"), "{text}");
        }
    }
}
