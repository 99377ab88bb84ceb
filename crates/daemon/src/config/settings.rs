//! The sections `[brakes]`, `[kubernetes]` and `[admin]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetdns_core::{AllDown, DnsName, text};
use fleetdns_probe::{CORRELATION_HOLD, Canary};
use fleetdns_watch::WatchSettings;

use tracing::Level;

use super::outside::Outside;
use super::parse;
use super::reader::Reader;
use crate::kubernetes;

/// What a plan has to pass, and how long we wait for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brakes {
    /// As the planner takes them.
    pub brakes: fleetdns_core::Brakes,
    /// How long start-up waits for a member before it goes on without.
    pub startup_timeout: Duration,
    /// How long an emptied load balancer keeps its addresses.
    pub grace: Duration,
    /// How long the host names of a Service that was deleted are kept for it.
    pub hostname_grace: Duration,
    /// From one reading of a zone to the next when nothing happens.
    pub drift: Duration,
    /// How long a correlation holds what failed together; `None`: for ever.
    pub correlation_hold: Option<Duration>,
    /// What else than the members' APIs should be heard as long as our own network works.
    pub anchors: Vec<Canary>,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object in each line.
    Json,
}

/// Admin API and log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where the admin API listens, always on loopback; `None` switches it off.
    pub listen: Option<SocketAddr>,
    /// Names under which the admin API may be asked, besides those of loopback.
    pub hosts: Vec<String>,
    /// Where `/livez`, `/readyz` and `/metrics` are served, also to other hosts; nowhere unless it is set.
    pub metrics: Option<SocketAddr>,
    /// Where orders are taken.
    pub socket: Socket,
    /// Form of the log.
    pub log: LogFormat,
    /// What the daemon logs at least.
    pub level: Level,
    /// File that takes every event of the journal; none unless it is set.
    pub audit: Option<PathBuf>,
}

/// Where orders are taken: a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Socket {
    /// Nowhere.
    Off,
    /// Where the config says; the daemon does not run without it.
    At(PathBuf),
    /// Where it is when the config says nothing; the daemon runs without it if need be.
    Usual(PathBuf),
}

impl Socket {
    /// Its path.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Off => None,
            Self::At(path) | Self::Usual(path) => Some(path),
        }
    }

    /// In the directory that systemd made for the service, in root's place for such, or in the user's own.
    fn usual(outside: &Outside<'_>) -> Self {
        let system = || outside.root.then(|| PathBuf::from(SYSTEM_DIRECTORY));
        let directory = outside
            .directory("RUNTIME_DIRECTORY")
            .or_else(system)
            .or_else(|| outside.directory("XDG_RUNTIME_DIR"));
        directory.map_or(Self::Off, |directory| Self::Usual(directory.join("fleetdns.sock")))
    }
}

/// What the unit has as RuntimeDirectory.
const SYSTEM_DIRECTORY: &str = "/run/fleetdns";

/// Where the admin API listens when nothing says so.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8053);

const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn duration(
    reader: &mut Reader<'_>,
    key: &str,
    range: std::ops::RangeInclusive<Duration>,
) -> Option<Duration> {
    let value = reader.parse(key, "a duration, such as 5s, 500ms or 1m30s", text::duration)?;
    if range.contains(&value) {
        return Some(value);
    }
    reader.fault(
        key,
        format!("{value:?} is out of bounds; {:?} to {:?} are possible", range.start(), range.end()),
    );
    None
}

pub(super) fn count(reader: &mut Reader<'_>, key: &str, largest: u32) -> Option<u32> {
    let right = format!("a number from 1 to {largest}");
    reader.parse(key, &right, |text| text.parse().ok().filter(|number| (1..=largest).contains(number)))
}

/// `[kubernetes]`.
pub(super) fn kubernetes(reader: &mut Reader<'_>) -> kubernetes::Settings {
    let mut on = |key| reader.parse(key, "on or off", text::switch).unwrap_or_default();
    kubernetes::Settings { events: on("events"), service_ingresses: on("service-ingresses") }
}

