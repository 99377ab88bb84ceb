//! What is ours at a name, and who gave it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::address::Address;
use crate::evidence::{Evidence, Share};
use crate::member::MemberName;
use crate::name::DnsName;
use crate::observed::ObservedSet;
use crate::probe::ProbeSpec;
use crate::record::RecordData;

/// What is ours at a name.
#[derive(Debug, Default)]
pub(crate) struct Ours<'a> {
    pub(crate) ips: BTreeSet<IpAddr>,
    pub(crate) cname: Option<&'a DnsName>,
    pub(crate) evidence: Option<&'a Evidence>,
}

impl<'a> Ours<'a> {
    pub(crate) fn of(sets: &'a [ObservedSet]) -> Self {
        let mut ours = Self::default();
        for set in sets {
            match set.ours() {
                Some(RecordData::A(ips)) => ours.ips.extend(ips.iter().copied().map(IpAddr::V4)),
                Some(RecordData::Aaaa(ips)) => ours.ips.extend(ips.iter().copied().map(IpAddr::V6)),
                Some(RecordData::Cname(target)) => ours.cname = Some(target),
                None => continue,
            }
            ours.evidence = ours.evidence.or(set.claim.evidence());
        }
        ours
    }

    pub(crate) fn exists(&self) -> bool {
        self.cname.is_some() || !self.ips.is_empty()
    }

    /// Whether a host name stands, as it is or as what it resolves to.
    pub(crate) fn stood(&self, address: &Address) -> bool {
        let name = address.hostname();
        name.is_some() && (self.cname == name || (self.cname.is_none() && !self.ips.is_empty()))
    }

    /// Members to which an address is attributed; `None` when nothing can be said.
    pub(crate) fn givers(&self, address: &Address) -> Option<BTreeSet<&'a MemberName>> {
        let evidence = self.evidence?;
        let who = |gave: &dyn Fn(&Address) -> bool| -> BTreeSet<&'a MemberName> {
            let gives = |share: &Share| share.addresses.iter().any(gave);
            evidence.members.iter().filter(|(_, share)| gives(share)).map(|(name, _)| name).collect()
        };
        let exact = who(&|given| given == address);
        if exact.is_empty() && address.ip().is_some() {
            return Some(who(&|given| given.hostname().is_some()));
        }
        Some(exact)
    }

    /// How an address is probed now, when the mark of the same Service tells of another way.
    pub(crate) fn probed_otherwise<'b>(&self, address: &Address, now: &'b Evidence) -> Option<&'b ProbeSpec> {
        let known = &self.evidence.filter(|mark| mark.service == now.service)?.members;
        let mut other = None;
        for giver in self.givers(address)? {
            let (before, now) = (&known.get(giver)?.probe, &now.members.get(giver)?.probe);
            if before == now {
                return None;
            }
            other = Some(now);
        }
        other
    }

    /// Goes on saying how an address was probed when it last answered.
    pub(crate) fn keep_probe(&self, address: &Address, evidence: &mut Evidence) {
        for giver in self.givers(address).into_iter().flatten() {
            let before = self.evidence.and_then(|old| old.members.get(giver));
            if let (Some(before), Some(share)) = (before, evidence.members.get_mut(giver)) {
                share.probe = before.probe.clone();
            }
        }
    }

    /// Carries over who gave an address.
    ///
    /// What a host name stood for is not attributed to a member that has dropped its host name while another's still
    /// stands: it would be taken for an address of the one, and go with it, though the other's has not been resolved.
    pub(crate) fn attribute(&self, address: &Address, evidence: &mut Evidence) {
        let known = self.evidence.map(|old| &old.members);
        let givers = self.givers(address).unwrap_or_default();
        let named = |giver: &&MemberName| {
            let old = known.and_then(|members| members.get(*giver));
            let new = evidence.members.get(*giver);
            old.zip(new).is_some_and(|(old, new)| {
                !old.addresses.contains(address)
                    && old.addresses.iter().any(|one| one.hostname().is_some() && new.addresses.contains(one))
            })
        };
        if givers.iter().any(named) {
            return;
        }
        for giver in givers {
            let Some(old) = known.and_then(|members| members.get(giver)) else { continue };
            let only = || Share { addresses: BTreeSet::new(), ..old.clone() };
            let share = evidence.members.entry(giver.clone()).or_insert_with(only);
            let by_hostname = share.addresses.iter().any(|given| given.hostname().is_some());
            if old.addresses.contains(address) || !by_hostname {
                share.addresses.insert(address.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(members: &str) -> Evidence {
        format!("v=1 owner=fed service=default/web {members}").parse().unwrap()
    }

    #[test]
    fn what_another_host_name_may_stand_for_is_not_given_to_who_dropped_its_own() {
        let before = evidence("member=east;;;tcp:80;lb-e.example.net member=west;;;tcp:80;lb-w.example.net");
        let ours = Ours { evidence: Some(&before), ..Ours::default() };
        let address = "198.51.100.4".parse().unwrap();
        let mut now = evidence("member=east;;;tcp:80;203.0.113.9 member=west;;;tcp:80;lb-w.example.net");
        let expected = now.clone();
        ours.attribute(&address, &mut now);
        assert_eq!(now, expected, "west's host name still says who may have given it");
        // When no host name is left, any of the two may have given it.
        let mut now = evidence("member=east;;;tcp:80;203.0.113.9 member=west;;;tcp:80;203.0.113.10");
        ours.attribute(&address, &mut now);
        assert!(now.members.values().all(|share| share.addresses.contains(&address)));
    }
}
