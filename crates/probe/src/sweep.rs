//! One sweep: each key is probed until it has a verdict, for `fleetdns plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::{Address, DnsName, Health, ProbeKey, Snapshot, Verdict};
use fleetdns_health::state::{HealthState, Outcome};
use futures::{StreamExt, stream};
use imbl::OrdSet;
use tokio::time::{sleep, timeout};

use crate::answer::Answer;
use crate::resolve::{Families, resolve_once};
use crate::settings::ProbeSettings;

/// Between two tries of one key: a person waits.
const PAUSE: Duration = Duration::from_millis(500);
/// For all host names together.
const RESOLVING: Duration = Duration::from_secs(15);
/// Names or keys at one time.
const ABREAST: usize = 512;

pub(crate) async fn sweep<P, F, L, G>(
    settings: &ProbeSettings,
    snapshot: &Snapshot,
    probe: P,
    lookup: L,
) -> Health
where
    P: Fn(ProbeKey) -> F,
    F: Future<Output = Answer>,
    L: Fn(DnsName) -> G,
    G: Future<Output = (DnsName, Families)>,
{
    let targets = snapshot.targets();
    let names: BTreeSet<DnsName> = targets
        .iter()
        .filter_map(|target| match &target.address {
            Address::Hostname(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    let mut health = Health { addresses: Arc::clone(&settings.addresses), ..Health::default() };
    resolve(names, lookup, &mut health).await;
    let keys: BTreeSet<ProbeKey> = targets
        .iter()
        .filter(|target| target.spec.is_probed())
        .flat_map(|target| {
            let addresses = addresses(&target.address, &health);
            let allowed = |address: &IpAddr| settings.addresses.check(*address, &target.spec).is_ok();
            addresses
                .into_iter()
                .filter(allowed)
                .map(|address| ProbeKey { address, spec: Arc::clone(&target.spec) })
        })
        .collect();
    health_state(settings, keys, probe, &mut health).await;
    health
}

fn addresses(address: &Address, health: &Health) -> Vec<IpAddr> {
    match address {
        Address::Hostname(name) => health.resolved.get(name).into_iter().flatten().copied().collect(),
        other => other.ip().into_iter().collect(),
    }
}

async fn resolve<L, G>(names: BTreeSet<DnsName>, lookup: L, health: &mut Health)
where
    L: Fn(DnsName) -> G,
    G: Future<Output = (DnsName, Families)>,
{
    let lookup = &lookup;
    let mut resolved: BTreeMap<DnsName, OrdSet<IpAddr>> = BTreeMap::new();
    let all = stream::iter(names)
        .map(|name| async move { (name.clone(), resolve_once(name, lookup).await) })
        .buffer_unordered(ABREAST)
        .for_each(|(name, addresses)| {
            resolved.extend(addresses.map(|addresses| (name, addresses)));
            std::future::ready(())
        });
    // Whatever has not come by then stays unknown.
    let _ = timeout(RESOLVING, all).await;
    health.resolved.extend(resolved);
}

async fn health_state<P, F>(settings: &ProbeSettings, keys: BTreeSet<ProbeKey>, probe: P, health: &mut Health)
where
    P: Fn(ProbeKey) -> F,
    F: Future<Output = Answer>,
{
    let abreast = settings.room().min(ABREAST);
    let batches = u32::try_from(keys.len().div_ceil(abreast)).unwrap_or(u32::MAX);
    let all = settings.timing();
    let longest = |key: &ProbeKey| {
        let timing = all.with(&key.spec.pace);
        (timing.timeout + PAUSE).saturating_mul(timing.thresholds.fall.max(1))
    };
    let bound = keys.iter().map(longest).max().unwrap_or_default().saturating_mul(batches.max(1));
    let probe = &probe;
    let mut verdicts: Vec<(ProbeKey, Option<Verdict>)> = Vec::new();
    let all = stream::iter(keys)
        .map(|key| async move { (key.clone(), verdict(settings, key, probe).await) })
        .buffer_unordered(abreast)
        .for_each(|judged| {
            verdicts.push(judged);
            std::future::ready(())
        });
    let _ = timeout(bound, all).await;
    health.unprobeable_policy = settings.unprobeable_policy;
    for (key, verdict) in verdicts {
        match verdict {
            None => drop(health.unprobeable.insert(key)),
            Some(Verdict::Unknown) => {}
            Some(verdict) => health.judge(key, verdict),
        }
    }
}

/// `None` when no probe could say anything of the key, because of a fault on our side.
async fn verdict<P, F>(settings: &ProbeSettings, key: ProbeKey, probe: &P) -> Option<Verdict>
where
    P: Fn(ProbeKey) -> F,
    F: Future<Output = Answer>,
{
    let mut health_state = HealthState::default();
    let timing = settings.timing().with(&key.spec.pace);
    let mut unprobeable = true;
    for attempt in 0..timing.thresholds.fall.max(1) {
        if attempt > 0 {
            sleep(PAUSE.min(timing.fast_interval)).await;
        }
        let answer = probe(key.clone()).await;
        unprobeable &= answer.outcome() == Outcome::Inconclusive;
        if health_state.record(answer.outcome(), Duration::ZERO, &timing.thresholds, false).is_some() {
            break;
        }
    }
    (!unprobeable).then(|| health_state.verdict())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;
    use crate::answer::{Failure, Snag};
    use crate::resolve::Family;
    use crate::testing::{Words, fleet, key, member};

    /// The last octet says how an address answers; one fault and then a success for 4.
    async fn answer(key: ProbeKey, asked: &Mutex<Vec<String>>) -> Answer {
        let text = key.address.to_string();
        let before = {
            let mut asked = asked.lock().unwrap();
            let before = asked.iter().filter(|one| **one == text).count();
            asked.push(text.clone());
            before
        };
        match text.rsplit('.').next().unwrap() {
            "2" => Answer::Fail(Failure::Refused),
            "3" => Answer::Unclear(Snag::NoRoute),
            "4" if before == 0 => Answer::Fail(Failure::Reset),
            "9" => std::future::pending().await,
            _ => Answer::Pass,
        }
    }

    async fn lookup(name: DnsName) -> (DnsName, Families) {
        let answer = match name.labels().next().unwrap() {
            "good" => (Family::Found(["10.0.0.2".parse().unwrap()].into(), PAUSE), Family::Empty),
            "gone" => (Family::Empty, Family::Empty),
            "hangs" => std::future::pending().await,
            _ => (Family::Failed("no".to_owned()), Family::Failed("no".to_owned())),
        };
        (name, answer)
    }

    async fn run(words: &[Words<'_>]) -> (Health, Vec<String>) {
        let asked = Mutex::new(Vec::new());
        let settings = ProbeSettings::default();
        let snapshot = fleet(&[member("west", words)]);
        let health = sweep(&settings, &snapshot, |key| answer(key, &asked), lookup).await;
        (health, asked.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_is_probed_until_it_has_a_verdict_or_fall_times() {
        let (health, asked) = run(&[
            ("a", "10.0.0.1", "tcp:80"),
            ("b", "10.0.0.2", "tcp:80"),
            ("c", "10.0.0.3", "tcp:80"),
            ("d", "10.0.0.4", "tcp:80"),
            ("e", "good.example.com", "tcp:80"),
            ("f", "gone.example.com", "tcp:80"),
            ("g", "bad.example.com", "tcp:80"),
            ("h", "10.0.0.5", "none"),
        ])
        .await;
        let verdicts = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
            .map(|address| health.verdict(&key(address, "tcp:80")));
        assert_eq!(verdicts, [Verdict::Healthy, Verdict::Unhealthy, Verdict::Unknown, Verdict::Healthy]);
        assert_eq!(
            health.unprobeable.iter().map(|key| key.address.to_string()).collect::<Vec<_>>(),
            ["10.0.0.3"]
        );
        let count = |address| asked.iter().filter(|one| **one == format!("10.0.0.{address}")).count();
        assert_eq!([1, 2, 3, 4, 5].map(count), [1, 3, 3, 2, 0]);
        let resolved: Vec<String> =
            health.resolved.iter().map(|(name, ips)| format!("{name} {}", ips.len())).collect();
        assert_eq!(resolved, ["gone.example.com 0", "good.example.com 1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_does_not_hold_up_the_rest() {
        let start = Instant::now();
        let (health, _) = run(&[
            ("a", "10.0.0.9", "tcp:80"),
            ("b", "hangs.example.com", "tcp:80"),
            ("c", "good.example.com", "tcp:80"),
            ("d", "10.0.0.1", "tcp:80"),
        ])
        .await;
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        assert_eq!((health.verdicts.len(), health.resolved.len()), (2, 1));
    }
}
