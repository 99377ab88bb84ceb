//! Requests to one member's API, each with a deadline.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleetdns_core::inventory::Listed;
use futures::{AsyncBufRead, AsyncBufReadExt};
use kube::Client;
use kube::api::{GetParams, ListParams, WatchParams};
use kube::core::Request;
use tokio::time::timeout;

use crate::error::{Fault, Peer};
use crate::place::Census;
use crate::wire::{self, Item, Unreadable};

const SERVICES: &str = "/api/v1/services";
const PAGE: u32 = 500;
/// The longest object that etcd takes is 1.5 MiB; a line beyond this is no event.
const LONGEST_LINE: usize = 16 << 20;

pub(crate) const LIST: &str = "list services";
pub(crate) const WATCH: &str = "watch services";
pub(crate) const LIST_NODES: &str = "list nodes";
pub(crate) const PULSE: &str = "see whether the inventory is fresh";

/// A member's API, as one client sees it. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    peer: Peer,
    deadline: Duration,
    selector: Option<String>,
    /// Whether the server selects Services by their type; one that cannot is found out by its 400.
    by_type: Arc<AtomicBool>,
    /// Whether the uid of kube-system may be read.
    uid_readable: Arc<AtomicBool>,
}

/// A complete list: every page of it.
#[derive(Debug)]
pub(crate) struct ServiceList {
    pub(crate) version: String,
    pub(crate) items: Vec<Listed>,
    pub(crate) unreadable: Vec<Unreadable>,
}

/// What a cheap request says of the cluster.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// The newest version.
    pub(crate) version: String,
    /// Who the cluster is, when that may be read.
    pub(crate) uid: Option<String>,
}

impl Api {
    pub(crate) fn new(client: Client, peer: Peer, deadline: Duration, selector: Option<String>) -> Self {
        let yes = || Arc::new(AtomicBool::new(true));
        Self { client, peer, deadline, selector, by_type: yes(), uid_readable: yes() }
    }

