//! From a question to an answer. Reads snapshots only; knows nothing of messages' limits and sockets.

use fleetdns_core::{ObservedSet, RecordData, RecordType as Written};
use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::records::{Alias, alias};
use crate::store::Catalog;
use crate::wire;
use crate::zone::Zone;

/// How long a name server may be remembered, in seconds.
const NS_TTL: u32 = 3600;
/// How long the SOA may be remembered where it was asked for, in seconds.
const SOA_TTL: u32 = 300;
/// How long it may be remembered that something does not exist, in seconds (RFC 2308 §5): as short as the records' own
/// default, since a Service that comes up is asked for before it is there.
const NEGATIVE_TTL: u32 = 30;
/// Refresh, retry and expire of the SOA in seconds; nobody transfers the zone, so nobody uses them.
const TRANSFER: (i32, i32, i32) = (3600, 600, 604_800);
/// Most aliases that are followed in one answer.
const MAX_CHAIN: usize = 8;

/// What is to be said to one question.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) code: ResponseCode,
    pub(crate) authoritative: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

impl Reply {
    pub(crate) fn error(code: ResponseCode) -> Self {
        Self { code, ..Self::default() }
    }

    /// NODATA or NXDOMAIN: with the SOA, and the shorter of its two TTLs (RFC 2308 §3).
    fn negative(&mut self, code: ResponseCode, zone: &Zone) {
        self.code = code;
        self.authorities.push(soa(zone, SOA_TTL.min(NEGATIVE_TTL)));
    }
}

/// Answers a question. `rotation` says with which address of a set the answer begins.
///
/// A chain of aliases ends at a name outside of all zones that are complete, at a name that was there before, or after [`MAX_CHAIN`] of
/// them; what was found until then is the answer, and the client goes on from there.
pub(crate) fn answer(catalog: &Catalog, query: &Query, rotation: usize) -> Reply {
    if query.query_class() != DNSClass::IN
        || matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR)
    {
        return Reply::error(ResponseCode::Refused);
    }
    let mut name = query.name().clone();
    let mut seen = vec![wire::of_query(&name)];
    let Some(mut zone) = catalog.zone_of(&seen[0]) else {
        return Reply::error(ResponseCode::Refused);
    };
    // Resolvers ask another server, and remember no name as missing.
    if !zone.complete {
        return Reply::error(ResponseCode::ServFail);
    }
    let mut reply = Reply { authoritative: true, ..Reply::default() };
    while let Some(key) = seen.last() {
        let Some(Alias { key: target, name: next }) =
            one_name(&zone, key, &name, query.query_type(), rotation, &mut reply)
        else {
            break;
        };
        if seen.len() > MAX_CHAIN || seen.iter().any(|key| **key == *target.octets()) {
            break;
        }
        let Some(found) = catalog.zone_of(target.octets()).filter(|zone| zone.complete) else { break };
        zone = found;
        name = next;
        seen.push(target.octets().to_vec());
    }
    reply
}

/// Adds what one name has to say; the alias when it has to be followed.
fn one_name(
    zone: &Zone,
    key: &[u8],
    name: &Name,
    desired: RecordType,
    rotation: usize,
    reply: &mut Reply,
) -> Option<Alias> {
    let Some(sets) = zone.find(key) else {
        reply.negative(ResponseCode::NXDomain, zone);
        return None;
    };
    if key == zone.apex() && matches!(desired, RecordType::SOA | RecordType::NS | RecordType::ANY) {
        apex(zone, desired, reply);
        return None;
    }
    let set = sets.iter().find(|set| desired == RecordType::ANY || is(set, desired));
    if let Some(set) = set {
        push(&mut reply.answers, name, set, rotation);
        return None;
    }
    let Some(set) = sets.iter().find(|set| is(set, RecordType::CNAME)) else {
        reply.negative(ResponseCode::NoError, zone);
        return None;
    };
    push(&mut reply.answers, name, set, rotation);
    alias(set)
}

fn apex(zone: &Zone, desired: RecordType, reply: &mut Reply) {
    if desired != RecordType::NS {
        reply.answers.push(soa(zone, SOA_TTL));
        return;
    }
    for server in &zone.settings.servers {
        let data = RData::NS(NS(server.target.clone()));
        reply.answers.push(Record::from_rdata(zone.settings.apex.clone(), NS_TTL, data));
        if server.name.is_within(&zone.settings.zone) {
            let sets = zone.find(wire::of_name(&server.name).octets());
            for set in sets.unwrap_or_default() {
                push(&mut reply.additionals, &server.target, set, 0);
            }
        }
    }
}

fn is(set: &ObservedSet, desired: RecordType) -> bool {
    set.content.record_type().is_some_and(|written| {
        desired
            == match written {
                Written::A => RecordType::A,
                Written::Aaaa => RecordType::AAAA,
                Written::Cname => RecordType::CNAME,
            }
    })
}

/// Adds a set under the name by which it was asked for, in the letters of the question.
fn push(records: &mut Vec<Record>, name: &Name, set: &ObservedSet, rotation: usize) {
    let ttl = set.ttl.seconds();
    let from = records.len();
    let record = |data| Record::from_rdata(name.clone(), ttl, data);
    match set.content.data() {
        Some(RecordData::A(values)) => records.extend(values.iter().map(|ip| record(RData::A(A(*ip))))),
        Some(RecordData::Aaaa(values)) => {
            records.extend(values.iter().map(|ip| record(RData::AAAA(AAAA(*ip)))));
        }
        Some(RecordData::Cname(_)) => {
            records.extend(alias(set).map(|alias| record(RData::CNAME(CNAME(alias.name)))));
        }
        None => {}
    }
    let added = &mut records[from..];
    let by = rotation.checked_rem(added.len()).unwrap_or(0);
    added.rotate_left(by);
}

fn soa(zone: &Zone, ttl: u32) -> Record {
    let settings = &zone.settings;
    let server = settings.servers.first().map_or(&settings.apex, |server| &server.target);
    let (refresh, retry, expire) = TRANSFER;
    let (contact, serial) = (settings.contact.clone(), zone.serial);
    let data = SOA::new(server.clone(), contact, serial, refresh, retry, expire, NEGATIVE_TTL);
    Record::from_rdata(settings.apex.clone(), ttl, RData::SOA(data))
}
