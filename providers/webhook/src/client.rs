//! The four calls of the protocol, with the headers that external-dns sends.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use fleetdns_core::limits::{self, ANSWER_BYTES, Allowance};
use fleetdns_core::redact::backend_text;
use fleetdns_core::{Pause, ProviderError};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use tracing::debug;

use crate::error::{Action, Fault, TOKEN};
use crate::filter::Filter;
use crate::settings::Settings;
use crate::wire::{Changes, Domains, Endpoint, MEDIA_TYPE};

const CONNECT: Duration = Duration::from_secs(5);
/// Until the other end's kernel acknowledges what was sent. After that the connection is dead, as when a firewall has forgotten
/// it, and a new one may come through.
const ACKNOWLEDGED: Duration = Duration::from_secs(5);
/// Longest pause that is waited out at once; for a longer one the caller plans again when it is over.
const SHORT: Duration = Duration::from_secs(2);
/// How often.
const PATIENCE: usize = 3;
/// Pause when the webhook asks for one and does not say, in a way that can be read, how long.
const UNSAID: Duration = Duration::from_secs(30);
/// How much of the text of a refusal is read.
const REFUSAL_BYTES: usize = 64 << 10;

/// A webhook as one zone uses it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) settings: Settings,
    client: OnceCell<Client>,
}

/// What a call sends.
struct Call<'a> {
    method: Method,
    path: &'static str,
    accept: bool,
    body: Option<&'a [u8]>,
}

impl Link {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, client: OnceCell::new() }
    }

    pub(crate) fn error(&self, fault: Fault, action: Action) -> ProviderError {
        fault.into_error(&self.settings.url, action)
    }

    /// `GET /`: whether it speaks our version, and which domains it serves.
    pub(crate) async fn negotiate(&self) -> Result<Filter, Fault> {
        let answer = self.call(Call { method: Method::GET, path: "", accept: true, body: None }).await?;
        let given = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        // external-dns compares it letter by letter; blanks and capitals are no reason to give up.
        let same = |byte: &u8| byte.to_ascii_lowercase();
        if !given.iter().filter(|byte| **byte != b' ').map(same).eq(MEDIA_TYPE.bytes()) {
            let given = self.shown(&String::from_utf8_lossy(given));
            return Err(Fault::Denied {
                problem: format!("it answers with the media type '{given}' in place of '{MEDIA_TYPE}'"),
                remedy: "set url to an external-dns webhook provider, not to its health or metrics port"
                    .to_owned(),
            });
        }
        let domains: Domains =
            parse::<Option<_>>(read(answer, ANSWER_BYTES).await?).await?.unwrap_or_default();
        Filter::read(&domains).map_err(|problem| Fault::Denied {
            problem,
            remedy: "mend the domain filter of the webhook".to_owned(),
        })
    }

    /// `GET /records`
    pub(crate) async fn records(&self) -> Result<Vec<Endpoint>, Fault> {
        let answer =
            self.call(Call { method: Method::GET, path: "/records", accept: true, body: None }).await?;
        let records: Vec<Endpoint> =
            parse::<Option<_>>(read(answer, ANSWER_BYTES).await?).await?.unwrap_or_default();
        let excess = Allowance::new().take(records.len(), 0);
        excess.map_err(too_much)?;
        Ok(records)
    }

    /// `POST /adjustendpoints`. A webhook that does not have it leaves everything as it is.
    pub(crate) async fn adjust(&self, endpoints: &[Endpoint]) -> Result<Vec<Endpoint>, Fault> {
        let body = json(&endpoints)?;
        let call = Call { method: Method::POST, path: "/adjustendpoints", accept: true, body: Some(&body) };
        match self.call(call).await {
            Ok(answer) => {
                Ok(parse::<Option<_>>(read(answer, ANSWER_BYTES).await?).await?.unwrap_or_default())
            }
            Err(Fault::Refused { status: 404 | 405 | 501, .. }) => Ok(endpoints.to_vec()),
            Err(fault) => Err(fault),
        }
    }

    /// `POST /records`. That it was answered says nothing of what was done.
    pub(crate) async fn write(&self, changes: &Changes) -> Result<(), Fault> {
        let body = json(changes)?;
        let call = Call { method: Method::POST, path: "/records", accept: false, body: Some(&body) };
        read(self.call(call).await?, ANSWER_BYTES).await.map(drop)
    }

    async fn call(&self, call: Call<'_>) -> Result<Response, Fault> {
        let client = self.client.get_or_try_init(|| client(&self.settings)).await?;
        let url = format!("{}{}", self.settings.url, call.path);
        let timeout = self.settings.timeout(call.method == Method::POST);
        let mut pauses = 0_usize;
        loop {
            let mut request = client.request(call.method.clone(), &url).timeout(timeout);
            if call.accept {
                request = request.header(ACCEPT, MEDIA_TYPE);
            }
            if let Some(body) = call.body {
                request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body.to_vec());
            }
            if let Some(token) = &self.settings.token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.map_err(|error| lost(&error, timeout))?;
            if answer.status().is_success() {
                return Ok(answer);
            }
            match self.of_status(answer).await {
                Fault::Throttled(pause) if pause.duration() <= SHORT && pauses < PATIENCE => {
                    debug!(url = %self.settings.url, seconds = pause.seconds(), "the webhook asks to wait");
                    pauses = pauses.saturating_add(1);
                    tokio::time::sleep(pause.duration()).await;
                }
                fault => return Err(fault),
            }
        }
    }

    /// Text of the webhook, fit to be shown.
    fn shown(&self, text: &str) -> String {
        let words = text.split_whitespace().collect::<Vec<&str>>().join(" ");
        backend_text(&words, &[self.settings.token.as_deref().unwrap_or_default()])
    }

    async fn of_status(&self, answer: Response) -> Fault {
        let status = answer.status();
        let wait = answer.headers().get(RETRY_AFTER).map(|value| {
            let said = value.to_str().ok().and_then(|text| Pause::retry_after(text, SystemTime::now()));
            said.unwrap_or(Pause::new(UNSAID))
        });
        let location = self.shown(&location(answer.headers()));
        let denied = |problem: String, remedy: &str| Fault::Denied { problem, remedy: remedy.to_owned() };
        match (status, wait) {
            (StatusCode::TOO_MANY_REQUESTS, wait) => Fault::Throttled(wait.unwrap_or(Pause::new(UNSAID))),
            (StatusCode::SERVICE_UNAVAILABLE, Some(pause)) => Fault::Throttled(pause),
            (StatusCode::UNAUTHORIZED, _) => denied("it answers 401".to_owned(), TOKEN),
            (status, _) if status.is_redirection() => denied(
                format!("it answers {} and points to {location}", status.as_u16()),
                "set url to where the webhook is",
            ),
            (StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE, _) => denied(
                format!("it answers {} to the media type '{MEDIA_TYPE}'", status.as_u16()),
                "use a release of the webhook that speaks version 1 of the protocol",
            ),
            (status, _) => {
                let text = read(answer, REFUSAL_BYTES).await.unwrap_or_default();
                let text = self.shown(&String::from_utf8_lossy(&text));
                let text = if text.is_empty() { text } else { format!(": {text}") };
                Fault::Refused { status: status.as_u16(), text }
            }
        }
    }
}

