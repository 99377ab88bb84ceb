//! What stands at one name: the candidates that are in, and what is kept of what is there.
//!
//! Invariant: an address leaves a name only with a reason — it was probed dead, or its member, listed whole, no longer
//! has it — and never while start-up has not converged.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::desired::{Candidate, Desired, alive, rank};
use fleetdns_core::address::Address;
use fleetdns_core::brakes::{AllDown, Brakes};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::overrides::OverrideKind;
use fleetdns_core::ownership::Ownership;
use fleetdns_core::plan::{Cause, Hold};
use fleetdns_core::probe::{ProbeSpec, Verdict};
use fleetdns_core::record::{NonEmpty, RecordData};

mod current;
mod retained;

pub(crate) use current::Current;
use retained::Retained;

/// What the decision depends on besides the name itself.
#[derive(Clone)]
pub(crate) struct PlanContext<'a> {
    /// Nothing goes, whatever the cause.
    pub(crate) freeze: Option<Hold>,
    /// Nothing goes because of what probes say.
    pub(crate) vantage: Option<Hold>,
    /// Why what failed in a doubt does not go.
    pub(crate) held: Hold,
    /// What has to wait before it goes because of what probes say.
    pub(crate) waiting: &'a BTreeSet<Address>,
    /// Whether probing in this way has shown that it works: a majority of the Service's endpoints that are probed so
    /// answer.
    pub(crate) proven: &'a dyn Fn(&ProbeSpec) -> bool,
    /// Members of which no whole list has come in yet.
    pub(crate) unlisted: &'a BTreeSet<MemberName>,
    pub(crate) brakes: &'a Brakes,
}

/// What should stand at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These sets: one CNAME, or A, or AAAA, or both.
    Sets(Vec<RecordData>),
    /// Whatever is there now.
    AsItIs,
    /// Nothing.
    Nothing(Cause),
}

/// A decision, with what was kept against the override of inventory or health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameDecision {
    pub(crate) answer: Answer,
    pub(crate) ownership: Ownership,
    pub(crate) hold: Option<Hold>,
}

/// An IP address that could stand at the name.
#[derive(Debug, Clone, Copy)]
struct Considered {
    ip: IpAddr,
    verdict: Verdict,
    kind: Option<OverrideKind>,
}

impl Considered {
    fn alive(self) -> Option<bool> {
        alive(self.verdict, self.kind)
    }
}

/// The candidates as IP addresses: a host name stands for what it resolves to.
struct Flattened {
    /// In order, each once.
    ips: Vec<Considered>,
    /// Members of which a candidate has no verdict yet, or stands for addresses that are not known.
    undecided: BTreeSet<MemberName>,
    /// Members that have a candidate.
    members: BTreeSet<MemberName>,
    /// A candidate is a host name that was never resolved.
    has_unresolved: bool,
}

impl Flattened {
    fn seen(&self, ip: IpAddr) -> Option<Considered> {
        let place = self.ips.binary_search_by_key(&ip, |seen| seen.ip).ok()?;
        self.ips.get(place).copied()
    }
}

/// `merge`: a host name cannot stand as it is, what it resolves to is needed.
fn flatten(desired: &Desired, merge: bool) -> Flattened {
    let mut flat = Flattened {
        ips: Vec::new(),
        undecided: BTreeSet::new(),
        members: BTreeSet::new(),
        has_unresolved: false,
    };
    for (address, candidate) in &desired.candidates {
        let kind = candidate.kind;
        flat.members.extend(candidate.members.iter().cloned());
        match (address.ip(), &candidate.resolved) {
            (Some(ip), _) => flat.ips.push(Considered { ip, verdict: candidate.verdict, kind }),
            (None, Some(resolved)) => {
                flat.ips.extend(resolved.iter().map(|(ip, verdict)| Considered {
                    ip: *ip,
                    verdict: *verdict,
                    kind,
                }));
            }
            (None, None) => {}
        }
        let unresolved = address.ip().is_none() && candidate.resolved.is_none();
        flat.has_unresolved |= unresolved;
        if candidate.alive().is_none() || (merge && unresolved && candidate.alive() == Some(true)) {
            flat.undecided.extend(candidate.members.iter().cloned());
        }
    }
    // An address that several candidates stand for keeps the best that is said of it.
    flat.ips.sort_by_key(|seen| (seen.ip, std::cmp::Reverse(rank(seen.verdict, seen.kind))));
    flat.ips.dedup_by_key(|seen| seen.ip);
    flat
}

