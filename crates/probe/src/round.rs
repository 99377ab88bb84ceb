//! One round over everything, for a look without a daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::judge::Judge;
use fleetdns_core::{Address, DnsName, Health, ProbeKey, ProbeSpec, Snapshot, Verdict};
use futures::{StreamExt, stream};
use imbl::OrdSet;
use tokio::time::{sleep, timeout};

use crate::ProbeSettings;
use crate::answer::Answer;
use crate::resolve::{Families, resolve_once};

/// Between two tries of one key: a person waits.
const PAUSE: Duration = Duration::from_millis(500);
/// For all host names together.
const RESOLVING: Duration = Duration::from_secs(15);
/// Names or keys at one time.
const ABREAST: usize = 512;

pub(crate) async fn round<P, F, L, G>(
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
    let mut health = Health::default();
    resolve(names, lookup, &mut health).await;
    let keys: BTreeSet<ProbeKey> = targets
        .iter()
        .filter(|target| *target.spec != ProbeSpec::None)
        .flat_map(|target| {
            let addresses = addresses(&target.address, &health);
            addresses.into_iter().map(|address| ProbeKey { address, spec: Arc::clone(&target.spec) })
        })
        .collect();
    judge(settings, keys, probe, &mut health).await;
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

async fn judge<P, F>(settings: &ProbeSettings, keys: BTreeSet<ProbeKey>, probe: P, health: &mut Health)
where
    P: Fn(ProbeKey) -> F,
    F: Future<Output = Answer>,
{
    let abreast = settings.room().min(ABREAST);
    let batches = u32::try_from(keys.len().div_ceil(abreast)).unwrap_or(u32::MAX);
    let bound =
        (settings.timeout + PAUSE).saturating_mul(settings.fall.max(1)).saturating_mul(batches.max(1));
    let probe = &probe;
    let mut verdicts: Vec<(ProbeKey, Verdict)> = Vec::new();
    let all = stream::iter(keys)
        .map(|key| async move { (key.clone(), verdict(settings, key, probe).await) })
        .buffer_unordered(abreast)
        .for_each(|judged| {
            verdicts.push(judged);
            std::future::ready(())
        });
    let _ = timeout(bound, all).await;
    health.verdicts.extend(verdicts.into_iter().filter(|(_, verdict)| *verdict != Verdict::Unknown));
}

async fn verdict<P, F>(settings: &ProbeSettings, key: ProbeKey, probe: &P) -> Verdict
where
    P: Fn(ProbeKey) -> F,
    F: Future<Output = Answer>,
{
    let mut judge = Judge::default();
    for attempt in 0..settings.fall.max(1) {
        if attempt > 0 {
            sleep(PAUSE.min(settings.fast_interval)).await;
        }
        let answer = probe(key.clone()).await;
        if judge.step(answer.outcome(), Duration::ZERO, &settings.thresholds()).is_some() {
            break;
        }
    }
    judge.verdict()
}