fn lost(error: &reqwest::Error, timeout: Duration) -> Fault {
    if error.is_connect() {
        Fault::Unreachable(chain(error))
    } else if error.is_timeout() {
        Fault::silent(timeout)
    } else {
        Fault::Lost(chain(error))
    }
}

async fn client(settings: &Settings) -> Result<Client, Fault> {
    let mut builder = Client::builder()
        .connect_timeout(CONNECT)
        .tcp_user_timeout(ACKNOWLEDGED)
        // A redirect would lose the token, or send it elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if let Some(file) = &settings.ca_file {
        let denied = |why: String| Fault::Denied {
            problem: format!("{}: {why}", file.display()),
            remedy: "mend ca-file, or let the user that fleetdns runs as read the file".to_owned(),
        };
        let pem = tokio::fs::read(file).await.map_err(|error| denied(error.to_string()))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| denied(error.to_string()))?;
        if certificates.is_empty() {
            return Err(denied("no certificate is in it".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| Fault::Unreachable(format!("no HTTP client can be made: {}", chain(&error))))
}

/// The causes of an error, without its URL, which is told anyway.
fn chain(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

fn location(headers: &HeaderMap) -> String {
    headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("nowhere").to_owned()
}

async fn read(mut answer: Response, longest: usize) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > longest => {
                return Err(Fault::Nonsense(format!("its answer is longer than {} KiB", longest >> 10)));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(Fault::Lost(format!("its answer ends early: {}", chain(&error)))),
        }
    }
}

/// In a thread of its own: a large answer takes seconds, in which other zones are written.
async fn parse<T: DeserializeOwned + Send + 'static>(body: Vec<u8>) -> Result<T, Fault> {
    let unreadable =
        |error: &dyn StdError| Fault::Nonsense(format!("an answer that cannot be read: {error}"));
    let parsing = tokio::task::spawn_blocking(move || {
        limits::json_values(&body, limits::ANSWER_VALUES).map_err(too_much)?;
        serde_json::from_slice(&body).map_err(|error| unreadable(&error))
    });
    parsing.await.unwrap_or_else(|error| Err(unreadable(&error)))
}

fn too_much(excess: limits::Excess) -> Fault {
    Fault::Denied { problem: excess.to_string(), remedy: limits::REMEDY.to_owned() }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|error| Fault::Nonsense(format!("cannot be sent: {error}")))
}
