//! What is ours at a name, and who gave it.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::net::IpAddr;

use fleetdns_core::address::Address;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::ownership::{Contribution, Ownership};
use fleetdns_core::probe::ProbeSpec;
use fleetdns_core::record::{RecordData, RecordType};
use fleetdns_core::small_set::SmallSet;

/// What is ours at a name.
#[derive(Debug, Default)]
pub(crate) struct Current<'a> {
    pub(crate) ips: SmallSet<IpAddr>,
    pub(crate) cname: Option<&'a DnsName>,
    sets: &'a [ObservedSet],
    /// By the type of the set that has it: of two sets one may have been written without the other. Most names need none,
    /// and to read one takes a tenth of a plan.
    marks: OnceCell<Vec<(RecordType, Ownership)>>,
}

impl<'a> Current<'a> {
    pub(crate) fn of(sets: &'a [ObservedSet]) -> Self {
        let mut ours = Self { sets, ..Self::default() };
        for set in sets {
            let Some(data) = set.ours() else { continue };
            match data {
                RecordData::A(ips) => ours.ips.extend(ips.iter().copied().map(IpAddr::V4)),
                RecordData::Aaaa(ips) => ours.ips.extend(ips.iter().copied().map(IpAddr::V6)),
                RecordData::Cname(target) => ours.cname = Some(target),
            }
        }
        ours
    }

    /// What the marks of these sets say.
    pub(crate) fn marks(&self) -> &[(RecordType, Ownership)] {
        let mark = |set: &ObservedSet| Some((set.ours()?.record_type(), set.claim.ownership()?));
        self.marks.get_or_init(|| self.sets.iter().filter_map(mark).collect())
    }

    /// What is said of an address: by the mark of its own set, or else by that of another.
    fn mark(&self, address: &Address) -> Option<&Ownership> {
        let own = match address {
            Address::V4(_) => RecordType::A,
            Address::V6(_) => RecordType::Aaaa,
            Address::Hostname(_) => RecordType::Cname,
        };
        let found = self.marks().iter().find(|(record_type, _)| *record_type == own);
        found.or_else(|| self.marks().first()).map(|(_, mark)| mark)
    }

    pub(crate) fn exists(&self) -> bool {
        self.cname.is_some() || !self.ips.is_empty()
    }

    /// Whether a host name stands, as it is or as what it resolves to.
    pub(crate) fn stood(&self, address: &Address) -> bool {
        let name = address.hostname();
        name.is_some() && (self.cname == name || (self.cname.is_none() && !self.ips.is_empty()))
    }

    /// Members to which an address is attributed, none when nobody is known to have given it; `None` when nothing is
    /// marked at all.
    pub(crate) fn sources(&self, address: &Address) -> Option<BTreeSet<&MemberName>> {
        let ownership = self.mark(address)?;
        let who = |gives: &dyn Fn(&Contribution) -> bool| -> BTreeSet<&MemberName> {
            ownership.members.iter().filter(|(_, share)| gives(share)).map(|(name, _)| name).collect()
        };
        let exact = who(&|share| share.addresses.contains(address));
        if exact.is_empty() && address.ip().is_some() && !ownership.unattributed.contains(address) {
            // Host names come last.
            return Some(who(&|share| share.addresses.last().is_some_and(|last| last.hostname().is_some())));
        }
        Some(exact)
    }

