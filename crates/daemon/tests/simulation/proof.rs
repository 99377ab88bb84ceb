//! Ways to break the product on purpose, so that each law can be seen to fail.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetdns_core::{
    AllDown, Brakes, Health, Observed, ObservedSet, Overrides, Owner, Ownership, OwnershipRecord, ProbeKey,
    SelfCheckFailure, Ttl, Verdict,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The pause between two verdicts of [`Broken::Queues`].
const IN_TURN: Duration = Duration::from_millis(500);

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Broken {
    #[default]
    Nothing,
    /// All-down empties the names.
    Empties,
    /// No limit to what goes at once.
    Hurries,
    /// A healthy verdict is passed on as an unhealthy one.
    Slanders,
    /// Doubt is not passed on, nor what is held for it, and there are no canaries.
    Deaf,
    /// Somebody else's sets are taken for ours.
    Steals,
    /// The mark is another owner's.
    Misnames,
    /// Address sets are not seen, and writes are without condition.
    Blind,
    /// Members that were not listed are taken for listed and empty.
    Hasty,
    /// What the first list of a cluster that was rebuilt misses is gone.
    Naive,
    /// Record sets look as if they had another TTL.
    Restless,
    /// The provider never mends.
    Stuck,
    /// As long as an endpoint never answered, nothing goes: a doubt that cannot end.
    Latches,
    /// Verdicts are passed on one after another, each in its turn.
    Queues,
    /// A refused name is taken for a fault of the whole zone.
    Rests,
    /// What persons say is kept and not carried out.
    Ignores,
    /// A correlation holds for ever.
    Clings,
    /// A correlation holds for a moment.
    Yields,
    /// Any number of names is deleted at once.
    Purges,
}

impl Broken {
    pub(crate) fn is_deaf(self) -> bool {
        self == Self::Deaf
    }

    pub(crate) fn tampers(self) -> bool {
        matches!(self, Self::Slanders | Self::Deaf | Self::Latches | Self::Queues)
    }

    pub(crate) fn owner(self) -> &'static str {
        if self == Self::Misnames { "other" } else { "fed" }
    }

    pub(crate) fn brakes(self, brakes: Brakes) -> Brakes {
        match self {
            Self::Empties => Brakes { all_down: AllDown::Empty, ..brakes },
            Self::Hurries => Brakes { max_removals: 100, ..brakes },
            Self::Purges => Brakes { max_delete: 100, ..brakes },
            _ => brakes,
        }
    }

    /// How long a correlation holds.
    pub(crate) fn hold(self, hold: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Clings => None,
            Self::Yields => Some(Duration::from_secs(1)),
            _ => hold,
        }
    }

    /// What the product is told of the zone.
    pub(crate) fn listed(self, observed: &Observed) -> Observed {
        if !matches!(self, Self::Steals | Self::Blind | Self::Restless) {
            return observed.clone();
        }
        let all =
            observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name.clone(), set.clone())));
        all.filter_map(|(name, set)| Some((name, self.seen(set)?))).collect()
    }

    fn seen(self, mut set: ObservedSet) -> Option<ObservedSet> {
        match self {
            Self::Steals if !set.claim.is_ours() => {
                let mark = Ownership {
                    owner: "fed".parse().unwrap(),
                    service: "default/gone".parse().unwrap(),
                    routing: None,
                    members: std::collections::BTreeMap::new(),
                    unattributed: BTreeSet::new(),
                    overrides: Overrides::default(),
                };
                set.claim = Owner::of(&OwnershipRecord::from(&mark));
            }
            Self::Blind if set.type_name() != "CNAME" => return None,
            Self::Restless => set.ttl = Ttl::new(77).unwrap(),
            _ => {}
        }
        Some(set)
    }
}

/// Stands between the prober and the loop.
pub(crate) async fn relay(
    broken: Broken,
    mut from: watch::Receiver<Health>,
    to: watch::Sender<Health>,
    shutdown: CancellationToken,
) {
    let mut answered = BTreeSet::new();
    loop {
        let mut health = from.borrow_and_update().clone();
        let mut more = false;
        match broken {
            Broken::Deaf => hide_doubt(&mut health),
            Broken::Slanders => slander(&mut health),
            Broken::Latches => latch(&mut health, &mut answered),
            Broken::Queues => more = queue(&mut health, &to.borrow()),
            _ => {}
        }
        to.send_replace(health);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(IN_TURN), if more => {}
            changed = from.changed(), if !more => if changed.is_err() { return },
        }
    }
}

fn hide_doubt(health: &mut Health) {
    health.self_check = None;
    let held = |(key, verdict): (&ProbeKey, &Verdict)| (*verdict == Verdict::Suspended).then(|| key.clone());
    let held: Vec<ProbeKey> = health.verdicts.iter().filter_map(held).collect();
    health.verdicts.extend(held.into_iter().map(|key| (key, Verdict::Unhealthy)));
}

fn slander(health: &mut Health) {
    let healthy = health.verdicts.iter().find(|(_, verdict)| **verdict == Verdict::Healthy);
    if let Some(key) = healthy.map(|(key, _)| key.clone()) {
        health.verdicts.insert(key, Verdict::Unhealthy);
    }
}

fn latch(health: &mut Health, answered: &mut BTreeSet<ProbeKey>) {
    let is = |desired: Verdict| move |(_, verdict): &(&ProbeKey, &Verdict)| **verdict == desired;
    let keys = |desired| health.verdicts.iter().filter(is(desired)).map(|(key, _)| key.clone());
    answered.extend(keys(Verdict::Healthy));
    let never = keys(Verdict::Unhealthy).filter(|key| !answered.contains(key)).count();
    if never > 0 {
        health.self_check = Some(SelfCheckFailure::Vantage { canaries: 0, silent: 0, keys: never, heard: 0 });
    }
}

/// Lets one verdict pass that is another than before; returns whether there are more.
fn queue(health: &mut Health, shown: &Health) -> bool {
    let turned = |(key, verdict): &(&ProbeKey, &Verdict)| {
        shown.verdicts.get(*key).is_some_and(|before| before != *verdict)
    };
    let mut waiting: Vec<ProbeKey> =
        health.verdicts.iter().filter(turned).map(|(key, _)| key.clone()).skip(1).collect();
    let more = !waiting.is_empty();
    for key in waiting.drain(..) {
        if let Some(before) = shown.verdicts.get(&key) {
            health.verdicts.insert(key, *before);
        }
    }
    more
}
