//! The keys of all members and namespaces, and the sample of each member's that is asked for all of them.
//!
//! A cell is one namespace in one member.

use std::collections::HashMap;
use std::sync::Arc;

use super::key::{KeyState, Place};
use fleetdns_core::member_name::MemberName;

/// Keys of a member that speak for all of its keys. Where it has no more they are all of them.
pub(super) const SPEAKERS: u32 = 32;

/// The keys of one namespace in one member.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) member: u32,
    pub(super) namespace: u32,
    /// Keys that count.
    pub(super) keys: u32,
    /// Speakers among them.
    voices: u32,
}

/// The keys of one member of which something was heard.
#[derive(Debug, Default)]
struct Group {
    name: Option<MemberName>,
    keys: u32,
    /// Those that count.
    counting: u32,
    speakers: u32,
    /// Those that count.
    voices: u32,
    cells: Vec<u32>,
}

/// All members.
#[derive(Debug, Default)]
pub(super) struct FleetSample {
    cells: Vec<Cell>,
    groups: Vec<Group>,
    cell_index: HashMap<Place, u32>,
    group_index: HashMap<MemberName, u32>,
    namespaces: HashMap<Arc<str>, u32>,
    /// By number.
    namespace_names: Vec<Arc<str>>,
    /// Keys that count; one of several cells once.
    pub(super) keys: u32,
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl FleetSample {
    pub(super) fn member(&mut self, name: &MemberName) -> u32 {
        if let Some(index) = self.group_index.get(name) {
            return *index;
        }
        let index = number(self.groups.len());
        self.groups.push(Group { name: Some(name.clone()), ..Group::default() });
        self.group_index.insert(name.clone(), index);
        index
    }

    pub(super) fn cell(&mut self, place: &Place) -> u32 {
        if let Some(index) = self.cell_index.get(place) {
            return *index;
        }
        let (member, next) = (self.member(&place.member), number(self.namespaces.len()));
        let namespace = *self.namespaces.entry(Arc::clone(&place.namespace)).or_insert(next);
        if namespace == next {
            self.namespace_names.push(Arc::clone(&place.namespace));
        }
        let index = number(self.cells.len());
        self.cells.push(Cell { member, namespace, keys: 0, voices: 0 });
        if let Some(group) = self.groups.get_mut(member as usize) {
            group.cells.push(index);
        }
        self.cell_index.insert(place.clone(), index);
        index
    }

    pub(super) fn at(&self, cell: u32) -> Option<&Cell> {
        self.cells.get(cell as usize)
    }

    /// The namespace of a cell.
    pub(super) fn namespace(&self, cell: u32) -> Option<Arc<str>> {
        self.namespace_names.get(self.at(cell)?.namespace as usize).cloned()
    }

    pub(super) fn name(&self, member: u32) -> Option<&MemberName> {
        self.groups.get(member as usize)?.name.as_ref()
    }

    /// The members that have a key.
    pub(super) fn members<'a>(&'a self, row: &'a KeyState) -> impl Iterator<Item = u32> + 'a {
        row.seats.iter().filter_map(|membership| Some(self.at(membership.cell)?.member))
    }

    pub(super) fn members_count(&self) -> usize {
        self.groups.len()
    }

    /// Members from which something can be heard.
    pub(super) fn populated(&self) -> usize {
        self.groups.iter().filter(|group| group.speakers > 0).count()
    }

    /// Lets a key speak for members that have too few speakers.
    pub(super) fn appoint(&self, row: &mut KeyState) {
        if !row.was_heard {
            return;
        }
        for membership in &mut row.seats {
            let member = self.at(membership.cell).and_then(|cell| self.groups.get(cell.member as usize));
            membership.speaks |= member.is_some_and(|group| group.speakers < SPEAKERS);
        }
    }

    /// Whose place as a speaker a key may take in a cell: that of one that does not count, or of one from the cell of the
    /// member that has most. `None` when its cell has its fair share.
    pub(super) fn rival(&self, cell: u32) -> Option<Rival> {
        let own = self.at(cell)?;
        let group = self.groups.get(own.member as usize)?;
        if group.voices < group.speakers {
            return Some(Rival::Mute(own.member));
        }
        let share = SPEAKERS / number(group.cells.len()).max(1);
        if own.voices >= share.max(1) {
            return None;
        }
        let voices = |cell: &u32| self.at(*cell).map_or(0, |cell| cell.voices);
        let most = group.cells.iter().copied().max_by_key(voices)?;
        (voices(&most) > own.voices + 1).then_some(Rival::OfCell(most))
    }

    /// Whether a member has lost half of its speakers, or of those that count, and has others.
    pub(super) fn lacks_speakers(&self) -> bool {
        let half = SPEAKERS / 2;
        self.groups.iter().any(|group| {
            (group.speakers < half && group.keys > group.speakers)
                || (group.voices < half && group.counting > group.voices)
        })
    }

    /// Adds a key, or takes it away.
    pub(super) fn count(&mut self, row: &KeyState, add: bool) {
        if row.seats.is_empty() || !row.was_heard {
            return;
        }
        let step = |number: &mut u32, by: bool| {
            let by = u32::from(by);
            *number = if add { number.saturating_add(by) } else { number.saturating_sub(by) };
        };
        for membership in &row.seats {
            let Some(cell) = self.cells.get_mut(membership.cell as usize) else { continue };
            step(&mut cell.keys, row.counts());
            step(&mut cell.voices, membership.speaks && row.counts());
            let Some(group) = self.groups.get_mut(cell.member as usize) else { continue };
            step(&mut group.keys, true);
            step(&mut group.counting, row.counts());
            step(&mut group.speakers, membership.speaks);
            step(&mut group.voices, membership.speaks && row.counts());
        }
        step(&mut self.keys, row.counts());
    }
}

/// A speaker that may have to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rival {
    /// Of this member, and does not count.
    Mute(u32),
    /// Of this cell.
    OfCell(u32),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Membership, State};

    /// One member with these numbers of heard keys, counting keys, speakers and counting speakers.
    fn of(keys: u32, counting: u32, speakers: u32, voices: u32) -> FleetSample {
        let group = Group { keys, counting, speakers, voices, ..Group::default() };
        FleetSample { groups: vec![group], ..FleetSample::default() }
    }

    fn place(member: &str, namespace: &str) -> Place {
        Place { member: member.parse().unwrap(), namespace: namespace.into() }
    }

    #[test]
    fn speakers_are_lacking_when_half_of_them_are_gone_or_do_not_count_and_there_are_others() {
        for (sample, lacks) in [
            (of(0, 0, 0, 0), false),
            (of(5, 5, 5, 5), false),
            (of(100, 100, 32, 32), false),
            (of(100, 100, 16, 16), false),
            (of(100, 100, 15, 15), true),
            (of(15, 100, 15, 16), false),
            (of(16, 0, 15, 0), true),
            (of(100, 16, 32, 15), true),
            (of(100, 15, 32, 15), false),
        ] {
            assert_eq!(sample.lacks_speakers(), lacks, "{sample:?}");
        }
    }

    #[test]
    fn a_key_speaks_while_its_member_has_too_few_speakers() {
        for (speakers, heard, speaks) in [(31, true, true), (32, true, false), (0, false, false)] {
            let mut sample = FleetSample::default();
            let cell = sample.cell(&place("east", "default"));
            sample.groups[0].speakers = speakers;
            assert_eq!(sample.populated(), usize::from(speakers > 0));
            let seats = [Membership { cell, claims: 1, speaks: false }].into_iter().collect();
            let mut row = KeyState { seats, was_heard: heard, ..KeyState::default() };
            sample.appoint(&mut row);
            assert_eq!(row.speaks(), speaks, "{speakers} {heard}");
        }
    }

    #[test]
    fn a_cell_has_its_member_and_its_namespace() {
        let mut sample = FleetSample::default();
        let places = [place("east", "a"), place("west", "a"), place("west", "b")];
        let cells = places.each_ref().map(|place| sample.cell(place));
        assert_eq!(places.each_ref().map(|place| sample.cell(place)), cells, "each once");
        let names = cells.map(|cell| sample.namespace(cell).unwrap());
        assert_eq!(names.each_ref().map(|name| &**name), ["a", "a", "b"]);
        assert_eq!(cells.map(|cell| sample.at(cell).unwrap().member), [0, 1, 1]);
        assert_eq!(sample.members_count(), 2);
    }

    #[test]
    fn a_namespace_takes_the_place_of_one_that_has_most_until_it_has_its_share() {
        // Speakers that count of the cell itself, and of another: with two cells a share is 16.
        for (own, other, mute, rival) in [
            (0, 32, 1, Some(Rival::Mute(0))),
            (0, 32, 0, Some(Rival::OfCell(1))),
            (15, 17, 0, Some(Rival::OfCell(1))),
            (15, 16, 0, None),
            (16, 32, 0, None),
            (1, 2, 0, None),
            (1, 3, 0, Some(Rival::OfCell(1))),
        ] {
            let mut sample = FleetSample::default();
            for (namespace, voices) in [("own", own), ("other", other)] {
                let cell = sample.cell(&place("east", namespace));
                sample.cells[cell as usize].voices = voices;
            }
            sample.groups[0].voices = own + other;
            sample.groups[0].speakers = own + other + mute;
            assert_eq!(sample.rival(0), rival, "{own} {other} {mute}");
        }
    }

    #[test]
    fn only_a_speaker_that_counts_is_a_voice() {
        for (speaks, state, voices) in
            [(true, State::Good, 1), (false, State::Good, 0), (true, State::Past, 0), (false, State::Past, 0)]
        {
            let mut sample = FleetSample::default();
            let cell = sample.cell(&place("east", "default"));
            let seats = [Membership { cell, claims: 1, speaks }].into_iter().collect();
            let row = KeyState { seats, state, was_heard: true, was_healthy: true, ..KeyState::default() };
            sample.count(&row, true);
            assert_eq!((sample.cells[0].voices, sample.groups[0].voices), (voices, voices));
            sample.count(&row, false);
            assert_eq!((sample.cells[0].voices, sample.groups[0].voices), (0, 0));
        }
    }
}
