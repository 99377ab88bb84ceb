//! One call to the Azure Resource Manager.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::{
    ClientOptions, Context, Method, Pipeline, PipelineSendOptions, Request, RetryOptions, Transport, Url,
};
use fleetdns_core::{DnsName, Pause, ProviderError};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::bounded::Bounded;
use crate::credential;
use crate::error::{Fault, Kind, Who};
use crate::pace::{Operation, Pace};
use crate::settings::{Choice, Settings};

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// Until the other end's kernel acknowledges what was sent. After that the connection is dead, as when a firewall has forgotten
/// it, and a new one may come through.
const ACKNOWLEDGED: Duration = Duration::from_secs(5);
/// Until an answer is there, whole: a page of a listing, a token.
const ANSWER: Duration = Duration::from_secs(60);
/// The same for one record set, which is written in a second or two; and until any answer begins, or goes on. The zone
/// writes nothing else until each write of a pass is answered, and a name of which nobody knows what was written waits
/// for a listing, so that what was lost on its way must not be waited for longer.
const SILENCE: Duration = Duration::from_secs(20);

/// On what a write depends (RFC 9110 §13.1).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Condition<'a> {
    None,
    /// Nothing is there.
    Absent,
    /// The etag is still this one.
    Etag(&'a str),
}

/// A success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
}

/// The way to one zone.
#[derive(Debug)]
pub(crate) struct Arm {
    settings: Settings,
    zone: DnsName,
    pub(crate) who: Who,
    pub(crate) pace: Pace,
    pipeline: OnceCell<Pipeline>,
}

