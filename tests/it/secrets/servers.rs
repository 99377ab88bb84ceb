//! Servers that take every credential, or refuse each and show it in every way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleetdns_fakes::webhook::MEDIA_TYPE;
use fleetdns_tests::hostile::{Body, Hostile, Reply, Request};
use serde_json::{Value, json};

use crate::hostile_members::{list, object};

/// In which words a server refuses.
#[derive(Clone, Copy)]
pub(super) enum Words {
    /// A Status of Kubernetes.
    Kubernetes,
    /// An error of AWS.
    Aws,
    /// Text alone: a webhook, a proxy.
    Text(&'static str),
}

/// What a request had in its head: each value by itself, what is base64 in it, and all of it.
fn echo(request: &Request) -> String {
    let values = request.head.lines().filter_map(|line| line.split_once(": ")).map(|(_, value)| value);
    let words = values.flat_map(|value| [Some(value), value.split(' ').nth(1)]).flatten();
    let mut text: Vec<String> = words.map(str::to_owned).collect();
    let decoded = text.iter().filter_map(|word| String::from_utf8(STANDARD.decode(word).ok()?).ok());
    let decoded: Vec<String> = decoded
        .flat_map(|pair| {
            let password = pair.split_once(':').map(|(_, password)| password.to_owned());
            [Some(pair), password]
        })
        .flatten()
        .collect();
    // The most telling first: what is shown is cut.
    text.sort_by_key(|word| !word.contains("Bearer") && !word.contains("Basic"));
    let all = [decoded, text].concat().join(" is bad, ");
    format!("{all} {}", request.head.replace(['\r', '\n'], " "))
}

fn refusal(request: &Request, words: Words) -> Reply {
    let text = echo(request);
    let (status, body) = match words {
        Words::Kubernetes => {
            let body = json!({"kind": "Status", "status": "Failure", "code": 401, "reason": text, "message": text,
                              "details": {"name": text, "causes": [{"message": text}]}});
            ("401 Unauthorized", body.to_string())
        }
        Words::Aws => (
            "403 Forbidden",
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>{}</Message></Error>\
                 <RequestId>{}</RequestId></ErrorResponse>",
                text.replace(['<', '&'], ""),
                "x"
            ),
        ),
        Words::Text(status) => (status, text.clone()),
    };
    // As header values too, which libraries log.
    let shown: String = text.chars().take(2000).collect();
    let headers = format!(
        "www-authenticate: Bearer error=\"{}\"\r\nx-shown: {shown}\r\nlocation: http://x/{}\r\n",
        shown.replace('"', ""),
        shown.replace(' ', "/")
    );
    Reply { status, headers, body: Body::Whole(body.into_bytes()) }
}

/// One that refuses everything and shows what it was sent.
pub(super) async fn refusing(words: Words) -> Hostile {
    Hostile::start(move |request| refusal(request, words)).await
}

/// A member that takes every credential, with one Service.
pub(super) async fn member(secrets: Vec<Value>) -> Hostile {
    Hostile::start(move |Request { path, .. }| {
        let service = object("default", "web", &json!({"fleetdns.io/probe": "none"}), "203.0.113.9");
        let body = match path.as_str() {
            _ if path.contains("watch=") => return Reply::json(Body::Held(Vec::new())),
            path if path.starts_with("/api/v1/services") => list(&[service]),
            path if path.contains("/secrets") => {
                json!({"kind": "SecretList", "metadata": {"resourceVersion": "7"}, "items": secrets})
                    .to_string()
                    .into_bytes()
            }
            _ => br#"{"kind":"NodeList","metadata":{"resourceVersion":"7"},"items":[]}"#.to_vec(),
        };
        Reply::json(Body::Whole(body))
    })
    .await
}

/// A webhook that takes every token.
pub(super) async fn webhook(zone: String) -> Hostile {
    Hostile::start(move |Request { method, path, .. }| {
        let (status, body) = match (method.as_str(), path.as_str()) {
            ("GET", "/records") => ("200 OK", json!([])),
            ("POST", "/records") => ("204 No Content", Value::Null),
            ("POST", _) => ("200 OK", json!([])),
            _ => ("200 OK", json!({"include": [zone]})),
        };
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        Reply { status, headers: format!("content-type: {MEDIA_TYPE}\r\n"), body: Body::Whole(body) }
    })
    .await
}