    /// How an address is probed now, when the mark of the same Service tells of another way.
    pub(crate) fn probed_otherwise<'b>(
        &self,
        address: &Address,
        now: &'b Ownership,
    ) -> Option<&'b ProbeSpec> {
        let mark = self.mark(address)?;
        let mut other = None;
        for giver in self.sources(address)? {
            let (before, share) = (mark.members.get(giver)?, now.members.get(giver)?);
            if mark.service_of(before) != now.service_of(share) || before.probe == share.probe {
                return None;
            }
            other = Some(&share.probe);
        }
        other
    }

    /// Goes on saying how an address was probed when it last answered.
    pub(crate) fn keep_probe(&self, address: &Address, ownership: &mut Ownership) {
        for giver in self.sources(address).into_iter().flatten() {
            let before = self.mark(address).and_then(|old| old.members.get(giver));
            if let (Some(before), Some(share)) = (before, ownership.members.get_mut(giver)) {
                share.probe = before.probe.clone();
            }
        }
    }

    /// Carries over who gave an address, as itself or by host names of which it may be what one stands for; or that nobody
    /// is known to have.
    pub(crate) fn attribute(&self, address: &Address, ownership: &mut Ownership) {
        let mark = self.mark(address);
        let sources = self.sources(address).unwrap_or_default();
        if sources.is_empty() {
            ownership.unattributed.insert(address.clone());
        }
        for giver in sources {
            let Some((mark, old)) = mark.and_then(|mark| Some((mark, mark.members.get(giver)?))) else {
                continue;
            };
            let gave = |one: &&Address| match old.addresses.contains(address) {
                true => *one == address,
                false => one.hostname().is_some(),
            };
            let service =
                Some(mark.service_of(old)).filter(|service| **service != ownership.service).cloned();
            let only = || Contribution { addresses: SmallSet::default(), service, ..old.clone() };
            let share = ownership.members.entry(giver.clone()).or_insert_with(only);
            share.addresses.extend(old.addresses.iter().filter(gave).cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ownership(members: &str) -> Ownership {
        format!("v=1 owner=fed service=default/web {members}").parse().unwrap()
    }

    #[test]
    fn what_host_names_may_stand_for_stays_with_all_of_them() {
        let before = ownership(
            "member=east;;;tcp:80;lb-e.example.net member=west;;;tcp:80;lb-w.example.net,203.0.113.7",
        );
        let ours = Current { marks: vec![(RecordType::A, before)].into(), ..Current::default() };
        let address = "198.51.100.4".parse().unwrap();
        let mut now = ownership("member=east;;;tcp:80;203.0.113.9");
        ours.attribute(&address, &mut now);
        let both = ownership(
            "member=east;;;tcp:80;203.0.113.9,lb-e.example.net member=west;;;tcp:80;lb-w.example.net",
        );
        assert_eq!(now, both, "any of the two may have given it");
        let mut now = ownership("member=east;;;tcp:80;203.0.113.9");
        ours.attribute(&"203.0.113.7".parse().unwrap(), &mut now);
        let west = ownership("member=east;;;tcp:80;203.0.113.9 member=west;;;tcp:80;203.0.113.7");
        assert_eq!(now, west, "that one it gave itself");
        // The name is another Service's now: the mark goes on telling whose address it was.
        let mut now = Ownership { service: "default/api".parse().unwrap(), members: [].into(), ..west };
        ours.attribute(&"203.0.113.7".parse().unwrap(), &mut now);
        assert_eq!(now.members[&"west".parse().unwrap()].service, Some("default/web".parse().unwrap()));
    }

    #[test]
    fn what_nobody_is_known_to_have_given_is_not_taken_for_what_a_host_name_stands_for() {
        let address: Address = "203.0.113.7".parse().unwrap();
        let now = ownership("member=east;;;tcp:80;lb-e.example.net");
        let mut marked = now.clone();
        Current::default().attribute(&address, &mut marked);
        assert_eq!(marked, Ownership { unattributed: [address.clone()].into(), ..now.clone() });
        let ours = |mark| Current { marks: vec![(RecordType::A, mark)].into(), ..Current::default() };
        assert_eq!(ours(now.clone()).sources(&address).unwrap().len(), 1);
        assert_eq!(ours(marked.clone()).sources(&address), Some(BTreeSet::new()));
        let mut again = now.clone();
        ours(marked.clone()).attribute(&address, &mut again);
        assert_eq!(again, marked, "it goes on being said");
    }
}
