//! A strict small API server on loopback that speaks list and watch, and misbehaves on command.

mod answers;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Well,
    /// Not at all.
    Hang,
    Status(u16),
    /// 200, and half of the JSON.
    Truncated,
    /// 200, and JSON that is no list.
    Garbage,
    /// A watch only: 200, and then nothing, for ever.
    Silent,
    /// A watch only: 200, then an ERROR event of 410.
    Gone,
    /// A watch only: 200, then the end.
    End,
}

pub(crate) struct Cluster {
    pub(crate) version: u64,
    pub(crate) uid: String,
    pub(crate) token: String,
    pub(crate) services: BTreeMap<String, Value>,
    pub(crate) nodes: Vec<Value>,
    /// Lists are answered so, one after the other, and then by `list`.
    pub(crate) lists: VecDeque<How>,
    pub(crate) list: How,
    pub(crate) node_list: How,
    pub(crate) watch: How,
    pub(crate) pulse: How,
    pub(crate) review: How,
    /// So many continue tokens are refused with 410.
    pub(crate) expired_pages: usize,
    pub(crate) field_selector: bool,
    /// Paths of all requests, with the word `watch` for watches.
    pub(crate) seen: Vec<String>,
    compacted: u64,
    log: Vec<(u64, String)>,
}

type Shared = Arc<(Mutex<Cluster>, watch::Sender<Signal>)>;

#[derive(Clone, Copy, Default)]
struct Signal {
    news: u64,
    cuts: u64,
    frozen: bool,
}

pub(crate) struct Fake {
    shared: Shared,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Fake {
    pub(crate) fn start() -> Self {
        let cluster = Cluster {
            version: 1000,
            uid: "one".into(),
            token: "top-secret".into(),
            services: BTreeMap::new(),
            nodes: Vec::new(),
            lists: VecDeque::new(),
            list: How::Well,
            node_list: How::Well,
            watch: How::Well,
            pulse: How::Well,
            review: How::Well,
            expired_pages: 0,
            field_selector: true,
            seen: Vec::new(),
            compacted: 0,
            log: Vec::new(),
        };
        let shared = Arc::new((Mutex::new(cluster), watch::Sender::new(Signal::default())));
        let mut fake = Self { shared, address: ([127, 0, 0, 1], 0).into(), runtime: None };
        fake.serve();
        fake
    }

    /// Answers on its address, again after a kill.
    pub(crate) fn serve(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // On an address that a killed server had, std's listener would not bind while old connections linger.
        let (address, shared) = (self.address, Arc::clone(&self.shared));
        let listener = std::thread::scope(|scope| {
            scope.spawn(|| runtime.block_on(TcpListener::bind(address)).unwrap()).join().unwrap()
        });
        self.address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answers::answer).with_state(shared);
        runtime.spawn(async move { axum::serve(listener, router).await });
        self.runtime = Some(runtime);
    }

    /// Ends all connections; new ones are refused. It waits until the listener is closed: what the system would accept
    /// for it before that is reset, not refused.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            std::thread::scope(|scope| {
                scope.spawn(|| runtime.shutdown_timeout(crate::BUDGET)).join().unwrap();
            });
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.shared.0.lock().unwrap()
    }

    /// Stops answering, watches included, until it is called with `false`.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.shared.1.send_modify(|signal| signal.frozen = frozen);
    }

    /// Ends all watches.
    pub(crate) fn cut(&self) {
        self.shared.1.send_modify(|signal| signal.cuts += 1);
    }

    /// Writes an object, as it is, and tells the watches.
    pub(crate) fn put(&self, object: Value) {
        self.write("MODIFIED", object);
    }

    pub(crate) fn delete(&self, name: &str) {
        let object = self.cluster().services.get(name).cloned().unwrap();
        self.write("DELETED", object);
    }

    /// An object that only a watch ever shows.
    pub(crate) fn write(&self, kind: &str, mut object: Value) {
        let mut cluster = self.cluster();
        cluster.version += 1;
        let version = cluster.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if kind == "DELETED" {
            cluster.services.remove(&name);
        } else {
            cluster.services.insert(name, object.clone());
        }
        cluster.log.push((version, json!({"type": kind, "object": object}).to_string() + "\n"));
        drop(cluster);
        self.shared.1.send_modify(|signal| signal.news += 1);
    }

    /// Forgets all versions before now.
    pub(crate) fn compact(&self) {
        let mut cluster = self.cluster();
        cluster.compacted = cluster.version;
        cluster.log.clear();
    }

    /// Waits until a path was asked for so often.
    pub(crate) async fn asked(&self, path: &str, times: usize) {
        let mut signal = self.shared.1.subscribe();
        let asked = async {
            while self.count(path) < times {
                signal.changed().await.unwrap();
            }
        };
        tokio::time::timeout(crate::BUDGET, asked)
            .await
            .unwrap_or_else(|_| panic!("{path} was not asked for"));
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.cluster().seen.iter().filter(|seen| *seen == path).count()
    }
}

/// A Service of type LoadBalancer with one address, or without.
pub(crate) fn service(name: &str, ip: &str) -> Value {
    let ingress = if ip.is_empty() { json!({}) } else { json!({"ingress": [{"ip": ip, "ipMode": "VIP"}]}) };
    json!({
        "metadata": {"namespace": "default", "name": name, "managedFields": [{"manager": "x"}]},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "web", "port": 80, "protocol": "TCP"}]},
        "status": {"loadBalancer": ingress},
    })
}

pub(crate) fn node(region: &str, zone: &str) -> Value {
    let labels = json!({"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone});
    json!({"metadata": {"name": format!("node-{region}-{zone}"), "labels": labels}})
}
