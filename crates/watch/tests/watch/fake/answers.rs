//! What the fake API server answers.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};

use super::{Cluster, How, Shared};

type Params = BTreeMap<String, String>;

pub(super) async fn answer(
    State(shared): State<Shared>,
    Query(params): Query<Params>,
    request: Request,
) -> Response {
    let mut signal = shared.1.subscribe();
    signal.wait_for(|signal| !signal.frozen).await.unwrap();
    let path = request.uri().path().to_owned();
    let watching = params.contains_key("watch");
    let (how, token) = {
        let mut cluster = shared.0.lock().unwrap();
        let pulse = params.get("limit").map(String::as_str) == Some("1");
        cluster.seen.push(match (watching, pulse) {
            (true, _) => "watch".to_owned(),
            (_, true) => "pulse".to_owned(),
            _ => path.clone(),
        });
        let how = match path.as_str() {
            "/api/v1/services" if watching => cluster.watch,
            "/api/v1/services" if pulse => cluster.pulse,
            "/api/v1/services" => cluster.lists.pop_front().unwrap_or(cluster.list),
            "/api/v1/nodes" => cluster.node_list,
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => cluster.review,
            _ => How::Well,
        };
        (how, format!("Bearer {}", cluster.token))
    };
    shared.1.send_modify(|signal| signal.news += 1);
    if request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) != Some(&token) {
        return status(401, "Unauthorized");
    }
    match how {
        How::Hang => std::future::pending().await,
        // As some proxies do, with what they were sent.
        How::Status(code) => status(code, &format!("as it was told by {token}")),
        How::Garbage => "{}".into_response(),
        _ if watching => watch_stream(shared, &params, how),
        _ => {
            let (code, text) = body(&mut shared.0.lock().unwrap(), &path, &params);
            let end = if how == How::Truncated { text.len() / 2 } else { text.len() };
            (code, text[..end].to_owned()).into_response()
        }
    }
}

fn status(code: u16, message: &str) -> Response {
    let body = json!({"kind": "Status", "status": "Failure", "code": code, "message": message});
    (StatusCode::from_u16(code).unwrap(), body.to_string()).into_response()
}

fn body(cluster: &mut Cluster, path: &str, params: &Params) -> (StatusCode, String) {
    let ok = |value: Value| (StatusCode::OK, value.to_string());
    let refuse = |code: u16, message: &str| {
        let body = json!({"kind": "Status", "status": "Failure", "code": code, "message": message});
        (StatusCode::from_u16(code).unwrap(), body.to_string())
    };
    let items: Vec<Value> = match path {
        "/api/v1/services" => cluster.services.values().cloned().collect(),
        "/api/v1/nodes" => cluster.nodes.clone(),
        "/api/v1/namespaces/kube-system" => return ok(json!({"metadata": {"uid": cluster.uid}})),
        "/version" => {
            let parts = [
                "major",
                "minor",
                "gitCommit",
                "gitTreeState",
                "buildDate",
                "goVersion",
                "compiler",
                "platform",
            ];
            let mut version = json!({"gitVersion": "v1.36.1"});
            parts.iter().for_each(|part| version[*part] = json!(""));
            return ok(version);
        }
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
            return ok(json!({"metadata": {}, "spec": {}, "status": {"allowed": true}}));
        }
        _ => return refuse(404, "no such path"),
    };
    if params.contains_key("fieldSelector") && !cluster.field_selector {
        return refuse(400, "field label not supported: spec.type");
    }
    let known = ["limit", "continue", "fieldSelector", "labelSelector"];
    if let Some(other) = params.keys().find(|key| !known.contains(&key.as_str())) {
        return refuse(400, &format!("unknown parameter {other}"));
    }
    let start = params.get("continue").map_or(0, |token| token.parse().unwrap());
    if start > 0 && cluster.expired_pages > 0 {
        cluster.expired_pages -= 1;
        return refuse(410, "The provided continue parameter is too old");
    }
    let limit: usize = params.get("limit").unwrap().parse().unwrap();
    let end = (start + limit).min(items.len());
    let next = if end < items.len() { end.to_string() } else { String::new() };
    let metadata = json!({"resourceVersion": cluster.version.to_string(), "continue": next});
    ok(json!({"kind": "ServiceList", "metadata": metadata, "items": items[start..end]}))
}

fn watch_stream(shared: Shared, params: &Params, how: How) -> Response {
    assert_eq!(params.get("allowWatchBookmarks").map(String::as_str), Some("true"));
    let from: u64 = params["resourceVersion"].parse().unwrap();
    let time = Duration::from_secs(params["timeoutSeconds"].parse().unwrap());
    let over = tokio::time::Instant::now() + time;
    let (mut signal, gone) =
        (shared.1.subscribe(), how == How::Gone || from < shared.0.lock().unwrap().compacted);
    let cuts = signal.borrow_and_update().cuts;
    let mut first = true;
    let lines = stream::unfold((shared, signal, from), move |(shared, mut signal, from)| async move {
        if how == How::End {
            return None;
        }
        if gone {
            if !std::mem::replace(&mut first, false) {
                return None;
            }
            let error =
                json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}});
            return Some((Ok::<_, std::io::Error>(error.to_string() + "\n"), (shared, signal, from)));
        }
        loop {
            let now = *signal.borrow_and_update();
            if now.cuts > cuts || tokio::time::Instant::now() >= over && how != How::Silent {
                return None;
            }
            let next = {
                let cluster = shared.0.lock().unwrap();
                let next = cluster.log.iter().find(|(version, _)| *version > from).cloned();
                next.filter(|_| how != How::Silent && !now.frozen && from <= cluster.version)
            };
            if let Some((version, line)) = next {
                return Some((Ok(line), (shared, signal, version)));
            }
            if how == How::Silent {
                signal.changed().await.unwrap();
            } else {
                let _ = tokio::time::timeout_at(over, signal.changed()).await;
            }
        }
    });
    Body::from_stream(lines).into_response()
}
