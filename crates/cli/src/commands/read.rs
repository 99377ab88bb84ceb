//! Commands that ask the running daemon: `status`, `clusters`, `records`, `snapshot`.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use fleetdns_core::text::age;
use fleetdns_planner::simulate::Scenario;
use fleetdns_planner::{HeldLine, Reason};

use super::ask::ask;
use super::overrides::override_table;
use crate::args::{Daemon, Format};
use crate::error::{CommandError, Exit};
use crate::output::{Text, json, plain, show, yaml};
use fleetdns_daemon::self_checks::CanaryLine;
use fleetdns_daemon::view::{ClusterLine, NeverAnsweredLine, RecordLine, Status, ZoneLine};

/// Between two answers to `status --watch`.
const AGAIN: Duration = Duration::from_secs(2);

/// `fleetdns records`.
///
/// # Errors
/// When the daemon cannot be asked.
pub async fn records(daemon: &Daemon, all: bool) -> Result<Exit, CommandError> {
    let lines: Vec<RecordLine> = ask(daemon, &format!("/v1/records?all={all}")).await?;
    show(daemon.output.output, &lines, |out| {
        let row = |line: &RecordLine| {
            let owner =
                if line.ours { line.service.clone().unwrap_or_default() } else { "(foreign)".to_owned() };
            let (name, record_type) = (line.name.clone(), line.record_type.clone());
            [owner, line.members.join(","), name, line.ttl.to_string(), record_type, line.values.join(" ")]
        };
        // The values last: their number has no limit, and a column behind them would be pushed to the right.
        let headings = ["SERVICE", "CLUSTERS", "NAME", "TTL", "TYPE", "VALUES"];
        let wide: &[&str] = if all { &["CLUSTERS"] } else { &["SERVICE", "CLUSTERS"] };
        out.table(headings, wide, lines.iter().map(row))
    })?;
    let status: Status = ask(daemon, "/v1/status").await?;
    if let Some(replica) = status.replica.filter(|_| !status.leads) {
        eprintln!("{replica}");
    }
    Ok(Exit::Done)
}

/// `fleetdns clusters`.
///
/// # Errors
/// When the daemon cannot be asked.
pub async fn clusters(daemon: &Daemon) -> Result<Exit, CommandError> {
    let status: Status = ask(daemon, "/v1/status").await?;
    show(daemon.output.output, &status.clusters, |out| cluster_table(out, &status.clusters))?;
    Ok(Exit::Done)
}

