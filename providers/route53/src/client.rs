//! The connection to Route 53: made at the first call and kept.
//!
//! The SDK's own retries are off: it would repeat a write whose answer was lost, and then take our own record for
//! somebody else's. What is worth a second try is tried here: calls that Route 53 asks to make later.

#![expect(
    deprecated,
    reason = "the new names of the profile files are in a crate that is not meant for users"
)]

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_route53::Client;
use aws_sdk_route53::config::SharedCredentialsProvider;
use aws_sdk_route53::error::SdkError;
use aws_sdk_route53::types::ChangeStatus;
use fleetdns_core::secrets::{KeptOut, keep_out};
use fleetdns_core::stamp::span_ms;
use tokio::sync::OnceCell;
use tracing::debug;

use crate::bounded::Bounded;
use crate::error::{Fault, Kind};
use crate::settings::Settings;

const CONNECT: Duration = Duration::from_secs(4);
/// For each call. A batch of a thousand values takes Route 53 some seconds, and the zone writes nothing else until it is
/// answered.
const DEADLINE: Duration = Duration::from_secs(20);
/// Pauses before a call is made again that Route 53 asked to make later: 8 s together, in which the account's budget
/// fills up for some 80 calls.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Route 53 as one zone uses it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) settings: Settings,
    connection: OnceCell<Connection>,
}

/// The client and who it is.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) credentials: Option<SharedCredentialsProvider>,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub(crate) partition: &'static str,
}

impl Link {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, connection: OnceCell::new() }
    }

    /// Whom we speak to, for a person.
    pub(crate) fn endpoint(&self) -> &str {
        self.settings.endpoint.as_deref().unwrap_or("Route 53")
    }

    pub(crate) async fn connection(&self) -> &Connection {
        self.connection.get_or_init(|| connect(&self.settings)).await
    }

    /// Makes a call; again after a pause as long as Route 53 asks to make it later.
    pub(crate) async fn call<T, E, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let client = &self.connection().await.client;
        let mut pauses = PAUSES.iter();
        loop {
            let fault = match call(client.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => Fault::of(&error),
            };
            match pauses.next() {
                Some(pause) if matches!(fault.kind, Kind::Busy) => {
                    debug!(reason = %fault.reason, pause_ms = span_ms(*pause), "Route 53 asks to call later");
                    tokio::time::sleep(*pause).await;
                }
                _ => return Err(fault),
            }
        }
    }

    /// Whether a change is on all name servers.
    pub(crate) async fn is_insync(&self, change: &str) -> Result<bool, Fault> {
        let answer = self.call(|client| client.get_change().id(change).send()).await?;
        Ok(answer.change_info().is_some_and(|info| *info.status() == ChangeStatus::Insync))
    }
}

async fn connect(settings: &Settings) -> Connection {
    let files = profile_files(settings);
    let (region, partition) = region(settings, files.clone()).await;
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(region.clone());
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    // What the config names wins over the environment; without it the SDK's whole chain is gone through.
    if settings.profile.is_some() || settings.credentials_file.is_some() {
        let mut provider = ProfileFileCredentialsProvider::builder().profile_files(files);
        if let Some(profile) = &settings.profile {
            provider = provider.profile_name(profile);
        }
        loader = loader.credentials_provider(provider.build());
    }
    let base = guarded(loader.load().await);
    let credentials = credentials(settings, &base).await;
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(DEADLINE).build();
    let mut config = aws_sdk_route53::config::Builder::from(&base)
        .region(region)
        .interceptor(Bounded)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(credentials) = &credentials {
        config = config.credentials_provider(credentials.clone());
    }
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Connection { client: Client::from_conf(config.build()), credentials, partition }
}

fn profile_files(settings: &Settings) -> ProfileFiles {
    match &settings.credentials_file {
        Some(file) => ProfileFiles::builder()
            .include_default_config_file(true)
            .with_file(ProfileFileKind::Credentials, file)
            .build(),
        None => ProfileFiles::default(),
    }
}

/// Route 53 has no regions, but each partition has one that signs. The region that the machine says is looked at for its
/// partition only; the metadata service is not asked, because that takes seconds where there is none.
async fn region(settings: &Settings, files: ProfileFiles) -> (Region, &'static str) {
    let mut profile = ProfileFileRegionProvider::builder().profile_files(files);
    if let Some(name) = &settings.profile {
        profile = profile.profile_name(name);
    }
    let chain =
        RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new()).or_else(profile.build());
    let said = chain.region().await;
    match said.as_ref().map_or("", AsRef::as_ref) {
        name if name.starts_with("cn-") => (Region::new("cn-northwest-1"), "aws-cn"),
        name if name.starts_with("us-gov-") => (Region::new("us-gov-west-1"), "aws-us-gov"),
        _ => (Region::new("us-east-1"), "aws"),
    }
}

/// Those of the chain or the profile, or of the role that is assumed with them.
async fn credentials(settings: &Settings, base: &SdkConfig) -> Option<SharedCredentialsProvider> {
    let Some(role) = &settings.role else {
        return base.credentials_provider();
    };
    let mut provider = AssumeRoleProvider::builder(&role.arn).session_name("fleetdns").configure(base);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }
    Some(Guarded::provider(provider.build().await))
}

/// Those that were found are kept out of texts.
fn guarded(base: SdkConfig) -> SdkConfig {
    match base.credentials_provider() {
        Some(found) => base.into_builder().credentials_provider(Guarded::provider(found)).build(),
        None => base,
    }
}

/// Credentials that are kept out of texts: a server may echo the session token, and the SDK logs answers.
#[derive(Debug)]
struct Guarded<P> {
    found: P,
    kept: Mutex<Vec<KeptOut>>,
}

impl<P: ProvideCredentials + 'static> Guarded<P> {
    fn provider(found: P) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self { found, kept: Mutex::default() })
    }
}

impl<P: ProvideCredentials> ProvideCredentials for Guarded<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let credentials = self.found.provide_credentials().await?;
            let secrets = [Some(credentials.secret_access_key()), credentials.session_token()];
            let kept = secrets.into_iter().flatten().map(keep_out).collect();
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
            Ok(credentials)
        })
    }
}
