//! Record sets as they are stored, served and listed: in the memory of whoever lists the zone.

use std::net::IpAddr;

use fleetdns_core::{
    Content, Label, NonEmpty, ObservedSet, Owner, OwnershipRecord, RecordData, Sets, Ttl, Version,
};
use hickory_proto::rr::Name;

use crate::wire::{self, Key};

/// An alias as it is looked up and as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Alias {
    pub(crate) key: Key,
    pub(crate) name: Name,
}

/// A record set as it is stored, whoever its mark names. It can be served.
pub(crate) fn stored(
    ttl: Ttl,
    data: RecordData,
    mark: &OwnershipRecord,
    version: Version,
) -> Result<ObservedSet, String> {
    if let RecordData::Cname(target) = &data {
        wire::to_message(target).map_err(|e| e.to_string())?;
    }
    Ok(ObservedSet { ttl, content: Content::Known(data), claim: Owner::of(mark), version })
}

/// Where a set leads; `None` for addresses.
pub(crate) fn alias(set: &ObservedSet) -> Option<Alias> {
    let Some(RecordData::Cname(target)) = set.content.data() else { return None };
    Some(Alias { key: wire::of_name(target), name: wire::to_message(target).ok()? })
}

/// The same sets as they are listed to `owner`.
pub(crate) fn for_owner(sets: &Sets, owner: &Label) -> Sets {
    let is_theirs = |set: &ObservedSet| !set.claim.mark().is_some_and(|mark| mark.is_of(owner));
    if !sets.iter().any(is_theirs) {
        return Sets::clone(sets);
    }
    let listed = sets.iter().map(|set| match is_theirs(set) {
        true => ObservedSet { claim: Owner::Foreign, ..set.clone() },
        false => set.clone(),
    });
    listed.collect()
}

/// A version as plans carry it.
pub(crate) fn text(version: u64) -> Version {
    Version(version.to_string().into())
}

/// The addresses of a name server.
pub(crate) fn glue(addresses: &[IpAddr]) -> Sets {
    let v4 = NonEmpty::new(addresses.iter().filter_map(|ip| match ip {
        IpAddr::V4(ip) => Some(*ip),
        IpAddr::V6(_) => None,
    }));
    let v6 = NonEmpty::new(addresses.iter().filter_map(|ip| match ip {
        IpAddr::V6(ip) => Some(*ip),
        IpAddr::V4(_) => None,
    }));
    let data = v4.map(RecordData::A).into_iter().chain(v6.map(RecordData::Aaaa));
    let set = |data| {
        let (content, version) = (Content::Known(data), Version::default());
        ObservedSet { ttl: Ttl::DEFAULT, content, claim: Owner::Foreign, version }
    };
    data.map(set).collect()
}
