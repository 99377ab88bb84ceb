//! Keys of the config, checked.

use std::path::PathBuf;

use fleetdns_core::DnsName;
use fleetdns_core::keys::{KeyFault, KeySpec, Keys};
use secrecy::SecretString;

mod cloud;
mod service;
#[cfg(test)]
mod tests;

pub(crate) use cloud::Cloud;
pub(crate) use service::Service;

const fn key(name: &'static str, help: &'static str) -> KeySpec {
    KeySpec { name, secret: false, help }
}

/// Keys that a zone of this provider may have; the same for public and private zones.
pub const KEYS: &[KeySpec] = &[
    key("subscription-id", "Azure subscription that has the zone"),
    key("resource-group", "resource group that has the zone"),
    key("zone-id", "instead of both: the zone's resource id, /subscriptions/…/dnszones/example.com"),
    key(
        "credential",
        "secret, certificate, workload, managed or cli; what the other keys say when it is not given",
    ),
    key("tenant-id", "tenant of the service principal"),
    key("client-id", "application id of the service principal, or client id of a user-assigned identity"),
    KeySpec { name: "secret", secret: true, help: "password of the service principal" },
    key(
        "certificate-file",
        "instead of secret: PEM file with the service principal's certificate and its RSA key",
    ),
    key("token-file", "token of the workload identity; what AZURE_FEDERATED_TOKEN_FILE says when not given"),
    key("resource-manager", "URL of the Azure Resource Manager; https://management.azure.com when not given"),
    key("authority-host", "URL that gives out tokens; the one of the same cloud when not given"),
    key("audience", "whom tokens are for; the one of the same cloud when not given"),
    key("ca-file", "PEM file of an authority that is trusted beside the system's"),
];

/// All that is given.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) service: Service,
    pub(crate) place: Place,
    pub(crate) cloud: Cloud,
    pub(crate) credential: Choice,
    /// Trusted beside the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// Where the zone is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) subscription: String,
    pub(crate) group: String,
}

/// How we say who we are.
#[derive(Debug)]
pub(crate) enum Choice {
    Secret {
        tenant: String,
        client: String,
        secret: SecretString,
    },
    /// Certificate and key are in one file.
    Certificate {
        tenant: String,
        client: String,
        file: PathBuf,
    },
    Workload {
        tenant: String,
        client: String,
        token_file: PathBuf,
    },
    /// `None`: the machine's own identity.
    Managed {
        client: Option<String>,
    },
    Cli {
        tenant: Option<String>,
    },
}

impl Choice {
    /// Our application or client id, as far as we know it.
    pub(crate) fn client(&self) -> Option<&str> {
        match self {
            Self::Secret { client, .. }
            | Self::Certificate { client, .. }
            | Self::Workload { client, .. } => Some(client),
            Self::Managed { client } => client.as_deref(),
            Self::Cli { .. } => None,
        }
    }
}

/// Looks a variable of the environment up.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

struct Reader<'a> {
    keys: &'a Keys,
    environment: Environment<'a>,
    faults: Vec<KeyFault>,
}

pub(crate) fn read(
    service: Service,
    zone: &DnsName,
    keys: &Keys,
    environment: Environment<'_>,
) -> Result<Settings, Vec<KeyFault>> {
    let mut reader = Reader { keys, environment, faults: Vec::new() };
    let place = reader.place(service, zone);
    let credential = reader.credential();
    let cloud = cloud::read(&mut reader);
    let ca_file = reader.given("ca-file").map(PathBuf::from);
    match (place, credential, cloud) {
        (Some(place), Some(credential), Some(cloud)) if reader.faults.is_empty() => {
            Ok(Settings { service, place, cloud, credential, ca_file })
        }
        _ => Err(reader.faults),
    }
}

