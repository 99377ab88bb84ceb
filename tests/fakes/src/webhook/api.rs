//! Requests and answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::rules::{apply, key, ops, targets, text};
use super::{Fault, MEDIA_TYPE, Route, State, Ways};

type Server = Arc<Mutex<State>>;

pub(super) fn router(state: Server) -> Router {
    Router::new()
        .route("/", get(negotiate))
        .route("/records", get(records).post(write))
        .route("/adjustendpoints", post(adjust))
        // As the real one: 32 MiB.
        .layer(axum::extract::DefaultBodyLimit::max(32 << 20))
        .with_state(state)
}

fn status(code: u16) -> Response {
    answer(code, Body::empty())
}

fn answer(code: u16, body: Body) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

fn typed(value: &Value, media_type: &'static str) -> Response {
    let mut answer = answer(200, Body::from(value.to_string()));
    answer.headers_mut().insert("content-type", HeaderValue::from_static(media_type));
    answer
}

/// No answer at all.
fn hang_up() -> Response {
    let end = stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
    answer(200, Body::from_stream(end))
}

/// Half of a body whose length was told, then the end of the connection.
fn cut(value: &Value) -> Response {
    let text = value.to_string();
    let half = text.get(..text.len() / 2).unwrap_or_default().to_owned();
    // The first half goes out before the connection ends.
    let second = async {
        pause(Duration::from_millis(50)).await;
        Err(std::io::Error::other("cut"))
    };
    let body = stream::iter([Ok(Bytes::from(half))]).chain(stream::once(second));
    let mut answer = answer(200, Body::from_stream(body));
    answer.headers_mut().insert("content-length", HeaderValue::from(text.len().max(10)));
    answer.headers_mut().insert("content-type", HeaderValue::from_static(MEDIA_TYPE));
    answer
}

/// Counts the call; whether it may be made, and what goes wrong with it.
fn admit(
    server: &Server,
    route: Route,
    headers: &HeaderMap,
    desired: &[(&str, u16)],
) -> Result<Option<Fault>, Box<Response>> {
    let mut state = server.lock().expect("no handler panics");
    *state.calls.entry(route).or_default() += 1;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if state.token.is_some_and(|token| header("authorization") != format!("Bearer {token}")) {
        return Err(Box::new(status(401)));
    }
    for (name, refusal) in desired {
        if header(name) != MEDIA_TYPE {
            state.reason = format!("{route:?}: {name} is {}", header(name));
            return Err(Box::new(status(*refusal)));
        }
    }
    match state.faults.get_mut(&route).and_then(std::collections::VecDeque::pop_front) {
        Some(Fault::Answer(code, headers)) => {
            let mut answer = status(code);
            for (name, value) in headers {
                let value = HeaderValue::from_str(&value).expect("a header");
                answer.headers_mut().insert(HeaderName::from_static(name), value);
            }
            Err(Box::new(answer))
        }
        Some(Fault::CutBefore) => Err(Box::new(hang_up())),
        fault => Ok(fault),
    }
}

