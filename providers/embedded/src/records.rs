//! Record sets as they are stored, served and listed.

use std::net::IpAddr;

use fleetdns_core::{
    Content, DnsName, Label, NonEmpty, ObservedSet, Owner, OwnershipRecord, RecordData, Ttl, Version,
};
use hickory_proto::rr::Name;

use crate::wire::{self, Key};

/// An alias as it is looked up and as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Alias {
    pub(crate) key: Key,
    pub(crate) name: Name,
}

/// One record set as it is served.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) ttl: Ttl,
    pub(crate) data: RecordData,
    /// For a CNAME; most sets are none.
    pub(crate) alias: Option<Box<Alias>>,
    /// `None` for the addresses of the zone's own name servers.
    pub(crate) mark: Option<OwnershipRecord>,
}

impl Stored {
    pub(crate) fn new(ttl: Ttl, data: RecordData, mark: Option<OwnershipRecord>) -> Result<Self, String> {
        let alias = match &data {
            RecordData::Cname(target) => {
                let name = wire::to_message(target).map_err(|e| e.to_string())?;
                Some(Box::new(Alias { key: wire::of_name(target), name }))
            }
            _ => None,
        };
        Ok(Self { ttl, data, alias, mark })
    }

    fn observed(&self, owner: &Label, version: u64) -> ObservedSet {
        let claim = match &self.mark {
            // It can be read, and its text is shared with whoever lists the zone.
            Some(mark) if mark.is_of(owner) => Owner::of(mark),
            _ => Owner::Foreign,
        };
        let content = Content::Known(self.data.clone());
        ObservedSet { ttl: self.ttl, content, claim, version: text(version) }
    }
}

/// A version as plans carry it.
pub(crate) fn text(version: u64) -> Version {
    Version(version.to_string().into())
}

/// Everything at one name that was written.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: DnsName,
    /// Number of the change that wrote it; never used twice in a zone.
    pub(crate) version: u64,
    /// Never empty.
    pub(crate) sets: Vec<Stored>,
}

impl Entry {
    pub(crate) fn observed(&self, owner: &Label) -> Vec<ObservedSet> {
        self.sets.iter().map(|set| set.observed(owner, self.version)).collect()
    }
}

/// The addresses of a name server.
pub(crate) fn glue(addresses: &[IpAddr]) -> Vec<Stored> {
    let v4 = NonEmpty::new(addresses.iter().filter_map(|ip| match ip {
        IpAddr::V4(ip) => Some(*ip),
        IpAddr::V6(_) => None,
    }));
    let v6 = NonEmpty::new(addresses.iter().filter_map(|ip| match ip {
        IpAddr::V6(ip) => Some(*ip),
        IpAddr::V4(_) => None,
    }));
    let data = v4.map(RecordData::A).into_iter().chain(v6.map(RecordData::Aaaa));
    data.map(|data| Stored { ttl: Ttl::DEFAULT, data, alias: None, mark: None }).collect()
}
