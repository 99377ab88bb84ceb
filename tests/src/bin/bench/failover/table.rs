//! What was measured, beside what other products document, as one table in Markdown.

use std::fmt::Write;
use std::time::Duration;

use super::backend::Kind;
use crate::outage::{Outages, Way};
use crate::peer;
use crate::report::seconds;
use crate::stats::percentile;

/// What the documentation of another program adds up to: out and back for each way to die, and its number in the foot.
struct Stated {
    name: &'static str,
    cells: [&'static str; 6],
    note: usize,
}

const STATED: [Stated; 7] = [
    Stated {
        name: "Route 53 health checks, default",
        cells: ["≤ 90 s", "≤ 90 s", "≤ 102 s", "≤ 90 s", "≤ 90 s", "≤ 90 s"],
        note: 1,
    },
    Stated {
        name: "Route 53 health checks, fast",
        cells: ["≤ 30 s", "≤ 30 s", "≤ 42 s", "≤ 30 s", "≤ 30 s", "≤ 30 s"],
        note: 1,
    },
    Stated {
        name: "Azure Traffic Manager, default",
        cells: ["≤ 120 s", "≤ 30 s", "≤ 130 s", "≤ 30 s", "≤ 120 s", "≤ 30 s"],
        note: 2,
    },
    Stated {
        name: "Azure Traffic Manager, fast",
        cells: ["≤ 40 s", "≤ 10 s", "≤ 49 s", "≤ 10 s", "≤ 40 s", "≤ 10 s"],
        note: 2,
    },
    Stated {
        name: "Azure Traffic Manager, fast, no failure tolerated",
        cells: ["< 10 s", "≤ 10 s", "< 10 s", "≤ 10 s", "< 10 s", "≤ 10 s"],
        note: 3,
    },
    Stated { name: "k8gb", cells: ["not seen", "–", "not seen", "–", "not seen", "–"], note: 4 },
    Stated {
        name: "Kuadrant",
        cells: ["≤ 30 min", "≤ 5 min", "≤ 30 min", "≤ 5 min", "≤ 30 min", "≤ 5 min"],
        note: 5,
    },
];

const FOOT: &str = "\
1. One check each 30 s (fast: 10 s) after the last answer, 3 in a row for either turn; an HTTP check waits 4 s for a connection. \
The time until enough checkers agree comes on top. \
<https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html>, \
<https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html>
2. One probe each 30 s (fast: 10 s), out with the 4th failure in a row, a timeout of 10 s (fast: 9 s), back with one success. \
<https://learn.microsoft.com/en-us/azure/traffic-manager/traffic-manager-monitoring>
3. \"Under 10 seconds\" is Microsoft's own sentence, for this setting. \
<https://learn.microsoft.com/en-us/azure/traffic-manager/traffic-manager-faqs>
4. It follows the readiness of pods and sends nothing to the load balancer's address. Its own end-to-end test took 35 s from pods \
that are gone to the changed answer, and a cluster finds out about another one each 30 s. \
<https://github.com/k8gb-io/k8gb/pull/81>, <https://github.com/k8gb-io/k8gb/blob/master/docs/splitbrain.md>
5. One probe each 5 minutes, out when more than 5 in a row have failed, back with one success; from the cluster that is probed. \
<https://github.com/Kuadrant/dns-operator/blob/main/api/v1alpha1/dnsrecord_types.go>, \
<https://github.com/Kuadrant/dns-operator/blob/main/internal/probes/worker.go>
";

/// The whole report.
pub(crate) fn report(machine: &str, rows: &[(Kind, Outages)], times: u32) -> String {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let mut text = format!(
        "# Death of an endpoint → changed answer, and back\n\n\
         {machine}; {}, {build} build\n\n\
         Default settings of fleetdns. Two clusters publish each Service, one address each. One of the two dies, and the global \
         name loses it; it returns, and the name has it again. {times} of each kind, spread over the probe interval, each with a \
         Service and endpoints of its own, one after the other; each death and return is seen by one fleetdns for each provider. Each cell: p50 / worst. TTLs that resolvers \
         keep to come on top, for everybody. Refused and silent: the default probe (tcp); HTTP 503: an http probe.\n\n\
         |  | refused: out | back | silent: out | back | HTTP 503: out | back |\n|---|---:|---:|---:|---:|---:|---:|\n",
        peer::fleetdns_version()
    );
    for (kind, outages) in rows {
        let held = if kind.is_held() { " (strict server, record set)" } else { "" };
        let _ = write!(text, "| {}{held} |", kind.name());
        for way in Way::ALL {
            let out = outages.out(way);
            let missed = if percentile(out.iter().copied(), 100) > way.budget() { " **missed**" } else { "" };
            let _ = write!(text, " {}{missed} | {} |", cell(&out), cell(&outages.back(way)));
        }
        text.push('\n');
    }
    text.push_str("| *budget of fleetdns* |");
    for way in Way::ALL {
        let _ = write!(text, " ≤ {} s |  |", way.budget().as_secs());
    }
    text.push('\n');
    for Stated { name, cells, note } in STATED {
        let _ = writeln!(text, "| {name} [{note}] | {} |", cells.join(" | "));
    }
    text.push_str(
        "\nStrict server, record set: no DNS answers there, and the changed answer is the record set that our own strict server \
         holds, with the rate limits of the real service; the way to its name servers comes on top. CoreDNS looks at its zone \
         file each second here (`reload 1s`; its own default is a minute). PowerDNS has its caches off. The rows below the budget \
         were not measured: they are what the settings in the documentation add up to at worst.\n\n",
    );
    text.push_str(FOOT);
    text
}

fn cell(times: &[Duration]) -> String {
    let at = |percent| seconds(percentile(times.iter().copied(), percent));
    format!("{} / {} s", at(50), at(100))
}
