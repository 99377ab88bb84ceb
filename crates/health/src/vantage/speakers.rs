//! The keys that speak for their members and namespaces.

use super::VantageMonitor;
use crate::key::{KeyId, KeyState, Membership};
use crate::sample::Rival;

impl VantageMonitor {
    /// Finds new speakers for members of whose speakers half are gone, or do not count.
    pub(super) fn refill(&mut self) {
        if self.sample.lacks_speakers() {
            for index in 0..self.rows.len() {
                let key = KeyId(u32::try_from(index).unwrap_or(u32::MAX));
                self.change(key, |_| {});
                self.make_room(key);
            }
        }
    }

    /// A key that counts speaks in place of one that does not, and a namespace of a member is heard as much as the
    /// others.
    pub(super) fn make_room(&mut self, key: KeyId) {
        let Some(row) = self.row(key).filter(|row| row.counts()) else { return };
        let mute: Vec<u32> = row
            .seats
            .iter()
            .filter(|membership| !membership.speaks)
            .map(|membership| membership.cell)
            .collect();
        for cell in mute {
            let Some((rival, theirs)) = self.sample.rival(cell).and_then(|rival| self.find(rival)) else {
                continue;
            };
            let set = |cell: u32, speaks: bool| {
                move |row: &mut KeyState| {
                    row.seats
                        .iter_mut()
                        .filter(|membership| membership.cell == cell)
                        .for_each(|membership| membership.speaks = speaks);
                }
            };
            self.modify(rival, false, set(theirs, false));
            self.modify(key, false, set(cell, true));
        }
    }

    /// A speaker of this kind, and the cell for which it speaks.
    pub(super) fn find(&self, rival: Rival) -> Option<(KeyId, u32)> {
        let fits = |row: &KeyState, membership: &Membership| match rival {
            Rival::Mute(member) => {
                !row.counts() && self.sample.at(membership.cell).is_some_and(|cell| cell.member == member)
            }
            Rival::OfCell(cell) => membership.cell == cell,
        };
        self.asked.iter().rev().find_map(|key| {
            let row = self.row(*key)?;
            let membership =
                row.seats.iter().find(|membership| membership.speaks && fits(row, membership))?;
            Some((*key, membership.cell))
        })
    }
}
