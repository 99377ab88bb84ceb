//! Answers and the three forms of errors.

use axum::body::Body;
use axum::response::Response;
use futures::stream;
use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
}

impl Answer {
    pub const fn of(status: u16, body: Value) -> Self {
        Self { status, headers: vec![], body }
    }

    /// As ARM says it.
    pub fn arm(status: u16, code: &str, message: &str) -> Self {
        Self::of(status, json!({ "error": { "code": code, "message": message } }))
    }

    /// As the DNS service behind it does.
    pub fn dns(status: u16, code: &str, message: &str) -> Self {
        Self::of(status, json!({ "code": code, "message": message }))
    }

    /// As it comes at times: JSON in a JSON string.
    pub fn twice(status: u16, code: &str, message: &str) -> Self {
        Self::of(status, json!(json!({ "code": code, "message": message }).to_string()))
    }

    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn into_response(self, cut: bool) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        response = response.header("content-type", "application/json; charset=utf-8");
        if cut {
            // The connection ends in the middle of the answer.
            let broken = stream::iter([Err::<&str, _>(std::io::Error::other("cut"))]);
            return response.body(Body::from_stream(broken)).unwrap();
        }
        let text = if self.status == 204 { String::new() } else { self.body.to_string() };
        response.body(Body::from(text)).unwrap()
    }
}
