//! Compares the table of limits in SECURITY.md with the constants in the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Constants that bound input from outside: file, name, the beginning of their row in SECURITY.md, and how it shows them.
#[rustfmt::skip]
const LIMITS: [(&str, &str, &str, &str); 102] = [
    ("crates/core/src/limits.rs", "ANSWER_BYTES", "answer of a backend", "64 MiB"),
    ("crates/core/src/limits.rs", "BYTES", "answer of a backend", "1 GiB"),
    ("crates/core/src/limits.rs", "RECORDS", "answer of a backend", "2,000,000 record sets"),
    ("crates/core/src/limits.rs", "PAGES", "answer of a backend", "20,000 pages"),
    ("crates/core/src/limits.rs", "ANSWER_VALUES", "values in one answer", "2,000,000 of a webhook"),
    ("crates/core/src/lines.rs", "BURST", "log lines of one namespace", "100 at once"),
    ("crates/core/src/lines.rs", "EACH", "log lines of one namespace", "1 a second"),
    ("crates/core/src/ownership/packed.rs", "UNPACKED", "ownership record", "256 KiB"),
    ("crates/core/src/observed/set.rs", "MOST_TEXTS", "values of a TXT set", "1,000"),
    ("crates/core/src/probe/path.rs", "LONGEST_PATH", "path of a probe", "1,024 characters"),
    ("crates/core/src/refusals.rs", "MOST", "names that a backend refused", "10,000"),
    ("crates/core/src/text.rs", "MAX_SHOWN", "text from outside", "200 characters"),
    ("crates/core/src/unreadable.rs", "MOST", "entries of a zone", "100"),
    ("crates/core/src/annotations.rs", "LARGEST_ANNOTATION", "`[limits] max-annotation`", "64 KiB"),
    ("crates/daemon/src/admin.rs", "AT_ONCE", "readers that the status page", "2"),
    ("crates/daemon/src/admin/streamed.rs", "PATIENCE", "reader of records", "10 s"),
    ("crates/daemon/src/admin/streamed.rs", "PIECE_BYTES", "reader of records", "64 KiB"),
    ("crates/daemon/src/config/membership.rs", "LARGEST", "members that `[discovery]` names", "1 MiB"),
    ("crates/daemon/src/config/membership.rs", "MOST", "members that `[discovery]` names", "1,000"),
    ("crates/daemon/src/config/fault.rs", "LONGEST", "text from outside", "4,000"),
    ("crates/planner/src/simulate/error.rs", "LONGEST", "text from outside", "1,000"),
    ("crates/daemon/src/control.rs", "ORDER", "body of an order", "256 KiB"),
    ("crates/daemon/src/ha/engine.rs", "LARGEST", "what replicas share", "200,000 bytes"),
    ("crates/daemon/src/heartbeats.rs", "PROBER", "turn of a zone's loop", "30 s"),
    ("crates/daemon/src/heartbeats.rs", "WATCH", "turn of a zone's loop", "180 s"),
    ("crates/daemon/src/heartbeats.rs", "ZONE", "turn of a zone's loop", "300 s"),
    ("crates/daemon/src/http.rs", "DESCRIPTORS", "connections to the admin API", "16"),
    ("crates/daemon/src/http.rs", "HEAD_BYTES", "head of an HTTP request", "16 KiB"),
    ("crates/daemon/src/journal.rs", "AT_ONCE", "`wait` of `/v1/events`", "1,000"),
    ("crates/daemon/src/journal.rs", "KEPT", "events in memory", "10,000"),
    ("crates/daemon/src/journal.rs", "LONGEST_WAIT", "`wait` of `/v1/events`", "60"),
    ("crates/daemon/src/journal.rs", "WAITING", "events that wait", "50,000"),
    ("crates/daemon/src/lib.rs", "MOST_OF_ERROR", "text from outside", "1,000"),
    ("crates/daemon/src/overrides/order.rs", "LONGEST_REASON", "body of an order", "200 characters"),
    ("crates/daemon/src/overrides/order.rs", "LONGEST_SPAN", "body of an order", "366 days"),
    ("crates/daemon/src/page/stream.rs", "STREAMS", "readers that the status page", "16"),
    ("crates/daemon/src/page/text.rs", "MOST", "text from outside", "1,000"),
    ("crates/daemon/src/zone/write.rs", "LONGEST_APPLY", "one write of a zone", "4 minutes"),
    ("crates/daemon/src/zone/pause.rs", "LONGEST_ASKED", "pause that a backend asks for", "1 hour"),
    ("crates/daemon/src/zone/reading.rs", "LONGEST_LIST", "one list of a zone", "10 minutes"),
    ("crates/daemon/src/zone/report.rs", "MANY", "entries of a zone", "50 in the log"),
    ("crates/daemon/src/zone/report.rs", "MANY", "names written at one time", "50 in the log"),
    ("crates/election/src/terms.rs", "LONGEST", "what replicas share", "10 min"),
    ("crates/probe/src/budget.rs", "RATE", "probes of one namespace at one address", "100 a second"),
    ("crates/probe/src/flight.rs", "GRACE", "turn of a zone's loop", "10 s more"),
    ("crates/probe/src/grpc.rs", "LONGEST_HEADERS", "head of an HTTP probe's answer", "16 KiB"),
    ("crates/probe/src/grpc.rs", "LONGEST_MESSAGE", "head of an HTTP probe's answer", "1 KiB"),
    ("crates/probe/src/http.rs", "LONGEST_HEAD", "head of an HTTP probe's answer", "64 KiB"),
    ("crates/probe/src/resolve.rs", "LONGEST", "time from one DNS answer", "5 min"),
    ("crates/probe/src/resolve.rs", "LONGEST_LOOKUP", "one lookup of a host name", "10 s"),
    ("crates/probe/src/resolve.rs", "LONGEST_RETRY", "time from one DNS answer", "1 min"),
    ("crates/probe/src/resolve.rs", "LONGEST_ROTATION", "time from one DNS answer", "1 min"),
    ("crates/probe/src/resolve.rs", "MOST_ADDRESSES", "addresses of one DNS answer", "64 of each family"),
    ("crates/probe/src/resolve.rs", "MOST_IN_FLIGHT", "host names resolved at one time", "256"),
    ("crates/probe/src/resolve.rs", "SHORTEST", "time from one DNS answer", "5 s"),
    ("crates/probe/src/sessions.rs", "LARGEST", "TLS session of a probe", "16 KiB"),
    ("crates/probe/src/sessions.rs", "LONGEST", "TLS session of a probe", "1 min"),
    ("crates/probe/src/sessions.rs", "ROOM", "TLS session of a probe", "32 MiB"),
    ("crates/probe/src/settings.rs", "CORRELATION_HOLD", "`correlation-hold`", "10 min"),
    ("crates/watch/src/answer.rs", "LONGEST_ANSWER", "answer of an API server that is not a list", "256 KiB"),
    ("crates/watch/src/answer.rs", "LONGEST_PAUSE", "pause that an API server asks for", "60"),
    ("crates/watch/src/credential.rs", "LONGEST", "time for which a token", "24 hours"),
    ("crates/watch/src/credential.rs", "SHORTEST", "time for which a token", "1 s"),
    ("crates/watch/src/error.rs", "TOO_MUCH_PAUSE", "pause after an API server", "60 s"),
    ("crates/watch/src/limits.rs", "BYTES", "events of one watch", "4 KiB"),
    ("crates/watch/src/limits.rs", "PAGES", "pages of a list", "10,000"),
    ("crates/watch/src/list.rs", "LONGEST_HEAD", "`max-object-size`, `max-list-size`", "64 KiB"),
    ("crates/watch/src/place.rs", "MOST_ZONES", "zones of a cluster", "32"),
    ("providers/azure/src/bounded.rs", "VALUES", "values in one answer", "250,000 of a page of Azure"),
    ("providers/coredns/src/file.rs", "MOST_INCLUDED", "files that a zone file includes", "16 MiB"),
    ("providers/coredns/src/file/generate.rs", "MOST", "files that a zone file includes", "65,536"),
    ("providers/coredns/src/file/records.rs", "MOST_FILES", "files that a zone file includes", "100"),
    ("providers/coredns/src/file/records.rs", "MOST_GENERATED", "files that a zone file includes", "65,536"),
    ("providers/embedded/src/answer.rs", "MAX_CHAIN", "aliases that the embedded DNS follows", "8"),
    ("providers/embedded/src/listen.rs", "CONNECTIONS", "TCP connections of the embedded DNS", "1,000"),
    ("providers/embedded/src/listen.rs", "DESCRIPTORS", "TCP connections of the embedded DNS", "16"),
    ("providers/embedded/src/listen.rs", "IDLE", "TCP query; silence", "10 s"),
    ("providers/embedded/src/listen.rs", "LARGEST", "TCP query; silence", "4,096 octets"),
    ("providers/embedded/src/listen.rs", "OF_PEER", "TCP connections of the embedded DNS", "50 of one peer"),
    ("providers/embedded/src/rate.rs", "NETWORKS", "UDP answers", "10,000 networks"),
    ("providers/embedded/src/rate.rs", "SHARE", "UDP answers", "256 KiB"),
    ("providers/rfc2136/src/chain.rs", "MAX_UNSIGNED", "unsigned messages", "99 in a row"),
    ("providers/rfc2136/src/dial.rs", "MAX_ADDRESSES", "addresses of a DNS server", "16"),
    ("providers/rfc2136/src/settings.rs", "MAX_RECORDS", "`max-records` of rfc2136", "2,000,000"),
    ("providers/rfc2136/src/transfer.rs", "MAX_OCTETS", "`max-records` of rfc2136", "1 GiB"),
    ("providers/rfc2136/src/transfer.rs", "WHOLE", "`max-records` of rfc2136", "5 min"),
    ("providers/webhook/src/client.rs", "REFUSAL_BYTES", "answer of an API server that is not a list", "64 KiB"),
    ("crates/watch/src/limits.rs", "EVENT", "events of one watch", "5,000 a second"),
    ("crates/core/src/observed/set.rs", "MOST_OF_A_TYPE", "name of a record type", "20 characters"),
    ("providers/azure/src/client.rs", "ANSWER", "one call of a backend", "60 s"),
    ("providers/azure/src/client.rs", "SILENCE", "one call of a backend", "20 s"),
    ("providers/coredns/src/etcd/client.rs", "DEADLINE", "one call of a backend", "5 s"),
    ("providers/rfc2136/src/client.rs", "ANSWER", "one call of a backend", "20 s"),
    ("providers/route53/src/client.rs", "DEADLINE", "one call of a backend", "20 s"),
    ("providers/webhook/src/settings.rs", "TIMEOUT", "one call of a backend", "30 s"),
    ("providers/webhook/src/settings.rs", "WRITE", "one call of a backend", "20 s"),
    ("crates/daemon/src/kubernetes/queue.rs", "MOST", "Events that wait for a cluster", "2,000"),
    ("crates/daemon/src/kubernetes/correlator.rs", "BURST", "Events about one Service", "25 at once"),
    ("crates/daemon/src/kubernetes/correlator.rs", "REFILL", "Events about one Service", "5 min"),
    ("crates/daemon/src/kubernetes/correlator.rs", "MOST", "Events about one Service", "4,096"),
    ("crates/daemon/src/kubernetes/text.rs", "LONGEST", "Events about one Service", "1,000 characters"),
    ("crates/probe/src/settings.rs", "NAMESPACE_RATE", "`[limits] namespace-probes`", "5,000"),
];

