//! What stands at one name: the candidates that are in, and what is kept of what is there.
//!
//! Invariant: an address leaves a name only with a reason — it was probed dead, or its member, listed whole, no longer
//! has it — and never while start-up has not converged.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::Address;
use crate::brakes::{AllDown, Brakes};
use crate::evidence::Evidence;
use crate::member::MemberName;
use crate::name::DnsName;
use crate::observed::ObservedSet;
use crate::plan::{Cause, Hold};
use crate::probe::Verdict;
use crate::record::{NonEmpty, RecordData};
use crate::wanted::{Wanted, standing};

/// What the decision depends on besides the name itself.
#[derive(Debug, Clone)]
pub(crate) struct Gate<'a> {
    /// Set while start-up has not converged.
    pub(crate) startup: Option<Arc<str>>,
    /// Whether some member was never listed whole.
    pub(crate) unlisted: bool,
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

/// What is ours at a name.
#[derive(Debug, Default)]
pub(crate) struct Ours<'a> {
    ips: BTreeSet<IpAddr>,
    cname: Option<&'a DnsName>,
    evidence: Option<&'a Evidence>,
}

impl<'a> Ours<'a> {
    pub(crate) fn of(sets: &'a [ObservedSet]) -> Self {
        let mut ours = Self::default();
        for set in sets {
            match set.ours() {
                Some(RecordData::A(ips)) => ours.ips.extend(ips.iter().copied().map(IpAddr::V4)),
                Some(RecordData::Aaaa(ips)) => ours.ips.extend(ips.iter().copied().map(IpAddr::V6)),
                Some(RecordData::Cname(target)) => ours.cname = Some(target),
                None => continue,
            }
            ours.evidence = ours.evidence.or(set.claim.evidence());
        }
        ours
    }

    fn exists(&self) -> bool {
        self.cname.is_some() || !self.ips.is_empty()
    }

    /// Members to which an address is attributed; `None` when nothing can be said.
    fn givers(&self, ip: IpAddr) -> Option<BTreeSet<&'a MemberName>> {
        let evidence = self.evidence?;
        let literal = Address::from(ip);
        let exact: BTreeSet<_> = evidence
            .members
            .iter()
            .filter(|(_, share)| share.addresses.contains(&literal))
            .map(|(name, _)| name)
            .collect();
        if !exact.is_empty() {
            return Some(exact);
        }
        let by_name = |address: &Address| matches!(address, Address::Hostname(_));
        let resolved: BTreeSet<_> = evidence
            .members
            .iter()
            .filter(|(_, share)| share.addresses.iter().any(by_name))
            .map(|(name, _)| name)
            .collect();
        Some(resolved)
    }
}

/// The candidates as IP addresses: a host name stands for what it resolves to.
struct Flat {
    ips: Vec<(IpAddr, Verdict)>,
    /// Members of which a candidate has no verdict yet.
    undecided: BTreeSet<MemberName>,
}

