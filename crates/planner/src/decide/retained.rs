//! What is kept of what is there, against the override of inventory or health.

use std::borrow::Cow;
use std::net::IpAddr;

use super::current::Current;
use super::flattened::{Flattened, all_sent_out};
use crate::brakes::{BrakeInputs, Removal};
use crate::desired::Desired;
use fleetdns_core::address::Address;
use fleetdns_core::brakes::AllDown;
use fleetdns_core::hold::Hold;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::overrides::OverrideKind;
use fleetdns_core::ownership::Ownership;
use fleetdns_core::probe::Verdict;
use fleetdns_core::small_set::SmallSet;

/// What is there and must stay, whatever inventory or health would like.
#[derive(Clone, Copy)]
pub(super) struct Retained<'a> {
    pub(super) desired: &'a Desired,
    pub(super) flat: &'a Flattened,
    pub(super) ours: &'a Current<'a>,
    pub(super) brakes: &'a BrakeInputs<'a>,
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
        let asked_for = self.brakes.settings.all_down == AllDown::Empty;
        self.ours.exists() && !all_sent_out(self.desired) && !asked_for
    }

    /// Addresses that must stay without being alive.
    pub(super) fn addresses(&self, ownership: &mut Cow<'_, Ownership>) -> (SmallSet<IpAddr>, Option<Hold>) {
        let (mut kept, mut hold) = (SmallSet::default(), None);
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
                Some(_) => self.ours.keep_probe(&address, ownership.to_mut()),
                None => self.ours.attribute(&address, ownership.to_mut()),
            }
            hold.get_or_insert(reason);
        }
        (kept, hold)
    }

    /// Why something stays that is not alive. What an operator wants out is not held because of probes.
    fn dead(&self, address: &Address, (verdict, kind): (Verdict, Option<OverrideKind>)) -> Option<Hold> {
        let untried = || self.ours.probed_otherwise(address, &self.desired.ownership);
        self.brakes.hold(match kind {
            Some(_) => Removal::Wanted,
            None => Removal::Dead { address, verdict, untried: &untried },
        })
    }

    /// Why something stays that no member has any more, as far as is known.
    fn unlisted_or_new(&self, address: &Address) -> Option<Hold> {
        if let Some(freeze) = self.brakes.hold(Removal::Wanted) {
            return Some(freeze);
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
            self.brakes.input.unlisted.contains(**name) && !self.flat.members.contains(**name)
        };
        match sources.iter().find(unlisted) {
            Some(member) => Some(Hold::Unlisted((*member).clone())),
            None if sources.is_empty() && !self.brakes.input.unlisted.is_empty() => Some(Hold::Unattributed),
            None => None,
        }
    }
}
