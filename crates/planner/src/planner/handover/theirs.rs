//! Records of another program.

use fleetdns_core::name::DnsName;
use fleetdns_core::observed::{Content, Observed, ObservedSet};
use fleetdns_core::ownership::external_dns::{Naming, Text};
use fleetdns_core::record::RecordType;
use fleetdns_core::service::ServiceKey;

use super::leave::Leave;

/// A record set of theirs, with their ownership records of it.
pub(super) struct Theirs<'a> {
    pub(super) set: &'a ObservedSet,
    pub(super) marks: Vec<(DnsName, ObservedSet)>,
    pub(super) service: Option<ServiceKey>,
}

/// What external-dns has of a record set under one of these owner ids; `None` of one that it does not own.
pub(super) fn of_external_dns<'a>(
    name: &DnsName,
    set: &'a ObservedSet,
    observed: &Observed,
    (naming, owner): (&Naming, [&str; 2]),
) -> Result<Option<Theirs<'a>>, Leave> {
    let Ok(record_type) = set.type_name().parse::<RecordType>() else { return Ok(None) };
    let text = |at: &DnsName| {
        observed.at(at).iter().find_map(|there| match &there.content {
            Content::Text(values) => Some((there, values.iter().map(|value| &**value))),
            _ => None,
        })
    };
    if naming.typed(name, record_type).is_err() {
        return if set.claim.is_ours() { Ok(None) } else { Err(Leave::Place) };
    }
    let mut found = Theirs { set, marks: Vec::new(), service: None };
    let mut of_another = false;
    // An alias of Route 53 has that of a CNAME until v0.21, those of its addresses since.
    let types: &[RecordType] = match &set.content {
        Content::Misshapen(data) if data.record_type() == RecordType::Cname => {
            &[RecordType::Cname, RecordType::A, RecordType::Aaaa]
        }
        Content::Known(_) | Content::Misshapen(_) => &[record_type],
        Content::Text(_) | Content::Other(_) => &[record_type, RecordType::Cname],
    };
    let places = types.iter().filter_map(|record_type| naming.typed(name, *record_type).ok());
    let typed = places.filter_map(|at| {
        let (there, values) = text(&at)?;
        Some((at, there, Text::or_sealed(values)))
    });
    let untyped = naming.untyped(name).and_then(|at| {
        let (there, values) = text(&at)?;
        Some((at, there, Text::of(values)))
    });
    // external-dns reads a name without the type for all types but AAAA, where there is none with it.
    let untyped = untyped.filter(|_| record_type != RecordType::Aaaa);
    for (at, there, text) in typed.chain(untyped) {
        match text {
            Text::Mark(mark) if owner.contains(&&*mark.owner) && !of_another => {
                found.service = found.service.or(mark.service);
                found.marks.push((at, there.clone()));
            }
            Text::Mixed(of) if owner.contains(&&*of) && !of_another => return Err(Leave::Mixed(at)),
            Text::Mark(_) | Text::Mixed(_) if !found.marks.is_empty() => return Err(Leave::Rival(at)),
            Text::Mark(_) | Text::Mixed(_) => of_another = true,
            Text::Sealed if !set.claim.is_ours() => return Err(Leave::Sealed(at)),
            Text::Sealed | Text::Other => {}
        }
    }
    if found.marks.is_empty() {
        return Ok(None);
    }
    match set.content.data() {
        Some(_) => Ok(Some(found)),
        None => Err(Leave::Shape(set.type_name().into())),
    }
}