    /// The same, with a deadline that is no longer than this.
    pub(crate) fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline: self.deadline.min(deadline), ..self.clone() }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// All Services of type LoadBalancer, with those that are on their way out.
    pub(crate) async fn services(&self) -> Result<ServiceList, Fault> {
        let mut list = self.services_once().await;
        if matches!(list, Err(Fault::Status { code: 400, .. })) && self.by_type.swap(false, Ordering::Relaxed)
        {
            list = self.services_once().await;
        }
        list
    }

    async fn services_once(&self) -> Result<ServiceList, Fault> {
        let mut params = ListParams {
            field_selector: self.field_selector(),
            label_selector: self.selector.clone(),
            ..paged()
        };
        let mut list = ServiceList { version: String::new(), items: Vec::new(), unreadable: Vec::new() };
        let mut seen = BTreeSet::new();
        loop {
            let text = self.page_text(SERVICES, &params, LIST).await?;
            let page = wire::page(&text).map_err(|problem| self.broken(LIST, problem))?;
            if list.version.is_empty() {
                list.version = page.version;
            }
            for raw in page.items {
                match wire::service(raw).map_err(|problem| self.broken(LIST, problem))? {
                    Item::Known(known) => list.items.push(known),
                    Item::Unreadable(bad) => {
                        list.items.push(Listed::Unreadable(bad.key.clone()));
                        list.unreadable.push(bad);
                    }
                }
            }
            let Some(next) = page.next else { return Ok(list) };
            if !seen.insert(next.clone()) {
                return Err(self.broken(LIST, "its pages go round in a circle".to_owned()));
            }
            params.continue_token = Some(next);
        }
    }

    /// Opens a watch that the server ends after `time`.
    pub(crate) async fn watch(
        &self,
        version: &str,
        time: Duration,
    ) -> Result<Lines<impl AsyncBufRead + Unpin + use<>>, Fault> {
        let params = WatchParams {
            field_selector: self.field_selector(),
            label_selector: self.selector.clone(),
            timeout: Some(u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)),
            bookmarks: true,
            ..WatchParams::default()
        };
        let mut request = Request::new(SERVICES)
            .watch(&params, version)
            .map_err(|error| self.broken(WATCH, error.to_string()))?;
        // A server that gzips each event by itself would be read up to the first one only.
        if let Ok(identity) = "identity".parse() {
            request.headers_mut().insert("accept-encoding", identity);
        }
        let reader = self.within(WATCH, self.client.request_stream(request)).await?;
        Ok(Lines { reader: Box::pin(reader), rest: Vec::new() })
    }

    /// The newest version, and who the cluster is.
    pub(crate) async fn pulse(&self) -> Result<Pulse, Fault> {
        Ok(Pulse { version: self.newest(PULSE).await?, uid: self.uid().await })
    }

    /// The newest version, by the smallest list there is.
    pub(crate) async fn newest(&self, action: &'static str) -> Result<String, Fault> {
        let params = ListParams { limit: Some(1), ..ListParams::default() };
        let text = self.page_text(SERVICES, &params, action).await?;
        Ok(wire::page(&text).map_err(|problem| self.broken(action, problem))?.version)
    }

    /// The uid of kube-system, which lives as long as the cluster does.
    async fn uid(&self) -> Option<String> {
        if !self.uid_readable.load(Ordering::Relaxed) {
            return None;
        }
        let get = Request::new("/api/v1/namespaces").get("kube-system", &GetParams::default()).ok()?;
        match self.within(PULSE, self.client.request_text(get)).await {
            Ok(text) => {
                let namespace: serde_json::Value = serde_json::from_str(&text).ok()?;
                Some(namespace.get("metadata")?.get("uid")?.as_str()?.to_owned())
            }
            Err(fault) => {
                let refused = fault.is_forbidden() || matches!(fault, Fault::Status { code: 404, .. });
                self.uid_readable.fetch_and(!refused, Ordering::Relaxed);
                None
            }
        }
    }

    /// Regions and zones of all nodes, by their metadata alone.
    pub(crate) async fn nodes(&self) -> Result<Census, Fault> {
        let mut params = paged();
        let mut census = Census::default();
        let mut seen = BTreeSet::new();
        loop {
            let request = Request::new("/api/v1/nodes")
                .list_metadata(&params)
                .map_err(|error| self.broken(LIST_NODES, error.to_string()))?;
            let text = self.within(LIST_NODES, self.client.request_text(request)).await?;
            let page = wire::page(&text).map_err(|problem| self.broken(LIST_NODES, problem))?;
            page.items.into_iter().for_each(|raw| census.count(&wire::labels(raw)));
            let Some(next) = page.next else { return Ok(census) };
            if !seen.insert(next.clone()) {
                return Err(self.broken(LIST_NODES, "its pages go round in a circle".to_owned()));
            }
            params.continue_token = Some(next);
        }
    }

    async fn page_text(
        &self,
        path: &str,
        params: &ListParams,
        action: &'static str,
    ) -> Result<String, Fault> {
        let request =
            Request::new(path).list(params).map_err(|error| self.broken(action, error.to_string()))?;
        self.within(action, self.client.request_text(request)).await
    }

    fn field_selector(&self) -> Option<String> {
        self.by_type.load(Ordering::Relaxed).then(|| "spec.type=LoadBalancer".to_owned())
    }

    pub(crate) fn broken(&self, action: &'static str, problem: String) -> Fault {
        Fault::Broken { peer: self.peer.clone(), action, problem }
    }

    pub(crate) async fn within<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Fault> {
        match timeout(self.deadline, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Fault::of(error, &self.peer, action)),
            Err(_) => {
                let seconds = self.deadline.as_secs_f64();
                Err(Fault::Silent { peer: self.peer.clone(), action, seconds })
            }
        }
    }
}

fn paged() -> ListParams {
    ListParams { limit: Some(PAGE), ..ListParams::default() }
}

/// The lines of a watch. Waiting for them may be given up and begun anew.
pub(crate) struct Lines<R> {
    reader: R,
    rest: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// All lines that are there, each with its end; `None` when the server ended the watch.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let (length, end) = (chunk.len(), chunk.iter().rposition(|byte| *byte == b'\n'));
            let mut lines = std::mem::take(&mut self.rest);
            let (whole, rest) = chunk.split_at(end.map_or(0, |end| end + 1));
            lines.extend_from_slice(whole);
            if whole.is_empty() {
                lines.extend_from_slice(rest);
                self.rest = lines;
            } else {
                self.rest = rest.to_vec();
                self.reader.consume_unpin(length);
                return Ok(Some(lines));
            }
            self.reader.consume_unpin(length);
            if self.rest.len() > LONGEST_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line has no end"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::io::{BufReader, Cursor};

    use super::*;

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let text = "one\ntwo two\nthree\ncut";
        for size in 1..text.len() + 2 {
            let mut lines =
                Lines { reader: BufReader::with_capacity(size, Cursor::new(text)), rest: Vec::new() };
            let mut whole = Vec::new();
            while let Some(some) = lines.next().await.unwrap() {
                assert!(some.ends_with(b"\n"), "{size}");
                whole.extend(some);
            }
            assert_eq!(String::from_utf8(whole).unwrap(), "one\ntwo two\nthree\n", "{size}");
        }
    }
}
