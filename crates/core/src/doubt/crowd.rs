//! How many keys there are, and how many of them are bad, by member.

use std::collections::HashMap;

use super::key::{Row, State};
use crate::member::MemberName;

/// Keys of a member that speak for all of its keys. Where it has no more they are all of them.
pub(super) const SPEAKERS: u32 = 32;

/// The keys of one member, as far as probes said anything of them.
#[derive(Debug)]
struct Group {
    name: MemberName,
    keys: u32,
    speakers: u32,
    /// Speakers that are bad.
    bad: u32,
    /// Speakers that are out, and are among the bad.
    out: u32,
}

impl Group {
    const fn new(name: MemberName) -> Self {
        Self { name, keys: 0, speakers: 0, bad: 0, out: 0 }
    }

    /// All of its keys, when so many of its speakers stand for them.
    fn share(&self, speakers: u32) -> u64 {
        u64::from(self.keys) * u64::from(speakers) / u64::from(self.speakers.max(1))
    }
}

/// Numbers over all keys that are endpoints; a key of several members counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) keys: u32,
    pub(super) speakers: u32,
    /// Speakers that were heard when last probed.
    pub(super) heard: u32,
    /// Speakers that are bad.
    pub(super) bad: u32,
    /// Keys that are bad, speakers or not.
    pub(super) unwell: u32,
}

/// All members.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    groups: Vec<Group>,
    index: HashMap<MemberName, u32>,
    pub(super) totals: Totals,
}

impl Crowd {
    pub(super) fn group(&mut self, name: &MemberName) -> u32 {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        let index = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        self.groups.push(Group::new(name.clone()));
        self.index.insert(name.clone(), index);
        index
    }

    /// Estimate of the keys of all members for which `speakers` stand.
    fn estimate(&self, speakers: impl Fn(&Group) -> u32) -> u64 {
        self.groups.iter().map(|group| group.share(speakers(group))).sum()
    }

    fn total(&self) -> u64 {
        self.groups.iter().map(|group| u64::from(group.keys)).sum()
    }

    /// Half of all keys, and half of those of two members.
    fn spread(&self, speakers: impl Fn(&Group) -> u32) -> bool {
        let hit = |group: &&Group| speakers(group) > 0 && speakers(group) * 2 >= group.speakers;
        self.estimate(&speakers) * 2 >= self.total() && self.groups.iter().filter(hit).count() >= 2
    }

    /// Whether so much failed in one round, by group, that it cannot be believed.
    pub(super) fn failed_together(&self, failed: &HashMap<u32, u32>) -> bool {
        let of = |group: &Group| {
            let index = self.index.get(&group.name).copied().unwrap_or(u32::MAX);
            failed.get(&index).copied().unwrap_or(0)
        };
        self.spread(of)
    }

    /// Whether so much went bad, or is about to, that it cannot be believed.
    pub(super) fn went_bad_together(&self) -> bool {
        self.totals.bad >= 2 && self.spread(|group| group.bad)
    }

    /// The same of what is out already.
    pub(super) fn went_out_together(&self) -> bool {
        self.totals.bad >= 2 && self.spread(|group| group.out)
    }

    pub(super) fn half_is_bad(&self) -> bool {
        self.totals.bad > 0 && self.estimate(|group| group.bad) * 2 >= self.total()
    }

    /// Estimate of the bad keys, each counted once, and the members of which at least half are.
    pub(super) fn facts(&self) -> (usize, Vec<MemberName>) {
        let keys = u64::from(self.totals.keys);
        let bad = self.estimate(|group| group.bad) * keys / self.total().max(1);
        let hit = self.groups.iter().filter(|group| group.bad > 0 && group.bad * 2 >= group.speakers);
        let mut members: Vec<MemberName> = hit.map(|group| group.name.clone()).collect();
        members.sort_unstable();
        (usize::try_from(bad).unwrap_or(usize::MAX), members)
    }

    /// Members from which something can be heard.
    pub(super) fn populated(&self) -> usize {
        self.groups.iter().filter(|group| group.speakers > 0).count()
    }

    /// Lets a key speak for members that have too few speakers.
    pub(super) fn appoint(&self, row: &mut Row) {
        if row.state == State::New {
            return;
        }
        for seat in &mut row.seats {
            let group = self.groups.get(seat.group as usize);
            seat.speaks |= group.is_some_and(|group| group.speakers < SPEAKERS);
        }
    }

    /// Whether a member has lost half of its speakers, and has other keys.
    pub(super) fn lacks_speakers(&self) -> bool {
        self.groups.iter().any(|group| group.speakers < SPEAKERS / 2 && group.keys > group.speakers)
    }

    /// Adds a key, or takes it away.
    pub(super) fn count(&mut self, row: &Row, add: bool) {
        let Row { seats, state, .. } = row;
        if *state == State::New || seats.is_empty() {
            return;
        }
        let step = |number: &mut u32, by: bool| {
            let by = u32::from(by);
            *number = if add { number.saturating_add(by) } else { number.saturating_sub(by) };
        };
        let (bad, out) = (state.is_bad(), *state == State::Out);
        for seat in seats {
            let Some(group) = self.groups.get_mut(seat.group as usize) else { continue };
            step(&mut group.keys, true);
            step(&mut group.speakers, seat.speaks);
            step(&mut group.bad, seat.speaks && bad);
            step(&mut group.out, seat.speaks && out);
        }
        let speaks = seats.iter().any(|seat| seat.speaks);
        step(&mut self.totals.keys, true);
        step(&mut self.totals.speakers, speaks);
        step(&mut self.totals.heard, speaks && row.is_heard());
        step(&mut self.totals.bad, speaks && bad);
        step(&mut self.totals.unwell, bad);
    }
}
