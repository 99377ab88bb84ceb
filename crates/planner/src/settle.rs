//! What stands at one name: the candidates that are in, and what is kept of what is there.
//!
//! Invariant: an address leaves a name only with a reason — it was probed dead, or its member, listed whole, no longer
//! has it — and never while start-up has not converged.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::wanted::{Candidate, Wanted, alive, rank};
use fleetdns_core::address::Address;
use fleetdns_core::brakes::{AllDown, Brakes};
use fleetdns_core::evidence::Evidence;
use fleetdns_core::intent::Wish;
use fleetdns_core::member::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::plan::{Cause, Hold};
use fleetdns_core::probe::{ProbeSpec, Verdict};
use fleetdns_core::record::{NonEmpty, RecordData};

mod ours;
mod stays;

pub(crate) use ours::Ours;
use stays::Stays;

/// What the decision depends on besides the name itself.
#[derive(Clone)]
pub(crate) struct Gate<'a> {
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

/// A decision, with what was kept against the wish of inventory or health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) answer: Answer,
    pub(crate) evidence: Evidence,
    pub(crate) hold: Option<Hold>,
}

/// An IP address that could stand at the name.
#[derive(Debug, Clone, Copy)]
struct Seen {
    ip: IpAddr,
    verdict: Verdict,
    wish: Option<Wish>,
}

impl Seen {
    fn alive(self) -> Option<bool> {
        alive(self.verdict, self.wish)
    }
}

/// The candidates as IP addresses: a host name stands for what it resolves to.
struct Flat {
    /// In order, each once.
    ips: Vec<Seen>,
    /// Members of which a candidate has no verdict yet, or stands for addresses that are not known.
    undecided: BTreeSet<MemberName>,
    /// Members that have a candidate.
    members: BTreeSet<MemberName>,
    /// A candidate is a host name that was never resolved.
    has_unresolved: bool,
}

impl Flat {
    fn seen(&self, ip: IpAddr) -> Option<Seen> {
        let place = self.ips.binary_search_by_key(&ip, |seen| seen.ip).ok()?;
        self.ips.get(place).copied()
    }
}

