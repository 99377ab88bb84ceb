//! Whether the self-check fails: what canaries and speakers say at one moment.

use std::collections::{BTreeMap, BTreeSet};

use super::VantageMonitor;
use crate::canary::Answering;
use crate::key::{KeyId, KeyState, Reachability};
use crate::votes::{self, Ballot, Scope};
use fleetdns_core::SelfCheckFailure;
use fleetdns_core::member_name::MemberName;

/// We are cut off where fewer than one key in so many is heard.
const HARDLY: u32 = 10;

/// A key as it is seen at some moment.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) reachability: Option<Reachability>,
    pub(super) fails: bool,
}

impl VantageMonitor {
    /// Why the self-check fails, if it does.
    pub(super) fn reason(
        &self,
        seen: impl Fn(KeyId, &KeyState) -> Seen,
    ) -> Option<(SelfCheckFailure, Scope)> {
        let reachability = |key: KeyId| self.row(key).and_then(|row| seen(key, row).reachability);
        let answering = Answering::of(&self.canaries, reachability);
        self.vantage(&seen, &answering).or_else(|| self.correlation(&seen, &answering))
    }

    pub(super) fn vantage(
        &self,
        seen: &impl Fn(KeyId, &KeyState) -> Seen,
        answering: &Answering,
    ) -> Option<(SelfCheckFailure, Scope)> {
        if !answering.most_are_silent() {
            return None;
        }
        let mut members: Vec<(u32, u32)> = vec![(0, 0); self.sample.members_count()];
        let (mut keys, mut all_heard) = (0, 0);
        for key in &self.asked {
            let Some(row) = self.row(*key).filter(|row| row.speaks()) else { continue };
            let heard = match seen(*key, row).reachability {
                Some(Reachability::Reached | Reachability::Hung) => true,
                Some(Reachability::Refused) => answering.vouch_for(self.sample.members(row)),
                _ => false,
            };
            keys += 1;
            all_heard += usize::from(heard);
            for membership in row.seats.iter().filter(|membership| membership.speaks) {
                let member =
                    self.sample.at(membership.cell).and_then(|cell| members.get_mut(cell.member as usize));
                if let Some((speakers, reached)) = member {
                    *speakers += 1;
                    *reached += u32::from(heard);
                }
            }
        }
        let dark = |&(speakers, heard): &(u32, u32)| heard == 0 || heard * HARDLY < speakers;
        let (canaries, silent) = (self.canaries.len(), answering.silent);
        let self_check = SelfCheckFailure::Vantage { canaries, silent, keys, heard: all_heard };
        members.iter().all(dark).then_some((self_check, Scope::All))
    }

    pub(super) fn correlation(
        &self,
        seen: &impl Fn(KeyId, &KeyState) -> Seen,
        answering: &Answering,
    ) -> Option<(SelfCheckFailure, Scope)> {
        let standing = self.episode.now();
        let bad = |key: KeyId, row: &KeyState| {
            let seen = seen(key, row);
            let ours = seen.fails && self.may_be_ours(row, seen.reachability, answering);
            ours && standing.is_none_or(|standing| row.passed < standing.since)
        };
        let voices: Vec<(&KeyState, bool)> = self
            .asked
            .iter()
            .filter_map(|key| Some((*key, self.row(*key)?)))
            .filter(|(_, row)| row.counts() && row.speaks())
            .map(|(key, row)| (row, bad(key, row)))
            .collect();
        // One key of several members is one key.
        if voices.iter().filter(|(_, bad)| *bad).count() < 2 {
            return None;
        }
        let mut ballots: BTreeMap<u32, Ballot> = BTreeMap::new();
        for (row, bad) in voices {
            for membership in row.seats.iter().filter(|membership| membership.speaks) {
                let Some(cell) = self.sample.at(membership.cell) else { continue };
                let ballot = ballots.entry(membership.cell).or_default();
                (ballot.member, ballot.namespace, ballot.keys) = (cell.member, cell.namespace, cell.keys);
                ballot.speakers += 1;
                ballot.bad += u32::from(bad);
            }
        }
        let ballots: Vec<Ballot> = ballots.into_values().collect();
        let scope = votes::correlation(&ballots)?;
        Some((self.facts(&ballots), scope))
    }

    /// Estimate of the bad keys, each counted once, and the members that are hit.
    pub(super) fn facts(&self, ballots: &[Ballot]) -> SelfCheckFailure {
        let keys = u64::from(self.sample.keys);
        let all: u64 = ballots.iter().map(|ballot| u64::from(ballot.keys)).sum();
        let bad = ballots.iter().map(Ballot::estimate).sum::<u64>() * keys / all.max(1);
        let hit =
            votes::hit_members(ballots).into_iter().filter_map(|member| self.sample.name(member).cloned());
        let members: BTreeSet<MemberName> = hit.collect();
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        SelfCheckFailure::Correlation {
            keys: number(keys),
            bad: number(bad),
            members: members.into_iter().collect(),
        }
    }

    /// What a whole round says, though who was asked first may have recovered before the last one answered: an outage of
    /// ours may end between.
    pub(super) fn in_round(&mut self) -> Option<(SelfCheckFailure, Scope)> {
        if !self.sweeps.read() {
            return None;
        }
        let seen = |key: KeyId, row: &KeyState| match self.sweeps.said(key) {
            Some(said) => Seen { reachability: Some(said.reachability), fails: said.fails },
            None => Seen { reachability: row.reachability, fails: row.state.is_bad() },
        };
        self.reason(seen)
    }

    /// Whether the self-check can fail at all: there is something to compare with.
    pub(super) fn is_of_use(&self) -> bool {
        !self.canaries.is_empty() || self.sample.populated() > 1
    }
}
