//! The body of an answer of an API server, as far as it is read.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;

use crate::error::Said;

/// An answer that is no list: a version, a review, or why there is none.
const LONGEST_ANSWER: usize = 256 << 10;
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: u64 = 60;

pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, kube::Error>> + Send>>;

pub(crate) fn chunks(body: Body) -> Chunks {
    Box::pin(body.into_data_stream())
}

/// As much of a body as an answer may have that is no list, and why it was cut.
pub(crate) async fn beginning(body: Body) -> (Vec<u8>, Option<kube::Error>) {
    let (mut chunks, mut text) = (chunks(body), Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return (text, Some(error)),
        };
        let room = LONGEST_ANSWER.saturating_sub(text.len());
        text.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if room <= chunk.len() {
            break;
        }
    }
    (text, None)
}

/// What a refusal says of itself: a Status, or some text of a proxy.
pub(crate) fn said(text: &[u8], headers: &HeaderMap) -> Said {
    #[derive(Deserialize)]
    struct Status {
        message: Option<String>,
        details: Option<Details>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Details {
        retry_after_seconds: Option<u64>,
    }
    let status: Option<Status> = serde_json::from_slice(text).ok();
    let asked = status.as_ref().and_then(|status| status.details.as_ref()?.retry_after_seconds);
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let pause = asked.or(header).unwrap_or_default().min(LONGEST_PAUSE);
    let message = status.map_or_else(
        || String::from_utf8_lossy(text).into_owned(),
        |status| status.message.unwrap_or_default(),
    );
    Said { message, retry_after: Duration::from_secs(pause) }
}
