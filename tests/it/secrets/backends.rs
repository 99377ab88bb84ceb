//! Every place of a provider that takes a secret, each with a server that takes it and one that refuses and shows it.

use std::any::Any;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fleetdns_fakes::azure::{self, Answer, CLIENT, Call, GROUP, Kind, Mishap, SUBSCRIPTION, TENANT, Zone};
use fleetdns_fakes::route53;
use fleetdns_tests::etcd::Etcd;
use fleetdns_tests::hostile::Hostile;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::planted::Planted;
use fleetdns_tests::ports;

use super::members::identity;
use super::servers::{Words, refusing, webhook};

const USER: &str = "fleetdns";
/// Only the proxy leads there.
pub(super) const OUTSIDE: &str = "elsewhere.example";

/// Zones of a config, what the daemon's environment has for them, and their servers.
#[derive(Default)]
pub(super) struct Backends {
    pub(super) sections: String,
    pub(super) environment: Vec<(String, String)>,
    /// Zones that are read, and zones that have a fault.
    pub(super) good: Vec<String>,
    pub(super) bad: Vec<String>,
    servers: Vec<Box<dyn Any>>,
}

/// What is planted where, in the folder of the inputs.
pub(super) struct Inputs<'a> {
    pub(super) planted: &'a Planted,
    pub(super) folder: &'a Path,
}

impl Inputs<'_> {
    fn secret(&self, what: &str) -> String {
        self.planted.secret(what)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }
}

impl Backends {
    fn zone(&mut self, is_good: bool, zone: &str, provider: &str, keys: &[(&str, &str)]) {
        let lines: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        self.sections.push_str(&format!("[zone \"{zone}\"]\nprovider = {provider}\n{lines}"));
        if is_good { &mut self.good } else { &mut self.bad }.push(zone.to_owned());
    }

    fn variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn keep(&mut self, server: impl Any) {
        self.servers.push(Box::new(server));
    }

    async fn hostile(&mut self, words: Words) -> String {
        let server: Hostile = refusing(words).await;
        let url = server.url();
        self.keep(server);
        url
    }
}

/// All of them; the zones of the etcd too.
pub(super) async fn all(inputs: &Inputs<'_>) -> Backends {
    let mut all = Backends::default();
    etcd(inputs, &mut all).await;
    azure(inputs, &mut all).await;
    route53(inputs, &mut all).await;
    webhooks(inputs, &mut all).await;
    rfc2136(inputs, &mut all).await;
    all
}

async fn etcd(inputs: &Inputs<'_>, all: &mut Backends) {
    let (etcd, password) = (Etcd::start("secrets").await, inputs.secret("etcd-password"));
    let mut client = etcd.client().await;
    for (user, password) in [("root", "root"), (USER, &password)] {
        client.user_add(user, password, None).await.unwrap();
    }
    client.role_add("root").await.unwrap();
    for user in ["root", USER] {
        client.user_grant_role(user, "root").await.unwrap();
    }
    client.auth_enable().await.unwrap();
    let endpoint = etcd.endpoint();
    let user = [("etcd-endpoints", endpoint.as_str()), ("etcd-username", USER)];
    all.zone(true, "etcd.example", "coredns", &[&user[..], &[("etcd-password", &password)]].concat());
    let old = inputs.file("etcd-password", &inputs.secret("etcd-password-file"));
    all.zone(
        false,
        "etcd-old.example",
        "coredns",
        &[&user[..], &[("etcd-password-file", old.to_str().unwrap())]].concat(),
    );
    all.variable("ETCD_PASSWORD", &inputs.secret("etcd-password-env"));
    let other = all.hostile(Words::Text("401 Unauthorized")).await;
    let keys =
        [("etcd-endpoints", other.as_str()), ("etcd-username", USER), ("etcd-password-env", "ETCD_PASSWORD")];
    all.zone(false, "etcd-other.example", "coredns", &keys);
    let (certificate, key) = identity(inputs.planted, "etcd-key-file");
    let certificate = inputs.file("etcd.crt", &certificate);
    let torn = inputs
        .file("torn.key", &format!("-----BEGIN PRIVATE KEY-----\n{}\n", inputs.secret("torn etcd-key-file")));
    let key = inputs.file("etcd.key", &key);
    let closed = format!("https://127.0.0.1:{}", ports::free());
    for (zone, key) in [("etcd-tls.example", &key), ("etcd-torn.example", &torn)] {
        let keys = [
            ("etcd-endpoints", closed.as_str()),
            ("etcd-cert-file", certificate.to_str().unwrap()),
            ("etcd-key-file", key.to_str().unwrap()),
        ];
        all.zone(false, zone, "coredns", &keys);
    }
    // The replicas' own; it is the same etcd and the same user.
    let password = inputs.file("ha-password", &password);
    all.sections.push_str(&format!(
        "[ha]\netcd-endpoints = {endpoint}\netcd-username = {USER}\netcd-password-file = {}\n",
        password.display()
    ));
    all.keep(etcd);
}

