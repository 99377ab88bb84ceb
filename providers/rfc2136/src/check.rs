//! Whether the zone can be read and written, without changing it.

use std::error::Error as StdError;

use fleetdns_core::{DnsName, Finding, ProviderError};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{DNSClass, Record, RecordType};

use crate::changes::KINDS;
use crate::error::{Action, Fault, apart};
use crate::listing::Zone;
use crate::provider::Rfc2136;
use crate::view::Known;
use crate::{transfer, wire};

/// Below the suffix; nothing is ever written there.
const PROBE: &str = "_fleetdns-check";

/// Seconds between two clocks that are worth a word: a fifth of what is allowed.
const SKEW: u64 = 60;

impl Rfc2136 {
    pub(crate) async fn check_all(&self, suffix: &DnsName) -> Vec<Finding> {
        let server = &self.settings.server;
        let mut findings = Vec::new();
        let mut zone = Zone::default();
        match self.look().await {
            Ok((transferred, ahead)) => {
                zone = transferred;
                let text = format!("{} can be transferred from {server}, {} names", self.zone, zone.len());
                findings.push(Finding { good: true, text });
                findings.extend(ahead.map(clock));
            }
            Err(fault) => {
                findings.push(bad(&self.asked(Action::Read).error(&fault)));
                // Without a connection or a good key there is no more to say. Knot says BADKEY of a right that is missing.
                let right = matches!(
                    fault,
                    Fault::Refused(_)
                        | Fault::Unsigned(_)
                        | Fault::TooLarge(_)
                        | Fault::Signature { error: TsigError::BadKey, .. }
                );
                if !right {
                    return findings;
                }
            }
        }
        findings.push(self.look_at_writing(suffix, &zone).await);
        findings
    }

    async fn look(&self) -> Result<(Zone, Option<i64>), Fault> {
        let mut link = self.link().await?;
        let (_, ahead) = transfer::serial(&mut link).await?;
        let transfer = transfer::transfer(&mut link, &self.zone, self.settings.max_records).await?;
        Ok((transfer.zone, ahead))
    }

    /// A new name below the suffix is tried, and where that is refused a name of ours: a grant may be for single names.
    async fn look_at_writing(&self, suffix: &DnsName, zone: &Zone) -> Finding {
        let server = &self.settings.server;
        let Ok(new) = suffix.prepend(PROBE) else {
            let text = format!("{suffix} is too long for a name below it");
            return Finding { good: false, text };
        };
        let fault = match self.try_update(nothing_at(&new)).await {
            Ok(()) => {
                let text =
                    format!("A, AAAA, CNAME and TXT records below {suffix} can be updated at {server}");
                return Finding { good: true, text };
            }
            Err(fault) => fault,
        };
        if let Some((name, known)) = zone.one_of_ours(&self.owner, suffix)
            && self.try_update(nothing_more_at(name, known)).await.is_ok()
        {
            let text = format!("{name} can be updated at {server}, and a new name below {suffix} cannot");
            return Finding { good: true, text };
        }
        let asked = self.asked(Action::Write);
        match self.try_update(Ok(NoOp::default())).await {
            Ok(()) => bad(&asked.refuses(&new, &fault)),
            Err(fault) => bad(&asked.error(&fault)),
        }
    }

    /// Makes an update that changes nothing.
    async fn try_update(&self, no_op: Result<NoOp, String>) -> Result<(), Fault> {
        let NoOp { guards, updates } = no_op.map_err(Fault::Nonsense)?;
        let mut link = self.link().await?;
        match link.update(guards, updates).await? {
            // Somebody has come to have such a name: no sign of a fault.
            ResponseCode::NoError | ResponseCode::YXDomain | ResponseCode::YXRRSet => Ok(()),
            code => Err(Fault::Refused(code)),
        }
    }
}

/// Deletes what is not there, provided that it is not there. A prerequisite that fails would not do: BIND looks at its
/// update-policy only when all of them hold.
#[derive(Debug, Default)]
struct NoOp {
    guards: Vec<Record>,
    updates: Vec<Record>,
}

fn nothing_at(name: &DnsName) -> Result<NoOp, String> {
    let (at, marks) = (wire::name(name)?, wire::mark_name(name)?);
    let absent = |at| wire::without_data(at, DNSClass::NONE, RecordType::ANY);
    let delete = |kind| wire::without_data(&at, DNSClass::ANY, wire::record_type(kind));
    let mut updates: Vec<Record> = KINDS.map(delete).into();
    updates.push(wire::without_data(&marks, DNSClass::ANY, RecordType::TXT));
    Ok(NoOp { guards: vec![absent(&at), absent(&marks)], updates })
}

/// The same for the types that a name does not have.
fn nothing_more_at(name: &DnsName, known: &Known) -> Result<NoOp, String> {
    let at = wire::name(name)?;
    let mut no_op = NoOp::default();
    for kind in KINDS.into_iter().filter(|kind| !known.sets.contains_key(kind)) {
        no_op.guards.push(wire::without_data(&at, DNSClass::NONE, wire::record_type(kind)));
        no_op.updates.push(wire::without_data(&at, DNSClass::ANY, wire::record_type(kind)));
    }
    Ok(no_op)
}

/// An answer whose clock is too far away is not believed: one that is nearer is good, and may be worth a word.
fn clock(ahead: i64) -> Finding {
    let far = ahead.unsigned_abs() > SKEW;
    let advice = if far { "; beyond 300 s no signature is taken: set both by NTP" } else { "" };
    Finding { good: true, text: format!("the server's clock is {}{advice}", apart(ahead)) }
}

fn bad(error: &ProviderError) -> Finding {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    Finding { good: false, text: format!("{error}{cause}") }
}
