//! Whether the zone can be read and written, without changing it.

use std::error::Error as StdError;

use fleetdns_core::{DnsName, Finding, ProviderError, RecordType as Kind};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{DNSClass, Record, RecordType};

use crate::fault::{Action, Fault, apart};
use crate::provider::Rfc2136;
use crate::{transfer, wire};

/// Below the zone; nothing is ever written there.
const PROBE: &str = "_fleetdns-check";

/// Seconds between two clocks that are worth a word: a fifth of what is allowed.
const SKEW: u64 = 60;

impl Rfc2136 {
    pub(crate) async fn check_all(&self) -> Vec<Finding> {
        let server = &self.settings.server;
        let mut findings = Vec::new();
        match self.look().await {
            Ok((names, ahead)) => {
                let text = format!("{} can be transferred from {server}, {names} names", self.zone);
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
                        | Fault::Signature { error: TsigError::BadKey, .. }
                );
                if !right {
                    return findings;
                }
            }
        }
        findings.push(match self.try_update().await {
            Ok(()) => {
                let text =
                    format!("A, AAAA, CNAME and TXT records of {} can be updated at {server}", self.zone);
                Finding { good: true, text }
            }
            Err(fault) => bad(&self.asked(Action::Write).error(&fault)),
        });
        findings
    }

    async fn look(&self) -> Result<(usize, Option<i64>), Fault> {
        let mut link = self.link().await?;
        let (_, ahead) = transfer::serial(&mut link).await?;
        let transfer = transfer::transfer(&mut link, &self.zone).await?;
        Ok((transfer.zone.names.len(), ahead))
    }

    /// Deletes what is not there, provided that it is not there. A prerequisite that fails would not do: BIND looks
    /// at its update-policy only when all of them hold.
    async fn try_update(&self) -> Result<(), Fault> {
        let Ok(name) = self.zone.prepend(PROBE) else { return Ok(()) };
        let (guards, updates) = no_op(&name).map_err(Fault::Nonsense)?;
        let mut link = self.link().await?;
        let message = link.update_message(guards, updates);
        match link.update(message).await? {
            // Somebody has such a name: his right to keep it, and no sign of a fault.
            ResponseCode::NoError | ResponseCode::YXDomain | ResponseCode::YXRRSet => Ok(()),
            code => Err(Fault::Refused(code)),
        }
    }
}

fn no_op(name: &DnsName) -> Result<(Vec<Record>, Vec<Record>), String> {
    let (at, marks) = (wire::name(name)?, wire::mark_name(name)?);
    let absent = |at| wire::without_data(at, DNSClass::NONE, RecordType::ANY);
    let delete = |kind| wire::without_data(&at, DNSClass::ANY, wire::record_type(kind));
    let mut updates: Vec<Record> = [Kind::A, Kind::Aaaa, Kind::Cname].map(delete).into();
    updates.push(wire::without_data(&marks, DNSClass::ANY, RecordType::TXT));
    Ok((vec![absent(&at), absent(&marks)], updates))
}

fn clock(ahead: i64) -> Finding {
    let good = ahead.unsigned_abs() <= SKEW;
    let text = if good {
        format!("the server's clock is {}", apart(ahead))
    } else {
        format!("the server's clock is {}; beyond 300 s it takes no signature: set both by NTP", apart(ahead))
    };
    Finding { good, text }
}

fn bad(error: &ProviderError) -> Finding {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    Finding { good: false, text: format!("{error}{cause}") }
}
