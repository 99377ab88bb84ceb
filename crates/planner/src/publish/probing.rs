//! How the endpoints of a Service are probed: what its annotations ask for, over what holds for its member.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use super::cloud;
use super::probe_defaults::{ProbeDefaults, Protocol};
use super::settings::PublishSettings;
use crate::federation::global_name;
use fleetdns_core::name::{DnsName, Label};
use fleetdns_core::probe::{
    Check, Expect, GrpcCheck, GuessCheck, HttpCheck, Millis, Pace, ProbeSpec, is_path, is_service,
};
use fleetdns_core::service::{Port, Service, ServiceKey};
use fleetdns_core::service_fault::ServiceFault;
use fleetdns_core::small_set::SmallSet;

const INTERVAL: &str = "a span of time of at most 1h, such as 10s";
const TIMEOUT: &str = "a span of time from 10ms to 1h that is no longer than the interval, such as 2s";
const COUNT: &str = "a number from 1 to 100";

const PORT: &str =
    "a TCP port of the Service; extra-ports in [probe] or probe-extra-ports of a cluster allow more";
const PATH: &str = "a path that begins with '/', of at most 1024 characters, escaped as in a URL";
const HOST: &str = "a host name that the Service publishes";

fn is_tcp(port: &Port) -> bool {
    port.protocol.eq_ignore_ascii_case("TCP")
}

/// The names that a Service publishes.
struct Names<'a> {
    key: &'a ServiceKey,
    hostnames: &'a SmallSet<DnsName>,
    settings: &'a PublishSettings,
}

impl Names<'_> {
    /// Whether a name is one of them, or what the operator says for all.
    fn has(&self, name: &DnsName) -> bool {
        let Self { key, hostnames, settings } = self;
        let by_wildcard = || {
            let parent = name.as_str().split_once('.').map(|(_, parent)| format!("*.{parent}"));
            parent.is_some_and(|wildcard| hostnames.iter().any(|own| own.as_str() == wildcard))
        };
        let federation = |fleet: &Label| {
            let head = format!("{}.{}.{fleet}.svc.", key.name(), key.namespace());
            let zones = || settings.zones.iter().any(|(_, suffix)| name.is_below(suffix));
            name.as_str().starts_with(&head) && zones()
        };
        settings.probe.host.as_ref() == Some(name)
            || hostnames.contains(name)
            || by_wildcard()
            || settings.fleet.as_ref().is_some_and(federation)
    }

    /// The name that clients use: the first host name without a wildcard, otherwise the first global name.
    fn usual(&self) -> Option<DnsName> {
        let Self { key, hostnames, settings } = self;
        let hostname = hostnames.iter().find(|name| !name.is_wildcard());
        settings.probe.host.as_ref().or(hostname).cloned().or_else(|| {
            let (_, suffix) = settings.zones.first()?;
            global_name(key, settings.fleet.as_ref()?, suffix).ok()
        })
    }
}

/// What a Service asks for.
#[derive(Debug, Default)]
struct Asked {
    protocol: Option<Protocol>,
    port: Option<u16>,
    path: Option<Arc<str>>,
    host: Option<DnsName>,
    service: Option<Arc<str>>,
    expect: Option<Expect>,
    pace: Pace,
}

impl Asked {
    /// Says what is wrong, and asks for nothing then: half of what was meant might never be answered.
    fn read(
        service: &Service,
        names: &Names<'_>,
        defaults: &ProbeDefaults,
        faults: &mut Vec<ServiceFault>,
    ) -> Option<Self> {
        let before = faults.len();
        let may_ask = |port: u16| {
            let own = service.ports.iter().any(|own| own.port == port && is_tcp(own));
            own || defaults.extra_ports.contain(port)
        };
        let mut reader = Reader { service, faults };
        let asked = Self {
            protocol: reader.read("probe", "tcp, http, https, grpc, grpcs or none", |text| text.parse().ok()),
            port: reader.read("probe-port", PORT, |text| {
                text.parse().ok().filter(|port| *port > 0 && may_ask(*port))
            }),
            path: reader.read("probe-path", PATH, |text| is_path(text).then(|| text.into())),
            host: reader.read("probe-host", HOST, |text| {
                text.parse().ok().filter(|name: &DnsName| !name.is_wildcard() && names.has(name))
            }),
            service: reader.read("probe-service", "the name of a gRPC service", |text| {
                is_service(text).then(|| text.into())
            }),
            expect: reader
                .read("probe-expect", "a list of statuses such as 200,204,300-399", |text| text.parse().ok()),
            pace: Pace {
                interval: reader.interval(defaults.min_interval),
                timeout: reader.read("probe-timeout", TIMEOUT, timeout),
                fall: reader.read("probe-fall", COUNT, count),
                rise: reader.read("probe-rise", COUNT, count),
            },
        };
        asked.contradictions(defaults, &mut reader);
        // To be left alone is clear, whatever stands beside it.
        let clear = faults.len() == before || asked.protocol == Some(Protocol::None);
        clear.then_some(asked)
    }

