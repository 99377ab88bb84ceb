//! `fleetdns get clusters`: the table that `kubectl get clusters` printed for kubefed.

use fleetdns_core::text::age;
use fleetdns_daemon::view::{ClusterLine, Status};
use serde::Serialize;

use super::ask::ask;
use crate::args::Daemon;
use crate::error::{CommandError, Exit};
use crate::output::{Text, show};

/// A member, as kubefed showed it.
#[derive(Debug, PartialEq, Serialize)]
struct Cluster {
    name: String,
    status: &'static str,
    age_seconds: u64,
    region: String,
    zones: Vec<String>,
    source: String,
    fault: Option<String>,
}

/// Prints the members; one that was removed is none.
///
/// # Errors
/// When the daemon cannot be asked.
pub async fn clusters(daemon: &Daemon) -> Result<Exit, CommandError> {
    let status: Status = ask(daemon, "/v1/status").await?;
    let clusters: Vec<Cluster> = status.clusters.into_iter().filter_map(cluster).collect();
    show(daemon.output.output, &clusters, |out| table(out, &clusters))?;
    Ok(Exit::Done)
}

fn cluster(line: ClusterLine) -> Option<Cluster> {
    let status = match line.inventory.as_str() {
        "live" => "Ready",
        "stale" => "Offline",
        "removed" => return None,
        _ => "Unknown",
    };
    let ClusterLine { name, region, zones, source, fault, age_seconds, .. } = line;
    Some(Cluster { name, status, age_seconds, region, zones, source, fault })
}

fn table(out: &mut Text<'_>, clusters: &[Cluster]) -> std::io::Result<()> {
    let row = |line: &Cluster| {
        [
            line.name.clone(),
            line.status.to_owned(),
            age(line.age_seconds),
            line.region.clone(),
            line.zones.join(","),
            line.source.clone(),
            line.fault.clone().unwrap_or_default(),
        ]
    };
    let headings = ["NAME", "STATUS", "AGE", "REGION", "ZONES", "SOURCE", "FAULT"];
    out.table(headings, &["REGION", "ZONES", "SOURCE", "FAULT"], clusters.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::printed;

    #[test]
    fn the_table_is_kubefeds() {
        let line = |name: &str, inventory: &str, seconds: u64| {
            let text = serde_json::json!({
                "name": name, "inventory": inventory, "region": "eu", "zones": ["1", "2"], "services": 0,
                "endpoints": 0, "verdicts": {}, "fault": null, "age_seconds": seconds,
                "source": "dns.conf",
            });
            serde_json::from_value::<ClusterLine>(text).unwrap()
        };
        let lines = [
            line("eastuscluster1", "live", 46),
            line("gone", "removed", 46),
            line("new", "pending", 1),
            line("westuscluster1", "stale", 7200),
        ];
        let clusters: Vec<Cluster> = lines.into_iter().filter_map(cluster).collect();
        let text = |wide| printed(None, wide, |out| table(out, &clusters));
        assert_eq!(
            text(false),
            "NAME            STATUS   AGE\n\
             eastuscluster1  Ready    46s\n\
             new             Unknown  1s\n\
             westuscluster1  Offline  2h\n"
        );
        assert!(text(true).contains("  eu      1,2    dns.conf  -\n"), "{}", text(true));
    }
}
