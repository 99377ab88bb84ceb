//! The section `[probe]`, and the keys of a cluster's section that begin with `probe-` and say the same for it alone.

use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use fleetdns_core::probe::{Expect, Millis};
use fleetdns_core::probe::{is_path, is_service};
use fleetdns_core::text;
use fleetdns_core::{DnsName, MemberName, Pace, Trust, UnprobeablePolicy};
use fleetdns_planner::ProbeDefaults;
use fleetdns_planner::publish::Protocol;
use fleetdns_probe::{ProbeSettings, TrustSettings};

use super::outside::Outside;
use super::parse;
use super::reader::Reader;
use super::settings::{HOUR, count, duration};

/// How endpoints are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What a Service may say for itself.
    pub defaults: ProbeDefaults,
    /// Times, thresholds and trust. Invariant: `timeout` <= `fast_interval` <= `interval`.
    pub settings: ProbeSettings,
}

/// Shortest interval, and shortest timeout.
const SHORTEST: Duration = Duration::from_millis(100);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

/// `[probe]`.
pub(super) fn probe(reader: &mut Reader<'_>, outside: &Outside<'_>) -> Probe {
    let mut defaults = asked(reader, "", &ProbeDefaults::default());
    defaults.min_interval =
        duration(reader, "min-interval", SHORTEST..=HOUR).unwrap_or(defaults.min_interval);
    let (interval, fast_interval, timeout) = times(reader);
    let default = ProbeSettings::default();
    let settings = ProbeSettings {
        interval,
        fast_interval,
        timeout,
        fall: count(reader, "fall", 100).unwrap_or(default.fall),
        rise: count(reader, "rise", 100).unwrap_or(default.rise),
        trust: trust(reader, "", outside),
        unprobeable_policy: reader
            .parse("unprobeable", "publish or hold", unprobeable_policy)
            .unwrap_or_default(),
        answer_ttl: answer_ttl(reader, default.answer_ttl),
        nameservers: reader.list("nameservers", "an IP address with or without a port", parse::nameserver),
        ..default
    };
    Probe { defaults, settings }
}

/// The bounds of what a name server says of its answers.
fn answer_ttl(reader: &mut Reader<'_>, (least, most): (Duration, Duration)) -> (Duration, Duration) {
    let mut bound = |key, usual| duration(reader, key, least..=most).unwrap_or(usual);
    let (shortest, longest) = (bound("min-ttl", least), bound("max-ttl", most));
    if longest < shortest {
        reader.fault("max-ttl", format!("{longest:?} is less than min-ttl, {shortest:?}"));
    }
    (shortest, longest)
}

/// The keys of a cluster, over those of all. `None` where it has none.
pub(super) fn of_member(
    reader: &mut Reader<'_>,
    name: Option<&MemberName>,
    fleet: &mut Probe,
    outside: &Outside<'_>,
) -> Option<ProbeDefaults> {
    let mut own = asked(reader, "probe-", &fleet.defaults);
    let millis = |time: Duration| Millis::try_from(time).ok();
    own.pace = Pace {
        interval: duration(reader, "probe-interval", SHORTEST..=HOUR).and_then(millis),
        timeout: duration(reader, "probe-timeout", SHORTEST_TIMEOUT..=HOUR).and_then(millis),
        fall: few(reader, "probe-fall"),
        rise: few(reader, "probe-rise"),
    };
    if let (Some(interval), Some(timeout)) = (own.pace.interval, own.pace.timeout)
        && timeout > interval
    {
        let problem =
            format!("{timeout} is longer than the probe-interval of {interval}; make it as long or shorter");
        reader.fault("probe-timeout", problem);
    }
    let trusts = reader.has("probe-ca-file") || reader.has("probe-insecure");
    let trust = trust(reader, "probe-", outside);
    if let Some(name) = name.filter(|_| trusts) {
        own.trust = Trust::Member(name.clone());
        fleet.settings.trust_of.insert(name.clone(), trust);
    }
    (own != fleet.defaults).then_some(own)
}

fn unprobeable_policy(text: &str) -> Option<UnprobeablePolicy> {
    [UnprobeablePolicy::Publish, UnprobeablePolicy::Hold]
        .into_iter()
        .find(|one| one.as_str().eq_ignore_ascii_case(text))
}

