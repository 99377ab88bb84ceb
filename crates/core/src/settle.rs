//! What stands at one name: the candidates that are in, and what is kept of what is there.
//!
//! Invariant: an address leaves a name only with a reason — it was probed dead, or its member, listed whole, no longer
//! has it — and never while start-up has not converged.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::brakes::{AllDown, Brakes};
use crate::evidence::Evidence;
use crate::member::MemberName;
use crate::name::DnsName;
use crate::observed::ObservedSet;
use crate::plan::{Cause, Hold};
use crate::probe::Verdict;
use crate::record::{NonEmpty, RecordData};
use crate::wanted::{Wanted, standing};

mod ours;
mod stays;

use ours::Ours;
use stays::Stays;

/// What the decision depends on besides the name itself.
#[derive(Debug, Clone)]
pub(crate) struct Gate<'a> {
    /// Set while start-up has not converged.
    pub(crate) startup: Option<Arc<str>>,
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

/// The candidates as IP addresses: a host name stands for what it resolves to.
struct Flat {
    ips: Vec<(IpAddr, Verdict)>,
    /// Members of which a candidate has no verdict yet, or stands for addresses that are not known.
    undecided: BTreeSet<MemberName>,
    /// Members that have a candidate.
    members: BTreeSet<MemberName>,
}

/// `merge`: a host name cannot stand as it is, what it resolves to is needed.
fn flatten(wanted: &Wanted, merge: bool) -> Flat {
    let mut flat = Flat { ips: Vec::new(), undecided: BTreeSet::new(), members: BTreeSet::new() };
    for (address, candidate) in &wanted.candidates {
        flat.members.extend(candidate.members.iter().cloned());
        match (address.ip(), &candidate.resolved) {
            (Some(ip), _) => flat.ips.push((ip, candidate.verdict)),
            (None, Some(resolved)) => flat.ips.extend(resolved.iter().copied()),
            (None, None) => {}
        }
        let unresolved = address.ip().is_none() && candidate.resolved.is_none();
        let alive = candidate.verdict.is_in();
        if alive.is_none() || (merge && unresolved && alive == Some(true)) {
            flat.undecided.extend(candidate.members.iter().cloned());
        }
    }
    // An address that several candidates stand for keeps the best verdict on it.
    flat.ips.sort_by_key(|(ip, verdict)| (*ip, std::cmp::Reverse(standing(*verdict))));
    flat.ips.dedup_by_key(|(ip, _)| *ip);
    flat
}

/// Decides what stands at a wanted name. `apex` forbids a CNAME.
pub(crate) fn settle(wanted: &Wanted, observed: &[ObservedSet], apex: bool, gate: &Gate<'_>) -> Settled {
    let ours = Ours::of(observed);
    let done = |answer, hold| Settled { answer, evidence: wanted.evidence.clone(), hold };
    if wanted.departed {
        return done(Answer::Nothing(Cause::MemberDeparted), None);
    }
    let flat = flatten(wanted, apex || wanted.candidates.len() > 1);
    let stays = Stays { wanted, flat: &flat, ours: &ours, gate };
    if let Some(hold) = stays.alias() {
        return done(Answer::AsItIs, Some(hold));
    }
    let mut evidence = wanted.evidence.clone();
    let (kept, hold) = stays.addresses(&mut evidence);
    match sole_hostname(wanted).filter(|_| !apex && kept.is_empty()) {
        Some((alias, verdict)) => {
            let (answer, hold) = settle_alias(wanted, alias, verdict, &ours, gate);
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
    verdict: Verdict,
    ours: &Ours<'_>,
    gate: &Gate<'_>,
) -> (Answer, Option<Hold>) {
    let publish = Answer::Sets(vec![RecordData::Cname(alias.clone())]);
    let keep_all = matches!(gate.brakes.all_down, AllDown::Keep | AllDown::All) && wanted.up.is_none();
    match verdict.is_in() {
        Some(true) => (publish, None),
        None => (Answer::AsItIs, ours.exists().then_some(Hold::Undecided)),
        Some(false) if ours.exists() && gate.startup.is_some() => {
            (Answer::AsItIs, gate.startup.clone().map(Hold::StartUp))
        }
        Some(false) if keep_all && (ours.exists() || gate.brakes.all_down == AllDown::All) => {
            (publish, Some(Hold::AllDown))
        }
        Some(false) => (fallback(wanted), None),
    }
}

fn sole_hostname(wanted: &Wanted) -> Option<(&DnsName, Verdict)> {
    let (address, candidate) = wanted.candidates.first_key_value()?;
    let alias = address.hostname().filter(|_| wanted.candidates.len() == 1)?;
    Some((alias, candidate.verdict))
}

/// Where a name goes that has no address.
fn fallback(wanted: &Wanted) -> Answer {
    match &wanted.up {
        Some(up) => Answer::Sets(vec![RecordData::Cname(up.clone())]),
        None if wanted.candidates.is_empty() => Answer::Nothing(Cause::ServiceGone),
        None => Answer::Nothing(Cause::AllDown),
    }
}

fn settle_addresses(
    stays: &Stays<'_>,
    mut kept: BTreeSet<IpAddr>,
    mut hold: Option<Hold>,
) -> (Answer, Option<Hold>) {
    let Stays { wanted, flat, ours, gate } = *stays;
    let alive: BTreeSet<IpAddr> =
        flat.ips.iter().filter(|(_, verdict)| verdict.is_in() == Some(true)).map(|(ip, _)| *ip).collect();
    if wanted.up.is_none() {
        stays.floor(&alive, &mut kept, &mut hold);
    }
    let all: BTreeSet<IpAddr> = alive.union(&kept).copied().collect();
    let answer = if !all.is_empty() {
        Answer::Sets(by_family(&all))
    } else if !flat.undecided.is_empty() {
        hold = hold.or_else(|| ours.exists().then_some(Hold::Undecided));
        Answer::AsItIs
    } else if wanted.up.is_none() && ours.exists() && gate.startup.is_some() {
        hold = gate.startup.clone().map(Hold::StartUp);
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
