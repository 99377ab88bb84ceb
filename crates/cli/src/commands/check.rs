//! `fleetdns check`: config, clusters, rights and zones, with what to do about each fault.

use std::io::Write;
use std::time::Duration;

use fleetdns_core::Finding;
use fleetdns_core::text::age;
use fleetdns_watch::Origin;
use futures::FutureExt;
use futures::future::join_all;
use serde::Serialize;

use crate::args::Format;
use crate::error::{CommandError, Exit};
use crate::output::show;
use crate::progress::Progress;
use fleetdns_daemon::config::{Config, Fault, Flags};
use fleetdns_daemon::denied::by_rule;
use fleetdns_daemon::ha;
use fleetdns_daemon::registry::Registry;
use fleetdns_daemon::view::Status;

/// The daemon of this config, when it runs on this machine: what it has opened is no fault of another program.
pub(super) async fn running(config: &Config) -> Option<Status> {
    let url = format!("http://{}/v1/status", config.admin.listen?);
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().ok()?;
    let answer = client.get(url).send().await.ok()?.error_for_status().ok()?;
    let status: Status = answer.json().await.ok()?;
    (status.fleet == config.fleet.name.as_str()).then_some(status)
}

/// A daemon that runs answers at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether what the replicas share can be read, and who leads.
async fn replicas(config: &Config) -> Option<Line> {
    let (good, text) = match ha::look(config).await? {
        Ok(text) => (true, text),
        Err(text) => (false, text),
    };
    Some(Line { what: "replicas".to_owned(), good, text })
}

#[derive(Debug, Serialize)]
struct Line {
    what: String,
    good: bool,
    text: String,
}

/// Looks at everything at once, each with its own deadline; exit code 1 when something is not as it should be.
///
/// # Errors
/// When the config has faults, unless what reads them is a program.
pub async fn check(flags: &Flags, format: Format) -> Result<Exit, CommandError> {
    let mut config = match Config::load(flags) {
        Ok(config) => config,
        Err(faults) if format == Format::Json => {
            let line =
                |fault: &Fault| Line { what: "config".to_owned(), good: false, text: fault.to_string() };
            show(format, &faults.iter().map(line).collect::<Vec<_>>(), |_| Ok(()))?;
            return Ok(Exit::Unusable);
        }
        Err(faults) => return Err(CommandError::Config(faults)),
    };
    config.discover().await;
    let mut lines = vec![Line {
        what: "config".to_owned(),
        good: true,
        text: format!(
            "{}: {} clusters, {} zones",
            flags.file().display(),
            config.members.len(),
            config.zones.len()
        ),
    }];
    lines.extend(config.notes.iter().map(|note| Line {
        what: "config".to_owned(),
        good: true,
        text: format!("note: {note}"),
    }));
    lines.extend(config.sources().into_iter().map(|text| Line {
        what: "discovery".to_owned(),
        good: true,
        text,
    }));
    lines.extend(config.source_faults.iter().map(|fault| Line {
        what: "discovery".to_owned(),
        good: false,
        text: fault.clone(),
    }));

    let members = config.members.clone();
    let (settings, writes) = (config.watch_settings(), config.kubernetes.writes());
    let progress = Progress::start("checking clusters and zones", members.len() + config.zones.len());
    let asked = members.iter().map(|member| async {
        let findings = fleetdns_watch::check(member, &settings, &writes).await;
        let origin = match member.origin {
            Origin::Config => String::new(),
            ref other => format!(" ({other})"),
        };
        (format!("cluster {}{origin}", member.name), findings)
    });
    let registry = Registry::new();
    let mut providers = Vec::new();
    for zone in &config.zones {
        providers.push((&zone.settings, zone.connect(&registry).map_err(CommandError::Config)?));
    }
    let running = running(&config).await;
    if let Some(running) = &running {
        registry.assume_served(|zone| running.zones.iter().any(|line| line.name == zone.as_str()));
        lines.push(Line {
            what: "daemon".to_owned(),
            good: true,
            text: format!("fleetdns {} runs here, up {}", running.version, age(running.uptime_seconds)),
        });
    }
    let rules = async {
        match running {
            Some(running) => running.hostnames,
            None => {
                let snapshot = fleetdns_watch::list_once(&config.members(), Vec::new()).await;
                by_rule(&snapshot, &config.hostnames)
            }
        }
    };
    let looked_at = providers.iter().map(|(settings, provider)| async {
        (format!("zone {}", settings.zone), provider.check(&settings.suffix).await)
    });
    let asked = asked.map(|asked| asked.inspect(|_| progress.step()));
    let looked_at = looked_at.map(|looked_at| looked_at.inspect(|_| progress.step()));
    let (clusters, zones, rules) = tokio::join!(join_all(asked), join_all(looked_at), rules);
    drop(progress);
    lines.extend(rules.iter().map(|rule| Line {
        what: "hostnames".to_owned(),
        good: true,
        text: rule.to_string(),
    }));
    for (what, findings) in clusters.into_iter().chain(zones) {
        lines.extend(findings.into_iter().map(|Finding { good, text }| Line {
            what: what.clone(),
            good,
            text,
        }));
    }

    lines.extend(replicas(&config).await);

    let good = lines.iter().all(|line| line.good);
    show(format, &lines, |out| {
        lines.iter().try_for_each(|line| {
            let mark = if line.good { "\u{1b}[32mok\u{1b}[0m  " } else { "\u{1b}[31mFAIL\u{1b}[0m" };
            writeln!(out, "{mark}  {}: {}", line.what, line.text)
        })
    })?;
    Ok(if good { Exit::Done } else { Exit::Failed })
}