fn few(reader: &mut Reader<'_>, key: &str) -> Option<NonZeroU8> {
    count(reader, key, 100).and_then(|number| u8::try_from(number).ok()).and_then(NonZeroU8::new)
}

/// What is asked, by keys that begin so.
fn asked(reader: &mut Reader<'_>, prefix: &str, base: &ProbeDefaults) -> ProbeDefaults {
    let key = |name: &str| format!("{prefix}{name}");
    let right = "tcp, http, https, grpc, grpcs or none";
    let protocol = reader.parse(&key("protocol"), right, |text| text.parse::<Protocol>().ok());
    let port = reader
        .parse(&key("port"), "a port from 1 to 65535", |text| text.parse().ok().filter(|port| *port > 0));
    let right = "a port from 1 to 65535, or a range such as 9000-9100";
    let extra_ports = key("extra-ports");
    let ports = reader.has(&extra_ports).then(|| reader.list(&extra_ports, right, parse::ports));
    let right = "a path that begins with '/', of at most 1024 characters, escaped as in a URL";
    let path = reader.parse(&key("path"), right, |text| is_path(text).then(|| text.into()));
    let host: Option<DnsName> = reader.typed(&key("host"));
    if host.as_ref().is_some_and(DnsName::is_wildcard) {
        reader.fault(&key("host"), "is a wildcard, which is no host; give the name that clients use");
    }
    let right = "the name of a gRPC service, which has no spaces";
    let service = reader.parse(&key("service"), right, |text| is_service(text).then(|| text.into()));
    let expect: Option<Expect> = reader.typed(&key("expect"));
    let base = base.clone();
    ProbeDefaults {
        protocol: protocol.or(base.protocol),
        port: port.or(base.port),
        extra_ports: ports.map_or(base.extra_ports, |ports| ports.into_iter().collect()),
        path: path.unwrap_or(base.path),
        host: host.or(base.host),
        service: service.unwrap_or(base.service),
        expect: expect.unwrap_or(base.expect),
        pace: base.pace,
        min_interval: base.min_interval,
        trust: base.trust,
    }
}

/// Interval, fast interval and timeout: what is not given fits what is.
fn times(reader: &mut Reader<'_>) -> (Duration, Duration, Duration) {
    let bounds = SHORTEST..=HOUR;
    let interval = duration(reader, "interval", bounds.clone());
    let fast = duration(reader, "fast-interval", bounds.clone());
    let timeout = duration(reader, "timeout", SHORTEST_TIMEOUT..=HOUR);
    let default = ProbeSettings::default();
    let longest = interval.unwrap_or_else(|| default.interval.max(fast.or(timeout).unwrap_or_default()));
    if let Some(fast) = fast.filter(|fast| *fast > longest) {
        let problem =
            format!("{fast:?} is longer than the interval of {longest:?}; make it as long or shorter");
        reader.fault("fast-interval", problem);
    }
    let between = fast.unwrap_or_else(|| default.fast_interval.max(timeout.unwrap_or_default()).min(longest));
    if let Some(timeout) = timeout.filter(|timeout| *timeout > between) {
        let which = if fast.is_some() { "fast-interval" } else { "interval" };
        let problem = format!(
            "{timeout:?} is longer than the {which} of {between:?}: a probe would start before the one before it \
             has ended; make it as long or shorter"
        );
        reader.fault("timeout", problem);
    }
    (longest, between, timeout.unwrap_or_else(|| default.timeout.min(between)))
}

fn trust(reader: &mut Reader<'_>, prefix: &str, outside: &Outside<'_>) -> TrustSettings {
    let insecure = format!("{prefix}insecure");
    let insecure = reader.parse(&insecure, "on or off", text::switch).unwrap_or(false);
    TrustSettings { ca_file: ca_file(reader, prefix, insecure, outside), insecure }
}

fn ca_file(reader: &mut Reader<'_>, prefix: &str, insecure: bool, outside: &Outside<'_>) -> Option<PathBuf> {
    let key = format!("{prefix}ca-file");
    let path = reader.text(&key).map(|text| outside.path(text))?;
    if insecure {
        let problem =
            format!("says whom to trust, and {prefix}insecure = on to trust anybody; leave one of them out");
        reader.fault(&key, problem);
    }
    if let Err(error) = (outside.read)(&path) {
        reader.fault(&key, format!("{} cannot be read: {error}", path.display()));
    }
    Some(path)
}
