//! The strict servers of Azure DNS and Route 53 with the rate limits of the real ones, and how each program is pointed at one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fleetdns_fakes::{azure, route53};
use serde_json::json;

use crate::conf::ZONE;

/// What Azure counts by.
const WINDOW: Duration = Duration::from_secs(60);
/// From here to Azure and back.
const LATENCY: Duration = Duration::from_millis(50);
/// How long Route 53 takes for a change, in which it takes no other one of the zone.
const CHANGE: Duration = Duration::from_millis(200);
/// Calls to Route 53: a burst, and each second.
const RATE: (f64, f64) = (50.0, 10.0);

/// Calls since the last time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calls {
    /// Of any kind.
    pub all: usize,
    /// Those that change something.
    pub writes: usize,
    /// Those that a rate limit refused.
    pub refused: usize,
}

/// A service with an empty zone [`ZONE`].
pub trait Cloud: Sized {
    /// What people call it.
    const NAME: &'static str;
    /// After so long without calls, limits are as they were in the beginning.
    const REST: Duration;

    /// Starts it.
    fn start() -> impl Future<Output = Self> + Send;

    /// The zone section of `dns.conf`.
    fn conf(&self) -> String;

    /// Arguments and environment of external-dns; files go to `folder`.
    fn external_dns(&self, folder: &Path) -> (Vec<String>, Vec<(&'static str, String)>);

    /// The values of the A record set at each of these names; empty where there is none.
    fn addresses<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<BTreeSet<String>>;

    /// Returns the calls since the last time, and forgets them.
    fn take(&self) -> Calls;
}

/// Azure DNS with the limits of a public zone, 50 ms away.
pub struct Azure(azure::Fake);

impl Cloud for Azure {
    const NAME: &'static str = "Azure DNS";
    const REST: Duration = WINDOW;

    async fn start() -> Self {
        let fake = azure::Fake::start().await;
        {
            let mut world = fake.world();
            world.zones = vec![azure::Zone::new(azure::Kind::Public, ZONE)];
            world.latency = LATENCY;
            world.limits = Some(azure::Limits::public(WINDOW));
        }
        Self(fake)
    }

    fn conf(&self) -> String {
        azure_keys(&self.0)
    }

    /// By a managed identity: with a client secret it would ask an authority of Microsoft's first.
    fn external_dns(&self, folder: &Path) -> (Vec<String>, Vec<(&'static str, String)>) {
        let origin = self.0.origin.clone();
        let file = folder.join("azure.json");
        let config = json!({
            "cloud": "AzureStackCloud",
            "tenantId": azure::TENANT,
            "subscriptionId": azure::SUBSCRIPTION,
            "resourceGroup": azure::GROUP,
            "useManagedIdentityExtension": true,
            "activeDirectoryAuthorityHost": origin,
            "resourceManagerAudience": origin,
            "resourceManagerEndpoint": origin,
        });
        std::fs::write(&file, config.to_string()).expect("the folder can be written to");
        let arguments =
            vec!["--provider=azure".to_owned(), format!("--azure-config-file={}", file.display())];
        let environment = vec![
            ("SSL_CERT_FILE", self.0.ca_file()),
            ("IDENTITY_ENDPOINT", format!("{origin}{}", azure::IDENTITY_PATH)),
            ("IDENTITY_HEADER", azure::IDENTITY_HEADER.to_owned()),
        ];
        (arguments, environment)
    }

    fn addresses<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<BTreeSet<String>> {
        let world = self.0.world();
        let sets = &world.zones[0].sets;
        let at = |name: &str| {
            let relative = name.trim_end_matches(ZONE).trim_end_matches('.').to_owned();
            let set = sets.get(&("A".to_owned(), relative));
            let values = set.and_then(|set| set.properties["ARecords"].as_array()).into_iter().flatten();
            values.filter_map(|value| value["ipv4Address"].as_str().map(str::to_owned)).collect()
        };
        names.into_iter().map(at).collect()
    }

    fn take(&self) -> Calls {
        let (all, writes) = (self.0.count(azure::Call::is_arm), self.0.count(azure::Call::is_write));
        let mut world = self.0.world();
        world.calls.clear();
        let refused = world.limits.as_mut().map_or(0, |limits| std::mem::take(&mut limits.refused));
        Calls { all, writes, refused }
    }
}

/// The keys of a zone in this Azure.
pub fn azure_keys(fake: &azure::Fake) -> String {
    let origin = &fake.origin;
    let pairs = [
        ("provider", "azure-azuredns"),
        ("subscription-id", azure::SUBSCRIPTION),
        ("tenant-id", azure::TENANT),
        ("client-id", azure::CLIENT),
        ("secret", azure::SECRET),
        ("resource-group", azure::GROUP),
        ("resource-manager", origin),
        ("authority-host", origin),
        ("ca-file", &fake.ca_file()),
    ];
    pairs.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// Route 53 with the limits of an account, where a change takes 200 ms.
pub struct Route53(route53::Fake);

/// The only zone.
const ID: &str = "Z0000000000000BENCH";

impl Cloud for Route53 {
    const NAME: &'static str = "Route 53";
    const REST: Duration = Duration::from_secs(6);

    async fn start() -> Self {
        let fake = route53::Fake::start().await;
        fake.state().zones.clear();
        fake.add_zone(ID, ZONE, false);
        fake.state().rate = Some(RATE);
        fake.state().change_takes = CHANGE;
        Self(fake)
    }

    fn conf(&self) -> String {
        format!(
            "provider = aws-route53\nendpoint-url = {}\ncredentials-file = {}\n",
            self.0.url,
            self.0.credentials_file()
        )
    }

    fn external_dns(&self, _folder: &Path) -> (Vec<String>, Vec<(&'static str, String)>) {
        let environment = vec![
            ("AWS_ENDPOINT_URL", self.0.url.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", route53::ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "geheim".to_owned()),
        ];
        (vec!["--provider=aws".to_owned()], environment)
    }

    fn addresses<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<BTreeSet<String>> {
        let state = self.0.state();
        let sets = &state.zones[ID].sets;
        let at = |name: &str| {
            let set = sets.get(&route53::Set::simple(name, "A", 0, &[]).key());
            set.into_iter().flat_map(|set| set.values.iter().cloned()).collect()
        };
        names.into_iter().map(at).collect()
    }

    fn take(&self) -> Calls {
        let mut state = self.0.state();
        let calls = Calls {
            all: state.total(),
            writes: state.calls.get("ChangeResourceRecordSets").copied().unwrap_or_default(),
            refused: state.throttled,
        };
        state.calls.clear();
        state.throttled = 0;
        calls
    }
}
