//! What is known of a zone, name by name, and what a [`Listing`] says of it.

use std::collections::{BTreeSet, HashMap};

use fleetdns_core::ownership::txt;
use fleetdns_core::{DnsName, Label, Listing, Observed, Unreadable};
use hickory_proto::rr::{RData, Record, RecordType};

use crate::ownership::Txt;
use crate::view::Known;
use crate::wire;

/// A zone as it was transferred, and as we changed it since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zone {
    names: HashMap<DnsName, Known>,
    records: usize,
    /// Whether the server signs it (DNSSEC).
    pub(crate) signed: bool,
    unreadable: Unreadable,
    /// The name servers that NS records name.
    servers: BTreeSet<DnsName>,
}

/// Types that a server makes by itself in a signed zone, which stand beside everything else (RFC 4034).
const fn is_signature(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3 | RecordType::NSEC3PARAM)
}

/// How far BIND has signed the zone, at the zone's own name (its `sig-signing-type`).
const BIND_SIGNING: RecordType = RecordType::Unknown(65534);

impl Zone {
    /// One record of a transfer.
    pub(crate) fn add(&mut self, apex: &DnsName, record: &Record) {
        if is_signature(record.record_type()) {
            self.signed = true;
            return;
        }
        let text = wire::text(&record.name);
        if record.record_type() == BIND_SIGNING && text == apex.as_str() {
            return;
        }
        self.records += 1;
        if let RData::NS(server) = &record.data {
            self.servers.extend(wire::text(&server.0).parse::<DnsName>());
        }
        if let RData::TXT(data) = &record.data
            && let Some(name) = text.parse().ok().and_then(|at| txt::owned_name(&at))
            && name.is_within(apex)
        {
            let mark = Txt::new(data.txt_data.iter().map(|string| string.to_vec()));
            let is_mark = mark.is_mark();
            self.names.entry(name).or_default().marks.insert(mark);
            if is_mark {
                return;
            }
        }
        match text.parse::<DnsName>() {
            Ok(name) if name.is_within(apex) => self.names.entry(name).or_default().add(record),
            Ok(_) => {}
            Err(error) => {
                let kind = wire::type_name(record.record_type());
                self.unreadable.push(&format!("{text} {kind}: {error}"));
            }
        }
    }

    /// How many records were added, without signatures.
    pub(crate) const fn records(&self) -> usize {
        self.records
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn at(&self, name: &DnsName) -> Known {
        self.names.get(name).cloned().unwrap_or_default()
    }

    /// What was written.
    pub(crate) fn set(&mut self, name: DnsName, known: Known) {
        if known.is_empty() {
            self.names.remove(&name);
        } else {
            self.names.insert(name, known);
        }
    }

    /// A name within `suffix` at which a set is ours.
    pub(crate) fn one_of_ours(&self, owner: &Label, suffix: &DnsName) -> Option<(&DnsName, &Known)> {
        let ours = |known: &Known| known.observed(owner).iter().any(|set| set.claim.is_ours());
        self.names.iter().find(|(name, known)| name.is_within(suffix) && ours(known))
    }

    pub(crate) fn listing(&self, owner: &Label) -> Listing {
        let sets = self
            .names
            .iter()
            .flat_map(|(name, known)| known.observed(owner).into_iter().map(move |set| (name.clone(), set)));
        let mut observed: Observed = sets.collect();
        observed.set_name_servers(self.servers.clone());
        Listing { observed, unreadable: self.unreadable.sentences() }
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