/// `fleetdns status`.
///
/// # Errors
/// When the daemon cannot be asked, or its answer not be written; to `watch` goes on while the daemon is away.
pub async fn status(daemon: &Daemon, watch: bool) -> Result<Exit, CommandError> {
    loop {
        let status = ask::<Status>(daemon, "/v1/status").await;
        if watch && std::io::stdout().is_terminal() {
            // Clears the terminal and begins at its top.
            plain("\u{1b}[2J\u{1b}[H")?;
        }
        let read = match status {
            Ok(status) => show(daemon.output.output, &status, |out| status_text(out, &status))?,
            Err(error) if watch => {
                error.print();
                true
            }
            Err(error) => return Err(error),
        };
        if !watch || !read {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn status_text(out: &mut Text<'_>, status: &Status) -> std::io::Result<()> {
    writeln!(out, "fleet {}, fleetdns {}, up {}", status.fleet, status.version, age(status.uptime_seconds))?;
    if let Some(replica) = &status.replica {
        writeln!(out, "replica: {replica}")?;
    }
    if let Some(self_check) = &status.self_check {
        writeln!(out, "self-check: {}", self_check.reason)?;
    }
    if let Some(fault) = &status.state_fault {
        writeln!(out, "overrides cannot be saved, orders such as drain are refused: {fault}")?;
    }
    for fault in &status.config_faults {
        writeln!(out, "configuration on disk not taken up: {fault}")?;
    }
    for fault in &status.source_faults {
        writeln!(out, "discovery: {fault}")?;
    }
    for key in &status.config_at_restart {
        writeln!(out, "changed on disk, takes effect at the next start: {key}")?;
    }
    writeln!(out)?;
    cluster_table(out, &status.clusters)?;
    writeln!(out)?;
    canary_table(out, &status.canaries)?;
    probe_lines(out, status)?;
    writeln!(out)?;
    zone_table(out, &status.zones)?;
    if !status.overrides.is_empty() {
        writeln!(out)?;
        override_table(out, &status.overrides)?;
    }
    for zone in &status.zones {
        let said = |text: &Option<String>| {
            let reason = |text: &String| Reason { name: zone.name.clone(), reason: text.clone() };
            text.iter().map(reason).collect::<Vec<_>>()
        };
        reasons(out, "FAULT", &said(&zone.fault))?;
        reasons(out, "OTHER WRITER", &said(&zone.other_writer))?;
        reasons(out, "START-UP", &said(&zone.startup))?;
        let held = |line: &HeldLine| Reason { name: line.name.clone(), reason: line.to_string() };
        reasons(out, "HELD", &zone.held.iter().map(held).collect::<Vec<_>>())?;
        reasons(out, "REFUSED", &zone.refused)?;
    }
    Ok(())
}

fn cluster_table(out: &mut Text<'_>, clusters: &[ClusterLine]) -> std::io::Result<()> {
    let row = |line: &ClusterLine| {
        let verdicts: Vec<String> =
            line.verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        [
            line.name.clone(),
            line.inventory.clone(),
            line.region.clone(),
            line.zones.join(","),
            line.source.clone(),
            line.services.to_string(),
            line.health.clone(),
            verdicts.join(", "),
            line.fault.clone().unwrap_or_default(),
        ]
    };
    let headings =
        ["CLUSTER", "STATUS", "REGION", "ZONES", "SOURCE", "SERVICES", "HEALTH", "ENDPOINTS", "FAULT"];
    out.table(headings, &["ZONES", "SOURCE"], clusters.iter().map(row))
}

fn canary_table(out: &mut Text<'_>, canaries: &[CanaryLine]) -> std::io::Result<()> {
    let row = |line: &CanaryLine| {
        let heard = match line.heard {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let ago = line.seconds_ago.map(age).unwrap_or_default();
        [line.name.clone(), heard.to_owned(), line.last.clone(), ago]
    };
    out.table(["CANARY", "HEARD", "LAST PROBE", "AGE"], &[], canaries.iter().map(row))
}

/// What probes cannot say, and what they never said.
fn probe_lines(out: &mut Text<'_>, status: &Status) -> std::io::Result<()> {
    for line in &status.unprobeable {
        let what =
            if line.unprobeable == "hold" { "held as they are" } else { "published as their clusters say" };
        writeln!(out, "unprobeable: {} {} addresses, {what}", line.addresses, line.family)?;
    }
    for rule in &status.hostnames {
        writeln!(out, "hostnames: {rule}")?;
    }
    for of in &status.probes_put_off {
        writeln!(
            out,
            "probes put off: {} of namespace {}, by up to {} ms: {}",
            of.probes, of.namespace, of.longest_ms, of.limit
        )?;
    }
    if let Some(first) = status.never_answered.first() {
        writeln!(
            out,
            "never answered: {} endpoints, such as {} of {} in {}: {}",
            status.never_answered_count, first.address, first.service, first.cluster, first.error
        )?;
    }
    if out.wide && !status.never_answered.is_empty() {
        let row = |line: &NeverAnsweredLine| {
            [&line.address, &line.service, &line.cluster, &line.probe, &line.error].map(Clone::clone)
        };
        let headings = ["NEVER ANSWERED", "SERVICE", "CLUSTER", "PROBE", "LAST ERROR"];
        out.table(headings, &[], status.never_answered.iter().map(row))?;
    }
    Ok(())
}

fn zone_table(out: &mut Text<'_>, zones: &[ZoneLine]) -> std::io::Result<()> {
    let row = |line: &ZoneLine| {
        [
            line.name.clone(),
            line.provider.clone(),
            line.owned.to_string(),
            line.written.to_string(),
            line.failed.to_string(),
            line.listed_seconds_ago.map_or_else(|| "never".to_owned(), age),
        ]
    };
    let headings = ["ZONE", "PROVIDER", "NAMES", "WRITES SINCE START", "FAILED WRITES", "LAST READ"];
    out.table(headings, &[], zones.iter().map(row))
}

/// Names with their reasons. Names of one reason share a row unless everything is asked for.
fn reasons(out: &mut Text<'_>, heading: &str, reasons: &[Reason]) -> std::io::Result<()> {
    if reasons.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut rows: Vec<(&str, &str, usize)> = Vec::new();
    let mut row_of: HashMap<&str, usize> = HashMap::new();
    for one in reasons {
        match row_of.get(one.reason.as_str()).filter(|_| !out.wide) {
            Some(row) => rows[*row].2 += 1,
            None => {
                row_of.insert(&one.reason, rows.len());
                rows.push((&one.name, &one.reason, 0));
            }
        }
    }
    let name = |name: &str, more: usize| {
        if more == 0 { name.to_owned() } else { format!("{name} and {more} more") }
    };
    let row = |(first, reason, more): (&str, &str, usize)| [name(first, more), reason.to_owned()];
    out.table([heading, "REASON"], &[], rows.into_iter().map(row))
}

/// `fleetdns snapshot`.
///
/// # Errors
/// When the daemon cannot be asked or the file cannot be written.
pub async fn snapshot(daemon: &Daemon, file: Option<&Path>) -> Result<Exit, CommandError> {
    let scenario: Scenario = ask(daemon, "/v1/snapshot").await?;
    let text = match daemon.output.output {
        Format::Yaml => yaml(&scenario),
        _ => json(&scenario),
    };
    let text = text.map_err(|error| CommandError::failed(&error))?;
    match file {
        Some(file) => std::fs::write(file, text).map_err(|error| {
            CommandError::Failed(format!("{} cannot be written: {error}", file.display()))
        })?,
        None => drop(plain(&text)?),
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use fleetdns_daemon::view::UnprobeableLine;
    use serde_json::json;

    use super::*;
    use crate::output::printed;

    fn empty() -> Status {
        let status = json!({"version": "1", "fleet": "fed", "uptime_seconds": 0, "clusters": [], "zones": [],
            "self_check": null, "canaries": []});
        serde_json::from_value(status).unwrap()
    }

    fn shown(status: &Status, wide: bool) -> String {
        printed(None, wide, |out| status_text(out, status))
    }

    fn never(n: usize) -> NeverAnsweredLine {
        NeverAnsweredLine {
            cluster: "west".to_owned(),
            service: "shop/web".to_owned(),
            address: format!("203.0.113.{n}"),
            probe: "tcp:80".to_owned(),
            error: "connection refused".to_owned(),
        }
    }

    #[test]
    fn names_held_for_one_reason_share_a_row_unless_it_is_wide() {
        let line = |name: &str, reason: &str| Reason { name: name.to_owned(), reason: reason.to_owned() };
        let held = [line("a", "floor"), line("b", "velocity"), line("c", "floor"), line("d", "floor")];
        let text = |wide| printed(None, wide, |out| reasons(out, "HELD", &held));
        assert_eq!(text(false), "\nHELD          REASON\na and 2 more  floor\nb             velocity\n");
        assert_eq!(text(true).lines().count(), 6);
    }

    #[test]
    fn status_counts_what_never_answered_and_wide_lists_it() {
        let unprobeable = |addresses, unprobeable: &str| UnprobeableLine {
            family: "IPv6".to_owned(),
            addresses,
            unprobeable: unprobeable.to_owned(),
        };
        let status = Status {
            never_answered_count: 2,
            never_answered: vec![never(1), never(2)],
            unprobeable: vec![unprobeable(3, "publish"), unprobeable(4, "hold")],
            ..empty()
        };
        let (short, wide) = (shown(&status, false), shown(&status, true));
        let line = "never answered: 2 endpoints, such as 203.0.113.1 of shop/web in west: connection refused";
        for text in [&short, &wide] {
            assert!(text.contains(line), "{text}");
            assert!(
                text.contains("unprobeable: 3 IPv6 addresses, published as their clusters say"),
                "{text}"
            );
            assert!(text.contains("unprobeable: 4 IPv6 addresses, held as they are"), "{text}");
        }
        assert!(!short.contains("203.0.113.2"), "{short}");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        let table: Vec<String> = wide.lines().map(words).collect();
        let heading = "NEVER ANSWERED SERVICE CLUSTER PROBE LAST ERROR";
        let at = table.iter().position(|line| line == heading).unwrap();
        assert_eq!(table[at + 1], "203.0.113.1 shop/web west tcp:80 connection refused");
        assert_eq!(table[at + 2], "203.0.113.2 shop/web west tcp:80 connection refused");
    }

    #[test]
    fn status_says_that_the_state_directory_cannot_be_written() {
        let good = empty();
        assert!(!shown(&good, false).contains("overrides"));
        let bad = Status { state_fault: Some("the state directory /x cannot be used".to_owned()), ..good };
        let line = "overrides cannot be saved, orders such as drain are refused: the state directory /x cannot be used";
        assert!(shown(&bad, false).lines().any(|one| one == line));
    }
}
