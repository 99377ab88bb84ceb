//! Asks the running daemon through its admin API.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::args::Daemon;
use crate::error::CommandError;
use fleetdns_daemon::config::Whereabouts;

/// How long the daemon may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long when it has to plan first, which takes seconds in a large fleet.
pub(crate) const PLANNED: Duration = Duration::from_secs(120);

/// Gets a path of the daemon's admin API.
pub(crate) async fn ask<T: DeserializeOwned>(daemon: &Daemon, path: &str) -> Result<T, CommandError> {
    ask_within(DEADLINE, daemon, path).await
}

/// The same with another deadline.
pub(crate) async fn ask_within<T: DeserializeOwned>(
    deadline: Duration,
    daemon: &Daemon,
    path: &str,
) -> Result<T, CommandError> {
    let (base, hint) = base(daemon)?;
    let url = format!("{base}{path}");
    let fail = |error: reqwest::Error| {
        let why = fleetdns_daemon::chain(&error.without_url());
        CommandError::Failed(format!(
            "the daemon does not answer at {url}: {why}; is it running? --admin URL names another address{hint}"
        ))
    };
    let client = reqwest::Client::builder().no_proxy().timeout(deadline).build().map_err(fail)?;
    let answer = client.get(&url).send().await.and_then(reqwest::Response::error_for_status).map_err(fail)?;
    answer.json().await.map_err(fail)
}

/// The address that is typed, or else the config's, or else the default one; and what to add to an error.
fn base(daemon: &Daemon) -> Result<(String, String), CommandError> {
    if let Some(url) = &daemon.admin {
        return Ok((url.trim_end_matches('/').to_owned(), String::new()));
    }
    let found = Whereabouts::of(&daemon.flags);
    let address = found.listen.ok_or_else(|| {
        CommandError::Failed(
            "the config has [admin] listen = off: the daemon cannot be asked; --admin URL names an address"
                .to_owned(),
        )
    })?;
    Ok((format!("http://{address}"), found.hint()))
}