/// Constants that look like limits and bound no input from outside: what we send, what we keep, what a protocol says.
#[rustfmt::skip]
const OTHERS: [&str; 25] = [
    "crates/core/src/name.rs MAX_LABEL", "crates/core/src/name.rs MAX_NAME",
    "crates/daemon/src/config/limits.rs MOST",
    "crates/daemon/src/view.rs MOST_NEVER_ANSWERED", "crates/daemon/src/zone/batch.rs MOST",
    "crates/daemon/src/zone/pause.rs LONGEST_PAUSE", "crates/health/src/state.rs MOST_DOUBLINGS",
    "crates/watch/src/backoff.rs LONGEST", "crates/watch/src/limits.rs BURST",
    "providers/azure/src/pace.rs LONGEST_WAIT", "providers/azure/src/provider.rs MAX_VALUES",
    "providers/coredns/src/etcd/pack.rs MAX_OCTETS", "providers/coredns/src/etcd/pack.rs MAX_OPERATIONS",
    "providers/coredns/src/etcd/pack.rs MAX_VALUES", "providers/embedded/src/handler.rs MAX_DATAGRAM",
    "providers/embedded/src/provider.rs MAX_VALUES", "providers/rfc2136/src/ownership.rs MAX_STRING",
    "providers/rfc2136/src/pack.rs MAX_OCTETS",
    "providers/rfc2136/src/provider.rs MAX_VALUES", "providers/rfc2136/src/seen.rs MAX_SKIPS",
    "providers/route53/src/insync.rs MOST", "providers/route53/src/provider.rs MAX_VALUES",
    "providers/webhook/src/webhook.rs MOST_AT_ONCE", "crates/watch/src/state.rs MISSES",
    "crates/daemon/src/zone/pass.rs MOST_RESTARTS",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files of Rust in a folder, without tests, by their path from the root.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() && !["tests", "examples", "target"].contains(&&*name) {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// Constants with a number in them, as milliseconds where they are times: by file and name.
fn constants() -> BTreeMap<(String, String), f64> {
    let mut files = Vec::new();
    for folder in ["crates", "providers"] {
        sources(&root().join(folder), &mut files);
    }
    let mut found = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        for line in text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines() {
            let Some((head, value)) = line.trim_end_matches(';').split_once(" = ") else { continue };
            let Some((_, head)) = head.split_once("const ") else { continue };
            let (Some((name, _)), Some(value)) = (head.split_once(':'), number(value)) else { continue };
            found.insert((path.clone(), name.to_owned()), value);
        }
    }
    found
}

/// Sums of the kinds that stand in constants.
fn number(text: &str) -> Option<f64> {
    let inner = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix(')');
    let units = [("secs", 1e3), ("millis", 1.0), ("micros", 1e-3)];
    for (unit, milliseconds) in units {
        if let Some(text) = inner(&format!("Duration::from_{unit}(")) {
            return Some(number(text)? * milliseconds);
        }
    }
    if let Some(text) = inner("NonZeroU32::MIN.saturating_add(") {
        return Some(number(text)? + 1.0);
    }
    if let Some((left, right)) = text.split_once(" << ") {
        return Some(number(left)? * number(right)?.exp2());
    }
    if let Some((left, right)) = text.split_once(" * ") {
        return Some(number(left)? * number(right)?);
    }
    text.replace('_', "").parse().ok()
}

/// What a text of the table says, in the same unit.
fn shown(text: &str) -> f64 {
    let (count, rest) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match rest {
        "GiB" => (1_u64 << 30) as f64,
        "MiB" => (1_u64 << 20) as f64,
        "KiB" => 1024.0,
        "days" => 86_400e3,
        "hour" | "hours" => 3_600e3,
        "min" | "minutes" => 60e3,
        "s" | "s more" => 1e3,
        _ => 1.0,
    };
    count.replace(',', "").parse::<f64>().unwrap() * factor
}

#[test]
fn each_limit_in_the_code_is_in_the_table_of_security_md() {
    let table = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let constants = constants();
    let mut wrong = Vec::new();
    for (file, name, row, text) in LIMITS {
        let key = (file.to_owned(), name.to_owned());
        let Some(value) = constants.get(&key) else {
            wrong.push(format!("{file} has no {name} any more"));
            continue;
        };
        let begins = format!("| {row}");
        // A sixteenth is how the table shows a share of the descriptors.
        let shows =
            |line: &str| line.contains(text) || (name == "DESCRIPTORS" && line.contains("a sixteenth"));
        // A time between two may stand as how many there are in a second.
        let shown = match (name, shown(text)) {
            ("EACH" | "EVENT", each) => 1e3 / each,
            (_, shown) => shown,
        };
        if (value - shown).abs() > 1e-9 {
            wrong.push(format!("{file}: {name} is {value}, and the test says {text}"));
        } else if !table.lines().any(|line| line.starts_with(&begins) && shows(line)) {
            wrong.push(format!("SECURITY.md has no row '{row}' with {text} ({file}: {name})"));
        }
    }
    let looks = |name: &str| ["MOST", "MAX", "LONGEST", "LARGEST"].iter().any(|word| name.starts_with(word));
    for (file, name) in constants.keys() {
        let listed = LIMITS.iter().any(|(at, one, ..)| at == file && one == name)
            || OTHERS.contains(&&*format!("{file} {name}"));
        if !listed && (looks(name) || file.ends_with("/limits.rs")) {
            wrong.push(format!("{file}: {name} is in neither list of this test"));
        }
    }
    for other in OTHERS {
        let (file, name) = other.split_once(' ').unwrap();
        if !constants.contains_key(&(file.to_owned(), name.to_owned())) {
            wrong.push(format!("{file} has no {name} any more"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Keys of the table are keys of dns.conf.
#[test]
fn each_key_of_the_table_is_in_dns_conf() {
    let table = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let conf = fs::read_to_string(root().join("config/dns.conf")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|line| line.split(" | ").next());
    let keys: Vec<&str> = first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(keys.len() > 10, "{keys:?}");
    for key in keys {
        let name = key.rsplit("] ").next().unwrap();
        let there = if name.starts_with('[') {
            conf.lines().any(|line| line == name)
        } else {
            name.starts_with('/')
                || name == "wait"
                || conf.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{name} =")))
        };
        assert!(there, "config/dns.conf has no {key}");
    }
}
