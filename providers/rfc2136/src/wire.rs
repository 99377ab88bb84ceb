//! Names and records as messages have them.

use fleetdns_core::ownership::txt;
use fleetdns_core::{DnsName, RecordData, RecordType as Kind};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::ownership::Txt;

/// First label of the name at which the owner of a name's record sets stands.
const MARK_LABEL: &str = "_fleetdns";

/// # Errors
/// When it is longer than 255 octets on the wire, which a [`DnsName`] never is.
pub(crate) fn name(name: &DnsName) -> Result<Name, String> {
    absolute(name.labels())
}

/// Where the marks of a name stand.
///
/// # Errors
/// When no name is left for them.
pub(crate) fn mark_name(name: &DnsName) -> Result<Name, String> {
    let at = txt::record_name(name).map_err(|_| {
        let most = fleetdns_core::name::MAX_NAME - MARK_LABEL.len() - 1;
        let octets = name.as_str().len();
        format!("the name has {octets} octets, at most {most} leave room for {MARK_LABEL}. before it")
    })?;
    self::name(&at)
}

fn absolute<'a>(labels: impl Iterator<Item = &'a str>) -> Result<Name, String> {
    let mut name = Name::from_labels(labels.map(str::as_bytes)).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

/// In lower case, without the final dot.
pub(crate) fn text(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

pub(crate) const fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Cname => RecordType::CNAME,
    }
}

/// As a zone file has it; PowerDNS's own types by the names that it has for them.
pub(crate) fn type_name(record_type: RecordType) -> String {
    match record_type {
        RecordType::Unknown(65401) => "ALIAS".to_owned(),
        RecordType::Unknown(65402) => "LUA".to_owned(),
        RecordType::Unknown(code) => format!("TYPE{code}"),
        known => known.to_string(),
    }
}

/// The records of a set.
///
/// # Errors
/// As for [`name`].
pub(crate) fn rdata(data: &RecordData) -> Result<Vec<RData>, String> {
    Ok(match data {
        RecordData::A(set) => set.iter().map(|ip| RData::A(A(*ip))).collect(),
        RecordData::Aaaa(set) => set.iter().map(|ip| RData::AAAA(AAAA(*ip))).collect(),
        RecordData::Cname(target) => vec![RData::CNAME(CNAME(name(target)?))],
    })
}

pub(crate) fn txt(txt: &Txt) -> RData {
    RData::TXT(TXT::from_bytes(txt.strings().map(Vec::as_slice).collect()))
}

/// A record of an update, or of its prerequisites.
pub(crate) fn with_data(name: &Name, class: DNSClass, ttl: u32, data: RData) -> Record {
    let mut record = Record::from_rdata(name.clone(), ttl, data);
    record.dns_class = class;
    record
}

/// The same without data.
pub(crate) fn without_data(name: &Name, class: DNSClass, record_type: RecordType) -> Record {
    let mut record = Record::update0(name.clone(), 0, record_type);
    record.dns_class = class;
    record
}

/// Octets of a record in a message, when no name in it is compressed.
pub(crate) fn octets(record: &Record) -> usize {
    let data = match &record.data {
        RData::A(_) => 4,
        RData::AAAA(_) => 16,
        RData::CNAME(target) => target.0.len() + 1,
        RData::TXT(text) => text.txt_data.iter().map(|string| string.len() + 1).sum(),
        _ => 0,
    };
    record.name.len() + 1 + 10 + data
}