/// `merge`: a host name cannot stand as it is, what it resolves to is needed.
fn flatten(wanted: &Wanted, merge: bool) -> Flat {
    let mut flat =
        Flat { ips: Vec::new(), undecided: BTreeSet::new(), members: BTreeSet::new(), has_unresolved: false };
    for (address, candidate) in &wanted.candidates {
        let wish = candidate.wish;
        flat.members.extend(candidate.members.iter().cloned());
        match (address.ip(), &candidate.resolved) {
            (Some(ip), _) => flat.ips.push(Seen { ip, verdict: candidate.verdict, wish }),
            (None, Some(resolved)) => {
                flat.ips.extend(resolved.iter().map(|(ip, verdict)| Seen {
                    ip: *ip,
                    verdict: *verdict,
                    wish,
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
    flat.ips.sort_by_key(|seen| (seen.ip, std::cmp::Reverse(rank(seen.verdict, seen.wish))));
    flat.ips.dedup_by_key(|seen| seen.ip);
    flat
}

/// Decides what stands at a wanted name. `bare`: no host name can stand there as it is.
pub(crate) fn settle(wanted: &Wanted, observed: &[ObservedSet], bare: bool, gate: &Gate<'_>) -> Settled {
    let ours = Ours::of(observed);
    let done = |answer, hold| Settled { answer, evidence: wanted.evidence.clone(), hold };
    if wanted.departed {
        return done(Answer::Nothing(Cause::MemberDeparted), None);
    }
    let flat = flatten(wanted, bare || wanted.candidates.len() > 1);
    let stays = Stays { wanted, flat: &flat, ours: &ours, gate };
    if let Some(hold) = stays.alias() {
        return done(Answer::AsItIs, Some(hold));
    }
    let mut evidence = wanted.evidence.clone();
    let (kept, hold) = stays.addresses(&mut evidence);
    match sole_hostname(wanted).filter(|_| !bare && kept.is_empty()) {
        Some((alias, candidate)) => {
            let (answer, hold) = settle_alias(wanted, alias, candidate, &ours, gate);
            done(answer, hold)
        }
        None => {
            let (answer, hold) = settle_addresses(&stays, kept, hold);
            Settled { answer, evidence, hold }
        }
    }
}

fn settle_alias(
    wanted: &Wanted,
    alias: &DnsName,
    candidate: &Candidate,
    ours: &Ours<'_>,
    gate: &Gate<'_>,
) -> (Answer, Option<Hold>) {
    let publish = Answer::Sets(vec![RecordData::Cname(alias.clone())]);
    let sent_out = candidate.wish == Some(Wish::ForceOut);
    let keep_all =
        matches!(gate.brakes.all_down, AllDown::Keep | AllDown::All) && wanted.up.is_none() && !sent_out;
    match candidate.alive() {
        Some(true) => (publish, None),
        None => (Answer::AsItIs, ours.exists().then_some(Hold::Undecided)),
        Some(false) if ours.exists() && gate.freeze.is_some() => (Answer::AsItIs, gate.freeze.clone()),
        Some(false) if keep_all && (ours.exists() || gate.brakes.all_down == AllDown::All) => {
            (publish, Some(Hold::AllDown))
        }
        Some(false) => (fallback(wanted), None),
    }
}

/// The host name that is all that is wanted.
pub(crate) fn sole_hostname(wanted: &Wanted) -> Option<(&DnsName, &Candidate)> {
    let (address, candidate) = wanted.candidates.first_key_value()?;
    let alias = address.hostname().filter(|_| wanted.candidates.len() == 1)?;
    Some((alias, candidate))
}

/// Where a name goes that has no address.
fn fallback(wanted: &Wanted) -> Answer {
    match &wanted.up {
        Some(up) => Answer::Sets(vec![RecordData::Cname(up.clone())]),
        None if wanted.candidates.is_empty() => Answer::Nothing(Cause::ServiceGone),
        None if all_sent_out(wanted) => Answer::Nothing(Cause::ForcedOut),
        None => Answer::Nothing(Cause::AllDown),
    }
}

/// Whether a person wants everything out that could stand here.
fn all_sent_out(wanted: &Wanted) -> bool {
    wanted.candidates.values().all(|candidate| candidate.wish == Some(Wish::ForceOut))
}

fn settle_addresses(
    stays: &Stays<'_>,
    mut kept: BTreeSet<IpAddr>,
    mut hold: Option<Hold>,
) -> (Answer, Option<Hold>) {
    let Stays { wanted, flat, ours, gate } = *stays;
    let alive: BTreeSet<IpAddr> =
        flat.ips.iter().filter(|seen| seen.alive() == Some(true)).map(|seen| seen.ip).collect();
    if wanted.up.is_none() {
        stays.floor(&alive, &mut kept, &mut hold);
    }
    let all: BTreeSet<IpAddr> = alive.union(&kept).copied().collect();
    // What only waits for its turn holds nobody's place.
    let lasts = |ip: &IpAddr| alive.contains(ip) || !gate.waiting.contains(&Address::from(*ip));
    let answer = if all.iter().any(lasts) || (!all.is_empty() && flat.undecided.is_empty()) {
        Answer::Sets(by_family(&all))
    } else if !flat.undecided.is_empty() {
        hold = hold.or_else(|| ours.exists().then_some(Hold::Undecided));
        Answer::AsItIs
    } else if wanted.up.is_none() && ours.exists() && gate.freeze.is_some() {
        hold = gate.freeze.clone();
        Answer::AsItIs
    } else if wanted.up.is_none() && stays.last_set() {
        hold = Some(Hold::AllDown);
        Answer::AsItIs
    } else {
        fallback(wanted)
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