fn flatten(wanted: &Wanted) -> Flat {
    let mut flat = Flat { ips: Vec::new(), undecided: BTreeSet::new() };
    for (address, candidate) in &wanted.candidates {
        match (address.ip(), &candidate.resolved) {
            (Some(ip), _) => flat.ips.push((ip, candidate.verdict)),
            (None, Some(resolved)) => flat.ips.extend(resolved.iter().copied()),
            (None, None) => {}
        }
        if candidate.verdict.is_in().is_none() {
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
    if let Some(alias) = sole_hostname(wanted).filter(|_| !apex) {
        let verdict = wanted.candidates.values().next().map_or(Verdict::Unknown, |only| only.verdict);
        let keep_all = matches!(gate.brakes.all_down, AllDown::Keep | AllDown::All) && wanted.up.is_none();
        return match verdict.is_in() {
            Some(true) => done(Answer::Sets(vec![RecordData::Cname(alias.clone())]), None),
            None => done(Answer::AsItIs, ours.exists().then_some(Hold::Undecided)),
            Some(false) if ours.exists() && gate.startup.is_some() => {
                done(Answer::AsItIs, gate.startup.clone().map(Hold::StartUp))
            }
            Some(false) if keep_all && (ours.exists() || gate.brakes.all_down == AllDown::All) => {
                done(Answer::Sets(vec![RecordData::Cname(alias.clone())]), Some(Hold::AllDown))
            }
            Some(false) => done(fallback(wanted), None),
        };
    }
    settle_addresses(wanted, &ours, gate)
}

fn sole_hostname(wanted: &Wanted) -> Option<&DnsName> {
    match wanted.candidates.keys().next()? {
        Address::Hostname(name) if wanted.candidates.len() == 1 => Some(name),
        _ => None,
    }
}

/// Where a name goes that has no address.
fn fallback(wanted: &Wanted) -> Answer {
    match &wanted.up {
        Some(up) => Answer::Sets(vec![RecordData::Cname(up.clone())]),
        None if wanted.candidates.is_empty() => Answer::Nothing(Cause::ServiceGone),
        None => Answer::Nothing(Cause::AllDown),
    }
}

fn settle_addresses(wanted: &Wanted, ours: &Ours<'_>, gate: &Gate<'_>) -> Settled {
    let flat = flatten(wanted);
    let alive: BTreeSet<IpAddr> =
        flat.ips.iter().filter(|(_, verdict)| verdict.is_in() == Some(true)).map(|(ip, _)| *ip).collect();
    let mut evidence = wanted.evidence.clone();
    let mut hold = None;
    let mut kept = kept(&flat, ours, gate, &mut evidence, &mut hold);
    if wanted.up.is_none() {
        floor(&flat, &alive, &mut kept, ours, gate, &mut hold);
    }
    let stays: BTreeSet<IpAddr> = alive.union(&kept).copied().collect();
    let answer = if !stays.is_empty() {
        Answer::Sets(by_family(&stays))
    } else if !flat.undecided.is_empty() {
        hold = hold.or_else(|| ours.exists().then_some(Hold::Undecided));
        Answer::AsItIs
    } else if wanted.up.is_none() && ours.exists() && gate.startup.is_some() {
        hold = gate.startup.clone().map(Hold::StartUp);
        Answer::AsItIs
    } else {
        fallback(wanted)
    };
    Settled { answer, evidence, hold }
}

/// What is there, is not alive, and must not be removed all the same.
fn kept(
    flat: &Flat,
    ours: &Ours<'_>,
    gate: &Gate<'_>,
    evidence: &mut Evidence,
    hold: &mut Option<Hold>,
) -> BTreeSet<IpAddr> {
    let mut kept = BTreeSet::new();
    for ip in &ours.ips {
        let verdict = flat.ips.iter().find(|(candidate, _)| candidate == ip).map(|(_, verdict)| *verdict);
        let givers = ours.givers(*ip);
        let replaced =
            |givers: &BTreeSet<&MemberName>| givers.iter().any(|name| flat.undecided.contains(*name));
        let reason = match (verdict.map(Verdict::is_in), &givers) {
            (Some(Some(true)), _) => None,
            (Some(None), _) => Some(Hold::Undecided),
            _ if gate.startup.is_some() => gate.startup.clone().map(Hold::StartUp),
            (Some(Some(false)), _) => None,
            (None, Some(givers)) if replaced(givers) => Some(Hold::Undecided),
            (None, None) if gate.unlisted => Some(Hold::Unattributed),
            (None, _) => None,
        };
        let Some(reason) = reason else { continue };
        kept.insert(*ip);
        // The mark goes on saying who gave what is kept.
        for giver in givers.into_iter().flatten() {
            if let Some(share) = evidence.members.get_mut(giver).filter(|_| verdict.is_none()) {
                share.addresses.insert(Address::from(*ip));
            }
        }
        hold.get_or_insert(reason);
    }
    kept
}

/// Keeps enough failing addresses: the last set when nothing is alive, `min_kept` otherwise.
fn floor(
    flat: &Flat,
    alive: &BTreeSet<IpAddr>,
    kept: &mut BTreeSet<IpAddr>,
    ours: &Ours<'_>,
    gate: &Gate<'_>,
    hold: &mut Option<Hold>,
) {
    let failing: Vec<IpAddr> =
        flat.ips.iter().filter(|(_, verdict)| verdict.is_in() == Some(false)).map(|(ip, _)| *ip).collect();
    let published: Vec<IpAddr> =
        failing.iter().copied().filter(|ip| ours.ips.contains(ip) && !kept.contains(ip)).collect();
    if alive.is_empty() && kept.is_empty() && !failing.is_empty() {
        if !flat.undecided.is_empty() && !ours.exists() {
            return;
        }
        match gate.brakes.all_down {
            AllDown::Empty => return,
            AllDown::Keep => kept.extend(published),
            AllDown::All => kept.extend(failing.iter().copied()),
        }
        if !kept.is_empty() {
            *hold = Some(Hold::AllDown);
        }
        return;
    }
    let missing = gate.brakes.min_kept.saturating_sub(alive.len() + kept.len());
    let more: Vec<IpAddr> = published.into_iter().take(missing).collect();
    if !more.is_empty() {
        kept.extend(more);
        hold.get_or_insert(Hold::Floor);
    }
}

fn by_family(ips: &BTreeSet<IpAddr>) -> Vec<RecordData> {
    let v4 = ips.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None });
    let v6 = ips.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(*ip) } else { None });
    let a = NonEmpty::new(v4).map(RecordData::A);
    let aaaa = NonEmpty::new(v6).map(RecordData::Aaaa);
    a.into_iter().chain(aaaa).collect()
}
