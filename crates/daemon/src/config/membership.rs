//! Who is a member: the sections, and what the sources of `[discovery]` say, put together.
//!
//! Invariant: a section wins over a source, a member over one that comes later with its name or its API server, and of
//! those that are new one that can be used over one that cannot.
//! Invariant: a source that cannot be read removes nobody; one that loses most of its members at once removes nobody until
//! an operator confirms it.

use std::fmt;

use fleetdns_watch::{Completeness, MemberConfig, Origin};

use super::Config;

/// Bytes of a kubeconfig of a source.
pub(super) const LARGEST: u64 = 1 << 20;
/// Members of all sources together.
const MOST: usize = 1000;
/// What makes a loss count.
const CONFIRM: &str = "`fleetdns reload` or SIGHUP confirms it if that is meant";

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    Secrets,
    Profiles,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Directory, Self::Secrets, Self::Profiles];

    const fn of(origin: &Origin) -> Option<Self> {
        match origin {
            Origin::Config => None,
            Origin::File(_) => Some(Self::Directory),
            Origin::Secret(_) => Some(Self::Secrets),
            Origin::Profile(_) => Some(Self::Profiles),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "[discovery] directory",
            Self::Secrets => "[discovery] secrets",
            Self::Profiles => "[discovery] profiles",
        })
    }
}

/// What one source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(super) kind: Kind,
    /// What it is and where, for people.
    pub(super) place: String,
    /// The first one with a name or an API server counts.
    pub(super) members: Vec<Candidate>,
    /// What is wrong with single entries that are no members for it.
    pub(super) faults: Vec<String>,
    /// Objects that are there and name no cluster, or none that can be told, and why: a member that one of them named
    /// before stays.
    pub(super) unclear: Vec<(Origin, String)>,
    pub(super) state: State,
}

/// Whether a source could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Read,
    /// Not yet.
    Pending,
    /// It could not, and why.
    Failed(String),
}

/// A member that a source names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(super) member: MemberConfig,
    /// Why its kubeconfig cannot be used.
    pub(super) broken: Option<String>,
}

impl Listing {
    pub(super) const fn new(kind: Kind, place: String) -> Self {
        Self { kind, place, members: Vec::new(), faults: Vec::new(), unclear: Vec::new(), state: State::Read }
    }
}

impl Config {
    /// Works out who is a member. `before` is the configuration that runs: its members stay when a source cannot be read
    /// or loses too many at once, unless an operator has `confirmed` that this is meant.
    pub fn settle(&mut self, before: Option<&Self>, confirmed: bool) {
        let known = before.map_or(&[][..], |before| &before.members);
        let mut faults = Vec::new();
        for listing in &self.discovered {
            if let State::Failed(problem) = &listing.state {
                faults.push(format!("{} {problem}", listing.place));
            }
            faults.extend(listing.faults.iter().cloned());
        }
        let mut kept = Vec::new();
        // Whoever stays may leave no room for another one.
        loop {
            let more = self.kept(known, &kept, confirmed, &mut faults);
            if more.is_empty() {
                break;
            }
            kept.extend(more);
        }
        let unread = self.discovered.iter().any(|listing| listing.state != State::Read);
        let was = before.map_or(Completeness::Unread, |before| before.completeness);
        let empty = self.discovered.iter().filter(|one| one.state == State::Read && one.members.is_empty());
        let empty: Vec<&Listing> = empty.filter(|_| !confirmed && was == Completeness::Unread).collect();
        faults.extend(empty.iter().map(|listing| {
            let place = &listing.place;
            format!(
                "{place} has no cluster; records of clusters that nobody names stand until it has; {CONFIRM}"
            )
        }));
        let now = match (unread, confirmed || !self.discovers(), empty.is_empty()) {
            (true, ..) | (_, false, false) => Completeness::Unread,
            (false, false, true) => Completeness::Read,
            (false, true, _) => Completeness::Confirmed,
        };
        self.completeness = was.max(now);
        let roster = self.roster(known, &kept);
        faults.extend(roster.faults);
        (self.members, self.source_faults) = (roster.members, faults);
    }

    /// What each source says that could be read, for people.
    pub fn sources(&self) -> Vec<String> {
        let read = self.discovered.iter().filter(|listing| listing.state == State::Read);
        read.map(|listing| format!("{} has {} clusters", listing.place, listing.members.len())).collect()
    }

    /// Whether members come from sources too.
    pub const fn discovers(&self) -> bool {
        !self.discovered.is_empty()
    }

    /// The members: sections, whoever is `known` already, and then whoever is new.
    fn roster(&self, known: &[MemberConfig], kept: &[&MemberConfig]) -> Roster {
        let mut roster = Roster { members: self.named.clone(), faults: Vec::new(), left_out: 0 };
        let (mut same, mut moved, mut new, mut unusable) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for candidate in self.discovered.iter().flat_map(|listing| &listing.members) {
            let member = &candidate.member;
            match known.iter().find(|one| is_same(one, member)) {
                // It never could be used.
                Some(old) if candidate.broken.is_some() && old.endpoint.is_none() => {
                    unusable.push((candidate, Some(old)));
                }
                Some(old) if candidate.broken.is_some() || old.endpoint == member.endpoint => {
                    same.push((candidate, Some(old)));
                }
                Some(old) => moved.push((candidate, Some(old))),
                None if candidate.broken.is_some() => unusable.push((candidate, None)),
                None => new.push((candidate, None)),
            }
        }
        same.into_iter().for_each(|(candidate, old)| roster.add(candidate, old));
        kept.iter().for_each(|member| roster.push(member));
        moved.into_iter().chain(new).chain(unusable).for_each(|(candidate, old)| roster.add(candidate, old));
        roster.finish(self.named.len())
    }

