//! Whether so much failed together that one cause on our side explains it better than many on theirs.
//!
//! Each namespace has one vote, however many keys it has, and casts it when more than half of its keys fail. A correlation needs
//! more than half of the votes, and two members of whose namespaces at least half are hit. And no namespace decides for
//! another: what is held of one has to be held whichever single other one is left out. Where there is only one, its
//! keys decide alone.

use std::collections::BTreeMap;

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Whatever failed together.
    All,
    /// That of one namespace: without it there would be no correlation, so that it must not hold what is another's.
    Only(u32),
}

impl Scope {
    pub(super) fn covers(self, mut namespaces: impl Iterator<Item = u32>) -> bool {
        match self {
            Self::All => true,
            Self::Only(one) => namespaces.any(|namespace| namespace == one),
        }
    }
}

/// One namespace in one member.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ballot {
    pub(super) member: u32,
    pub(super) namespace: u32,
    /// All keys that count.
    pub(super) keys: u32,
    /// Those that were asked for them, at least one.
    pub(super) speakers: u32,
    /// Speakers that failed in a way that could be our own fault.
    pub(super) bad: u32,
}

impl Ballot {
    /// All of its keys for which the bad ones stand.
    pub(super) fn estimate(&self) -> u64 {
        u64::from(self.keys) * u64::from(self.bad) / u64::from(self.speakers.max(1))
    }

    const fn is_hit(&self) -> bool {
        self.bad * 2 >= self.speakers
    }
}

/// Namespaces, or cells of a member: how many there are, and how many are hit.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    all: usize,
    hit: usize,
}

impl Tally {
    const fn more_than_half(self) -> bool {
        self.hit * 2 > self.all
    }

    const fn at_least_half(self) -> bool {
        self.hit > 0 && self.hit * 2 >= self.all
    }

    fn add(&mut self, hit: bool) {
        self.all += 1;
        self.hit += usize::from(hit);
    }

    fn without(self, one: Self) -> Self {
        Self { all: self.all.saturating_sub(one.all), hit: self.hit.saturating_sub(one.hit) }
    }
}

/// The members that are hit.
pub(super) fn hit_members(ballots: &[Ballot]) -> Vec<u32> {
    let members = by_member(ballots);
    members.into_iter().filter(|(_, tally)| tally.at_least_half()).map(|(member, _)| member).collect()
}

/// What is held; `None` when there is no correlation.
pub(super) fn correlation(ballots: &[Ballot]) -> Option<Scope> {
    let members = by_member(ballots);
    let mut namespaces: BTreeMap<u32, Vec<&Ballot>> = BTreeMap::new();
    for ballot in ballots {
        namespaces.entry(ballot.namespace).or_default().push(ballot);
    }
    let fails = |own: &[&Ballot]| {
        let keys: u64 = own.iter().map(|ballot| u64::from(ballot.keys)).sum();
        own.iter().map(|ballot| ballot.estimate()).sum::<u64>() * 2 > keys
    };
    let mut votes = Tally::default();
    namespaces.values().for_each(|own| votes.add(fails(own)));
    let hit = members.values().filter(|tally| tally.at_least_half()).count();
    if !votes.more_than_half() || hit < 2 {
        return None;
    }
    let stands_without = |own: &[&Ballot]| {
        let mut left = hit;
        for ballot in own {
            let Some(all) = members.get(&ballot.member) else { continue };
            let mut one = Tally::default();
            one.add(ballot.is_hit());
            left = left + usize::from(all.without(one).at_least_half()) - usize::from(all.at_least_half());
        }
        let mut one = Tally::default();
        one.add(fails(own));
        votes.without(one).more_than_half() && left >= 2
    };
    let mut needed =
        namespaces.iter().filter(|(_, own)| !stands_without(own)).map(|(namespace, _)| *namespace);
    match (needed.next(), needed.next()) {
        (None, _) => Some(Scope::All),
        (Some(one), None) => Some(Scope::Only(one)),
        (Some(_), Some(_)) => None,
    }
}