async fn finish(fault: Option<Fault>, value: &Value) -> Response {
    match fault {
        Some(Fault::MediaType(other)) => typed(value, other),
        Some(Fault::Cut) => cut(value),
        Some(Fault::Slow(time)) => {
            pause(time).await;
            typed(value, MEDIA_TYPE)
        }
        Some(Fault::DoneAnd(code)) => status(code),
        _ => typed(value, MEDIA_TYPE),
    }
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn negotiate(Shared(server): Shared<Server>, headers: HeaderMap) -> Response {
    let fault = match admit(&server, Route::Negotiate, &headers, &[("accept", 406)]) {
        Ok(fault) => fault,
        Err(refusal) => return *refusal,
    };
    let filter = server.lock().expect("no handler panics").ways.filter.clone();
    finish(fault, &filter).await
}

async fn records(Shared(server): Shared<Server>, headers: HeaderMap) -> Response {
    let fault = match admit(&server, Route::Records, &headers, &[("accept", 406)]) {
        Ok(fault) => fault,
        Err(refusal) => return *refusal,
    };
    let listed = {
        let state = server.lock().expect("no handler panics");
        let all = state.records.values().flat_map(|endpoint| listed(endpoint, &state.ways));
        // Go writes null for a list that it never made.
        if state.records.is_empty() { Value::Null } else { all.collect() }
    };
    finish(fault, &listed).await
}

fn listed(endpoint: &Value, ways: &Ways) -> Vec<Value> {
    let mut one = endpoint.clone();
    let address = matches!(text(&one, "recordType"), "A" | "AAAA");
    if let (Some((name, value)), true) = (ways.lists, address) {
        one["providerSpecific"] = json!([{ "name": name, "value": value }]);
    }
    if ways.no_ttl {
        one.as_object_mut().map(|fields| fields.remove("recordTTL"));
    }
    if ways.unquotes && text(&one, "recordType") == "TXT" {
        one["targets"] = targets(&one).iter().map(|target| target.trim_matches('"')).collect();
    }
    if !ways.lists_apart {
        return vec![one];
    }
    let apart = |target: &str| {
        let mut copy = one.clone();
        copy["targets"] = json!([target]);
        copy
    };
    targets(&one).into_iter().map(apart).collect()
}

async fn adjust(Shared(server): Shared<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let desired = [("content-type", 415), ("accept", 406)];
    let fault = match admit(&server, Route::Adjust, &headers, &desired) {
        Ok(fault) => fault,
        Err(refusal) => return *refusal,
    };
    let Ok(Value::Array(endpoints)) = serde_json::from_slice(&body) else { return status(400) };
    let ways = server.lock().expect("no handler panics").ways.clone();
    let kept = |endpoint: &Value| ways.refuses_type != Some(text(endpoint, "recordType"));
    let adjusted = endpoints.into_iter().filter(kept).map(|mut endpoint| {
        let ttl = endpoint["recordTTL"].as_i64().unwrap_or_default();
        endpoint["recordTTL"] = ttl.max(ways.least_ttl).into();
        if let (Some((name, value)), true) = (ways.adds, text(&endpoint, "recordType") != "TXT") {
            endpoint["providerSpecific"] = json!([{ "name": name, "value": value }]);
        }
        if ways.one_target {
            endpoint["targets"] = vec![targets(&endpoint)[0]].into();
        }
        endpoint
    });
    let adjusted = adjusted.collect();
    finish(fault, &adjusted).await
}

async fn write(Shared(server): Shared<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let fault = match admit(&server, Route::Apply, &headers, &[("content-type", 415)]) {
        Ok(fault) => fault,
        Err(refusal) => return *refusal,
    };
    let Ok(changes) = serde_json::from_slice::<Value>(&body) else { return status(400) };
    // The slow ones write late, whether somebody still waits or not.
    if let Some(Fault::Slow(time)) = fault {
        let late = async move {
            pause(time).await;
            commit(&server, &changes, fault)
        };
        return tokio::spawn(late).await.expect("it does not panic");
    }
    commit(&server, &changes, fault)
}

fn commit(server: &Server, changes: &Value, fault: Option<Fault>) -> Response {
    let mut state = server.lock().expect("no handler panics");
    let changes = &halved(&mut state, changes);
    let half = if let Some(Fault::Half(count)) = fault { Some(count) } else { None };
    match changed(&state, changes, half) {
        Ok(records) => state.records = records,
        Err((code, reason)) => {
            state.reason = reason;
            return status(code);
        }
    }
    match fault {
        Some(Fault::DoneAnd(code)) => status(code),
        Some(Fault::Half(_)) => status(500),
        Some(Fault::Cut) => cut(&json!("done")),
        _ => status(204),
    }
}

/// The changes without the CNAME that is left out.
fn halved(state: &mut State, changes: &Value) -> Value {
    let mut changes = changes.clone();
    let Some(name) = state.ways.halves.clone() else { return changes };
    if let Some(created) = changes["create"].as_array_mut() {
        let before = created.len();
        created.retain(|one| !(text(one, "recordType") == "CNAME" && key(one).0 == name));
        if created.len() < before {
            state.halved += 1;
            state.ways.halves = None;
        }
    }
    changes
}

/// The zone afterwards: all of it or nothing, unless half of it is asked for.
fn changed(
    state: &State,
    changes: &Value,
    half: Option<usize>,
) -> Result<std::collections::BTreeMap<super::Key, Value>, (u16, String)> {
    let ways = &state.ways;
    if let Some(poison) = &ways.poison {
        let lists = changes.as_object().into_iter().flat_map(|fields| fields.values());
        let mut all = lists.flat_map(|list| list.as_array().into_iter().flatten());
        if all.any(|endpoint| key(endpoint).0 == *poison) {
            let code = if ways.poison_status == 0 { 500 } else { ways.poison_status };
            return Err((code, format!("{poison} is poison")));
        }
    }
    let names = || {
        let lists = changes.as_object().into_iter().flat_map(|fields| fields.values());
        lists.flat_map(|list| list.as_array().into_iter().flatten()).map(|endpoint| key(endpoint).0)
    };
    let is_refused = |name: String| ways.refuses.iter().any(|part| name.ends_with(&format!(".{part}")));
    if names().any(is_refused) {
        return Err((422, "a name is refused".to_owned()));
    }
    let ops = ops(changes, ways).map_err(|reason| (400, reason))?;
    let mut records = state.records.clone();
    for op in ops.iter().take(half.unwrap_or(usize::MAX)) {
        apply(&mut records, op, ways, state.zone).map_err(|reason| (500, reason))?;
    }
    Ok(records)
}
