//! Requests to one member's API, each with a deadline and a limit to what is taken of the answer.
//!
//! Invariant: nothing of an answer is held but what was parsed of it, one object, and a head of bounded size.

use std::collections::HashSet;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{AsyncBufRead, StreamExt, TryStreamExt};
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use kube::api::{GetParams, ListParams, WatchParams};
use kube::client::Body;
use kube::core::Request;
use serde::Deserialize;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::access::Connection;
use crate::answer::{beginning, chunks, said};
use crate::catalog::Listed;
use crate::credential::NoHeader;
use crate::error::{AccessError, Fault, Peer};
use crate::limits::{Budget, Limits};
use crate::lines::Lines;
use crate::list::{Head, PageFault, Splitter};
use crate::place::Census;
use crate::wire::{self, Item, Unreadable};

const SERVICES: &str = "/api/v1/services";
const PAGE: u32 = 500;

pub(crate) const LIST: &str = "list services";
pub(crate) const WATCH: &str = "watch services";
pub(crate) const LIST_NODES: &str = "list nodes";
pub(crate) const PULSE: &str = "see whether the inventory is fresh";

/// A member's API, as one client sees it. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Api {
    connection: Connection,
    deadline: Duration,
    selector: Option<String>,
    limits: Limits,
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
    pub(crate) fn new(
        connection: Connection,
        deadline: Duration,
        selector: Option<String>,
        limits: Limits,
    ) -> Self {
        let yes = || Arc::new(AtomicBool::new(true));
        Self { connection, deadline, selector, limits, by_type: yes(), uid_readable: yes() }
    }

    /// The same, with a deadline that is no longer than this.
    pub(crate) fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline: self.deadline.min(deadline), ..self.clone() }
    }

    pub(crate) const fn peer(&self) -> &Peer {
        &self.connection.peer
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
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
        let params = ListParams {
            field_selector: self.field_selector(),
            label_selector: self.selector.clone(),
            ..paged()
        };
        let mut list = ServiceList { version: String::new(), items: Vec::new(), unreadable: Vec::new() };
        let request = |params: &ListParams| Request::new(SERVICES).list(params);
        list.version = self
            .pages(LIST, params, request, |raw| {
                match wire::service(raw)? {
                    Item::Known(known) => list.items.push(known),
                    Item::Unreadable(bad) => {
                        list.items.extend(bad.key.clone().map(Listed::Unreadable));
                        list.unreadable.push(self.redacted(bad));
                    }
                }
                Ok(())
            })
            .await?;
        Ok(list)
    }

    /// Regions and zones of all nodes, by their metadata alone.
    pub(crate) async fn nodes(&self) -> Result<Census, Fault> {
        let mut census = Census::default();
        let request = |params: &ListParams| Request::new("/api/v1/nodes").list_metadata(params);
        let count = |raw: &[u8]| {
            census.count(&wire::labels(raw));
            Ok(())
        };
        self.pages(LIST_NODES, paged(), request, count).await?;
        Ok(census)
    }

    /// Every page of a list, object by object; returns the version of the first.
    pub(crate) async fn pages(
        &self,
        action: &'static str,
        mut params: ListParams,
        request: impl Fn(&ListParams) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<String, Fault> {
        let mut budget = Budget::new(self.limits);
        let mut seen = HashSet::new();
        let mut version = None;
        loop {
            let request = request(&params).map_err(|error| self.broken(action, &error.to_string()))?;
            let Head { version: here, next } =
                self.within(action, self.page(action, request, &mut budget, &mut take)).await?;
            let version = version.get_or_insert(here);
            let Some(next) = next else { return Ok(version.clone()) };
            budget.page().map_err(|what| self.too_much(action, what))?;
            let mut hasher = DefaultHasher::new();
            next.hash(&mut hasher);
            if !seen.insert(hasher.finish()) {
                return Err(self.broken(action, "its pages go round in a circle"));
            }
            params.continue_token = Some(next);
        }
    }

    async fn page(
        &self,
        action: &'static str,
        request: http::Request<Vec<u8>>,
        budget: &mut Budget,
        take: &mut impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Head, Fault> {
        let fault = |fault| match fault {
            PageFault::Broken(problem) => self.broken(action, &problem),
            PageFault::TooMuch(what) => self.too_much(action, what),
        };
        let mut chunks = chunks(self.open(action, request).await?);
        let mut splitter = Splitter::new(self.limits.object_size);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.cut(action, &error))?;
            budget.bytes(chunk.len()).map_err(|what| self.too_much(action, what))?;
            let taken = splitter.feed(&chunk, |item| {
                budget.object().map_err(PageFault::TooMuch)?;
                take(item).map_err(PageFault::Broken)
            });
            taken.map_err(fault)?;
            // A list that comes without end takes no turn of the other members.
            yield_now().await;
        }
        splitter.end().map_err(fault)
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
        let request = Request::new(SERVICES)
            .watch(&params, version)
            .map_err(|error| self.broken(WATCH, &error.to_string()))?;
        self.lines(WATCH, request).await
    }

    /// The lines of the answer to a watch.
    pub(crate) async fn lines(
        &self,
        action: &'static str,
        mut request: http::Request<Vec<u8>>,
    ) -> Result<Lines<impl AsyncBufRead + Unpin + use<>>, Fault> {
        // A server that gzips each event by itself would be read up to the first one only.
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let body = self.within(action, self.open(action, request)).await?;
        let reader = chunks(body).map_err(io::Error::other).into_async_read();
        Ok(Lines::new(Box::pin(reader), self.limits.object_size))
    }

    /// The newest version, and who the cluster is.
    pub(crate) async fn pulse(&self) -> Result<Pulse, Fault> {
        Ok(Pulse { version: self.newest(PULSE).await?, uid: self.uid().await })
    }

    /// The newest version, by the smallest list there is.
    pub(crate) async fn newest(&self, action: &'static str) -> Result<String, Fault> {
        let params = ListParams { limit: Some(1), ..ListParams::default() };
        let request =
            Request::new(SERVICES).list(&params).map_err(|error| self.broken(action, &error.to_string()))?;
        let (mut budget, mut pass_over) = (Budget::new(self.limits), |_: &[u8]| Ok(()));
        let page = self.page(action, request, &mut budget, &mut pass_over);
        Ok(self.within(action, page).await?.version)
    }

    /// The uid of kube-system, which lives as long as the cluster does.
    pub(crate) async fn uid(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Namespace {
            metadata: Meta,
        }
        #[derive(Deserialize)]
        struct Meta {
            uid: String,
        }
        if !self.uid_readable.load(Ordering::Relaxed) {
            return None;
        }
        let get = Request::new("/api/v1/namespaces").get("kube-system", &GetParams::default()).ok()?;
        match self.answer::<Namespace>(PULSE, get).await {
            Ok(namespace) => Some(namespace.metadata.uid),
            Err(fault) => {
                let refused = fault.is_forbidden() || matches!(fault, Fault::Status { code: 404, .. });
                self.uid_readable.fetch_and(!refused, Ordering::Relaxed);
                None
            }
        }
    }

    /// A small answer.
    pub(crate) async fn answer<T: for<'a> Deserialize<'a>>(
        &self,
        action: &'static str,
        request: http::Request<Vec<u8>>,
    ) -> Result<T, Fault> {
        let text = async {
            let (text, error) = beginning(self.open(action, request).await?).await;
            error.map_or(Ok(text), |error| Err(self.cut(action, &error)))
        };
        let text = self.within(action, text).await?;
        serde_json::from_slice(&text).map_err(|error| self.broken(action, &error.to_string()))
    }

    /// Sends a request; returns the body of an answer that is good.
    async fn open(&self, action: &'static str, mut request: http::Request<Vec<u8>>) -> Result<Body, Fault> {
        let Connection { client, credential, peer } = &self.connection;
        let header = credential.header().await.map_err(|none| match none {
            NoHeader::Expired => Fault::CertificateExpires { credentials: Arc::clone(&peer.credentials) },
            NoHeader::Failed(problem) => {
                let (credentials, problem) = (Arc::clone(&peer.credentials), peer.brief(&problem));
                Fault::Access(AccessError::Unusable { credentials, problem })
            }
        })?;
        if let Some(header) = header {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        let answer = client.send(request.map(Body::from)).await;
        let answer = answer.map_err(|error| Fault::of(&error, peer, action))?;
        let (head, body) = answer.into_parts();
        if !head.status.is_client_error() && !head.status.is_server_error() {
            return Ok(body);
        }
        // Whatever came of it before it was cut says why.
        let (text, _) = beginning(body).await;
        let said = said(&text, &head.headers);
        Err(Fault::of_status(head.status.as_u16(), &said, peer, action))
    }

    fn field_selector(&self) -> Option<String> {
        self.by_type.load(Ordering::Relaxed).then(|| "spec.type=LoadBalancer".to_owned())
    }

    pub(crate) fn broken(&self, action: &'static str, problem: &str) -> Fault {
        Fault::Broken { peer: self.peer().clone(), action, problem: self.peer().brief(problem) }
    }

    pub(crate) fn too_much(&self, action: &'static str, what: String) -> Fault {
        Fault::TooMuch { peer: self.peer().clone(), action, what }
    }

    /// A body ended before its end.
    fn cut(&self, action: &'static str, error: &kube::Error) -> Fault {
        Fault::of(error, self.peer(), action)
    }

    /// Without what the server echoes of our credentials.
    pub(crate) fn redacted(&self, bad: Unreadable) -> Unreadable {
        Unreadable { reason: self.peer().brief(&bad.reason), ..bad }
    }

    pub(crate) async fn within<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        match timeout(self.deadline, work).await {
            Ok(done) => done,
            Err(_) => {
                let seconds = self.deadline.as_secs_f64();
                Err(Fault::Silent { peer: self.peer().clone(), action, seconds })
            }
        }
    }
}

fn paged() -> ListParams {
    ListParams { limit: Some(PAGE), ..ListParams::default() }
}
