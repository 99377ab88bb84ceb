//! An API server that is asked now and then: its client is made when it is first needed, and again after a fault that
//! wants a new one.

use std::time::Duration;

use kube::core::request::Error as RequestError;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::access::{Access, Connector};
use crate::api::Api;
use crate::error::Fault;
use crate::limits::Limits;

pub(crate) struct LazyApi {
    state: Mutex<State>,
    /// Of one request.
    deadline: Duration,
}

struct State {
    connector: Connector,
    api: Option<Api>,
}

impl LazyApi {
    pub(crate) fn new(access: Access, deadline: Duration) -> Self {
        Self { state: Mutex::new(State { connector: Connector::new(access), api: None }), deadline }
    }

    /// Sends a request.
    pub(crate) async fn answer<T: for<'a> Deserialize<'a>>(
        &self,
        action: &'static str,
        request: Result<http::Request<Vec<u8>>, RequestError>,
    ) -> Result<T, Fault> {
        let api = self.api().await?;
        let request = request.map_err(|error| api.broken(action, &error.to_string()))?;
        let answer = api.answer(action, request).await;
        if answer.as_ref().is_err_and(Fault::wants_new_client) {
            self.state.lock().await.api = None;
        }
        answer
    }

    async fn api(&self) -> Result<Api, Fault> {
        let mut state = self.state.lock().await;
        if let Some(api) = &state.api {
            return Ok(api.clone());
        }
        let connection = state.connector.connect(self.deadline).await?;
        let api = Api::new(connection, self.deadline, None, Limits::default());
        state.api = Some(api.clone());
        Ok(api)
    }
}