impl Reader<'_> {
    fn given(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(str::trim).filter(|value| !value.is_empty())
    }

    fn fault(&mut self, key: &str, problem: impl Into<String>) {
        self.faults.push(KeyFault { key: key.to_owned(), problem: problem.into() });
    }

    /// A value that stands in a URL: an id, or the name of a resource group.
    fn id(&mut self, key: &'static str, example: &str) -> Option<String> {
        let value = self.keys.required(key, example, &mut self.faults)?.trim().to_owned();
        self.checked(key, value, example)
    }

    fn checked(&mut self, key: &str, value: String, example: &str) -> Option<String> {
        if value.chars().all(|c| c.is_alphanumeric() || "-_.()".contains(c)) {
            return Some(value);
        }
        self.fault(
            key,
            format!("'{value}' has characters that Azure does not know; it looks like {example}"),
        );
        None
    }

    fn place(&mut self, service: Service, zone: &DnsName) -> Option<Place> {
        if let Some(text) = self.given("zone-id").map(str::to_owned) {
            return self.place_of_id(service, zone, &text);
        }
        let subscription = self.id("subscription-id", EXAMPLE_ID);
        let group = self.id("resource-group", "fed-dns-rg");
        Some(Place { subscription: subscription?, group: group? })
    }

    /// Resource ids compare without case.
    fn place_of_id(&mut self, service: Service, zone: &DnsName, text: &str) -> Option<Place> {
        let kind = service.segment();
        let form = format!(
            "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Network/{kind}/{zone}"
        );
        let parts: Vec<&str> = text.trim_matches('/').split('/').collect();
        let [one, subscription, two, group, three, four, five, name] = parts[..] else {
            self.fault("zone-id", format!("'{text}' is no zone's resource id; it looks like {form}"));
            return None;
        };
        let fixed = [one, two, three, four, five];
        let expected = ["subscriptions", "resourceGroups", "providers", "Microsoft.Network", kind];
        let fits = fixed.iter().zip(expected).all(|(part, expected)| part.eq_ignore_ascii_case(expected));
        if !fits || name.parse::<DnsName>().ok().as_ref() != Some(zone) {
            self.fault("zone-id", format!("'{text}' is not the resource id of {zone}; it looks like {form}"));
            return None;
        }
        let subscription = self.checked("zone-id", subscription.to_owned(), &form);
        let group = self.checked("zone-id", group.to_owned(), &form);
        Some(Place { subscription: subscription?, group: group? })
    }

    fn credential(&mut self) -> Option<Choice> {
        let token_file = self.token_file();
        let choice = match self.given("credential") {
            Some(text) => text.to_ascii_lowercase(),
            None if self.keys.get("secret").is_some_and(|secret| !secret.is_empty()) => "secret".to_owned(),
            None if self.given("certificate-file").is_some() => "certificate".to_owned(),
            None if token_file.is_some() => "workload".to_owned(),
            None => "secret".to_owned(),
        };
        match choice.as_str() {
            "secret" => self.secret(),
            "certificate" => self.certificate(),
            "workload" => self.workload(token_file),
            "managed" => Some(Choice::Managed { client: self.given("client-id").map(str::to_owned) }),
            "cli" => Some(Choice::Cli { tenant: self.given("tenant-id").map(str::to_owned) }),
            other => {
                self.fault(
                    "credential",
                    format!("unknown '{other}'; expected one of secret, certificate, workload, managed, cli"),
                );
                None
            }
        }
    }

    fn token_file(&self) -> Option<PathBuf> {
        let file = self.given("token-file").map(str::to_owned);
        file.or_else(|| (self.environment)("AZURE_FEDERATED_TOKEN_FILE")).map(PathBuf::from)
    }

    fn secret(&mut self) -> Option<Choice> {
        let tenant = self.id("tenant-id", EXAMPLE_ID);
        let client = self.id("client-id", EXAMPLE_ID);
        // A password may begin or end with a blank.
        let secret = self.keys.get("secret").filter(|secret| !secret.is_empty()).map(SecretString::from);
        if secret.is_none() {
            self.fault(
                "secret",
                "is missing; for example secret = PASSWORD (or certificate-file, or credential = workload, managed or cli)",
            );
        }
        Some(Choice::Secret { tenant: tenant?, client: client?, secret: secret? })
    }

    fn certificate(&mut self) -> Option<Choice> {
        let tenant = self.id("tenant-id", EXAMPLE_ID);
        let client = self.id("client-id", EXAMPLE_ID);
        let file = self.keys.required("certificate-file", "/etc/fleetdns/azure.pem", &mut self.faults);
        let file = file.map(|file| PathBuf::from(file.trim()));
        Some(Choice::Certificate { tenant: tenant?, client: client?, file: file? })
    }

    /// What a pod's service account returns by itself may be left out.
    fn workload(&mut self, token_file: Option<PathBuf>) -> Option<Choice> {
        let tenant = self.id_or("tenant-id", "AZURE_TENANT_ID");
        let client = self.id_or("client-id", "AZURE_CLIENT_ID");
        if token_file.is_none() {
            self.fault(
                "token-file",
                "is missing, and AZURE_FEDERATED_TOKEN_FILE is not set; it is set in pods that have the label \
                 azure.workload.identity/use: \"true\"",
            );
        }
        Some(Choice::Workload { tenant: tenant?, client: client?, token_file: token_file? })
    }

    fn id_or(&mut self, key: &'static str, variable: &str) -> Option<String> {
        if self.given(key).is_none()
            && let Some(value) = (self.environment)(variable)
        {
            return self.checked(key, value, EXAMPLE_ID);
        }
        self.id(key, EXAMPLE_ID)
    }
}

const EXAMPLE_ID: &str = "00000000-0000-0000-0000-000000000000";