async fn azure(inputs: &Inputs<'_>, all: &mut Backends) {
    let principal = [
        ("subscription-id", SUBSCRIPTION),
        ("tenant-id", TENANT),
        ("client-id", CLIENT),
        ("resource-group", GROUP),
    ];
    let assertion = format!("eyJhbGciOiJub25lIn0.{}.sig", inputs.secret("token-file"));
    let token_file = inputs.file("federated-token", &assertion);
    for (zone, credential) in [
        ("azure.example", "secret"),
        ("azure-entra.example", "secret"),
        ("azure-arm.example", "secret"),
        ("azure-workload.example", "token-file"),
    ] {
        let fake = azure::Fake::start().await;
        let (secret, token) =
            (inputs.secret(&format!("secret of {zone}")), inputs.secret(&format!("access token of {zone}")));
        {
            let mut world = fake.world();
            world.zones = vec![Zone::new(Kind::Public, zone)];
            (world.password, world.token) = (Some(secret.clone()), Some(format!("eyJ{token}")));
            let given = if credential == "secret" { &secret } else { &assertion };
            let echo = format!("got {given}");
            if matches!(zone, "azure-entra.example" | "azure-workload.example") {
                world.token_fault = Some(("AADSTS7000215", Box::leak(echo.into_boxed_str())));
            }
        }
        if zone == "azure-arm.example" {
            let message =
                format!("'Authorization: Bearer eyJ{token}-0' and eyJ{token}-0 and {secret} are no good");
            fake.trap(
                usize::MAX,
                Mishap::Answer(Answer::arm(403, "AuthorizationFailed", &message)),
                Call::is_arm,
            );
        }
        let (origin, ca_file) = (fake.origin.clone(), fake.ca_file());
        let value = if credential == "secret" { secret.as_str() } else { token_file.to_str().unwrap() };
        let more = [
            (credential, value),
            ("resource-manager", &origin),
            ("authority-host", &origin),
            ("ca-file", &ca_file),
        ];
        let workload = [("credential", "workload")];
        let choice = if credential == "secret" { &[][..] } else { &workload[..] };
        all.zone(zone == "azure.example", zone, "azure-azuredns", &[&principal[..], &more, choice].concat());
        all.keep(fake);
    }
    let (certificate, key) = identity(inputs.planted, "certificate-file");
    let torn =
        format!("{certificate}-----BEGIN PRIVATE KEY-----\n{}\n", inputs.secret("torn certificate-file"));
    for (zone, text) in [("azure-certificate.example", certificate + &key), ("azure-torn.example", torn)] {
        let file = inputs.file(zone, &text);
        let keys = [("credential", "certificate"), ("certificate-file", file.to_str().unwrap())];
        all.zone(false, zone, "azure-azuredns", &[&principal[..], &keys].concat());
    }
    // Its secret is the environment's; only a proxy leads there.
    all.variable("FLEETDNS__GLOBAL__SECRET", &inputs.secret("secret in the environment"));
    let (arm, login) = (format!("https://arm.{OUTSIDE}"), format!("https://login.{OUTSIDE}"));
    let away = [("resource-manager", arm.as_str()), ("authority-host", &login)];
    all.zone(false, "azure-away.example", "azure-azuredns", &[&principal[..], &away].concat());
}

