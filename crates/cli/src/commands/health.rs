//! `fleetdns health`: whether the daemon is well, as an exit code, for probes that run a command.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::error::{CommandError, Exit};
use crate::output::plain;
use fleetdns_daemon::config::{Flags, Whereabouts};

/// As long as the probes of a kubelet usually wait.
const DEADLINE: Duration = Duration::from_secs(3);

/// Asks `/livez`, or `/readyz`; exit code 0 when all is well, otherwise 1 with the reasons.
///
/// # Errors
/// When the daemon does not answer.
pub async fn health(admin: Option<&str>, flags: &Flags, ready: bool) -> Result<Exit, CommandError> {
    let path = if ready { "readyz" } else { "livez" };
    let base = match admin {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => configured(&Whereabouts::of(flags))?,
    };
    let url = format!("{base}/{path}");
    let fail = |error: reqwest::Error| {
        CommandError::Failed(format!("no answer at {url}: {}", fleetdns_daemon::chain(&error.without_url())))
    };
    let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().map_err(fail)?;
    let answer = client.get(&url).send().await.map_err(fail)?;
    let good = answer.status().is_success();
    let text = answer.text().await.map_err(fail)?;
    // The exit code is the answer.
    let _ = plain(&text);
    Ok(if good { Exit::Done } else { Exit::Failed })
}

/// The admin API, or else the listener for probes.
fn configured(found: &Whereabouts) -> Result<String, CommandError> {
    let address = found.listen.or(found.metrics).map(reachable).ok_or_else(|| {
        CommandError::Failed("[admin] listen and metrics are off: nobody can ask the daemon".to_owned())
    })?;
    Ok(format!("http://{address}"))
}

/// An address that listens everywhere is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
