//! A bound on what a server may answer: the pipeline, and the credentials that send through it, keep whole answers in
//! memory, however large.

use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::{AsyncRawResponse, HttpClient, Request};
use fleetdns_core::limits::{ANSWER_BYTES, json_values};
use futures::StreamExt;

/// Most values of one answer: a page has 1,000 record sets, and few of these a hundred values.
const VALUES: usize = 250_000;

/// A client that ends an answer that is larger than [`ANSWER_BYTES`].
#[derive(Debug)]
pub(crate) struct Bounded(pub(crate) reqwest::Client);

#[async_trait]
impl HttpClient for Bounded {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let (status, headers, mut chunks) = self.0.execute_request(request).await?.deconstruct();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES {
                let message = format!("the answer is larger than {} MiB", ANSWER_BYTES >> 20);
                return Err(Error::with_message(ErrorKind::Io, message));
            }
            body.extend_from_slice(&chunk);
        }
        // The libraries, and we, make trees of JSON of what is read here.
        json_values(&body, VALUES)
            .map_err(|excess| Error::with_message(ErrorKind::Io, excess.to_string()))?;
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}
