//! `check` and `plan` for each provider, on the servers of the conformance suite: what they print, and how they end,
//! when all is well, without the zone, without the right, and with a credential that is no longer good.

use fleetdns_fakes::azure;
use fleetdns_fakes::route53;

use std::fs;

use etcd_client::{Client, ConnectOptions, DeleteOptions, Permission};
use fleetdns_tests::conf::{Conf, ZONE, name};
use fleetdns_tests::daemon::{Daemon, Printed, fleetdns};
use fleetdns_tests::etcd::Etcd;
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};

/// A zone in a config, with a cluster that publishes one Service.
struct Site<'a> {
    member: &'a Member,
    folder: tempfile::TempDir,
}

/// The name that the Service has.
fn only() -> String {
    name("web", "")
}

impl<'a> Site<'a> {
    fn new(member: &'a Member) -> Self {
        Self { member, folder: tempfile::tempdir().unwrap() }
    }

    fn conf(&self, keys: &[(&str, &str)]) -> Conf {
        let lines: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        Conf::with_zone(&lines).cluster(self.member.name(), &self.member.kubeconfig())
    }

    async fn run(&self, command: &str, keys: &[(&str, &str)]) -> Printed {
        let path = self.folder.path().join("dns.conf");
        fs::write(&path, self.conf(keys).text()).unwrap();
        let printed = fleetdns(&[command, "-c", path.to_str().unwrap()]).await;
        for (key, value) in keys.iter().filter(|(key, _)| ["secret", "tsig-secret"].contains(key)) {
            assert!(!printed.out.contains(value) && !printed.err.contains(value), "{key} is printed");
        }
        printed
    }

    /// With `[ha]` in the same etcd one prefix more is needed; `check` names it, and writes nothing.
    async fn replicas_share(&self, keys: &[(&str, &str)], client: &mut Client) {
        let shared = keys.iter().filter(|(key, _)| *key != "provider");
        let lines: String = shared.map(|(key, value)| format!("{key} = {value}\n")).collect();
        let path = self.folder.path().join("dns.conf");
        fs::write(&path, self.conf(keys).more(&format!("[ha]\n{lines}")).text()).unwrap();
        let check = async || fleetdns(&["check", "-c", path.to_str().unwrap()]).await;
        let refused = check().await;
        let grant = "etcdctl role grant-permission ROLE --prefix=true readwrite /fleetdns/myfederation";
        assert!(refused.code == Some(1) && refused.out.contains(grant), "{refused:?}");
        let prefix = "/fleetdns/myfederation/";
        client.role_grant_permission("dns", Permission::read(prefix).with_prefix()).await.unwrap();
        let refused = check().await;
        assert!(refused.code == Some(1) && refused.out.contains(grant), "{refused:?}");
        client.role_grant_permission("dns", role_of_the_manual(prefix, prefix)).await.unwrap();
        let good = check().await;
        assert!(good.code == Some(0) && good.out.contains("can be read and written"), "{good:?}");
    }

    /// All is well: `check` says so, `plan` has one name to create, the daemon writes it, and `plan` has nothing more.
    async fn good(&self, keys: &[(&str, &str)]) {
        let check = self.run("check", keys).await;
        assert_eq!(check.code, Some(0), "{check:?}");
        assert!(check.out.lines().all(|line| line.starts_with("ok  ")), "{}", check.out);
        let zone = format!("ok    zone {ZONE}: ");
        assert!(check.out.lines().filter(|line| line.starts_with(&zone)).count() >= 2, "{}", check.out);
        let plan = self.run("plan", keys).await;
        assert_eq!(plan.code, Some(2), "{plan:?}");
        assert!(plan.out.contains(&format!("+ {}", only())), "{plan:?}");

        let daemon = Daemon::start(&self.conf(keys)).await;
        let written = |status: &serde_json::Value| status["zones"][0]["written"] == 1;
        daemon.status_shows("the name as written", std::time::Duration::from_secs(20), written).await;
        drop(daemon);
        let plan = self.run("plan", keys).await;
        assert_eq!(plan.code, Some(0), "{plan:?}");
    }