/// Decides what stands at a wanted name. `bare`: no host name can stand there as it is.
pub(crate) fn decide(
    desired: &Desired,
    observed: &[ObservedSet],
    bare: bool,
    context: &PlanContext<'_>,
) -> NameDecision {
    let ours = Current::of(observed);
    let done = |answer, hold| NameDecision { answer, ownership: desired.ownership.clone(), hold };
    if desired.removed {
        return done(Answer::Nothing(Cause::MemberDeparted), None);
    }
    let flat = flatten(desired, bare || desired.candidates.len() > 1);
    let retained = Retained { desired, flat: &flat, ours: &ours, context };
    if let Some(hold) = retained.alias() {
        return done(Answer::AsItIs, Some(hold));
    }
    let mut ownership = desired.ownership.clone();
    let (kept, hold) = retained.addresses(&mut ownership);
    match sole_hostname(desired).filter(|_| !bare && kept.is_empty()) {
        Some((alias, candidate)) => {
            let (answer, hold) = settle_alias(desired, alias, candidate, &ours, context);
            done(answer, hold)
        }
        None => {
            let (answer, hold) = settle_addresses(&retained, kept, hold);
            NameDecision { answer, ownership, hold }
        }
    }
}

fn settle_alias(
    desired: &Desired,
    alias: &DnsName,
    candidate: &Candidate,
    ours: &Current<'_>,
    context: &PlanContext<'_>,
) -> (Answer, Option<Hold>) {
    let publish = Answer::Sets(vec![RecordData::Cname(alias.clone())]);
    let sent_out = candidate.kind == Some(OverrideKind::ForceOut);
    let keep_all =
        matches!(context.brakes.all_down, AllDown::Keep | AllDown::All) && desired.up.is_none() && !sent_out;
    match candidate.alive() {
        Some(true) => (publish, None),
        None => (Answer::AsItIs, ours.exists().then_some(Hold::Undecided)),
        Some(false) if ours.exists() && context.freeze.is_some() => (Answer::AsItIs, context.freeze.clone()),
        Some(false) if keep_all && (ours.exists() || context.brakes.all_down == AllDown::All) => {
            (publish, Some(Hold::AllDown))
        }
        Some(false) => (fallback(desired), None),
    }
}

/// The host name that is all that is wanted.
pub(crate) fn sole_hostname(desired: &Desired) -> Option<(&DnsName, &Candidate)> {
    let (address, candidate) = desired.candidates.first_key_value()?;
    let alias = address.hostname().filter(|_| desired.candidates.len() == 1)?;
    Some((alias, candidate))
}

/// Where a name goes that has no address.
fn fallback(desired: &Desired) -> Answer {
    match &desired.up {
        Some(up) => Answer::Sets(vec![RecordData::Cname(up.clone())]),
        None if desired.candidates.is_empty() => Answer::Nothing(Cause::ServiceGone),
        None if all_sent_out(desired) => Answer::Nothing(Cause::ForcedOut),
        None => Answer::Nothing(Cause::AllDown),
    }
}

/// Whether a person wants everything out that could stand here.
fn all_sent_out(desired: &Desired) -> bool {
    desired.candidates.values().all(|candidate| candidate.kind == Some(OverrideKind::ForceOut))
}

fn settle_addresses(
    retained: &Retained<'_>,
    mut kept: BTreeSet<IpAddr>,
    mut hold: Option<Hold>,
) -> (Answer, Option<Hold>) {
    let Retained { desired, flat, ours, context } = *retained;
    let alive: BTreeSet<IpAddr> =
        flat.ips.iter().filter(|seen| seen.alive() == Some(true)).map(|seen| seen.ip).collect();
    if desired.up.is_none() {
        retained.floor(&alive, &mut kept, &mut hold);
    }
    let all: BTreeSet<IpAddr> = alive.union(&kept).copied().collect();
    // What only waits for its turn holds nobody's place.
    let lasts = |ip: &IpAddr| alive.contains(ip) || !context.waiting.contains(&Address::from(*ip));
    let answer = if all.iter().any(lasts) || (!all.is_empty() && flat.undecided.is_empty()) {
        Answer::Sets(by_family(&all))
    } else if !flat.undecided.is_empty() {
        hold = hold.or_else(|| ours.exists().then_some(Hold::Undecided));
        Answer::AsItIs
    } else if desired.up.is_none() && ours.exists() && context.freeze.is_some() {
        hold = context.freeze.clone();
        Answer::AsItIs
    } else if desired.up.is_none() && retained.last_set() {
        hold = Some(Hold::AllDown);
        Answer::AsItIs
    } else {
        fallback(desired)
    };
    (answer, hold)
}

fn by_family(ips: &BTreeSet<IpAddr>) -> Vec<RecordData> {
    let v4 = ips.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None });
    let v6 = ips.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(*ip) } else { None });
    let a = NonEmpty::new(v4).map(RecordData::A);
    let aaaa = NonEmpty::new(v6).map(RecordData::Aaaa);
    a.into_iter().chain(aaaa).collect()
}
