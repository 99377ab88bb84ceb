//! Host names of load balancers: resolved again and again, by their TTL.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::future::Future;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::DnsName;
use fleetdns_core::backoff::doubled;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use imbl::OrdSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::flight::{Due, Flight};

/// Bounds of the time after which a good answer is asked for again.
pub(crate) const SHORTEST: Duration = Duration::from_secs(5);
pub(crate) const LONGEST: Duration = Duration::from_secs(300);
/// A name that is said to have no address is asked for once more after this, before it is believed.
const CONFIRM: Duration = Duration::from_secs(1);
/// The addresses of a name that is said to have none any more are kept and probed for so long: the fault may be the resolver's,
/// and it would hit all names at once. What is dead of them leaves because of its probes.
const KEPT: Duration = Duration::from_secs(120);
/// How long a name without addresses is left alone. Short: most often its load balancer is being made.
const EMPTY: Duration = Duration::from_secs(15);
/// Bound of the growing pause while resolving fails.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// A lookup ends by itself within this.
pub(crate) const LONGEST_LOOKUP: Duration = Duration::from_secs(10);
/// Names asked for at one time.
const MOST_IN_FLIGHT: usize = 256;
/// Addresses that are taken from one answer.
const MOST_ADDRESSES: usize = 64;
/// A name whose answers go on changing is asked for less and less often, up to this.
const LONGEST_ROTATION: Duration = Duration::from_secs(60);
/// So many answers in a row may change before that.
const STEADY: u32 = 3;

/// The answer for one address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Family {
    /// Addresses and their TTL.
    Found(BTreeSet<IpAddr>, Duration),
    /// No such name, or none of this family.
    Empty,
    /// No answer that can be believed.
    Failed(String),
}

/// A and AAAA.
pub(crate) type Families = (Family, Family);

/// What came of asking for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) name: DnsName,
    /// `None` while it is not known, or not believed yet.
    pub(crate) addresses: Option<OrdSet<IpAddr>>,
    pub(crate) error: Option<String>,
}

/// An answer whose TTL is within these bounds.
pub(crate) fn within((shortest, longest): (Duration, Duration), (v4, v6): Families) -> Families {
    let bound = |family| match family {
        Family::Found(found, ttl) => Family::Found(found, ttl.max(shortest).min(longest)),
        other => other,
    };
    (bound(v4), bound(v6))
}

/// What is known of one name.
///
/// Invariant: addresses go only on a good answer: a failure keeps them, "there are none" must be said twice, and of a name that
/// had some for [`KEPT`].
#[derive(Debug, Default)]
struct Known {
    v4: Option<BTreeSet<IpAddr>>,
    v6: Option<BTreeSet<IpAddr>>,
    /// Since when it is said to have no addresses, with nothing else said meanwhile, and not believed.
    empty_since: Option<Instant>,
    failures: u32,
    /// Answers in a row that were other than the one before.
    changes: u32,
    due: Option<Instant>,
    /// For whom it is resolved.
    namespace: Arc<str>,
}

impl Known {
    /// Takes in an answer; returns the pause until the next question.
    fn take(&mut self, (v4, v6): &Families, now: Instant) -> (Option<String>, Duration) {
        let failed = [v4, v6].into_iter().find_map(|family| match family {
            Family::Failed(why) => Some(why.clone()),
            _ => None,
        });
        self.failures = if failed.is_some() { self.failures.saturating_add(1) } else { 0 };
        let retry = doubled(SHORTEST, LONGEST_RETRY, self.failures.saturating_sub(1));
        let found = |family: &Family| match family {
            Family::Found(_, ttl) => Some(*ttl),
            _ => None,
        };
        let ttl = found(v4).into_iter().chain(found(v6)).min();
        if *v4 == Family::Empty && *v6 == Family::Empty {
            return (None, self.take_empty(now));
        }
        self.empty_since = None;
        let before = self.addresses();
        set(&mut self.v4, v4, ttl.is_some());
        set(&mut self.v6, v6, ttl.is_some());
        let same = before.is_none() || before == self.addresses();
        self.changes = if same { 0 } else { self.changes.saturating_add(1) };
        let rotation = doubled(SHORTEST, LONGEST_ROTATION, self.changes.saturating_sub(STEADY));
        let pause = ttl.map_or(retry, |ttl| ttl.clamp(rotation, LONGEST));
        (failed.clone(), if failed.is_some() { pause.min(retry) } else { pause })
    }