fn by_member(ballots: &[Ballot]) -> BTreeMap<u32, Tally> {
    let mut members: BTreeMap<u32, Tally> = BTreeMap::new();
    for ballot in ballots {
        members.entry(ballot.member).or_default().add(ballot.is_hit());
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Member, namespace, keys, and how many of them are bad.
    fn held(cells: &[(u32, u32, u32, u32)]) -> Option<Scope> {
        let ballot = |&(member, namespace, keys, bad): &(u32, u32, u32, u32)| Ballot {
            member,
            namespace,
            keys,
            speakers: keys,
            bad,
        };
        correlation(&cells.iter().map(ballot).collect::<Vec<_>>())
    }

    #[test]
    fn where_there_is_one_namespace_its_keys_decide() {
        let one = Some(Scope::Only(7));
        assert_eq!(held(&[(0, 7, 1, 1), (1, 7, 1, 0)]), None, "half is not more than half");
        assert_eq!(held(&[(0, 7, 1, 1), (1, 7, 1, 1)]), one);
        assert_eq!(held(&[(0, 7, 2, 1), (1, 7, 2, 1)]), None, "half is not more, in two members either");
        assert_eq!(held(&[(0, 7, 60, 60), (1, 7, 5, 1)]), None, "one member");
        assert_eq!(held(&[(0, 7, 60, 60), (1, 7, 3, 1)]), None, "one of three is not half");
        assert_eq!(held(&[(0, 7, 60, 60), (1, 7, 5, 3)]), one);
        assert_eq!(held(&[(0, 7, 4, 4), (1, 7, 4, 4), (2, 7, 9, 0)]), None, "8 of 17");
    }

    #[test]
    fn no_namespace_holds_what_is_anothers() {
        // Sixty of one in one member, and one of somebody else in another.
        assert_eq!(held(&[(0, 0, 60, 60), (1, 1, 5, 1)]), None);
        assert_eq!(held(&[(0, 0, 60, 60), (1, 1, 1, 1)]), None, "both, each in one member");
        assert_eq!(held(&[(0, 0, 60, 60), (1, 1, 1, 1), (2, 2, 1, 0)]), None);
        // One namespace that dies everywhere, and one that is well, or dies in one member.
        assert_eq!(held(&[(0, 0, 60, 60), (1, 0, 60, 60), (0, 1, 1, 0)]), None);
        assert_eq!(held(&[(0, 0, 60, 60), (1, 0, 60, 60), (0, 1, 1, 1)]), Some(Scope::Only(0)));
    }

    #[test]
    fn a_member_is_hit_when_half_of_its_namespaces_are() {
        let one_of = |namespaces: u32| {
            let own = (0..namespaces).map(|one| (1, one, 1, u32::from(one == 0)));
            held(&own.chain((0..5).map(|one| (0, one, 9, 9))).collect::<Vec<_>>())
        };
        assert_eq!([2, 3].map(one_of), [Some(Scope::Only(0)), None]);
    }

    #[test]
    fn everything_at_once_is_held_whoever_is_left_out() {
        assert_eq!(held(&[(0, 0, 1, 1), (1, 0, 1, 1), (0, 1, 1, 1), (1, 1, 1, 1)]), Some(Scope::All));
        let hundred: Vec<_> = (0..100).map(|one| (one % 5, one, 3, 3)).collect();
        assert_eq!(held(&hundred), Some(Scope::All));
        // Three of five members, and the namespaces that live in them alone.
        let part: Vec<_> = (0..100).map(|one| (one % 5, one, 3, if one % 5 < 3 { 3 } else { 0 })).collect();
        assert_eq!(held(&part), Some(Scope::All));
        let less: Vec<_> = (0..100).map(|one| (one % 5, one, 3, if one % 5 < 2 { 3 } else { 0 })).collect();
        assert_eq!(held(&less), None);
    }
}