    /// Annotations that the protocol has no use for, and times that do not fit.
    fn contradictions(&self, defaults: &ProbeDefaults, reader: &mut Reader<'_>) {
        let protocol = self.protocol.or(defaults.protocol).unwrap_or_default();
        let (http, grpc) = (protocol.is_http(), protocol.is_grpc());
        let of_http = "http or https as probe beside it";
        for (given, fits, annotation, right) in [
            (self.path.is_some(), http, "probe-path", of_http),
            (self.expect.is_some(), http, "probe-expect", of_http),
            (
                self.host.is_some(),
                http || grpc,
                "probe-host",
                "http, https, grpc or grpcs as probe beside it",
            ),
            (self.service.is_some(), grpc, "probe-service", "grpc or grpcs as probe beside it"),
        ] {
            if given && !fits {
                reader.fault(annotation, right);
            }
        }
        let pace = self.pace.or(defaults.pace);
        if let (Some(timeout), Some(interval), Some(_)) = (pace.timeout, pace.interval, self.pace.timeout)
            && timeout > interval
        {
            reader.fault("probe-timeout", TIMEOUT);
        }
    }

    /// Whether nothing is said of what is asked; how often is another matter.
    const fn is_silent(&self) -> bool {
        self.protocol.is_none()
            && self.port.is_none()
            && self.path.is_none()
            && self.host.is_none()
            && self.service.is_none()
            && self.expect.is_none()
    }
}

struct Reader<'a> {
    service: &'a Service,
    faults: &'a mut Vec<ServiceFault>,
}

impl Reader<'_> {
    fn read<T>(
        &mut self,
        annotation: &'static str,
        right: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.service.own_annotation(annotation)?);
        if value.is_none() {
            self.fault(annotation, right);
        }
        value
    }

    /// An interval that is not shorter than the least.
    fn interval(&mut self, least: Duration) -> Option<Millis> {
        let asked = self.read("probe-interval", INTERVAL, |text| text.parse::<Millis>().ok())?;
        if asked.duration() >= least {
            return Some(asked);
        }
        self.faults.push(ServiceFault::TooOften { asked, least });
        None
    }

    fn fault(&mut self, annotation: &'static str, expected: &'static str) {
        let text = self.service.own_annotation(annotation).unwrap_or_default();
        self.faults.push(ServiceFault::annotation(annotation, text, expected));
    }
}

/// The shortest timeout.
const LEAST_TIMEOUT: Duration = Duration::from_millis(10);

fn timeout(text: &str) -> Option<Millis> {
    text.parse().ok().filter(|time: &Millis| time.duration() >= LEAST_TIMEOUT)
}

fn count(text: &str) -> Option<NonZeroU8> {
    text.parse().ok().filter(|count: &NonZeroU8| count.get() <= 100)
}

/// How a Service is probed. What it asks for in a way that cannot be used is said, and it is probed as if it had asked for
/// nothing.
pub(super) fn probe(
    service: &Service,
    key: &ServiceKey,
    hostnames: &SmallSet<DnsName>,
    settings: &PublishSettings,
    faults: &mut Vec<ServiceFault>,
) -> ProbeSpec {
    let defaults = &settings.probe;
    let guarded = |spec| ProbeSpec { guard: settings.guard.clone(), ..spec };
    // Most Services ask for nothing.
    let asks = service.annotations.keys().any(|key| key.starts_with("fleetdns.io/probe"));
    let names = Names { key, hostnames, settings };
    let asked = if asks { Asked::read(service, &names, defaults, faults) } else { Some(Asked::default()) };
    let guesses = defaults.protocol.is_none() && asked.as_ref().is_some_and(Asked::is_silent);
    let asked = asked.unwrap_or_default();
    let protocol = asked.protocol.or(defaults.protocol).unwrap_or_default();
    if protocol == Protocol::None {
        return guarded(ProbeSpec::NONE);
    }
    let first = service.ports.iter().find(|port| is_tcp(port)).map(|port| port.port);
    // A port that is set for all is none of a Service that has no TCP port.
    let usual = defaults.port.filter(|_| first.is_some() || service.ports.is_empty());
    let Some(port) = asked.port.or(usual).or(first) else { return guarded(ProbeSpec::CLUSTER) };
    let pace = asked.pace.or(defaults.pace);
    let named = || asked.host.clone().or_else(|| names.usual());
    let check = match protocol {
        Protocol::None | Protocol::Tcp => None,
        Protocol::Http | Protocol::Https => named().map(|host| {
            Check::Http(Box::new(HttpCheck {
                port,
                tls: (protocol == Protocol::Https).then(|| defaults.trust.clone()),
                path: asked.path.unwrap_or_else(|| Arc::clone(&defaults.path)),
                host,
                expect: asked.expect.unwrap_or_else(|| defaults.expect.clone()),
            }))
        }),
        Protocol::Grpc | Protocol::Grpcs => named().map(|host| {
            Check::Grpc(Box::new(GrpcCheck {
                port,
                tls: (protocol == Protocol::Grpcs).then(|| defaults.trust.clone()),
                service: asked.service.unwrap_or_else(|| Arc::clone(&defaults.service)),
                host,
            }))
        }),
    };
    let guess = || {
        let (path, expect) = cloud::request(service, port).filter(|_| guesses)?;
        Some(Check::Guess(Box::new(GuessCheck { port, path: path.into(), expect })))
    };
    guarded(ProbeSpec { pace, ..ProbeSpec::of(check.or_else(guess).unwrap_or(Check::Tcp { port })) })
}

#[cfg(test)]
mod tests;