    fn take_empty(&mut self, now: Instant) -> Duration {
        let known = self.addresses();
        let kept = if known.as_ref().is_some_and(|addresses| !addresses.is_empty()) { KEPT } else { CONFIRM };
        let since = match (known, self.empty_since) {
            (Some(none), _) if none.is_empty() => return EMPTY,
            (_, Some(since)) => since,
            (_, None) => {
                self.empty_since = Some(now);
                return CONFIRM;
            }
        };
        if now.saturating_duration_since(since) >= kept {
            self.empty_since = None;
            (self.v4, self.v6) = (Some(BTreeSet::new()), Some(BTreeSet::new()));
        }
        EMPTY
    }

    fn addresses(&self) -> Option<OrdSet<IpAddr>> {
        if self.v4.is_none() && self.v6.is_none() {
            return None;
        }
        Some(self.v4.iter().chain(&self.v6).flatten().copied().collect())
    }
}

/// A family that is empty is believed only beside one that is not.
fn set(known: &mut Option<BTreeSet<IpAddr>>, answer: &Family, other_found: bool) {
    match answer {
        Family::Found(addresses, _) => {
            *known = Some(addresses.iter().copied().take(MOST_ADDRESSES).collect());
        }
        Family::Empty if other_found => *known = Some(BTreeSet::new()),
        Family::Empty | Family::Failed(_) => {}
    }
}

/// Asks once for a name, and once more if the first answer is nothing to rely on.
pub(crate) async fn resolve_once<F>(name: DnsName, lookup: impl Fn(DnsName) -> F) -> Option<OrdSet<IpAddr>>
where
    F: Future<Output = (DnsName, Families)>,
{
    let mut known = Known::default();
    known.take(&lookup(name.clone()).await.1, Instant::now());
    if known.addresses().is_none() {
        sleep(CONFIRM).await;
        known.take(&lookup(name).await.1, Instant::now());
    }
    known.addresses()
}

/// Resolves every name that is watched. It does so only while [`Resolver::next`] is awaited.
pub(crate) struct Resolver<L, F> {
    lookup: L,
    names: HashMap<DnsName, Known>,
    /// An entry counts only while it agrees with its name.
    due: BinaryHeap<Reverse<(Instant, DnsName)>>,
    /// Names that are due and wait for their namespace's turn.
    waiting: BTreeMap<Arc<str>, VecDeque<DnsName>>,
    /// The namespace that was served last.
    served: Option<Arc<str>>,
    /// Names asked for now, by namespace.
    asked: HashMap<Arc<str>, usize>,
    /// The namespace that each of them counts for, and when it is due.
    payers: HashMap<DnsName, (Arc<str>, Due)>,
    in_flight: FuturesUnordered<F>,
    flight: Flight,
}