    /// `check` ends with 1 and a line that has all these parts.
    async fn check_says(&self, keys: &[(&str, &str)], parts: &[&str]) {
        let check = self.run("check", keys).await;
        assert_eq!(check.code, Some(1), "{check:?}");
        let start = format!("FAIL  zone {ZONE}: ");
        let bad: Vec<&str> = check.out.lines().filter(|line| line.starts_with(&start)).collect();
        let fits = |line: &&&str| parts.iter().all(|part| line.contains(part));
        assert!(bad.iter().any(|line| fits(&line)), "{parts:?}: {bad:#?}");
        eprintln!("{}", bad.join("\n"));
    }

    /// `check` and `plan` both end with 1 and say this.
    async fn both_say(&self, keys: &[(&str, &str)], parts: &[&str]) {
        self.check_says(keys, parts).await;
        let plan = self.run("plan", keys).await;
        assert_eq!(plan.code, Some(1), "{plan:?}");
        let incomplete = plan.out.starts_with(&format!("incomplete: zone {ZONE}: "));
        assert!(incomplete && parts.iter().all(|part| plan.out.contains(part)), "{parts:?}: {plan:?}");
    }
}

/// One member with one Service that nobody probes.
async fn member() -> Member {
    let member = Member::start("westus").await;
    let service = NewService::new("default", "web").port(80).annotation("fleetdns.io/probe", "none");
    member.create_published(&service, &["203.0.113.1"]).await;
    member
}

