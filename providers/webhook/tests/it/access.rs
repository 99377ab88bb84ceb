//! Agreeing on the protocol: media type, domain filter, token, TLS.

use std::sync::Arc;

use fleetdns_core::ProviderError;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::{all_done, checked, pass};
use fleetdns_fakes::conformance::{Backend, Fleet, OWNER, converge, with_causes};
use fleetdns_fakes::webhook::{Fault, Route, Webhook};

#[tokio::test]
async fn another_media_type_is_no_webhook() {
    for other in ["application/json", "application/external.dns.webhook+json;version=2", "text/html"] {
        let hook = Webhook::start().await;
        let provider = hook.provider(OWNER);
        (0..2).for_each(|_| hook.fault(Route::Negotiate, Fault::MediaType(other)));
        let error = provider.list().await.unwrap_err();
        assert!(matches!(error, ProviderError::Denied { .. }), "{error:?}");
        assert!(error.to_string().contains(other) && error.to_string().contains("set url to"), "{error}");
        assert_eq!(hook.calls(Route::Records), 0, "it is not asked for more");
        assert!(checked(&*provider).await.starts_with("FAIL"));
    }
    let hook = Webhook::start().await;
    hook.fault(Route::Negotiate, Fault::MediaType("application/external.dns.webhook+json; version=1"));
    hook.provider(OWNER).list().await.unwrap();
}

#[tokio::test]
async fn a_zone_that_the_filter_leaves_out_is_not_written() {
    for (filter, good, text) in [
        (json!({ "include": ["example.org"] }), false, "(include example.org) leaves example.com out"),
        (json!({ "exclude": ["com"] }), false, "(exclude com) leaves example.com out"),
        (json!({ "regexInclude": "\\.example\\.org$" }), false, "leaves example.com out"),
        (json!({ "regexInclude": "example\\.com$" }), true, "serves some names of example.com"),
        (json!({ "include": ["www.example.com"] }), true, "serves some names of example.com"),
        (json!({ "include": null }), true, "serves example.com (domain filter: none)"),
        // As the OpenAPI file has it, and no code.
        (json!({ "filters": ["example.org"] }), true, "serves example.com (domain filter: none)"),
    ] {
        let hook = Webhook::start().await;
        hook.state().ways.filter = filter.clone();
        let provider = hook.provider(OWNER);
        let found = checked(&*provider).await;
        assert!(found.contains(text) && found.contains("FAIL") != good, "{filter}: {found}");
        let list = provider.list().await;
        // Of an expression nobody can say which names of the zone it may match.
        assert_eq!(list.is_ok(), good || filter.get("regexInclude").is_some(), "{filter}: {list:?}");
    }
    for filter in
        [json!({ "regexInclude": "(" }), json!({ "include": ["a"], "regexExclude": "b" }), json!("x")]
    {
        let hook = Webhook::start().await;
        hook.state().ways.filter = filter;
        assert!(hook.provider(OWNER).list().await.is_err());
    }
}

/// A webhook leaves out silently what its filter does not serve; here it is said, and nothing is sent.
#[tokio::test]
async fn names_that_the_filter_leaves_out_are_refused_by_name() {
    let fleet = Fleet::of(&[("a.in.example.com", &["203.0.113.1"]), ("a.out.example.com", &["203.0.113.1"])]);
    for filter in [
        json!({ "include": ["in.example.com"] }),
        json!({ "include": ["example.com"], "exclude": [".out.example.com"] }),
        json!({ "regexInclude": "in\\.example\\.com$" }),
        // The record would pass, and its mark would not.
        json!({ "regexExclude": "^_fleetdns.*out" }),
    ] {
        let hook = Webhook::start().await;
        hook.state().ways.filter = filter.clone();
        let mut words = pass(&*hook.provider(OWNER), &fleet).await;
        let word = words.remove("a.out.example.com").unwrap();
        assert!(word.contains("domain filter of the webhook"), "{filter}: {word}");
        all_done(&words, 1);
        assert_eq!(hook.dump().len(), 2);
    }
}

#[tokio::test]
async fn what_a_person_has_to_mend_is_named() {
    let hook = Webhook::start().await;
    hook.state().token = Some("geheim");
    let provider = hook.provider(OWNER);
    let error = provider.list().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Denied { .. }) && error.to_string().contains("bearer-token"),
        "{error}"
    );
    let provider = hook.connect(OWNER, &[("bearer-token", "geheim")]);
    converge(&*provider, &Fleet::of(&[("web.example.com", &["203.0.113.1"])])).await;

    let elsewhere = vec![("location", "https://elsewhere.example/".to_owned())];
    hook.fault(Route::Negotiate, Fault::Answer(308, elsewhere));
    let error = provider.list().await.unwrap_err();
    assert!(error.to_string().contains("points to https://elsewhere.example/"), "{error}");
    let nowhere = hook.connect(OWNER, &[("url", &format!("{}/nowhere", hook.url))]);
    let error = with_causes(&nowhere.list().await.unwrap_err());
    assert!(error.contains("404"), "{error}");
    let file = hook.connect(OWNER, &[("ca-file", "/nowhere/ca.pem")]);
    assert!(file.list().await.unwrap_err().to_string().contains("/nowhere/ca.pem"));
}

/// Over TLS, with an authority of one's own.
#[tokio::test]
async fn https_is_verified() {
    let hook = Webhook::start().await;
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let plain = hook.url.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, plain) = (acceptor.clone(), plain.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = tokio::net::TcpStream::connect(plain).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certified.cert.pem()).unwrap();
    let trusting = hook.connect(OWNER, &[("url", &url), ("ca-file", file.to_str().unwrap())]);
    converge(&*trusting, &Fleet::of(&[("web.example.com", &["203.0.113.1"])])).await;
    let error = with_causes(&hook.connect(OWNER, &[("url", &url)]).list().await.unwrap_err());
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    assert_eq!(hook.get("web.example.com", "A").map(|one| one["recordTTL"].clone()), Some(Value::from(30)));
}