impl<L, F> Resolver<L, F>
where
    L: Fn(DnsName) -> F,
    F: Future<Output = (DnsName, Families)>,
{
    pub(crate) fn new(lookup: L) -> Self {
        Self {
            lookup,
            names: HashMap::new(),
            due: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            served: None,
            asked: HashMap::new(),
            payers: HashMap::new(),
            in_flight: FuturesUnordered::new(),
            flight: Flight::default(),
        }
    }

    /// Asks other name servers from now on.
    pub(crate) fn set_lookup(&mut self, lookup: L) {
        self.lookup = lookup;
    }

    /// Resolves a name from now on, at the cost of this namespace.
    pub(crate) fn watch(&mut self, name: DnsName, namespace: Arc<str>) {
        if !self.names.contains_key(&name) {
            self.names.insert(name.clone(), Known { namespace, ..Known::default() });
            self.plan(name, Instant::now());
        }
    }

    /// The namespace at whose cost a name is resolved.
    pub(crate) fn payer(&self, name: &DnsName) -> Option<Arc<str>> {
        self.names.get(name).map(|known| Arc::clone(&known.namespace))
    }

    pub(crate) fn forget(&mut self, name: &DnsName) {
        self.names.remove(name);
    }

    /// Whether a lookup does not end.
    pub(crate) fn hangs(&self, now: Instant) -> bool {
        self.flight.hangs(now)
    }

    /// Waits for the next answer. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Resolved {
        loop {
            self.start_due(Instant::now());
            let next = self.due.peek().map(|Reverse((due, _))| *due);
            tokio::select! {
                // In this order, so that a run in simulated time can be repeated.
                biased;
                Some((name, answer)) = self.in_flight.next() => {
                    if let Some(resolved) = self.answered(name, &answer) {
                        return resolved;
                    }
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                // Neither of both: nothing to do until the caller adds a name, which drops this future.
                () = std::future::pending() => {}
            }
        }
    }

    fn start_due(&mut self, now: Instant) {
        while let Some(Reverse((due, _))) = self.due.peek().filter(|Reverse((due, _))| *due <= now) {
            let due = *due;
            let Some(Reverse((_, name))) = self.due.pop() else { break };
            if let Some(known) = self.names.get_mut(&name).filter(|known| known.due == Some(due)) {
                known.due = None;
                self.waiting.entry(Arc::clone(&known.namespace)).or_default().push_back(name);
            }
        }
        while let Some((name, namespace)) = self.next_waiting() {
            // Forgotten and watched again while it was asked for: the answer to come serves both.
            if self.payers.contains_key(&name) {
                self.landed(&namespace);
            } else if self.names.contains_key(&name) {
                let due = self.flight.began(now, LONGEST_LOOKUP);
                self.payers.insert(name.clone(), (namespace, due));
                self.in_flight.push((self.lookup)(name));
            } else {
                self.landed(&namespace);
            }
        }
    }

    /// The next name to ask for, each namespace in its turn. A namespace may have as many names under way as there is room
    /// left, so that whatever it asks for there is always room for another.
    fn next_waiting(&mut self) -> Option<(DnsName, Arc<str>)> {
        let room = MOST_IN_FLIGHT.saturating_sub(self.in_flight.len());
        let asked = &self.asked;
        let may = |namespace: &&Arc<str>| asked.get(*namespace).copied().unwrap_or_default() < room;
        let after = self.served.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.waiting.range((after, Bound::Unbounded)).map(|(namespace, _)| namespace);
        let turn = later.chain(self.waiting.keys()).find(may)?.clone();
        let queue = self.waiting.get_mut(&turn)?;
        let name = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&turn);
        }
        let asked = self.asked.entry(Arc::clone(&turn)).or_default();
        *asked = asked.saturating_add(1);
        self.served = Some(Arc::clone(&turn));
        Some((name, turn))
    }

    fn landed(&mut self, namespace: &Arc<str>) {
        if let Some(count) = self.asked.get_mut(namespace) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.asked.remove(namespace);
            }
        }
    }

    fn answered(&mut self, name: DnsName, answer: &Families) -> Option<Resolved> {
        if let Some((namespace, due)) = self.payers.remove(&name) {
            self.flight.ended(due);
            self.landed(&namespace);
        }
        let known = self.names.get_mut(&name)?;
        let now = Instant::now();
        let (error, pause) = known.take(answer, now);
        let addresses = known.addresses();
        self.plan(name.clone(), now.checked_add(pause).unwrap_or(now));
        Some(Resolved { name, addresses, error })
    }

    fn plan(&mut self, name: DnsName, at: Instant) {
        if let Some(known) = self.names.get_mut(&name) {
            known.due = Some(at);
            self.due.push(Reverse((at, name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: &str, ttl: u64) -> Family {
        Family::Found([address.parse().unwrap()].into(), Duration::from_secs(ttl))
    }

    fn failed() -> Family {
        Family::Failed("SERVFAIL".to_owned())
    }

    fn pause(known: &mut Known, answer: Families) -> u64 {
        pause_at(known, answer, Instant::now())
    }

    fn pause_at(known: &mut Known, answer: Families, now: Instant) -> u64 {
        known.take(&answer, now).1.as_secs()
    }

    #[test]
    fn the_shorter_ttl_rules_within_bounds() {
        let mut known = Known::default();
        for (v4, v6, expected) in [(60, 30, 30), (0, 60, 5), (86400, 7200, 300)] {
            assert_eq!(pause(&mut known, (found("10.0.0.1", v4), found("2001:db8::1", v6))), expected);
        }
        assert_eq!(pause(&mut known, (found("10.0.0.1", 60), Family::Empty)), 60);
    }

    #[test]
    fn failures_are_tried_again_less_and_less_often() {
        let mut known = Known::default();
        let pauses: Vec<u64> = (0..7).map(|_| pause(&mut known, (failed(), failed()))).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(known.addresses(), None, "never resolved is not the same as empty");
        assert_eq!(pause(&mut known, (found("10.0.0.1", 60), failed())), 60);
        assert_eq!(known.addresses().unwrap().len(), 1, "one family is enough");
        assert_eq!(pause(&mut known, (found("10.0.0.1", 60), Family::Empty)), 60);
        assert_eq!(pause(&mut known, (failed(), failed())), 5, "a good answer forgives");
    }

    #[test]
    fn no_addresses_are_believed_the_second_time_where_there_were_none() {
        let (mut known, start) = (Known::default(), Instant::now());
        let none = || (Family::Empty, Family::Empty);
        assert_eq!(pause_at(&mut known, none(), start), 1);
        assert_eq!(known.addresses(), None);
        // A failure in between is no second time.
        known.take(&(failed(), Family::Empty), start);
        assert_eq!(pause_at(&mut known, none(), start + CONFIRM), 1);
        assert_eq!(known.addresses(), None);
        assert_eq!(pause_at(&mut known, none(), start + 2 * CONFIRM), 15);
        assert_eq!(known.addresses(), Some(OrdSet::new()));
        assert_eq!(pause(&mut known, none()), 15, "what is believed needs no second question");
    }

    #[test]
    fn a_resolver_that_says_that_all_addresses_are_gone_is_not_believed_for_a_while() {
        let (mut known, start) = (Known::default(), Instant::now());
        let none = || (Family::Empty, Family::Empty);
        known.take(&(found("10.0.0.1", 60), Family::Empty), start);
        for (seconds, pause) in [(0, 1), (1, 15), (119, 15)] {
            assert_eq!(pause_at(&mut known, none(), start + Duration::from_secs(seconds)), pause);
            assert_eq!(known.addresses().unwrap().len(), 1, "{seconds} s");
        }
        known.take(&(found("10.0.0.1", 60), Family::Empty), start + KEPT);
        assert_eq!(pause_at(&mut known, none(), start + KEPT), 1, "it begins again");
        assert_eq!(pause_at(&mut known, none(), start + 2 * KEPT), 15);
        assert_eq!(known.addresses(), Some(OrdSet::new()));
    }

    #[test]
    fn an_answer_that_always_changes_is_asked_for_less_often_and_is_bounded() {
        let mut known = Known::default();
        let answer = |first: u32| {
            let all: BTreeSet<IpAddr> = (first..first + 400).map(|n| IpAddr::from(n.to_be_bytes())).collect();
            (Family::Found(all, Duration::from_secs(1)), Family::Empty)
        };
        let pauses: Vec<u64> =
            (0..9_u32).map(|round| pause(&mut known, answer(0x0a00_0001 + round * 1000))).collect();
        assert_eq!(pauses, [5, 5, 5, 5, 10, 20, 40, 60, 60]);
        assert_eq!(known.addresses().unwrap().len(), MOST_ADDRESSES);
        assert_eq!(pause(&mut known, answer(0x0a00_0001 + 8 * 1000)), 5, "the same twice");
    }

    #[test]
    fn the_ttl_of_an_answer_stays_within_its_bounds() {
        let bounds = (Duration::from_secs(30), Duration::from_secs(60));
        for (ttl, expected) in [(0, 30), (30, 30), (45, 45), (u32::MAX, 60)] {
            let (answer, silent) = within(bounds, (found("10.0.0.1", ttl.into()), failed()));
            assert_eq!((answer, silent), (found("10.0.0.1", expected), failed()), "{ttl}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn names_of_one_namespace_do_not_wait_for_those_of_another() {
        let lookup = |name: DnsName| async move {
            if name.as_str().starts_with("silent") {
                sleep(Duration::from_secs(10)).await;
                return (name, (failed(), failed()));
            }
            (name, (found("10.0.0.1", 60), Family::Empty))
        };
        let mut resolver = Resolver::new(lookup);
        for n in 0..5000 {
            resolver.watch(format!("silent{n}.example.com").parse().unwrap(), "hostile".into());
        }
        let start = Instant::now();
        // Nothing else has been asked for by then.
        let _ = tokio::time::timeout(Duration::from_secs(1), resolver.next()).await;
        resolver.watch("lb.example.net".parse().unwrap(), "shop".into());
        loop {
            let resolved = resolver.next().await;
            if resolved.name.as_str() == "lb.example.net" {
                break;
            }
        }
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}
