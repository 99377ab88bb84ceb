//! A whole zone over a link (AXFR, RFC 5936).

use fleetdns_core::DnsName;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, Record, RecordType};

use crate::fault::Fault;
use crate::link::{Link, Part};
use crate::view::Zone;

/// A zone and the serial that it had.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) zone: Zone,
    pub(crate) serial: u32,
}

/// The serial of the zone, and how far the server's clock is ahead of ours in seconds.
pub(crate) async fn serial(link: &mut Link<'_>) -> Result<(u32, Option<i64>), Fault> {
    let answer = link.ask(RecordType::SOA).await.map_err(|fault| match fault {
        // Everybody may ask for it, where there is one.
        Fault::Refused(ResponseCode::Refused) => Fault::NoZone,
        fault => fault,
    });
    let (Part { message, ahead }, _) = answer?;
    let serial = message.answers.iter().find_map(serial_of);
    let serial = serial.ok_or_else(|| Fault::Nonsense("an answer without the zone's SOA".to_owned()))?;
    Ok((serial, ahead))
}

/// Every record, and nothing unless all of it came.
pub(crate) async fn transfer(link: &mut Link<'_>, apex: &DnsName) -> Result<Transfer, Fault> {
    let (Part { message, .. }, mut chain) = link.ask(RecordType::AXFR).await?;
    let mut records: Vec<Record> = message.answers;
    let serial = records.first().and_then(serial_of);
    let serial =
        serial.ok_or_else(|| Fault::Nonsense("a transfer that does not begin with the SOA".to_owned()))?;
    // It ends with the SOA with which it began (RFC 5936 §2.2).
    while records.len() < 2 || records.last().and_then(serial_of).is_none() {
        let Part { message, .. } = link.receive(&mut chain).await?;
        crate::link::expect_no_error(message.metadata.response_code)?;
        if message.answers.is_empty() {
            return Err(Fault::Nonsense("a transfer with an empty message".to_owned()));
        }
        records.extend(message.answers);
    }
    if !chain.is_sealed() {
        return Err(Fault::Nonsense("a transfer whose end is not signed".to_owned()));
    }
    records.pop();
    Ok(Transfer { zone: Zone::read(apex, &records), serial })
}

fn serial_of(record: &Record) -> Option<u32> {
    match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    }
}
