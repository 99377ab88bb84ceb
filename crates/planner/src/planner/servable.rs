//! What the provider can serve at a name, and which of two names that it cannot serve both gives way.

use super::claims::HostnameClaim;
use super::*;
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::plan::Refusal;

impl Planner {
    /// What the provider cannot serve at all.
    pub(super) fn unservable(&self, name: &DnsName, observed: &Observed) -> Option<Refusal> {
        if name.is_wildcard() && !self.capabilities.wildcards {
            return Some(Refusal::Wildcard);
        }
        if *name == self.zone.zone && !self.capabilities.apex {
            return Some(Refusal::Invalid("this provider cannot write at the zone's apex".into()));
        }
        if let Some((at, record_type)) = observed.cut(&self.zone.zone, name) {
            return Some(Refusal::ZoneCut { at, record_type: record_type.into() });
        }
        // Where something of ours stands, it can be written, and a dead address has to leave.
        let holds_ours = || observed.at(name).iter().any(|set| set.claim.is_ours());
        if let Some(reason) = observed.unwritable(name).filter(|_| !holds_ours()) {
            return Some(Refusal::Backend(Arc::clone(reason)));
        }
        if self.capabilities.answers_subtree { self.overlap(name, observed) } else { None }
    }

    /// Names of which one lies below the other cannot both be served by a backend that answers with the subtree. A
    /// federation name evicts what was asked for; otherwise who is in the zone stays, and between newcomers the upper one
    /// goes first.
    fn overlap(&self, name: &DnsName, observed: &Observed) -> Option<Refusal> {
        if *name == self.zone.zone {
            return None;
        }
        if let Some(with) = self.evicted_by(name) {
            return Some(Refusal::Overlap { with });
        }
        if !observed.at(name).is_empty() {
            return None;
        }
        let spelt = spelt(self.claims.at(name));
        let blocks = |other: &DnsName| !(spelt && self.is_evictable(other, observed));
        let mut above = name.parent();
        while let Some(upper) = above.filter(|upper| upper.is_below(&self.zone.zone)) {
            let comes = !self.claims.at(&upper).is_empty()
                && self.evicted_by(&upper).is_none()
                && self.blocked_below(&upper, observed).is_none();
            if comes || (!observed.at(&upper).is_empty() && blocks(&upper)) {
                return Some(Refusal::Overlap { with: upper });
            }
            above = upper.parent();
        }
        let below = self.blocked_below(name, observed).filter(|below| blocks(below));
        below.map(|with| Refusal::Overlap { with: with.clone() })
    }

    /// The federation name that a name which was asked for makes room for, where the backend cannot serve both.
    pub(super) fn evicted_by(&self, name: &DnsName) -> Option<DnsName> {
        let claims = self.claims.at(name);
        if !self.capabilities.answers_subtree || claims.is_empty() || spelt(claims) {
            return None;
        }
        let mut above = name.parent();
        while let Some(upper) = above.filter(|upper| upper.is_below(&self.zone.zone)) {
            if spelt(self.claims.at(&upper)) {
                return Some(upper);
            }
            above = upper.parent();
        }
        self.claims.below(name).find(|(_, claims)| spelt(claims)).map(|(below, _)| below.clone())
    }

    /// A member that was never listed may still want what it gave, or what nobody is known to have given.
    pub(super) fn of_unlisted(&self, set: &ObservedSet) -> Option<Hold> {
        match set.claim.ownership() {
            None => (!self.input.unlisted.is_empty()).then_some(Hold::Unattributed),
            Some(ownership) => {
                let member = ownership.members.keys().find(|name| self.input.unlisted.contains(*name));
                let unattributed = !ownership.unattributed.is_empty() && !self.input.unlisted.is_empty();
                member.cloned().map(Hold::Unlisted).or_else(|| unattributed.then_some(Hold::Unattributed))
            }
        }
    }

    /// Whether all that stands at a name is ours, was asked for or is wanted no more, and may go now.
    fn is_evictable(&self, name: &DnsName, observed: &Observed) -> bool {
        let goes = |set: &ObservedSet| set.claim.is_ours() && self.of_unlisted(set).is_none();
        !spelt(self.claims.at(name)) && self.freeze().is_none() && observed.at(name).iter().all(goes)
    }

    /// What lies below a new name and does not make room for it.
    fn blocked_below<'a>(&'a self, name: &DnsName, observed: &'a Observed) -> Option<&'a DnsName> {
        observed
            .first_below(name)
            .or_else(|| self.claims.below(name).find(|(_, claims)| spelt(claims)).map(|(below, _)| below))
    }
}

/// Whether a name spells a Service.
fn spelt(claims: &[HostnameClaim]) -> bool {
    claims.iter().any(|claim| claim.federation)
}
