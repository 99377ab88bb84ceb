//! Canaries: what should be heard as long as we can hear anything.

use super::key::{KeyId, Reachability};

/// One canary, by the probe keys of its addresses.
#[derive(Debug)]
pub(super) struct Canary {
    /// The member whose API it is, by its number.
    pub(super) member: Option<u32>,
    keys: Vec<KeyId>,
    /// It is a host name that does not resolve.
    unresolved: bool,
}

impl Canary {
    pub(super) const fn new(member: Option<u32>) -> Self {
        Self { member, keys: Vec::new(), unresolved: false }
    }

    pub(super) fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// Returns whether that is news.
    pub(super) fn set(&mut self, key: KeyId, is: bool) -> bool {
        let was = self.keys.contains(&key);
        self.keys.retain(|known| *known != key);
        if is {
            self.keys.push(key);
            self.unresolved = false;
        }
        was != is
    }

    pub(super) const fn set_unresolved(&mut self, is: bool) {
        self.unresolved = is;
    }

    /// Whether it answers, at any of its addresses; `None` while it was not asked. A refusal is no answer: a firewall of
    /// ours may send it in the canary's name.
    pub(super) fn answers(&self, reachability: impl Fn(KeyId) -> Option<Reachability>) -> Option<bool> {
        let mut asked = self.keys.is_empty() && self.unresolved;
        for key in &self.keys {
            match reachability(*key) {
                Some(Reachability::Reached) => return Some(true),
                Some(_) => asked = true,
                None => {}
            }
        }
        asked.then_some(false)
    }
}

/// What all canaries say at one moment.
#[derive(Debug)]
pub(super) struct Answering {
    /// By member that has canaries of its own: whether one of them answers.
    members: Vec<(u32, bool)>,
    answer: usize,
    pub(super) silent: usize,
    all: usize,
}

impl Answering {
    pub(super) fn of(canaries: &[Canary], reachability: impl Fn(KeyId) -> Option<Reachability>) -> Self {
        let mut all = Self { members: Vec::new(), answer: 0, silent: 0, all: canaries.len() };
        for canary in canaries {
            let answers = canary.answers(&reachability);
            all.answer += usize::from(answers == Some(true));
            all.silent += usize::from(answers == Some(false));
            let Some(member) = canary.member else { continue };
            match all.members.iter_mut().find(|(known, _)| *known == member) {
                Some((_, any)) => *any |= answers == Some(true),
                None => all.members.push((member, answers == Some(true))),
            }
        }
        all
    }

    /// Whether most canaries were asked and do not answer.
    pub(super) const fn most_are_silent(&self) -> bool {
        self.silent * 2 > self.all
    }

    /// Whether a refusal is the other side's own word: a canary of its members answers, or most canaries do where these
    /// members have none.
    pub(super) fn vouch_for(&self, members: impl Iterator<Item = u32>) -> bool {
        let mut own = None;
        for member in members {
            let found = self.members.iter().find(|(known, _)| *known == member);
            own = found.map(|(_, answers)| own == Some(true) || *answers).or(own);
        }
        own.unwrap_or(self.answer * 2 > self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether canaries, each of a member or of none, vouch for what is refused in a member.
    fn vouch_for(member: u32, canaries: &[(Option<u32>, Reachability)]) -> bool {
        let with_key = |(key, (member, _)): (u32, &(Option<u32>, Reachability))| {
            let mut canary = Canary::new(*member);
            canary.set(KeyId(key), true);
            canary
        };
        let all: Vec<Canary> = (0..).zip(canaries).map(with_key).collect();
        Answering::of(&all, |key| Some(canaries[key.0 as usize].1)).vouch_for([member].into_iter())
    }

    #[test]
    fn one_canary_of_a_member_vouches_for_it_and_most_of_all_where_it_has_none() {
        let (yes, no) = (Reachability::Reached, Reachability::Unreached);
        for (canaries, vouch) in [
            (&[(Some(0), yes), (Some(0), no)][..], true),
            (&[(Some(0), no), (Some(0), yes)], true),
            (&[(Some(0), no), (Some(0), no), (Some(1), yes), (None, yes), (None, yes)], false),
            (&[(None, yes), (None, yes), (Some(1), no)], true),
            (&[(None, yes), (None, no)], false),
            (&[], false),
        ] {
            assert_eq!(vouch_for(0, canaries), vouch, "{canaries:?}");
        }
    }
}
