//! The real client on the small server.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Config, ResourceExt};

use super::*;
use crate::app;

struct Fixture {
    cluster: Arc<Cluster>,
    server: Server,
    services: Api<Service>,
    client: Client,
}

async fn fixture() -> Fixture {
    let cluster = Arc::new(Cluster::default());
    cluster.put(Kind::Node, objects::node("node-0", "westus", "1"));
    let server = cluster.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let client =
        Client::try_from(Config::new(format!("http://{}", server.address()).parse().unwrap())).unwrap();
    Fixture { cluster, server, services: Api::all(client.clone()), client }
}

fn publish(cluster: &Cluster, name: &str) {
    cluster.put(Kind::Service, objects::service("default", name, 5001));
    assert!(cluster.patch_status("default", name, objects::status([127, 64, 0, 10].into())));
}

fn addresses(service: &Service) -> Vec<String> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.clone()).unwrap_or_default();
    ingress.into_iter().filter_map(|one| one.ip).collect()
}

/// `ADDED a []`, `BOOKMARK`, `ERROR 410`, …
fn told(event: WatchEvent<Service>) -> String {
    let object = |verb, service: Service| format!("{verb} {} {:?}", service.name_any(), addresses(&service));
    match event {
        WatchEvent::Added(service) => object("ADDED", service),
        WatchEvent::Modified(service) => object("MODIFIED", service),
        WatchEvent::Deleted(service) => object("DELETED", service),
        WatchEvent::Bookmark(_) => "BOOKMARK".to_owned(),
        WatchEvent::Error(status) => format!("ERROR {} {}", status.code, status.reason),
    }
}

#[tokio::test]
async fn the_real_client_lists_and_then_sees_every_change() {
    let f = fixture().await;
    publish(&f.cluster, "a");
    let params = ListParams::default().fields("spec.type=LoadBalancer").limit(500);
    let list = f.services.list(&params).await.unwrap();
    assert_eq!((list.items.len(), addresses(&list.items[0])), (1, vec!["127.64.0.10".to_owned()]));

    let version = list.metadata.resource_version.unwrap();
    let watch = f.services.watch(&WatchParams::default().timeout(60), &version).await.unwrap();
    publish(&f.cluster, "b");
    assert!(f.cluster.delete("default", "a"));
    let events: Vec<_> = watch.take(3).try_collect().await.unwrap();
    let events: Vec<String> = events.into_iter().map(told).collect();
    assert_eq!(events, ["ADDED b []", "MODIFIED b [\"127.64.0.10\"]", "DELETED a [\"127.64.0.10\"]"]);
}

#[tokio::test]
async fn the_real_reflector_runs_on_it_with_lists_and_with_streaming_lists() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let f = fixture().await;
        publish(&f.cluster, "a");
        let events = watcher(f.services.clone(), config.timeout(60)).try_filter_map(async |event| {
            let text = match event {
                watcher::Event::Init => "init".to_owned(),
                watcher::Event::InitApply(service) => format!("has {}", service.name_any()),
                watcher::Event::InitDone => "whole".to_owned(),
                watcher::Event::Apply(service) => format!("apply {:?}", addresses(&service)),
                watcher::Event::Delete(service) => format!("delete {}", service.name_any()),
            };
            Ok(Some(text))
        });
        let mut events = std::pin::pin!(events);
        for expected in ["init", "has a", "whole"] {
            assert_eq!(events.next().await.unwrap().unwrap(), expected);
        }
        f.cluster.patch_status("default", "a", objects::status([127, 64, 0, 11].into()));
        assert_eq!(events.next().await.unwrap().unwrap(), "apply [\"127.64.0.11\"]");
        f.cluster.delete("default", "a");
        assert_eq!(events.next().await.unwrap().unwrap(), "delete a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_says_that_it_lives_until_its_time_is_over() {
    let cluster = Arc::new(Cluster::default());
    let types = async |bookmarks| {
        let (start, time) = (Start::After(1), Duration::from_secs(25));
        let asked = Asked { kind: Kind::Service, start, bookmarks, time };
        let lines = watching::lines(Arc::clone(&cluster), asked, CancellationToken::new());
        let read =
            |line: Result<axum::body::Bytes, _>| serde_json::from_slice::<Value>(&line.unwrap()).unwrap();
        lines.map(|line| read(line)["type"].clone()).collect::<Vec<Value>>().await
    };
    let started = tokio::time::Instant::now();
    assert_eq!(types(true).await, ["BOOKMARK", "BOOKMARK", "BOOKMARK"]);
    assert_eq!(started.elapsed(), Duration::from_secs(25));
    assert!(types(false).await.is_empty());
}

