//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use std::collections::BTreeSet;

use fleetdns_core::ownership::txt::{Sets, TxtRecord};
use fleetdns_core::{DnsName, Label, Owner, OwnershipRecord, RecordType};
use hickory_proto::op::Message;
use hickory_proto::rr::RData;

use crate::client::Part;
use crate::message;
use crate::ownership::{self, Txt};
use crate::transfer::Records;

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] = &[("ownership.rfc2136", 1_500, mark), ("axfr_answer", 4_000, answer)];

/// A mark is read back from TXT records as it was written, wherever its strings end, and by its owner alone.
fn mark(data: &[u8]) {
    let Ok(mark) = String::from_utf8_lossy(data).parse::<OwnershipRecord>() else { return };
    let Ok(records) = ownership::write(mark.as_str(), [RecordType::A, RecordType::Aaaa]) else { return };
    let cut =
        |record: &Txt| Txt::new(record.strings().flat_map(|string| string.chunks(7).map(<[u8]>::to_vec)));
    let cut: BTreeSet<Txt> = records.iter().map(cut).collect();
    let sets = Sets::from([(RecordType::A, String::new()), (RecordType::Aaaa, String::new())]);
    let owner = mark.owner().unwrap();
    assert_eq!(ownership::read(&records, &owner), TxtRecord::ours(&mark, sets));
    assert_eq!(ownership::read(&cut, &owner), ownership::read(&records, &owner));
    assert_eq!(ownership::read(&records, &"nobody".parse().unwrap()).owner, Owner::Foreign);
}

/// Messages, each behind its length, as they come over TCP.
fn messages(mut data: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(([high, low], rest)) = data.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (message, rest) = rest.split_at(length);
        messages.extend(message::read(message).map(|signed| signed.message));
        data = rest;
    }
    messages
}

type Line = (DnsName, String, Option<String>, bool);

/// Serial and sets of a transfer, as far as they do not depend on an order.
fn transferred(messages: &[Message]) -> Result<(u32, BTreeSet<Line>), String> {
    let (apex, owner): (DnsName, Label) = ("example.com".parse().unwrap(), "fed".parse().unwrap());
    let mut records = Records::new(&apex, 1_000);
    for message in messages {
        let part = Part { message: message.clone(), octets: 512, ahead: None };
        records.add(&part).map_err(|fault| format!("{fault:?}"))?;
    }
    if !records.end() {
        return Err("no end".to_owned());
    }
    let listing = records.zone.listing(&owner);
    assert!(listing.unreadable.len() <= 101);
    let all = listing.observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)));
    let lines = all.map(|(name, set)| {
        assert!(name.is_within(&apex), "{name}");
        // Of two aliases, which no server has, one counts.
        let data = set.content.data().filter(|data| data.record_type() != RecordType::Cname);
        let data = data.map(|data| format!("{} {:?}", set.ttl, data.values()));
        (name.clone(), set.type_name().to_owned(), data, set.claim.is_ours())
    });
    Ok((records.serial.unwrap_or_default(), lines.collect()))
}

/// A transfer is the same in one message or in many, and whatever the order of what stands between its SOAs; without its
/// end it is none.
fn answer(data: &[u8]) {
    let messages = messages(data);
    if messages.is_empty() || messages.iter().any(|message| message.answers.is_empty()) {
        return;
    }
    let whole = transferred(&messages);
    let mut all: Vec<_> = messages.iter().flat_map(|message| message.answers.clone()).collect();
    let of = |records: &[_]| {
        let mut message = Message::query();
        message.answers = records.to_vec();
        message
    };
    let one_by_one: Vec<Message> = all.chunks(1).map(of).collect();
    let many = transferred(&one_by_one);
    assert_eq!(many.is_ok(), whole.is_ok(), "{many:?} {whole:?}");
    let Ok(whole) = whole else { return };
    assert_eq!(many, Ok(whole.clone()));
    assert_eq!(transferred(&[of(&all)]), Ok(whole.clone()));
    assert!(transferred(&one_by_one[..all.len() - 1]).is_err());
    let end = all.len() - 1;
    all[1..end].reverse();
    assert!(all[1..end].iter().all(|record| !matches!(record.data, RData::SOA(_))));
    assert_eq!(transferred(&[of(&all)]), Ok(whole));
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
