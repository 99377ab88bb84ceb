//! From the death of an endpoint to the zone without it, and from its return to the zone with it again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::ports;
use futures::StreamExt;

use crate::fleet::NAMESPACE;
use crate::say;
use crate::zone::Zone;

/// How long an address may take to be removed or added before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions, of every subject.
const PAUSE: Duration = Duration::from_millis(50);
/// The probe interval. Deaths and returns are spread over one, so that they meet all of its phases.
const INTERVAL: Duration = Duration::from_secs(5);

/// How an endpoint dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Connections are refused.
    Refused,
    /// Packets vanish.
    Silent,
    /// Requests are answered with HTTP 503.
    Failing,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Refused, Self::Silent, Self::Failing];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Failing => "HTTP 503",
        }
    }

    /// How long fleetdns may take at worst, with default settings.
    pub(crate) fn budget(self) -> Duration {
        match self {
            Self::Refused | Self::Failing => Duration::from_secs(10),
            Self::Silent => Duration::from_secs(12),
        }
    }

    fn mode(self) -> Mode {
        match self {
            Self::Refused => Mode::Refuse,
            Self::Silent => Mode::BlackHole,
            Self::Failing => Mode::Status(503),
        }
    }

    /// The probe is the default one where that notices.
    fn service(self, name: &str, port: u16) -> NewService {
        let service = NewService::new(NAMESPACE, name).port(port);
        if self == Self::Failing { service.annotation("fleetdns.io/probe", "http") } else { service }
    }
}

/// How long one endpoint took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    way: Way,
    /// From before it died to the zone without it.
    out: Duration,
    /// From before it returned to the zone with it again.
    back: Duration,
}

/// How long all of them took in one zone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outages(Vec<Sample>);

impl Outages {
    /// Times until the endpoint was out.
    pub(crate) fn out(&self, way: Way) -> Vec<Duration> {
        self.of(way).map(|sample| sample.out).collect()
    }

    /// Times until it was back.
    pub(crate) fn back(&self, way: Way) -> Vec<Duration> {
        self.of(way).map(|sample| sample.back).collect()
    }

    fn of(&self, way: Way) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.way == way)
    }
}

/// A Service with two addresses, of which one will die. Each has endpoints of its own: a probe key that has failed before
/// is judged more strictly.
pub(crate) struct Subject {
    way: Way,
    /// Before it dies, and before it returns: different parts of a probe interval.
    pause: Duration,
    service: String,
    dying: Endpoint,
    living: Endpoint,
}

/// Publishes `turns` subjects for each way to die. Of two members the first has the address that dies.
pub(crate) async fn publish(members: &[Arc<Member>], ways: &[Way], turns: u32) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for turn in 0..turns {
        for &way in ways {
            let port = ports::free();
            let (dying, living) = (Endpoint::on_port(port), Endpoint::on_port(port));
            let service = format!("{way:?}-{turn}").to_ascii_lowercase();
            let (one, other) = (dying.ip().to_string(), living.ip().to_string());
            let addresses = [one.as_str(), other.as_str()];
            for (member, share) in members.iter().zip(addresses.chunks(addresses.len() / members.len())) {
                member.create_published(&way.service(&service, port), share).await;
            }
            subjects.push(Subject { way, pause: INTERVAL * turn / turns, service, dying, living });
        }
    }
    subjects
}

/// Zones that all hold the same names, and the name of a Service in them.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) zones: Vec<Arc<Zone>>,
    pub(crate) name: fn(&str) -> String,
}

impl Scene {
    /// Has all subjects die and return, so many of them at a time, once they are published and `rest` has passed; returns
    /// how long that took in each zone.
    ///
    /// A first failure has the prober ask a sample of all endpoints again. So deaths that are close together are found
    /// sooner than one by itself, unless the sample is a small part of the fleet.
    pub(crate) async fn measure(
        &self,
        subjects: Vec<Subject>,
        rest: Duration,
        abreast: usize,
    ) -> Vec<Outages> {
        for subject in &subjects {
            self.hold(&subject.service, [&subject.dying, &subject.living]).await;
        }
        // Two intervals: the probes of all of them run at their usual pace by then.
        tokio::time::sleep(rest.max(INTERVAL * 2)).await;
        let tasks = subjects.into_iter().map(|subject| {
            let scene = self.clone();
            async move { tokio::spawn(async move { subject.die(&scene).await }).await }
        });
        let mut tasks = futures::stream::iter(tasks).buffer_unordered(abreast);
        let mut outages = vec![Outages::default(); self.zones.len()];
        // What has returned lives on: its end would be one more death.
        let mut returned = Vec::new();
        while let Some(ended) = tasks.next().await {
            let (samples, subject) = ended.unwrap_or_else(|e| panic!("an outage was not measured: {e}"));
            returned.push(subject);
            for (outages, sample) in outages.iter_mut().zip(samples) {
                outages.0.push(sample);
            }
        }
        outages
    }

    /// Waits until each zone has exactly the addresses of these endpoints at the name of the Service; returns how long
    /// each took.
    async fn hold<const N: usize>(&self, service: &str, endpoints: [&Endpoint; N]) -> Vec<Duration> {
        let expected = BTreeSet::from(endpoints.map(|endpoint| endpoint.ip().to_string()));
        let name = (self.name)(service);
        futures::future::join_all(self.zones.iter().map(|zone| holds(zone, &name, &expected))).await
    }
}

impl Subject {
    /// Kills the endpoint, and lets it return.
    async fn die(mut self, scene: &Scene) -> (Vec<Sample>, Self) {
        tokio::time::sleep(self.pause).await;
        let way = self.way;
        // Filling a black hole blocks for some 0.1 s, and counts: nothing answers from its beginning on.
        let begin = Instant::now();
        self = self.set(way.mode()).await;
        let setting = begin.elapsed();
        let out = scene.hold(&self.service, [&self.living]).await;
        let worst = out.iter().max().copied().unwrap_or_default();
        say(&format!("{} out of all zones after {:.1?}", self.service, setting + worst));

        tokio::time::sleep(self.pause).await;
        self = self.set(Mode::Ok).await;
        let back = scene.hold(&self.service, [&self.dying, &self.living]).await;
        let samples = out.into_iter().zip(back);
        let samples = samples.map(|(out, back)| Sample { way, out: setting + out, back }).collect();
        (samples, self)
    }

    async fn set(mut self, mode: Mode) -> Self {
        let set = tokio::task::spawn_blocking(move || {
            self.dying.set(mode);
            self
        });
        set.await.expect("an endpoint can be broken and mended")
    }
}

/// Waits until the name has exactly these addresses; returns how long that took.
async fn holds(zone: &Zone, name: &str, expected: &BTreeSet<String>) -> Duration {
    let begin = Instant::now();
    loop {
        let there = zone.addresses(name).await;
        if there.as_ref() == Ok(expected) {
            return begin.elapsed();
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{name} is not {expected:?} within {PATIENCE:?}; last: {there:?}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
