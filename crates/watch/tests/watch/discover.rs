//! Objects of a host cluster that are listed again whenever they change.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query as Params, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fleetdns_watch::{Access, Named, Objects, Query};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::{BUDGET, kubeconfig};

/// What a host cluster holds; how its next lists go.
#[derive(Default)]
struct Host {
    secrets: Mutex<Vec<&'static str>>,
    /// Lists that say something else first: names, or a refusal.
    odd: Mutex<Vec<Option<Vec<&'static str>>>>,
    lists: Mutex<Vec<String>>,
    version: watch::Sender<u64>,
}

impl Host {
    fn set(&self, secrets: &[&'static str]) {
        *self.secrets.lock().unwrap() = secrets.to_vec();
        self.version.send_modify(|version| *version += 1);
    }

    fn odd(&self, list: Option<&[&'static str]>) {
        self.odd.lock().unwrap().push(list.map(<[_]>::to_vec));
        self.version.send_modify(|version| *version += 1);
    }
}

async fn answer(
    State(host): State<Arc<Host>>,
    Params(params): Params<std::collections::BTreeMap<String, String>>,
) -> Response {
    if params.contains_key("watch") {
        let seen: u64 = params["resourceVersion"].parse().unwrap();
        let mut version = host.version.subscribe();
        // The head goes out at once.
        let event = futures::stream::once(async move {
            let _ = version.wait_for(|version| *version > seen).await;
            Ok::<_, std::convert::Infallible>("{\"type\": \"MODIFIED\", \"object\": {}}\n")
        });
        return Body::from_stream(event).into_response();
    }
    let version = host.version.borrow().to_string();
    host.lists.lock().unwrap().push(params.get("labelSelector").cloned().unwrap_or_default());
    let odd = host.odd.lock().unwrap().pop();
    let names = match odd {
        Some(None) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Some(names)) => names,
        None => host.secrets.lock().unwrap().clone(),
    };
    let item = |name: &str| {
        let metadata = json!({"name": name, "namespace": "a"});
        json!({"metadata": metadata, "data": {"value": ""}})
    };
    let items: Vec<Value> = names.into_iter().map(item).collect();
    json!({"kind": "SecretList", "metadata": {"resourceVersion": version}, "items": items})
        .to_string()
        .into_response()
}

#[tokio::test]
async fn what_two_lists_say_is_reported_and_what_one_alone_says_is_not() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let host = Arc::new(Host::default());
    host.set(&["a", "b"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/api/v1/namespaces/a/secrets", axum::routing::get(answer));
    let server = tokio::spawn(axum::serve(listener, router.with_state(Arc::clone(&host))).into_future());
    let folder = tempfile::tempdir().unwrap();
    let query = Query {
        access: Access::Kubeconfig { paths: vec![kubeconfig(&folder, "host", &url, "t")], context: None },
        objects: Objects::Secrets,
        namespace: Some("a".to_owned()),
        selector: Some("fleet=yes".to_owned()),
        again: Duration::from_millis(50),
    };
    let read = |raw: &[u8]| Ok(Named::in_secret(raw, None)?.map(|named| named.name));
    let (out, mut reports) = mpsc::channel(8);
    let next = async |reports: &mut mpsc::Receiver<Result<Vec<String>, String>>| {
        tokio::time::timeout(BUDGET, reports.recv()).await.expect("a report").unwrap()
    };
    let following = query.follow(read, out);
    let test = async {
        assert_eq!(next(&mut reports).await.unwrap(), ["a", "b"]);
        // A list that the next one contradicts is no news.
        host.odd(Some(&["a"]));
        host.odd(Some(&[]));
        host.set(&["a", "b", "c"]);
        assert_eq!(next(&mut reports).await.unwrap(), ["a", "b", "c"]);
        host.odd(Some(&["a"]));
        let lists = host.lists.lock().unwrap().len();
        let third = async {
            while host.lists.lock().unwrap().len() < lists + 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BUDGET, third).await.expect("a third list");
        assert!(reports.try_recv().is_err(), "one list removed somebody");
        host.set(&["a", "b"]);
        assert_eq!(next(&mut reports).await.unwrap(), ["a", "b"]);
        // A refusal is said, and what is listed afterwards too.
        host.odd(None);
        let refused = next(&mut reports).await.unwrap_err();
        assert!(refused.contains("answers 500 to the request to list secrets"), "{refused}");
        assert_eq!(next(&mut reports).await.unwrap(), ["a", "b"]);
        assert!(host.lists.lock().unwrap().iter().all(|selector| selector == "fleet=yes"));
    };
    tokio::select! {
        never = following => match never {},
        () = test => {}
    }
    assert_eq!(query.list(read).await.unwrap(), ["a", "b"]);
    server.abort();
}
