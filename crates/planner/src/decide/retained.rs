//! What is kept of what is there, against the override of inventory or health.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::context::PlanContext;
use super::current::Current;
use super::flattened::{Considered, Flattened, all_sent_out};
use crate::desired::Desired;
use fleetdns_core::address::Address;
use fleetdns_core::brakes::AllDown;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::overrides::OverrideKind;
use fleetdns_core::ownership::Ownership;
use fleetdns_core::plan::Hold;
use fleetdns_core::probe::Verdict;

/// What is there and must stay, whatever inventory or health would like.
#[derive(Clone, Copy)]
pub(super) struct Retained<'a> {
    pub(super) desired: &'a Desired,
    pub(super) flat: &'a Flattened,
    pub(super) ours: &'a Current<'a>,
    pub(super) context: &'a PlanContext<'a>,
}

impl Retained<'_> {
    /// An alias of ours that must stay, and cannot be merged with anything: the whole name stays as it is.
    pub(super) fn alias(&self) -> Option<Hold> {
        let desired = self.desired;
        let target = self.ours.cname.filter(|target| Some(*target) != desired.up.as_ref())?;
        let address = Address::Hostname(target.clone());
        let Some(candidate) = desired.candidates.get(&address) else { return self.unlisted_or_new(&address) };
        let alone = desired.candidates.len() == 1;
        match candidate.alive() {
            Some(true) if alone || candidate.resolved.is_some() => None,
            Some(true) | None => Some(Hold::Undecided),
            Some(false) => self.dead(&address, (candidate.verdict, candidate.kind)),
        }
    }

    /// Whether what is there is better than nothing: members have something, none of which can stand here.
    pub(super) fn last_set(&self) -> bool {
        let asked_for = self.context.brakes.all_down == AllDown::Empty;
        self.ours.exists() && !all_sent_out(self.desired) && !asked_for
    }

    /// Addresses that must stay without being alive.
    pub(super) fn addresses(&self, ownership: &mut Ownership) -> (BTreeSet<IpAddr>, Option<Hold>) {
        let (mut kept, mut hold) = (BTreeSet::new(), None);
        for ip in &self.ours.ips {
            let address = Address::from(*ip);
            let seen = self.flat.seen(*ip);
            let reason = match seen.map(|seen| (seen.alive(), seen)) {
                Some((Some(true), _)) => None,
                Some((None, _)) => Some(Hold::Undecided),
                Some((Some(false), seen)) => self.dead(&address, (seen.verdict, seen.kind)),
                None => self.unlisted_or_new(&address),
            };
            let Some(reason) = reason else { continue };
            kept.insert(*ip);
            // The mark goes on saying who gave what is kept, and how it was probed when it last answered.
            match seen {
                Some(_) => self.ours.keep_probe(&address, ownership),
                None => self.ours.attribute(&address, ownership),
            }
            hold.get_or_insert(reason);
        }
        (kept, hold)
    }

    /// Why something stays that is not alive. Only a freeze keeps what a person wants out.
    fn dead(&self, address: &Address, (verdict, kind): (Verdict, Option<OverrideKind>)) -> Option<Hold> {
        let context = self.context;
        if context.freeze.is_some() || kind.is_some() {
            return context.freeze.clone();
        }
        let untried = || self.ours.probed_otherwise(address, &self.desired.ownership);
        context
            .vantage
            .clone()
            .or_else(|| match verdict {
                Verdict::Suspended => Some(context.held.clone()),
                // It was dead and is still there: to take it out now that it answers would be too late.
                Verdict::Recovering => Some(Hold::Recovering),
                _ => None,
            })
            .or_else(|| untried().filter(|spec| !(context.proven)(spec)).map(|_| Hold::NewProbe))
            .or_else(|| context.waiting.contains(address).then_some(Hold::Velocity))
    }

    /// Why something stays that no member has any more, as far as is known.
    fn unlisted_or_new(&self, address: &Address) -> Option<Hold> {
        if self.context.freeze.is_some() {
            return self.context.freeze.clone();
        }
        let sources = self.ours.sources(address).unwrap_or_default();
        if sources.iter().any(|name| self.flat.undecided.contains(*name)) {
            return Some(Hold::Undecided);
        }
        // Nobody is known to have given it: it may be what a host name stands for that was never resolved.
        if sources.is_empty() && self.flat.has_unresolved {
            return Some(Hold::Undecided);
        }
        let unreadable = &self.desired.unreadable;
        if sources.iter().any(|name| unreadable.contains(*name))
            || (sources.is_empty() && !unreadable.is_empty())
        {
            return Some(Hold::Unreadable);
        }
        // Of a member that has a candidate the zone's marks were read: it is known what it had.
        let unlisted = |name: &&&MemberName| {
            self.context.unlisted.contains(**name) && !self.flat.members.contains(**name)
        };
        match sources.iter().find(unlisted) {
            Some(member) => Some(Hold::Unlisted((*member).clone())),
            None if sources.is_empty() && !self.context.unlisted.is_empty() => Some(Hold::Unattributed),
            None => None,
        }
    }

    /// Keeps enough failing addresses: the last set when nothing is alive, `min_kept` otherwise.
    pub(super) fn floor(
        &self,
        alive: &BTreeSet<IpAddr>,
        kept: &mut BTreeSet<IpAddr>,
        hold: &mut Option<Hold>,
    ) {
        let Self { desired, flat, ours, context } = self;
        let out =
            |seen: &&Considered| seen.alive() == Some(false) && seen.kind != Some(OverrideKind::ForceOut);
        let mut failing: Vec<Considered> = flat.ips.iter().filter(out).copied().collect();
        // What was sent out and answers is better than what is dead.
        failing.sort_by_key(|seen| (seen.verdict.is_in() != Some(true), seen.ip));
        // What answers again, if not often enough, is better than nothing that answers.
        let again = |seen: &&Considered| seen.verdict == Verdict::Recovering && seen.kind.is_none();
        let back: BTreeSet<IpAddr> = failing.iter().filter(again).map(|seen| seen.ip).collect();
        let failing: Vec<IpAddr> = failing.iter().map(|seen| seen.ip).collect();
        let fails: BTreeSet<IpAddr> = failing.iter().copied().collect();
        // What only waits for its turn is as good as gone: it takes nothing else's place.
        let firm: BTreeSet<IpAddr> = kept
            .iter()
            .copied()
            .filter(|ip| !(fails.contains(ip) && context.waiting.contains(&Address::from(*ip))))
            .collect();
        let published: Vec<IpAddr> =
            failing.iter().copied().filter(|ip| ours.ips.contains(ip) && !firm.contains(ip)).collect();
        // What answers again leaves the last set whole: it may be gone in a moment.
        if alive.is_empty() && firm.iter().all(|ip| back.contains(ip)) && !failing.is_empty() {
            if !flat.undecided.is_empty() && !ours.exists() {
                return;
            }
            let alias = ours.cname.map(|target| Address::Hostname(target.clone()));
            let known = alias.is_some_and(|alias| desired.candidates.contains_key(&alias));
            let left = failing.iter().any(|ip| ours.ips.contains(ip));
            let replaced = ours.exists() && !left && !known && flat.undecided.is_empty();
            match context.brakes.all_down {
                AllDown::Empty => return,
                // Nothing of the last set is left in any cluster: what the clusters have now is better than no answer.
                AllDown::Keep if replaced => kept.extend(failing),
                AllDown::Keep => kept.extend(published.into_iter().chain(back)),
                AllDown::All => kept.extend(failing),
            }
            if !kept.is_empty() {
                *hold = Some(Hold::AllDown);
            }
            return;
        }
        let missing = context.brakes.min_kept.saturating_sub(alive.len() + firm.len());
        let more: Vec<IpAddr> = published.into_iter().take(missing).collect();
        if !more.is_empty() {
            kept.extend(more);
            hold.get_or_insert(Hold::Floor);
        }
    }
}
