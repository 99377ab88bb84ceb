//! Objects of a host cluster that name clusters: listed again whenever one of them changes.
//!
//! Invariant: what is reported was the same in two lists, some time apart.

use std::convert::Infallible;
use std::time::Duration;

use kube::api::{ListParams, WatchParams};
use kube::core::Request;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::access::{Access, Connection, Connector};
use crate::api::Api;
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::limits::Limits;

/// Lists that may differ in a row.
const LOOKS: usize = 5;
/// Deadline of one request.
const DEADLINE: Duration = Duration::from_secs(10);
/// A watch is renewed so often, since one that is silent may be dead.
const WATCH_TIME: Duration = Duration::from_secs(60);
/// A watch that lasted so long was a watch.
const PROOF: Duration = Duration::from_secs(5);
/// A list is made so often, should a watch have missed anything.
const RELIST: Duration = Duration::from_secs(300);
/// How much all objects may be.
const LIMITS: Limits = Limits { objects: 10_000, object_size: 2 << 20, list_size: 64 << 20 };

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objects {
    /// Secrets.
    Secrets,
    /// ClusterProfiles.
    Profiles,
}

impl Objects {
    const fn list(self) -> &'static str {
        match self {
            Self::Secrets => "list secrets",
            Self::Profiles => "list clusterprofiles",
        }
    }

    const fn watch(self) -> &'static str {
        match self {
            Self::Secrets => "watch secrets",
            Self::Profiles => "watch clusterprofiles",
        }
    }

    fn path(self, namespace: Option<&str>) -> String {
        let namespace = namespace.map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        match self {
            Self::Secrets => format!("/api/v1{namespace}/secrets"),
            Self::Profiles => format!("/apis/multicluster.x-k8s.io/v1alpha1{namespace}/clusterprofiles"),
        }
    }
}

/// Which objects of which cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The host cluster.
    pub access: Access,
    /// What is looked for.
    pub objects: Objects,
    /// Where; in all namespaces without.
    pub namespace: Option<String>,
    /// Label selector.
    pub selector: Option<String>,
    /// From one list to the next that has to say the same, and from a change to the list that shows it (2 s).
    pub again: Duration,
}

/// A watch that has ended.
enum Ended {
    Changed,
    Quiet,
}

impl Query {
    /// Lists the objects once. `read` leaves out those that it returns nothing for.
    ///
    /// # Errors
    /// Says why it cannot.
    pub async fn list<T>(&self, read: impl Fn(&[u8]) -> Result<Option<T>, String>) -> Result<Vec<T>, String> {
        let listed = async {
            let connection = Connector::new(self.access.clone()).connect(DEADLINE).await?;
            self.list_by(&self.api(connection), &read).await
        };
        listed.await.map(|(_, objects)| objects).map_err(|fault| fault.to_string())
    }

    /// Sends the objects whenever they have changed, and why they cannot be listed.
    pub async fn follow<T: Clone + PartialEq>(
        &self,
        read: impl Fn(&[u8]) -> Result<Option<T>, String>,
        out: mpsc::Sender<Result<Vec<T>, String>>,
    ) -> Infallible {
        let mut connector = Connector::new(self.access.clone());
        let mut backoff = Backoff::new(self.objects.list());
        loop {
            let followed = async {
                let api = self.api(connector.connect(DEADLINE).await?);
                self.follow_by(&api, &read, &out, &mut backoff).await
            };
            let fault = match followed.await {
                Ok(never) => match never {},
                // In the ordinary way, and at most once a second.
                Err(Fault::CertificateExpires { .. }) => continue,
                Err(fault) => fault,
            };
            // Who does not listen any more drops this too.
            let _ = out.send(Err(fault.to_string())).await;
            sleep(backoff.pause().max(fault.retry_after())).await;
        }
    }

    async fn follow_by<T: Clone + PartialEq>(
        &self,
        api: &Api,
        read: impl Fn(&[u8]) -> Result<Option<T>, String>,
        out: &mpsc::Sender<Result<Vec<T>, String>>,
        backoff: &mut Backoff,
    ) -> Result<Infallible, Fault> {
        let mut known: Option<Vec<T>> = None;
        loop {
            let (mut version, mut objects) = self.list_by(api, &read).await?;
            if known.as_ref() != Some(&objects) {
                for looks in 0.. {
                    sleep(self.again).await;
                    let before = std::mem::take(&mut objects);
                    (version, objects) = self.list_by(api, &read).await?;
                    if objects == before {
                        break;
                    }
                    if looks == LOOKS {
                        return Err(
                            api.broken(self.objects.list(), "the objects change from one list to the next")
                        );
                    }
                }
                if known.as_ref() != Some(&objects) {
                    known = Some(objects.clone());
                    let _ = out.send(Ok(objects)).await;
                }
            }
            let relist_at = Instant::now() + RELIST;
            while Instant::now() < relist_at {
                let opened = Instant::now();
                let ended = self.wait(api, &version).await;
                let lasted = opened.elapsed();
                if lasted >= PROOF {
                    backoff.reset();
                }
                match ended {
                    Ok(Ended::Quiet) if lasted >= PROOF => {}
                    Ok(Ended::Quiet) => sleep(backoff.pause()).await,
                    Ok(Ended::Changed) | Err(Fault::Expired { .. }) => {
                        sleep(self.again).await;
                        break;
                    }
                    Err(fault) => return Err(fault),
                }
            }
        }
    }

    fn api(&self, connection: Connection) -> Api {
        Api::new(connection, DEADLINE, self.selector.clone(), LIMITS)
    }

    async fn list_by<T>(
        &self,
        api: &Api,
        read: impl Fn(&[u8]) -> Result<Option<T>, String>,
    ) -> Result<(String, Vec<T>), Fault> {
        let (path, mut objects) = (self.path(), Vec::new());
        let take = |raw: &[u8]| {
            objects.extend(read(raw)?);
            Ok(())
        };
        let request = |params: &ListParams| Request::new(&path).list(params);
        let params = ListParams { label_selector: self.selector.clone(), ..ListParams::default() };
        let pages = api.pages(self.objects.list(), params, request, take);
        let version = match timeout(DEADLINE * 10, pages).await {
            Ok(version) => version?,
            Err(_) => return Err(Fault::Late { seconds: DEADLINE.as_secs() * 10 }),
        };
        Ok((version, objects))
    }

    /// Waits until an object changes, or the watch ends.
    async fn wait(&self, api: &Api, version: &str) -> Result<Ended, Fault> {
        let params = WatchParams { label_selector: self.selector.clone(), ..WatchParams::default() };
        let request = Request::new(self.path()).watch(&params, version);
        let request = request.map_err(|error| api.broken(self.objects.watch(), &error.to_string()))?;
        let mut lines = api.lines(self.objects.watch(), request).await?;
        Ok(match timeout(WATCH_TIME, lines.next()).await {
            Ok(Ok(Some(_))) => Ended::Changed,
            Ok(Err(_) | Ok(None)) | Err(_) => Ended::Quiet,
        })
    }

    fn path(&self) -> String {
        self.objects.path(self.namespace.as_deref())
    }
}