async fn route53(inputs: &Inputs<'_>, all: &mut Backends) {
    let file = |name: &str| {
        let text = format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
            route53::ACCESS_KEY,
            inputs.secret(&format!("aws_secret_access_key {name}")),
            inputs.secret(&format!("aws_session_token {name}"))
        );
        inputs.file(name, &text).display().to_string()
    };
    let fake = route53::Fake::start().await;
    fake.add_zone(route53::OTHER_ID, "route53.example", false);
    let url = fake.url.clone();
    let broken = format!(
        "[default]\naws_access_key_id = x\n{} {}\n",
        inputs.secret("broken line of AWS"),
        inputs.secret("rest of a broken line")
    );
    let prints = format!(
        "#!/bin/sh\necho '{{\"Version\": 1, \"SecretAccessKey\": \"{}\"'\n",
        inputs.secret("credential_process")
    );
    let prints = inputs.file("credential-process", &prints);
    let process = format!("[default]\ncredential_process = {}\n", prints.display());
    let refuses = all.hostile(Words::Aws).await;
    for (zone, credentials, url) in [
        ("route53.example", file("aws-good"), url.clone()),
        ("route53-refused.example", file("aws-refused"), refuses.clone()),
        ("route53-broken.example", inputs.file("aws-broken", &broken).display().to_string(), url.clone()),
        ("route53-process.example", inputs.file("aws-process", &process).display().to_string(), url),
        ("route53-away.example", file("aws-away"), format!("https://route53.{OUTSIDE}")),
    ] {
        let keys = [("endpoint-url", url.as_str()), ("credentials-file", &credentials)];
        all.zone(zone == "route53.example", zone, "aws-route53", &keys);
    }
    let role = [
        ("endpoint-url", refuses.as_str()),
        ("role-arn", "arn:aws:iam::123456789012:role/fleetdns"),
        ("external-id", "no-secret"),
    ];
    all.zone(false, "route53-role.example", "aws-route53", &role);
    all.zone(false, "route53-environment.example", "aws-route53", &[("endpoint-url", &refuses)]);
    all.variable("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT00000");
    all.variable("AWS_SECRET_ACCESS_KEY", &inputs.secret("AWS_SECRET_ACCESS_KEY"));
    all.variable("AWS_SESSION_TOKEN", &inputs.secret("AWS_SESSION_TOKEN"));
    all.variable("AWS_ENDPOINT_URL_STS", &refuses);
    all.keep(fake);
}

async fn webhooks(inputs: &Inputs<'_>, all: &mut Backends) {
    let server = webhook("hook.example".to_owned()).await;
    let token = inputs.file("hook-token", &inputs.secret("bearer-token-file"));
    let keys = [("url", server.url()), ("bearer-token-file", token.display().to_string())];
    all.zone(true, "hook.example", "webhook", &keys.each_ref().map(|(key, value)| (*key, value.as_str())));
    all.keep(server);
    all.variable("HOOK_TOKEN", &inputs.secret("bearer-token-env"));
    for (zone, status) in [
        ("hook-401.example", "401 Unauthorized"),
        ("hook-403.example", "403 Forbidden"),
        ("hook-500.example", "500 Internal Server Error"),
        ("hook-302.example", "302 Found"),
        ("hook-200.example", "200 OK"),
    ] {
        let (url, token) =
            (all.hostile(Words::Text(status)).await, inputs.secret(&format!("bearer-token of {zone}")));
        all.zone(false, zone, "webhook", &[("url", &url), ("bearer-token", &token)]);
    }
    let url = all.hostile(Words::Text("400 Bad Request")).await;
    all.zone(false, "hook-variable.example", "webhook", &[("url", &url), ("bearer-token-env", "HOOK_TOKEN")]);
    let (url, token) = (format!("https://hook.{OUTSIDE}"), inputs.secret("bearer-token through a proxy"));
    all.zone(false, "hook-away.example", "webhook", &[("url", &url), ("bearer-token", &token)]);
}

async fn rfc2136(inputs: &Inputs<'_>, all: &mut Backends) {
    let server = NameServer::start(Software::Bind, "bind.example", Rights::default()).await;
    inputs.planted.add("tsig-secret", SECRET);
    let address = server.address().to_string();
    let key = [("server", address.as_str()), ("tsig-key-name", KEY)];
    let secret = inputs.file("tsig", SECRET);
    all.zone(
        true,
        "bind.example",
        "rfc2136",
        &[&key[..], &[("tsig-secret-file", secret.to_str().unwrap())]].concat(),
    );
    // 32 letters and digits are base64 too.
    let other = inputs.secret("tsig-secret that is refused");
    all.zone(false, "bind-refused.example", "rfc2136", &[&key[..], &[("tsig-secret", &other)]].concat());
    all.keep(server);
}
