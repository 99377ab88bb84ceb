//! What stands at one name: the candidates that are in, and what is kept of what is there.
//!
//! Invariant: an address leaves a name only with a reason — it was probed dead, or its member, listed whole, no longer
//! has it — and never while start-up has not converged.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::Address;
use crate::brakes::{AllDown, Brakes};
use crate::evidence::{Evidence, Share};
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
    fn givers(&self, address: &Address) -> Option<BTreeSet<&'a MemberName>> {
        let evidence = self.evidence?;
        let who = |gave: &dyn Fn(&Address) -> bool| -> BTreeSet<&'a MemberName> {
            let gives = |share: &Share| share.addresses.iter().any(gave);
            evidence.members.iter().filter(|(_, share)| gives(share)).map(|(name, _)| name).collect()
        };
        let exact = who(&|given| given == address);
        if exact.is_empty() && address.ip().is_some() {
            return Some(who(&|given| given.hostname().is_some()));
        }
        Some(exact)
    }

    /// Carries over who gave an address.
    fn attribute(&self, address: &Address, evidence: &mut Evidence) {
        let known = self.evidence.map(|old| &old.members);
        for giver in self.givers(address).into_iter().flatten() {
            let Some(old) = known.and_then(|members| members.get(giver)) else { continue };
            let only = || Share { addresses: BTreeSet::new(), ..old.clone() };
            let share = evidence.members.entry(giver.clone()).or_insert_with(only);
            let by_hostname = share.addresses.iter().any(|given| given.hostname().is_some());
            if old.addresses.contains(address) || !by_hostname {
                share.addresses.insert(address.clone());
            }
        }
    }
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

/// What is there and must stay, whatever inventory or health would like.
#[derive(Clone, Copy)]
struct Stays<'a> {
    wanted: &'a Wanted,
    flat: &'a Flat,
    ours: &'a Ours<'a>,
    gate: &'a Gate<'a>,
}

impl Stays<'_> {
    /// An alias of ours that must stay, and cannot be merged with anything: the whole name stays as it is.
    fn alias(&self) -> Option<Hold> {
        let wanted = self.wanted;
        let target = self.ours.cname.filter(|target| Some(*target) != wanted.up.as_ref())?;
        let address = Address::Hostname(target.clone());
        let Some(candidate) = wanted.candidates.get(&address) else { return self.unlisted_or_new(&address) };
        let alone = wanted.candidates.len() == 1;
        match candidate.verdict.is_in() {
            Some(true) if alone || candidate.resolved.is_some() => None,
            Some(true) | None => Some(Hold::Undecided),
            Some(false) => self.gate.startup.clone().map(Hold::StartUp),
        }
    }

    /// Whether what is there is better than nothing: members have something, none of which can stand here.
    fn last_set(&self) -> bool {
        let asked_for = self.gate.brakes.all_down == AllDown::Empty;
        self.ours.exists() && !self.wanted.candidates.is_empty() && !asked_for
    }

    /// Addresses that must stay without being alive.
    fn addresses(&self, evidence: &mut Evidence) -> (BTreeSet<IpAddr>, Option<Hold>) {
        let (mut kept, mut hold) = (BTreeSet::new(), None);
        for ip in &self.ours.ips {
            let address = Address::from(*ip);
            let verdict =
                self.flat.ips.iter().find(|(candidate, _)| candidate == ip).map(|(_, verdict)| *verdict);
            let reason = match verdict.map(Verdict::is_in) {
                Some(Some(true)) => None,
                Some(None) => Some(Hold::Undecided),
                Some(Some(false)) => self.gate.startup.clone().map(Hold::StartUp),
                None => self.unlisted_or_new(&address),
            };
            let Some(reason) = reason else { continue };
            kept.insert(*ip);
            // The mark goes on saying who gave what is kept.
            if verdict.is_none() {
                self.ours.attribute(&address, evidence);
            }
            hold.get_or_insert(reason);
        }
        (kept, hold)
    }

    /// Why something stays that no member has any more, as far as is known.
    fn unlisted_or_new(&self, address: &Address) -> Option<Hold> {
        if let Some(what) = &self.gate.startup {
            return Some(Hold::StartUp(Arc::clone(what)));
        }
        let givers = self.ours.givers(address).unwrap_or_default();
        if givers.iter().any(|name| self.flat.undecided.contains(*name)) {
            return Some(Hold::Undecided);
        }
        let unreadable = &self.wanted.unreadable;
        if givers.iter().any(|name| unreadable.contains(*name))
            || (givers.is_empty() && !unreadable.is_empty())
        {
            return Some(Hold::Unreadable);
        }
        // Of a member that has a candidate the zone's marks were read: it is known what it had.
        let unlisted =
            |name: &&&MemberName| self.gate.unlisted.contains(**name) && !self.flat.members.contains(**name);
        match givers.iter().find(unlisted) {
            Some(member) => Some(Hold::Unlisted((*member).clone())),
            None if givers.is_empty() && !self.gate.unlisted.is_empty() => Some(Hold::Unattributed),
            None => None,
        }
    }

    /// Keeps enough failing addresses: the last set when nothing is alive, `min_kept` otherwise.
    fn floor(&self, alive: &BTreeSet<IpAddr>, kept: &mut BTreeSet<IpAddr>, hold: &mut Option<Hold>) {
        let Self { wanted, flat, ours, gate } = self;
        let failing: Vec<IpAddr> = flat
            .ips
            .iter()
            .filter(|(_, verdict)| verdict.is_in() == Some(false))
            .map(|(ip, _)| *ip)
            .collect();
        let published: Vec<IpAddr> =
            failing.iter().copied().filter(|ip| ours.ips.contains(ip) && !kept.contains(ip)).collect();
        if alive.is_empty() && kept.is_empty() && !failing.is_empty() {
            if !flat.undecided.is_empty() && !ours.exists() {
                return;
            }
            let alias = ours.cname.map(|target| Address::Hostname(target.clone()));
            let known = alias.is_some_and(|alias| wanted.candidates.contains_key(&alias));
            let replaced = ours.exists() && published.is_empty() && !known && flat.undecided.is_empty();
            match gate.brakes.all_down {
                AllDown::Empty => return,
                // Nothing of the last set is left in any cluster: what the clusters have now is better than no answer.
                AllDown::Keep if replaced => kept.extend(failing),
                AllDown::Keep => kept.extend(published),
                AllDown::All => kept.extend(failing),
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
}

fn by_family(ips: &BTreeSet<IpAddr>) -> Vec<RecordData> {
    let v4 = ips.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None });
    let v6 = ips.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(*ip) } else { None });
    let a = NonEmpty::new(v4).map(RecordData::A);
    let aaaa = NonEmpty::new(v6).map(RecordData::Aaaa);
    a.into_iter().chain(aaaa).collect()
}