impl Arm {
    pub(crate) fn new(settings: Settings, zone: DnsName) -> Self {
        let manager = &settings.cloud.manager;
        let host = manager.host_str().unwrap_or_default();
        let service = settings.service;
        let who = Who {
            endpoint: manager.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            client: settings.credential.client().map(str::to_owned),
            scope: format!(
                "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/{}/{zone}",
                settings.place.subscription,
                settings.place.group,
                service.segment()
            ),
            role: service.role(),
            command: service.command(),
        };
        Self { settings, zone, who, pace: Pace::default(), pipeline: OnceCell::new() }
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn error(&self, fault: Fault, action: &'static str) -> ProviderError {
        fault.into_error(&self.who, action)
    }

    /// The URL of the zone, or of something in it.
    pub(crate) fn url(&self, below: &[&str]) -> Url {
        let place = &self.settings.place;
        let head = ["subscriptions", &place.subscription, "resourceGroups", &place.group];
        let zone = ["providers", "Microsoft.Network", self.settings.service.segment(), self.zone.as_str()];
        self.path(head.iter().chain(&zone).chain(below))
    }

    /// The URL that lists the zones of the whole subscription.
    pub(crate) fn zones_url(&self) -> Url {
        let segment = self.settings.service.segment();
        let parts =
            ["subscriptions", &self.settings.place.subscription, "providers", "Microsoft.Network", segment];
        self.path(parts.iter())
    }

    fn path<'a>(&self, parts: impl Iterator<Item = &'a &'a str>) -> Url {
        let mut url = self.settings.cloud.manager.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(parts);
        }
        url.query_pairs_mut().append_pair("api-version", self.settings.service.api_version());
        url
    }

    /// A page of a listing.
    ///
    /// # Errors
    /// As [`Arm::get`].
    pub(crate) async fn list(&self, url: Url) -> Result<Answer, Fault> {
        self.call(Operation::List, Method::Get, url, Condition::None, None).await
    }

    /// One resource.
    ///
    /// # Errors
    /// Anything but a success. While Azure asks to wait, nothing of the kind is sent.
    pub(crate) async fn get(&self, url: Url) -> Result<Answer, Fault> {
        self.call(Operation::Get, Method::Get, url, Condition::None, None).await
    }

    /// # Errors
    /// As [`Arm::get`].
    pub(crate) async fn put(&self, url: Url, on: Condition<'_>, body: &Value) -> Result<Answer, Fault> {
        self.call(Operation::Write, Method::Put, url, on, Some(body)).await
    }

    /// # Errors
    /// As [`Arm::get`].
    pub(crate) async fn delete(&self, url: Url, on: Condition<'_>) -> Result<Answer, Fault> {
        self.call(Operation::Write, Method::Delete, url, on, None).await
    }

    async fn call(
        &self,
        operation: Operation,
        method: Method,
        url: Url,
        on: Condition<'_>,
        body: Option<&Value>,
    ) -> Result<Answer, Fault> {
        if let Some(wait) = self.pace.wait(operation, Instant::now()) {
            return Err(Fault { kind: Kind::Throttled(Some(wait)), problem: String::new() });
        }
        let pipeline = self.pipeline.get_or_try_init(|| self.connect()).await?;
        let mut request = Request::new(url, method);
        request.insert_header("accept", "application/json");
        match on {
            Condition::None => {}
            Condition::Absent => request.insert_header("if-none-match", "*"),
            Condition::Etag(etag) => request.insert_header("if-match", etag.to_owned()),
        }
        if let Some(body) = body {
            request.insert_header("content-type", "application/json");
            request.set_json(body).map_err(|error| Fault::of_error(&error))?;
        }
        let deadline = if operation == Operation::List { ANSWER } else { SILENCE };
        let result = match tokio::time::timeout(deadline, send(pipeline, &mut request)).await {
            Ok(result) => result,
            Err(_) => Err(Fault::away(format!("no answer within {} s", deadline.as_secs()))),
        };
        match result {
            Err(Fault { kind: Kind::Throttled(said), problem }) => {
                let wait = self.pace.throttled(operation, said, Instant::now());
                Err(Fault { kind: Kind::Throttled(Some(wait)), problem })
            }
            Err(fault) => Err(fault),
            Ok(answer) => {
                self.pace.answered(operation);
                Ok(answer)
            }
        }
    }

    async fn connect(&self) -> Result<Pipeline, Fault> {
        let client = self.client().await?;
        let transport = Transport::new(Arc::new(Bounded(client)));
        let credential = credential::make(&self.settings, transport.clone());
        let credential = credential.map_err(|error| Fault::of_error(&error))?;
        let token = BearerTokenAuthorizationPolicy::new(credential, [self.settings.cloud.scope.as_str()]);
        let options = ClientOptions {
            transport: Some(transport),
            // Who calls knows better whether a call may be made again.
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let (name, version) = (option_env!("CARGO_PKG_NAME"), option_env!("CARGO_PKG_VERSION"));
        Ok(Pipeline::new(name, version, options, vec![], vec![Arc::new(token)], None))
    }

    async fn client(&self) -> Result<reqwest::Client, Fault> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .tcp_user_timeout(ACKNOWLEDGED)
            .timeout(ANSWER)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none());
        if matches!(self.settings.credential, Choice::Managed { .. }) {
            // The identity service is on this machine.
            builder = builder.no_proxy();
        }
        if let Some(file) = &self.settings.ca_file {
            let denied = |why: String| Fault {
                kind: Kind::Denied(
                    "mend ca-file, or let the user that fleetdns runs as read the file".to_owned(),
                ),
                problem: format!("{}: {why}", file.display()),
            };
            let pem = tokio::fs::read(file).await.map_err(|error| denied(error.to_string()))?;
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| denied(error.to_string()))?;
            if certificates.is_empty() {
                return Err(denied("no certificate is in it".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build().map_err(|error| Fault::away(format!("no HTTP client can be made: {error}")))
    }
}

async fn send(pipeline: &Pipeline, request: &mut Request) -> Result<Answer, Fault> {
    let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
    let response = pipeline.send(&Context::new(), request, Some(options)).await;
    let response = response.map_err(|error| Fault::of_error(&error))?;
    let status = u16::from(response.status());
    let wait = retry_after(response.headers());
    let body: &[u8] = response.body();
    match status {
        200..300 => Ok(Answer { body: body.to_vec() }),
        _ => Err(Fault::of_answer(status, wait, body)),
    }
}

/// Milliseconds in a header of Azure's own, or `Retry-After`.
fn retry_after(headers: &Headers) -> Option<Pause> {
    let header = |name: &'static str| headers.get_optional_str(&HeaderName::from_static(name));
    let milliseconds = ["x-ms-retry-after-ms", "retry-after-ms"].into_iter().filter_map(header);
    milliseconds
        .filter_map(Pause::milliseconds_in)
        .next()
        .or_else(|| Pause::retry_after(header("retry-after")?, SystemTime::now()))
}
