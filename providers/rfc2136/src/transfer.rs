//! A whole zone over a link (AXFR, RFC 5936).
//!
//! Invariant: a transfer ends, whatever the server sends: its time, its octets and its records are bounded.

use std::time::Duration;

use fleetdns_core::DnsName;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::time::timeout;

use crate::client::{Link, Part};
use crate::error::Fault;
use crate::listing::Zone;

/// For all of it. Signatures of a large zone come along, and are not kept.
const WHOLE: Duration = Duration::from_secs(300);
const MAX_OCTETS: usize = 1 << 30;

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
    let (Part { message, ahead, .. }, _) = answer?;
    let serial = message.answers.iter().find_map(serial_of);
    let serial = serial.ok_or_else(|| Fault::Nonsense("an answer without the zone's SOA".to_owned()))?;
    Ok((serial, ahead))
}

/// Every record, and nothing unless all of it came.
pub(crate) async fn transfer(
    link: &mut Link<'_>,
    apex: &DnsName,
    max_records: usize,
) -> Result<Transfer, Fault> {
    timeout(WHOLE, receive(link, apex, max_records)).await.map_err(|_| Fault::Endless(WHOLE))?
}

async fn receive(link: &mut Link<'_>, apex: &DnsName, max_records: usize) -> Result<Transfer, Fault> {
    let (mut part, mut chain) = link.ask(RecordType::AXFR).await?;
    let mut records = Records::new(apex, max_records);
    loop {
        records.add(&part)?;
        if records.end() {
            break;
        }
        part = link.next(&mut chain).await?;
    }
    if !chain.is_sealed() {
        return Err(Fault::Nonsense("a transfer whose end is not signed".to_owned()));
    }
    Ok(Transfer { zone: records.zone, serial: records.serial.unwrap_or_default() })
}

/// Records as they come: the zone's SOA, everything else, the SOA again (RFC 5936 §2.2).
pub(crate) struct Records<'a> {
    apex: &'a DnsName,
    max_records: usize,
    pub(crate) zone: Zone,
    pub(crate) serial: Option<u32>,
    octets: usize,
    ended: bool,
}

impl<'a> Records<'a> {
    pub(crate) fn new(apex: &'a DnsName, max_records: usize) -> Self {
        Self { apex, max_records, zone: Zone::default(), serial: None, octets: 0, ended: false }
    }

    pub(crate) const fn end(&self) -> bool {
        self.ended
    }

    pub(crate) fn add(&mut self, part: &Part) -> Result<(), Fault> {
        let nonsense = |text: &str| Err(Fault::Nonsense(text.to_owned()));
        if part.message.answers.is_empty() {
            return nonsense("a transfer with an empty message");
        }
        self.octets = self.octets.saturating_add(part.octets);
        if self.octets > MAX_OCTETS {
            return Err(Fault::TooLarge(format!("more than {} MiB", MAX_OCTETS >> 20)));
        }
        for record in &part.message.answers {
            match (serial_of(record), self.serial) {
                _ if self.ended => return nonsense("a transfer with records after its end"),
                (Some(serial), None) => self.serial = Some(serial),
                (Some(serial), Some(first)) if serial == first => self.ended = true,
                (Some(_), Some(_)) => return nonsense("a transfer that ends with another SOA"),
                (None, None) => return nonsense("a transfer that does not begin with the SOA"),
                (None, Some(_)) => {}
            }
            if !self.ended {
                self.zone.add(self.apex, record);
            }
        }
        if self.zone.records() > self.max_records {
            return Err(Fault::TooLarge(format!(
                "more than {} records, the limit of max-records",
                self.max_records
            )));
        }
        Ok(())
    }
}

fn serial_of(record: &Record) -> Option<u32> {
    match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    }
}
