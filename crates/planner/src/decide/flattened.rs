//! The addresses of a name, with what host names resolve to.

use std::net::IpAddr;

use crate::desired::{Desired, alive, rank};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::overrides::OverrideKind;
use fleetdns_core::probe::Verdict;
use fleetdns_core::small_set::SmallSet;

/// An IP address that could stand at the name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Considered {
    pub(crate) ip: IpAddr,
    pub(crate) verdict: Verdict,
    pub(crate) kind: Option<OverrideKind>,
}

impl Considered {
    pub(crate) fn alive(self) -> Option<bool> {
        alive(self.verdict, self.kind)
    }
}

/// The candidates as IP addresses: a host name stands for what it resolves to.
pub(crate) struct Flattened {
    /// In order, each once.
    pub(crate) ips: Vec<Considered>,
    /// Members of which a candidate has no verdict yet, or stands for addresses that are not known.
    pub(crate) undecided: SmallSet<MemberName>,
    /// Members that have a candidate.
    pub(crate) members: SmallSet<MemberName>,
    /// A candidate is a host name that was never resolved.
    pub(crate) has_unresolved: bool,
}

impl Flattened {
    pub(crate) fn seen(&self, ip: IpAddr) -> Option<Considered> {
        let place = self.ips.binary_search_by_key(&ip, |seen| seen.ip).ok()?;
        self.ips.get(place).copied()
    }
}

/// `merge`: a host name cannot stand as it is, what it resolves to is needed.
pub(crate) fn flatten(desired: &Desired, merge: bool) -> Flattened {
    let mut flat = Flattened {
        ips: Vec::new(),
        undecided: SmallSet::default(),
        members: SmallSet::default(),
        has_unresolved: false,
    };
    for (address, candidate) in &desired.candidates {
        let kind = candidate.kind;
        for member in &candidate.members {
            flat.members.insert(member.clone());
        }
        match (address.ip(), &candidate.resolved) {
            (Some(ip), _) => flat.ips.push(Considered { ip, verdict: candidate.verdict, kind }),
            (None, Some(resolved)) => {
                flat.ips.extend(resolved.iter().map(|(ip, verdict)| Considered {
                    ip: *ip,
                    verdict: *verdict,
                    kind,
                }));
            }
            (None, None) => {}
        }
        let unresolved = address.ip().is_none() && candidate.resolved.is_none();
        flat.has_unresolved |= unresolved;
        if candidate.alive().is_none() || (merge && unresolved && candidate.alive() == Some(true)) {
            for member in &candidate.members {
                flat.undecided.insert(member.clone());
            }
        }
    }
    // An address that several candidates stand for keeps the best that is said of it.
    flat.ips.sort_by_key(|seen| (seen.ip, std::cmp::Reverse(rank(seen.verdict, seen.kind))));
    flat.ips.dedup_by_key(|seen| seen.ip);
    flat
}

/// Whether a person wants everything out that could stand here.
pub(crate) fn all_sent_out(desired: &Desired) -> bool {
    desired.candidates.values().all(|candidate| candidate.kind == Some(OverrideKind::ForceOut))
}
