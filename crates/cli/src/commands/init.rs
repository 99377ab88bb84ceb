//! `fleetdns init`: a first `dns.conf` from kubefed's flags, and what to apply in each cluster.

use std::fs;
use std::io::Write;
use std::path::Path;

use fleetdns_daemon::config::{Config, Flags};

use super::account::RBAC;
use crate::args::InitArgs;
use crate::error::{CommandError, Exit};
use crate::output::plain;

/// Stands for the clusters that join later: faults are those of the rest.
const MEMBER: &str = "\n[cluster \"first\"]\n";

/// Writes the file, unless it is there already.
///
/// # Errors
/// When the file would have faults, when it is there, or when it cannot be written.
pub fn init(args: &InitArgs) -> Result<Exit, CommandError> {
    args.kubefed.report();
    let keys = match &args.dns_provider_config {
        Some(path) => fs::read_to_string(path).map_err(|error| failed("cannot be read", path, &error))?,
        None => String::new(),
    };
    let file = &args.config;
    if file.exists() {
        return Err(CommandError::Failed(format!(
            "{} exists already and is left as it is; -c FILE names another file",
            file.display()
        )));
    }
    // A mark of the encoding stands at the beginning of a file alone.
    let text = text(args) + keys.trim_start_matches('\u{feff}');
    Config::of_text(file, format!("{text}{MEMBER}").as_bytes(), &Flags::default())
        .map_err(CommandError::Config)?;
    let (written, shown) = (if args.dry_run { "would be written" } else { "written" }, file.display());
    if !args.dry_run {
        write(file, &text).map_err(|error| failed("cannot be written", file, &error))?;
    }
    plain(&format!(
        "{shown} {written}; it may hold secrets, and its owner alone can read it.\n\n\
         Next, for each cluster, with CONTEXT as its context of the kubeconfig:\n  \
         fleetdns join NAME --cluster-context=CONTEXT --yes -c {shown}\n\
         Then:\n  fleetdns check -c {shown}\n  fleetdns run -c {shown}\n\n\
         What join applies in each cluster, and join --print-rbac prints:\n\n{RBAC}"
    ))?;
    Ok(Exit::Done)
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::Failed(format!("{} {what}: {error}", path.display()))
}

fn text(args: &InitArgs) -> String {
    let zone = &args.dns_zone_name;
    let flags = args.kubefed.complete(&Flags {
        zone_id: args.zone_id.clone(),
        service_dns_suffix: args.service_dns_suffix.clone(),
        ..Flags::default()
    });
    let mut text = format!(
        "# Written by fleetdns init. Clusters are added by fleetdns join, and fleetdns check looks for faults.\n\
         [fleet]\nname = {}\n\n[zone \"{zone}\"]\nprovider = {}\n",
        args.name, args.dns_provider
    );
    for (key, value) in [("zone-id", flags.zone_id), ("suffix", flags.service_dns_suffix)] {
        text.extend(value.map(|value| format!("{key} = {value}\n")));
    }
    text.push('\n');
    text
}

/// Writes a file that was not there, whole or not at all, for its owner alone.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let path = std::path::absolute(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::Builder::new().prefix(".dns.conf").tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(&path)?;
    Ok(())
}