/// `[brakes]`.
pub(super) fn brakes(reader: &mut Reader<'_>) -> Brakes {
    let default = fleetdns_core::Brakes::default();
    let watch = WatchSettings::default();
    let all_down = reader.parse("all-down", "keep, all or empty", |text| {
        Some(match text.to_ascii_lowercase().as_str() {
            "keep" => AllDown::Keep,
            "all" => AllDown::All,
            "empty" => AllDown::Empty,
            _ => return None,
        })
    });
    let max_delete = reader.parse("max-delete", "a percentage from 0% to 100%", parse::percent);
    let max_removals = reader.parse("max-removals", "a percentage from 0% to 100%", parse::percent);
    let removals = reader.parse("removals", "on or off", text::switch);
    let min_kept = count(reader, "min-kept", 1000).and_then(|number| usize::try_from(number).ok());
    Brakes {
        brakes: fleetdns_core::Brakes {
            max_addresses: default.max_addresses,
            min_kept: min_kept.unwrap_or(default.min_kept),
            all_down: all_down.unwrap_or(default.all_down),
            max_delete: max_delete.unwrap_or(default.max_delete),
            max_removals: max_removals.unwrap_or(default.max_removals),
            removals: removals.unwrap_or(default.removals),
        },
        startup_timeout: duration(reader, "startup-timeout", SECOND..=HOUR).unwrap_or(watch.startup_timeout),
        grace: duration(reader, "grace", Duration::ZERO..=24 * HOUR).unwrap_or(watch.grace),
        hostname_grace: duration(reader, "hostname-grace", Duration::ZERO..=24 * HOUR)
            .unwrap_or(watch.hostname_grace),
        correlation_hold: correlation_hold(reader),
        anchors: anchors(reader),
        drift: duration(reader, "drift", SECOND..=24 * HOUR).unwrap_or(60 * SECOND),
    }
}

fn correlation_hold(reader: &mut Reader<'_>) -> Option<Duration> {
    let range = SECOND..=24 * HOUR;
    let forever = reader.text("correlation-hold").is_some_and(|text| text.eq_ignore_ascii_case("forever"));
    if forever { None } else { duration(reader, "correlation-hold", range).or(Some(CORRELATION_HOLD)) }
}

fn anchors(reader: &mut Reader<'_>) -> Vec<Canary> {
    let right = "host:port, such as 9.9.9.9:53, [2620:fe::fe]:53 or www.example.com:443";
    let mut anchors: Vec<Canary> = Vec::new();
    for (address, port) in reader.list("anchors", right, parse::host_port) {
        let canary = Canary { what: "anchor".into(), member: None, address, port };
        if anchors.contains(&canary) {
            reader.fault("anchors", format!("names {}:{port} twice; once is enough", canary.address));
        } else {
            anchors.push(canary);
        }
    }
    anchors
}

/// `[admin]`.
pub(super) fn admin(reader: &mut Reader<'_>, outside: &Outside<'_>) -> Admin {
    let right = "a loopback address and port, such as 127.0.0.1:8053, or off";
    let listen = reader.parse("listen", right, |text| match text.to_ascii_lowercase().as_str() {
        "off" => Some(None),
        text => text.parse::<SocketAddr>().ok().map(Some),
    });
    if let Some(Some(address)) = listen
        && !address.ip().is_loopback()
    {
        let problem = format!(
            "'{address}' can be reached from outside, and the admin API asks for no password; use 127.0.0.1:{} or \
             [::1]:{0}, and a proxy that asks where it is needed outside",
            address.port()
        );
        reader.fault("listen", problem);
    }
    let right = "an address and port, such as 0.0.0.0:8054, or off";
    let metrics = reader.parse("metrics", right, |text| match text.to_ascii_lowercase().as_str() {
        "off" => Some(None),
        text => text.parse::<SocketAddr>().ok().map(Some),
    });
    if let (Some(Some(metrics)), Some(listen)) = (metrics, listen.unwrap_or(Some(LISTEN)))
        && metrics.port() == listen.port()
        && (metrics.ip() == listen.ip() || metrics.ip().is_unspecified())
        && listen.port() > 0
    {
        reader.fault("metrics", format!("takes the port of the admin API, {listen}; give it another one"));
    }
    let log = reader.parse("log", "text or json", |text| {
        Some(match text.to_ascii_lowercase().as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return None,
        })
    });
    let level = reader.parse("log-level", "error, warn, info, debug or trace", |text| {
        // The library takes numbers too.
        text.parse::<Level>().ok().filter(|_| text.parse::<u8>().is_err())
    });
    let right = "an absolute path, or off";
    let socket = reader.parse("socket", right, |text| match text.to_ascii_lowercase().as_str() {
        "off" => Some(Socket::Off),
        _ => Some(outside.path(text)).filter(|path| path.is_absolute()).map(Socket::At),
    });
    Admin {
        listen: listen.unwrap_or(Some(LISTEN)),
        hosts: reader.list("hosts", "a host name, such as dns.example.com", |text| {
            text.parse::<DnsName>().ok().map(|name| name.to_string())
        }),
        metrics: metrics.flatten(),
        socket: socket.unwrap_or_else(|| Socket::usual(outside)),
        log: log.unwrap_or_default(),
        level: level.unwrap_or(Level::INFO),
        audit: audit(reader, outside),
    }
}

fn audit(reader: &mut Reader<'_>, outside: &Outside<'_>) -> Option<PathBuf> {
    let path = reader.text("audit").map(|text| outside.path(text))?;
    if path.file_name().is_none() || path.to_string_lossy().ends_with('/') {
        reader.fault("audit", "names a folder; give a file, such as /var/log/fleetdns/audit.jsonl");
    }
    Some(path)
}
