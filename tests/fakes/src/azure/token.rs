//! The token service: client credentials with a secret or an assertion.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use rustls::SignatureScheme;
use serde_json::json;

use super::route::percent_decode;
use super::{Answer, CLIENT, Call, SECRET, TENANT, World};

/// The assertion that is taken.
pub(super) const ASSERTION: &str = "eyJ.assertion.x";

/// Where a machine asks for its identity, and what it has to send along.
pub const IDENTITY_PATH: &str = "/msi/token";
pub const IDENTITY_HEADER: &str = "a-guid";

pub(super) fn serve(world: &mut World, call: &Call) -> Answer {
    if call.path == IDENTITY_PATH {
        return identity(world, call);
    }
    let expected = format!("/{TENANT}/oauth2/v2.0/token");
    if call.method != "POST" || call.path != expected {
        return refuse("AADSTS90002", "Tenant not found. Check to make sure you have the correct tenant ID.");
    }
    if let Some((code, message)) = world.token_fault {
        return refuse(code, message);
    }
    let text = String::from_utf8(call.body.to_vec()).unwrap();
    let form: BTreeMap<String, String> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (percent_decode(key), percent_decode(&value.replace('+', " "))))
        .collect();
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    if field("grant_type") != "client_credentials" || field("scope") != format!("{}/.default", world.origin) {
        return refuse("AADSTS1002012", "The provided value for scope is not valid.");
    }
    if field("client_id") != CLIENT {
        return refuse("AADSTS700016", "Application with this identifier was not found in the directory.");
    }
    let assertion = field("client_assertion");
    let by_assertion = (assertion == ASSERTION || is_signed(world, assertion))
        && field("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    if field("client_secret") != world.password.as_deref().unwrap_or(SECRET) && !by_assertion {
        return refuse("AADSTS7000215", "Invalid client secret provided.");
    }
    let token = token(world);
    Answer::of(
        200,
        json!({ "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token }),
    )
}

/// Whether the application signed this for us: issuer, audience and signature (RFC 7523 §3).
fn is_signed(world: &World, assertion: &str) -> bool {
    let (Some(key), Some((text, signature))) = (&world.public_key, assertion.rsplit_once('.')) else {
        return false;
    };
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap_or_default();
    let claims: serde_json::Value =
        match text.split_once('.').map(|(_, claims)| serde_json::from_slice(&decode(claims))) {
            Some(Ok(claims)) => claims,
            _ => return false,
        };
    let endpoint = format!("{}/{TENANT}/oauth2/v2.0/token", world.origin);
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.mapping;
    let signed = algorithms
        .iter()
        .filter(|(scheme, _)| *scheme == SignatureScheme::RSA_PSS_SHA256)
        .flat_map(|(_, algorithms)| *algorithms)
        .any(|algorithm| algorithm.verify_signature(key, text.as_bytes(), &decode(signature)).is_ok());
    signed && claims["iss"] == CLIENT && claims["sub"] == CLIENT && claims["aud"] == endpoint
}

fn token(world: &mut World) -> String {
    let token = format!("{}-{}", world.token.as_deref().unwrap_or("token"), world.tokens.len());
    world.tokens.push(token.clone());
    token
}

/// The identity service of App Service and its like.
fn identity(world: &mut World, call: &Call) -> Answer {
    let resource = call.query.get("resource").map(|text| text.trim_end_matches('/'));
    let known = call.query.get("api-version").is_some_and(|version| version == "2019-08-01")
        && call.headers.get("x-identity-header").is_some_and(|text| text == IDENTITY_HEADER)
        && resource == Some(world.origin.as_str());
    if call.method != "GET" || !known {
        return Answer::of(
            400,
            json!({ "statusCode": 400, "message": "The request is not as it has to be." }),
        );
    }
    let token = token(world);
    Answer::of(
        200,
        json!({ "token_type": "Bearer", "expires_on": "4102444800", "access_token": token,
        "resource": world.origin }),
    )
}

fn refuse(code: &str, message: &str) -> Answer {
    let number: u32 = code.trim_start_matches("AADSTS").parse().unwrap();
    let body = json!({
        "error": "invalid_client",
        "error_description": format!("{code}: {message} Trace ID: 0 Correlation ID: 0 Timestamp: 2026-11-22 00:00:00Z"),
        "error_codes": [number],
        "timestamp": "2026-11-22 00:00:00Z",
        "trace_id": "0",
        "correlation_id": "0",
    });
    Answer::of(if code == "AADSTS90002" { 400 } else { 401 }, body)
}