#[tokio::test]
async fn a_watch_ends_with_an_error_or_with_the_server() {
    let f = fixture().await;
    let events = |version: &'static str| {
        let services = f.services.clone();
        async move {
            let watch = services.watch(&WatchParams::default().timeout(60), version).await.unwrap();
            watch.map(|event| event.map_or_else(|e| e.to_string(), told)).collect::<Vec<String>>().await
        }
    };
    for _ in 0..300 {
        publish(&f.cluster, "a");
    }
    assert_eq!(events("1").await, ["ERROR 410 Expired"]);

    // From a version of another life, which a real server takes without a word.
    let open = tokio::spawn(events("100000"));
    f.cluster.watched().await;
    let address = f.server.address();
    f.server.close().await;
    assert_eq!(open.await.unwrap(), Vec::<String>::new());
    assert!(f.services.list(&ListParams::default()).await.is_err());

    // What was stored is there when the server returns.
    let _server = f.cluster.serve(address).await.unwrap();
    assert_eq!(f.services.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn nodes_namespace_version_and_rights_are_what_a_real_api_says() {
    let f = fixture().await;
    assert_eq!(f.client.apiserver_version().await.unwrap().minor, "33");
    let nodes: Api<Node> = Api::all(f.client.clone());
    let full = nodes.list(&ListParams::default()).await.unwrap();
    let partial = nodes.list_metadata(&ListParams::default()).await.unwrap();
    for labels in [full.items[0].labels(), partial.items[0].labels()] {
        assert_eq!(labels["topology.kubernetes.io/region"], "westus");
    }
    let namespaces: Api<Namespace> = Api::all(f.client.clone());
    let system = namespaces.get("kube-system").await.unwrap();
    assert_eq!((system.uid().unwrap(), system.uid().unwrap().len()), (f.cluster.uid.clone(), 36));
    let review = json!({"spec": {"resourceAttributes": {"verb": "watch", "resource": "services"}}});
    let asked = axum::http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header(header::CONTENT_TYPE, "application/json");
    let answer: Value = f.client.request(asked.body(review.to_string().into_bytes()).unwrap()).await.unwrap();
    assert_eq!(answer["status"]["allowed"], true);
}

#[tokio::test]
async fn what_it_does_not_know_is_refused_with_a_status() {
    let f = fixture().await;
    let code = |error: kube::Error| match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    };
    let list = async |params: &ListParams| code(f.services.list(params).await.unwrap_err());
    assert_eq!(list(&ListParams::default().labels("app=x")).await, 400);
    assert_eq!(list(&ListParams::default().fields("metadata.name=x")).await, 400);
    // The client would ask again and again after a 504.
    let ahead = app::ask(f.server.address(), "/api/v1/services?resourceVersion=100000").await;
    assert!(ahead.unwrap_err().to_string().contains("504"));
    let get = Request::new("/api/v1/pods").list(&ListParams::default()).unwrap();
    assert_eq!(code(f.client.request_text(get).await.unwrap_err()), 404);
    let delete = axum::http::Request::delete("/api/v1/services").body(vec![]).unwrap();
    assert_eq!(code(f.client.request_text(delete).await.unwrap_err()), 405);
    let namespaces: Api<Namespace> = Api::all(f.client.clone());
    assert_eq!(code(namespaces.get("default").await.unwrap_err()), 404);
}
