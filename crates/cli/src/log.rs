//! Logging to standard error.

use fleetdns_daemon::config::LogFormat;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error; `RUST_LOG` says more or less.
pub fn start(format: LogFormat, default: &str) {
    // One library says every query, the other every connection that fails: we say both once, in our own words.
    let quiet = format!("{default},hickory_server=warn,kube_client=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only where a subscriber is set already, and then that one stays.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
