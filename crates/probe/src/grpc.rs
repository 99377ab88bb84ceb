//! One `grpc.health.v1.Health/Check` (the gRPC health checking protocol) over HTTP/2 (RFC 9113), and nothing beyond.
//!
//! The connection is driven by the future of the probe itself and goes with it.
//!
//! Invariant: no more than [`LONGEST_MESSAGE`] of an answer's body is kept, and no more than [`LONGEST_HEADERS`] of its
//! headers.

use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use fleetdns_core::probe::GrpcCheck;
use futures::future::{Either, select};
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::answer::{Answer, Failure, Snag, stream_error};

/// An answer has two octets where a server says nothing unusual.
const LONGEST_MESSAGE: usize = 1024;
const LONGEST_HEADERS: u32 = 16 * 1024;
/// Smaller than the protocol's own: nothing large is wanted.
const WINDOW: u32 = 16 * 1024;
/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;
const METHOD: &str = "/grpc.health.v1.Health/Check";
/// Names of the statuses by number (gRPC status codes).
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Asks for the health of the service; `Ok` when it serves.
pub(crate) async fn check<S>(stream: S, check: &GrpcCheck) -> Result<(), Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = request(check)?;
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .header_table_size(0)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(65_535)
        .max_header_list_size(LONGEST_HEADERS)
        .max_concurrent_reset_streams(0);
    let (sender, connection) = builder.handshake(stream).await.map_err(|error| h2_error(&error))?;
    let message = message(&check.service);
    let (asked, connection) = (pin!(ask(sender, request, message)), pin!(connection));
    match select(asked, connection).await {
        Either::Left((answer, _)) => answer,
        // What had come before the end may still be taken out.
        Either::Right((Ok(()), asked)) => asked.await,
        Either::Right((Err(error), _)) => Err(h2_error(&error)),
    }
}

fn request(check: &GrpcCheck) -> Result<Request<()>, Answer> {
    let unaskable = |error: http::Error| Answer::Unclear(Snag::Unaskable(error.to_string().into()));
    let scheme = if check.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let authority = Authority::try_from(check.host.as_str()).map_err(|error| unaskable(error.into()))?;
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(PathAndQuery::from_static(METHOD))
        .build()
        .map_err(unaskable)?;
    Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(TE, HeaderValue::from_static("trailers"))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .header(USER_AGENT, HeaderValue::from_static(concat!("fleetdns/", env!("CARGO_PKG_VERSION"))))
        .body(())
        .map_err(unaskable)
}

/// The request of `grpc.health.v1`.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// The answer; its status is an enum.
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

fn message(service: &str) -> Bytes {
    let body = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
    let mut message = BytesMut::with_capacity(PREFIX + body.len());
    message.put_u8(0);
    message.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    message.put_slice(&body);
    message.freeze()
}

async fn ask(sender: SendRequest<Bytes>, request: Request<()>, message: Bytes) -> Result<(), Answer> {
    let failed = |error: h2::Error| h2_error(&error);
    let mut sender = sender.ready().await.map_err(failed)?;
    let (response, mut body) = sender.send_request(request, false).map_err(failed)?;
    body.send_data(message, true).map_err(failed)?;
    let (head, body) = response.await.map_err(failed)?.into_parts();
    if head.status != http::StatusCode::OK {
        return Err(Answer::Fail(Failure::Status(head.status.as_u16())));
    }
    let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    if !head.headers.get(CONTENT_TYPE).is_some_and(is_grpc) {
        return Err(Answer::Fail(Failure::NotGrpc));
    }
    // A refusal has its status where the headers are.
    if head.headers.contains_key("grpc-status") {
        return status(&head.headers).and(Err(Answer::Fail(Failure::NotGrpc)));
    }
    let (message, trailers) = read(body).await?;
    status(&trailers)?;
    serving(&message)
}

/// The body, as far as it is worth keeping, and the trailers.
async fn read(mut body: RecvStream) -> Result<(BytesMut, HeaderMap), Answer> {
    let mut message = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|error| h2_error(&error))?;
        if message.len() + chunk.len() > LONGEST_MESSAGE {
            return Err(Answer::Fail(Failure::NotGrpc));
        }
        message.put(chunk);
    }
    let trailers = body.trailers().await.map_err(|error| h2_error(&error))?;
    Ok((message, trailers.ok_or(Answer::Fail(Failure::NotGrpc))?))
}

fn status(headers: &HeaderMap) -> Result<(), Answer> {
    let code = headers.get("grpc-status").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let text: Box<str> = match code {
        Some(0) => return Ok(()),
        // So the health service says that it was never told of a service.
        Some(5) => "NOT_FOUND: the server does not know this service".into(),
        Some(12) => "UNIMPLEMENTED: the server has no health service".into(),
        Some(code) => {
            STATUSES.get(code).map_or_else(|| format!("status {code}").into(), |name| (*name).into())
        }
        None => return Err(Answer::Fail(Failure::NotGrpc)),
    };
    Err(Answer::Fail(Failure::Health(text)))
}

/// Judges a `HealthCheckResponse`.
fn serving(message: &[u8]) -> Result<(), Answer> {
    let text: Box<str> = match health(message) {
        Some(1) => return Ok(()),
        Some(0) => "UNKNOWN".into(),
        Some(2) => "NOT_SERVING".into(),
        Some(3) => "SERVICE_UNKNOWN".into(),
        Some(other) => format!("health {other}").into(),
        None => return Err(Answer::Fail(Failure::NotGrpc)),
    };
    Err(Answer::Fail(Failure::Health(text)))
}

/// The status; `None` where this is no message, or a compressed one.
fn health(message: &[u8]) -> Option<i32> {
    let (prefix, body) = message.split_at_checked(PREFIX)?;
    let [0, length @ ..] = prefix else { return None };
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let whole = body.len() == usize::try_from(length).ok()?;
    whole.then(|| HealthCheckResponse::decode(body).ok()).flatten().map(|answer| answer.status)
}

fn h2_error(error: &h2::Error) -> Answer {
    if let Some(io) = error.get_io() {
        return stream_error(io);
    }
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    let failure = match (error.is_remote(), error.is_reset()) {
        (true, true) => {
            Failure::Other(format!("the server broke the request off: {}", reason.description()).into())
        }
        (true, false) => {
            Failure::Other(format!("the server ended the connection: {}", reason.description()).into())
        }
        // What came could not be read as HTTP/2.
        (false, _) => Failure::NotHttp2,
    };
    Answer::Fail(failure)
}

#[cfg(test)]
mod tests;
