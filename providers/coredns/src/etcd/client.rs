//! The connection to etcd: one, made at the first call and kept.

use std::future::Future;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Error, Identity, TlsOptions};
use fleetdns_core::limits::{self, Excess};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;
use tracing::warn;

use super::error::{Fault, Kind, Reason, Who};
use crate::settings::EtcdSettings;

/// For each call, and for making a connection.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(3);
/// While a call is under way, a connection on which nothing comes back is given up. Less often than every 5 s, which
/// is the least that etcd bears; never between calls, which it does not bear at all.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Etcd through one endpoint at a time; the next one when that fails.
#[derive(Debug)]
pub(crate) struct Link {
    settings: EtcdSettings,
    zone_key: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    client: Option<Client>,
    /// Counts connections, so that a call returns up only the one it used.
    generation: u64,
    /// Index of the endpoint in use.
    endpoint: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("generation", &self.generation)
            .field("endpoint", &self.endpoint)
            .finish()
    }
}

/// A connection for one call.
struct Lease {
    client: Client,
    generation: u64,
    endpoint: usize,
    fresh: bool,
}

impl Link {
    pub(crate) fn new(settings: EtcdSettings, zone_key: String) -> Self {
        Self { settings, zone_key, state: Mutex::default() }
    }

    /// The fault of a listing that is too large.
    pub(crate) fn excess(&self, excess: Excess) -> Fault {
        Fault {
            kind: Kind::Denied(limits::REMEDY.to_owned()),
            endpoint: self.settings.endpoints.join(", "),
            reason: Reason(excess.to_string()),
        }
    }

    pub(crate) fn settings(&self) -> &EtcdSettings {
        &self.settings
    }

    fn who(&self, endpoint: usize) -> Who<'_> {
        Who {
            endpoint: self.settings.endpoints.get(endpoint).map_or("etcd", String::as_str),
            user: self.settings.user.as_ref().map(|(name, _)| name.as_str()),
            zone_key: &self.zone_key,
        }
    }

    /// Calls etcd, at each endpoint once until one answers; logs in again once when the token has expired.
    ///
    /// A call may be carried out twice when the first answer is lost, so it has to be a read or guarded by revisions.
    pub(crate) async fn call<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut left = self.settings.endpoints.len();
        let (mut login_left, mut idle_left) = (true, true);
        loop {
            let (result, fresh) = self.attempt(&call).await;
            let Err(fault) = result else { return result };
            match fault.kind {
                Kind::StaleToken if login_left => login_left = false,
                // A connection that was idle may have been closed: that says nothing of the endpoint.
                Kind::Unavailable if !fresh && idle_left => idle_left = false,
                Kind::Unavailable | Kind::Silent if left > 1 => left -= 1,
                _ => return Err(fault),
            }
        }
    }

    async fn attempt<T, F>(&self, call: &impl Fn(Client) -> F) -> (Result<T, Fault>, bool)
    where
        F: Future<Output = Result<T, Error>>,
    {
        let lease = match self.lease().await {
            Ok(lease) => lease,
            Err(fault) => return (Err(fault), true),
        };
        let who = self.who(lease.endpoint);
        let result = match tokio::time::timeout(DEADLINE, call(lease.client)).await {
            Ok(result) => result.map_err(|error| Fault::of(&error, who)),
            Err(_) => Err(Fault::silent(who, DEADLINE.as_secs())),
        };
        match result.as_ref().map_err(|fault| &fault.kind) {
            Err(Kind::Silent) => self.give_up(lease.generation, true).await,
            Err(Kind::Unavailable) => self.give_up(lease.generation, lease.fresh).await,
            Err(Kind::StaleToken) => self.give_up(lease.generation, false).await,
            _ => {}
        }
        (result, lease.fresh)
    }

    /// Drops a connection, unless another call has done so already.
    async fn give_up(&self, generation: u64, next: bool) {
        let mut state = self.state.lock().await;
        if state.generation == generation && state.client.take().is_some() && next {
            state.endpoint = (state.endpoint + 1) % self.settings.endpoints.len();
        }
    }

    async fn lease(&self) -> Result<Lease, Fault> {
        let mut state = self.state.lock().await;
        let endpoint = state.endpoint;
        if let Some(client) = &state.client {
            return Ok(Lease {
                client: client.clone(),
                generation: state.generation,
                endpoint,
                fresh: false,
            });
        }
        match self.connect(endpoint).await {
            Ok(client) => {
                state.generation += 1;
                state.client = Some(client.clone());
                Ok(Lease { client, generation: state.generation, endpoint, fresh: true })
            }
            Err(fault) => {
                if matches!(fault.kind, Kind::Unavailable | Kind::Silent) {
                    state.endpoint = (endpoint + 1) % self.settings.endpoints.len();
                }
                Err(fault)
            }
        }
    }

    async fn connect(&self, endpoint: usize) -> Result<Client, Fault> {
        match self.connect_as(endpoint, true).await {
            Err(Fault { kind: Kind::NoAuthentication, .. }) => {
                warn!(
                    endpoint = self.who(endpoint).endpoint,
                    "etcd has authentication switched off, the user and password are not used"
                );
                self.connect_as(endpoint, false).await
            }
            result => result,
        }
    }

    async fn connect_as(&self, endpoint: usize, with_user: bool) -> Result<Client, Fault> {
        let who = self.who(endpoint);
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(KEEP_ALIVE, DEADLINE)
            .with_keep_alive_while_idle(false)
            .with_require_leader(true);
        if let Some((name, password)) = self.settings.user.as_ref().filter(|_| with_user) {
            options = options.with_user(name, password.expose_secret());
        }
        if who.endpoint.starts_with("https://") {
            options = options.with_tls(self.tls(who).await?);
        }
        // With a user this logs in, and so connects; without, the first call does.
        match tokio::time::timeout(DEADLINE, Client::connect([who.endpoint], Some(options))).await {
            Ok(result) => result.map_err(|error| Fault::of(&error, who)),
            Err(_) => Err(Fault::silent(who, DEADLINE.as_secs())),
        }
    }

    /// Reads the certificate files again for each connection, so that renewed ones are taken.
    async fn tls(&self, who: Who<'_>) -> Result<TlsOptions, Fault> {
        let read = async |key: &str, file: &std::path::Path| {
            tokio::fs::read(file).await.map_err(|error| Fault::unreadable_file(who, key, file, &error))
        };
        let mut tls = TlsOptions::new();
        tls = match &self.settings.ca_file {
            Some(file) => tls.ca_certificate(Certificate::from_pem(read("etcd-ca-file", file).await?)),
            None => tls.with_native_roots(),
        };
        if let Some((certificate, key)) = &self.settings.identity {
            let certificate = read("etcd-cert-file", certificate).await?;
            tls = tls.identity(Identity::from_pem(certificate, read("etcd-key-file", key).await?));
        }
        Ok(tls)
    }
}