    /// Members that no source names any more and that stay too, beside those of which that is said already.
    fn kept<'a>(
        &self,
        known: &'a [MemberConfig],
        already: &[&'a MemberConfig],
        confirmed: bool,
        faults: &mut Vec<String>,
    ) -> Vec<&'a MemberConfig> {
        let next = self.roster(known, already).members;
        // One that is in a section now, under whatever name, is not gone.
        let is_in = |one: &MemberConfig| {
            let same = |other: &MemberConfig| one.endpoint.is_some() && other.endpoint == one.endpoint;
            next.iter().any(|other| other.name == one.name) || self.named.iter().any(same)
        };
        let (mut kept, mut leaving) = (Vec::new(), Vec::new());
        for kind in Kind::ALL {
            let listing = self.discovered.iter().find(|listing| listing.kind == kind);
            let had: Vec<_> = known.iter().filter(|one| Kind::of(&one.origin) == Some(kind)).collect();
            let gone = had.iter().copied().filter(|one| !is_in(one));
            let unclear = |one: &MemberConfig| {
                let all = listing.map_or(&[][..], |listing| &listing.unclear);
                all.iter().find(|(origin, _)| *origin == one.origin).map(|(_, problem)| problem)
            };
            let (stay, gone): (Vec<_>, Vec<_>) = gone.partition(|one| unclear(one).is_some());
            for (one, problem) in stay.into_iter().filter_map(|one| Some((one, unclear(one)?))) {
                let MemberConfig { name, origin, .. } = one;
                faults.push(format!("cluster {name} of {origin}: {problem}; what was read before stands"));
                kept.push(one);
            }
            if listing.is_some_and(|listing| listing.state != State::Read) {
                kept.extend(gone);
            } else if !confirmed && gone.len() > 1 && gone.len() * 2 > had.len() {
                let place = listing.map_or_else(|| kind.to_string(), |listing| listing.place.clone());
                let (lost, had) = (gone.len(), had.len());
                faults
                    .push(format!("{place}: {lost} of {had} clusters are gone at once and stay; {CONFIRM}"));
                kept.extend(gone);
            } else {
                leaving.extend(gone);
            }
        }
        let lost = known.iter().filter(|one| !is_in(one)).count() - kept.len();
        if !confirmed && !leaving.is_empty() && lost * 2 > known.len() {
            let names: Vec<&str> = leaving.iter().map(|one| one.name.as_str()).collect();
            let (names, all) = (names.join(", "), known.len());
            faults.push(format!("more than half of {all} clusters are gone; {names} stay; {CONFIRM}"));
            kept.append(&mut leaving);
        }
        kept
    }
}

/// Whether two are one member of one file.
fn is_same(one: &MemberConfig, other: &MemberConfig) -> bool {
    (&one.name, &one.origin) == (&other.name, &other.origin)
}

/// The members so far.
struct Roster {
    members: Vec<MemberConfig>,
    faults: Vec<String>,
    /// For want of room.
    left_out: usize,
}

impl Roster {
    /// Adds what a source names. What was `before` stands while its kubeconfig cannot be used.
    fn add(&mut self, candidate: &Candidate, before: Option<&MemberConfig>) {
        let Candidate { member, broken } = candidate;
        let problem = broken.clone().or_else(|| {
            let other = self.same_server(member).filter(|_| before.is_some())?;
            Some(format!("its API server is that of cluster {} of {}", other.name, other.origin))
        });
        match (problem, before) {
            (None, _) => self.push(member),
            (Some(problem), None) => {
                self.faults.push(format!("cluster {} of {}: {problem}", member.name, member.origin));
                self.push(member);
            }
            (Some(problem), Some(before)) => {
                let (name, origin) = (&member.name, &member.origin);
                self.faults
                    .push(format!("cluster {name} of {origin}: {problem}; what was read before stands"));
                self.push(before);
            }
        }
    }

    fn push(&mut self, member: &MemberConfig) {
        let MemberConfig { name, origin, .. } = member;
        if let Some(other) = self.members.iter().find(|other| other.name == *name) {
            let other = &other.origin;
            self.faults.push(format!(
                "cluster {name} of {origin} is left out: {other} has one of this name; rename it"
            ));
        } else if let Some(other) = self.same_server(member) {
            let other = format!("cluster {} of {}", other.name, other.origin);
            self.faults
                .push(format!("cluster {name} of {origin} is left out: its API server is that of {other}"));
        } else if self.members.iter().filter(|other| other.origin != Origin::Config).count() >= MOST {
            self.left_out += 1;
        } else {
            self.members.push(member.clone());
        }
    }

    fn same_server(&self, member: &MemberConfig) -> Option<&MemberConfig> {
        self.members.iter().find(|other| member.endpoint.is_some() && other.endpoint == member.endpoint)
    }

    fn finish(mut self, named: usize) -> Self {
        if self.left_out > 0 {
            let left_out = self.left_out;
            self.faults.push(format!("{left_out} clusters are left out: sources may name {MOST} in all"));
        }
        if let Some(discovered) = self.members.get_mut(named..) {
            discovered.sort_by(|one, other| one.name.cmp(&other.name));
        }
        self
    }
}

#[cfg(test)]
mod tests;