/// Later pairs win.
fn with<'a>(keys: &[(&'a str, &'a str)], other: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = keys.iter().filter(|(key, _)| other.iter().all(|(one, _)| one != key));
    kept.chain(other).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_names_what_to_do() {
    use azure::{Answer, CLIENT, Call, Fake, GROUP, Kind, Mishap, SECRET, SUBSCRIPTION, TENANT, Zone};
    let member = member().await;
    for (provider, kind, command, role) in [
        ("azure-azuredns", Kind::Public, "az network dns zone create", "\"DNS Zone Contributor\""),
        (
            "azure-private-dns",
            Kind::Private,
            "az network private-dns zone create",
            "\"Private DNS Zone Contributor\"",
        ),
    ] {
        let (site, fake) = (Site::new(&member), Fake::start().await);
        fake.world().zones = vec![Zone::new(kind, ZONE), Zone::new(kind, "other.example")];
        let ca_file = fake.ca_file();
        let keys = [
            ("provider", provider),
            ("subscription-id", SUBSCRIPTION),
            ("tenant-id", TENANT),
            ("client-id", CLIENT),
            ("secret", SECRET),
            ("resource-group", GROUP),
            ("resource-manager", &fake.origin),
            ("authority-host", &fake.origin),
            ("ca-file", &ca_file),
        ];
        site.good(&keys).await;
        let message = "The client 'x' with object id 'o-1' does not have authorization to perform action.";
        let refusal = Mishap::Answer(Answer::arm(403, "AuthorizationFailed", message));
        let grant = ["az role assignment create --assignee o-1", role, ZONE];
        fake.trap(usize::MAX, refusal.clone(), Call::is_write);
        site.check_says(&keys, &grant).await;
        fake.trap(usize::MAX, refusal, Call::is_arm);
        site.both_say(&keys, &grant).await;
        fake.world().traps.clear();
        fake.world().token_fault = Some(("AADSTS7000222", "The provided client secret keys are expired."));
        site.both_say(&keys, &["AADSTS7000222", "az ad app credential reset"]).await;
        fake.world().token_fault = None;
        fake.world().zones.retain(|zone| zone.name != ZONE);
        site.both_say(&keys, &["ResourceNotFound", command, ZONE]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc2136_names_what_to_do() {
    let member = member().await;
    let site = Site::new(&member);
    for software in [Software::Bind, Software::Knot, Software::PowerDns] {
        let server = NameServer::start(software, ZONE, Rights::default()).await;
        let address = server.address().to_string();
        let keys =
            [("provider", "rfc2136"), ("server", &address), ("tsig-key-name", KEY), ("tsig-secret", SECRET)];
        site.good(&keys).await;
        let old = with(&keys, &[("tsig-secret", "YW5vdGhlciBzZWNyZXQ=")]);
        site.both_say(&old, &[&address, KEY, "secret"]).await;
        server.grant("").await;
        site.check_says(&keys, &["update-policy", KEY]).await;
        server.grant(Rights::default().types).await;
        server.drop_zone().await;
        site.both_say(&keys, &[&address, &format!("no zone {ZONE} there")]).await;
    }
}

/// What a command of the manual grants on a prefix, on another one.
fn role_of_the_manual(prefix: &str, other: &str) -> Permission {
    let manual = include_str!("../../config/README.md");
    let command = format!("etcdctl role grant-permission fleetdns --prefix=true readwrite {prefix}");
    assert!(manual.lines().any(|line| line == command), "the manual has no {command}");
    Permission::read_write(other).with_prefix()
}

#[tokio::test(flavor = "multi_thread")]
async fn coredns_names_what_to_do() {
    let member = member().await;
    let (site, etcd) = (Site::new(&member), Etcd::start("providers").await);
    let endpoint = etcd.endpoint();
    let keys = [("provider", "coredns"), ("etcd-endpoints", endpoint.as_str())];
    site.good(&keys).await;
    let mut client = etcd.client().await;
    for user in ["root", "dns"] {
        client.user_add(user, "secret", None).await.unwrap();
        client.role_add(user).await.unwrap();
        client.user_grant_role(user, user).await.unwrap();
    }
    client.auth_enable().await.unwrap();
    site.both_say(&keys, &[&endpoint, "set etcd-username and etcd-password"]).await;
    let other = with(&keys, &[("etcd-username", "dns"), ("etcd-password", "old")]);
    site.both_say(&other, &[&endpoint, "mend etcd-username or etcd-password"]).await;
    let powerless = with(&keys, &[("etcd-username", "dns"), ("etcd-password", "secret")]);
    let grant = "etcdctl role grant-permission ROLE --prefix=true readwrite /skydns/com/syncweek";
    site.both_say(&powerless, &[&endpoint, "give dns a role", grant]).await;
    let root = ConnectOptions::new().with_user("root", "secret");
    let mut client = Client::connect([&endpoint], Some(root)).await.unwrap();
    let zone = role_of_the_manual("/skydns/com/example", "/skydns/com/syncweek");
    client.role_grant_permission("dns", zone).await.unwrap();
    // What the first daemon wrote is removed, so that there is something to write.
    client.delete("/skydns/com/syncweek", Some(DeleteOptions::new().with_prefix())).await.unwrap();
    site.good(&powerless).await;
    site.replicas_share(&powerless, &mut client).await;

    let file = site.folder.path().join("db");
    let keys = [("provider", "coredns"), ("zone-file", file.to_str().unwrap())];
    site.check_says(&keys, &["the file is not there", "make it, or give the zone's name servers"]).await;
    let text = format!("$ORIGIN {ZONE}.\n@ 60 IN SOA ns hostmaster 7 60 60 600 30\n@ 60 IN NS ns\n");
    fs::write(&file, text).unwrap();
    site.good(&keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn route53_names_what_to_do() {
    use route53::{Fake, OTHER_ID};
    let member = member().await;
    let (site, fake) = (Site::new(&member), Fake::start().await);
    fake.add_zone(OTHER_ID, ZONE, false);
    let credentials = fake.credentials_file();
    let keys = [
        ("provider", "aws-route53"),
        ("endpoint-url", fake.url.as_str()),
        ("credentials-file", &credentials),
    ];
    site.good(&keys).await;
    let policy = ["grant this policy: {", &format!("arn:aws:route53:::hostedzone/{OTHER_ID}")];
    fake.state().denied.insert("ChangeResourceRecordSets");
    site.check_says(&keys, &policy).await;
    fake.state().denied.insert("ListResourceRecordSets");
    site.both_say(&keys, &policy).await;
    fake.state().denied.clear();
    fake.state().zones.clear();
    site.both_say(&keys, &[&format!("there is no hosted zone {ZONE}"), "create it"]).await;
    let text = fs::read_to_string(&credentials).unwrap().replace("AKIDFAKE", "AKIDOLD");
    fs::write(&credentials, text).unwrap();
    site.both_say(&keys, &["InvalidClientTokenId", "renew the credentials"]).await;
}
