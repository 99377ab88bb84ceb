//! Completion of the command line: commands and flags from clap, names from the running daemon.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, CompletionCandidate, Shell};
use fleetdns_daemon::config::{Flags, Outside};
use fleetdns_daemon::view::{RecordLine, Status};
use serde::de::DeserializeOwned;

use crate::args::{Cli, Daemon, Format, Output};
use crate::commands::ask::ask;
use crate::error::{CommandError, Exit};

/// A shell sets it to its name when it asks what can follow.
const VARIABLE: &str = "FLEETDNS_COMPLETE";
/// Who presses a key does not wait longer for names.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers a shell that asks what can follow; whether one did.
///
/// # Errors
/// When the shell is not known, or does not read the answer.
pub fn answer() -> Result<bool, clap::Error> {
    let directory = std::env::current_dir().ok();
    let line = std::env::args_os();
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).try_complete(line, directory.as_deref())
}

/// `fleetdns completion`: prints what the shell has to source.
///
/// # Errors
/// When it cannot be written.
pub fn script(shell: Shell) -> Result<Exit, CommandError> {
    let mut text = Vec::new();
    let shell = shell.to_string();
    let completer = Shells::builtins();
    let completer = completer.completer(&shell);
    let completer =
        completer.ok_or_else(|| CommandError::Failed(format!("no completion for {shell} is known")))?;
    let written = completer.write_registration(VARIABLE, "fleetdns", "fleetdns", "fleetdns", &mut text);
    written
        .and_then(|()| std::io::stdout().write_all(&text))
        .map_err(|error| CommandError::failed(&error))?;
    Ok(Exit::Done)
}

/// Names of the clusters.
pub fn clusters() -> Vec<CompletionCandidate> {
    let status: Option<Status> = of_daemon("/v1/status");
    candidates(status.into_iter().flat_map(|status| status.clusters).map(|line| line.name))
}

/// Names of the zones.
pub fn zones() -> Vec<CompletionCandidate> {
    let status: Option<Status> = of_daemon("/v1/status");
    candidates(status.into_iter().flat_map(|status| status.zones).map(|line| line.name))
}

/// What can be drained and forced: clusters, and Services that have a record.
pub fn subjects() -> Vec<CompletionCandidate> {
    let status: Option<Status> = of_daemon("/v1/status");
    let clusters = status.into_iter().flat_map(|status| status.clusters);
    let services = services(&records()).into_iter().map(|service| format!("service/{service}"));
    candidates(clusters.map(|line| format!("cluster/{}", line.name)).chain(services))
}

/// DNS names of ours, and Services that have one.
pub fn names() -> Vec<CompletionCandidate> {
    let records = records();
    let services = services(&records);
    candidates(records.into_iter().map(|line| line.name).chain(services))
}

/// Contexts of the kubeconfig.
pub fn contexts() -> Vec<CompletionCandidate> {
    let given = value_of(&line(), &["--kubeconfig"]).map(|path| vec![PathBuf::from(path)]);
    let paths = given.unwrap_or_else(|| Outside::system(&|_| Ok(Vec::new())).kubeconfig());
    candidates(fleetdns_watch::contexts(&paths).unwrap_or_default())
}

fn records() -> Vec<RecordLine> {
    of_daemon("/v1/records?all=false").unwrap_or_default()
}

fn services(records: &[RecordLine]) -> Vec<String> {
    let services = records.iter().filter_map(|line| line.service.as_ref());
    services.flat_map(|list| list.split(", ")).map(str::to_owned).collect()
}

fn candidates(texts: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    let texts: std::collections::BTreeSet<String> = texts.into_iter().collect();
    texts.into_iter().map(CompletionCandidate::new).collect()
}

fn line() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// The value of a flag in a line that is not complete yet.
fn value_of(line: &[OsString], flags: &[&str]) -> Option<String> {
    line.iter().enumerate().find_map(|(at, word)| {
        let word = word.to_str()?;
        let (flag, value) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
        let known = flags.contains(&flag);
        known.then(|| value.or_else(|| line.get(at.saturating_add(1))?.to_str()).map(str::to_owned))?
    })
}

/// What the daemon answers at a path; nothing when it does not in time.
fn of_daemon<T: DeserializeOwned>(path: &str) -> Option<T> {
    let line = line();
    let config = value_of(&line, &["-c", "--config", "--dns-provider-config"]).map(PathBuf::from);
    let daemon = Daemon {
        admin: value_of(&line, &["--admin"]),
        flags: Flags { config, ..Flags::default() },
        output: Output { output: Format::Json },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(&daemon, path)).await }).ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_found_in_a_line_that_is_not_complete() {
        for (line, expected) in [
            ("fleetdns drain -c a.conf cl", Some("a.conf")),
            ("fleetdns drain --config=a.conf", Some("a.conf")),
            ("fleetdns drain -c", None),
            ("fleetdns drain --configure a.conf", None),
        ] {
            let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(value_of(&line, &["-c", "--config"]).as_deref(), expected, "{line:?}");
        }
    }
}
