//! A message of a server, read as far as it matters here: of the types that are looked at, the values; of any other record,
//! and of one whose value cannot be read, its name and its type (RFC 3597 §3).
//!
//! Invariant: no record of a zone, whatever it holds, makes the others unreadable.

use hickory_proto::op::{Header, Message, MessageType, Query};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError, Restrict};

/// Types of which the values matter.
const MATTERS: [RecordType; 6] =
    [RecordType::SOA, RecordType::NS, RecordType::A, RecordType::AAAA, RecordType::CNAME, RecordType::TXT];

/// One message, and how many octets of it come before its signature.
pub(crate) struct Signed {
    pub(crate) message: Message,
    pub(crate) unsigned: usize,
}

/// # Errors
/// When its parts cannot be told from each other.
pub(crate) fn read(bytes: &[u8]) -> Result<Signed, DecodeError> {
    let mut decoder = BinDecoder::new(bytes);
    let Header { metadata, counts } = Header::read(&mut decoder)?;
    let mut message = Message::new(metadata.id, MessageType::Response, metadata.op_code);
    message.metadata = metadata;
    for _ in 0..counts.queries {
        message.queries.push(Query::read(&mut decoder)?);
    }
    for _ in 0..counts.answers {
        message.answers.push(record(&mut decoder)?);
    }
    for _ in 0..counts.authorities {
        message.authorities.push(record(&mut decoder)?);
    }
    let mut unsigned = bytes.len();
    for left in (0..counts.additionals).rev() {
        let start = decoder.index();
        let (mut more, edns, signature) =
            Message::read_records(&mut decoder, 1, true, message.metadata.op_code)?;
        message.additionals.append(&mut more);
        message.edns = edns.or(message.edns);
        if signature.is_some() {
            if left > 0 {
                return Err(DecodeError::RecordAfterSig);
            }
            (message.signature, unsigned) = (signature, start);
        }
    }
    if let Some(edns) = &message.edns {
        message.metadata.merge_response_code(edns.rcode_high());
    }
    Ok(Signed { message, unsigned })
}

fn record(decoder: &mut BinDecoder<'_>) -> Result<Record, DecodeError> {
    let name = Name::read(decoder)?;
    let record_type = RecordType::read(decoder)?;
    let class = DNSClass::read(decoder)?;
    let ttl = decoder.read_u32()?.unverified();
    let length = decoder.read_u16()?.unverified();
    let mut value = decoder.clone(u16::try_from(decoder.index()).unwrap_or(u16::MAX));
    decoder.read_slice(length.into())?;
    let read = || RData::read(&mut value, record_type, Restrict::new(length)).ok();
    let data = (length > 0 && MATTERS.contains(&record_type)).then(read).flatten();
    let mut record = match data {
        Some(data) => Record::from_rdata(name, ttl, data),
        None => Record::update0(name, ttl, record_type),
    };
    record.dns_class = class;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record whose name is that of the question.
    fn record(code: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xc0, 12];
        bytes.extend(code.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 30]);
        bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend(value);
        bytes
    }

    fn answer(records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0, 7, 0x84, 0, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0];
        bytes.extend(b"\x03web\x07example\x00\x00\xfc\x00\x01");
        bytes.extend(records.concat());
        bytes
    }

    #[test]
    fn a_value_that_cannot_be_read_leaves_its_type_and_all_other_records() {
        let strange: [(u16, &[u8]); 6] = [
            (35, b"\0\x64\0\x0a\x02u-\x01x\0\x03foo\0"),
            (62, &[0, 0, 0, 1, 0, 4, 0, 1, 0x40]),
            (65280, b""),
            (1, b"\x0a\0\0"),
            (2, b""),
            (16, b"\x09short"),
        ];
        for (code, value) in strange {
            let bytes = answer(&[record(code, value), record(1, &[10, 0, 0, 1])]);
            let message = read(&bytes).unwrap().message;
            let types: Vec<u16> = message.answers.iter().map(|record| record.record_type().into()).collect();
            assert_eq!(types, [code, 1], "{value:?}");
            assert_eq!(message.answers[0].data, RData::Update0(code.into()), "{value:?}");
            assert_eq!(message.answers[1].data, RData::A("10.0.0.1".parse().unwrap()));
        }
    }

    #[test]
    fn a_message_that_is_cut_cannot_be_read() {
        let bytes = answer(&[record(65280, b"value"), record(1, &[10, 0, 0, 1])]);
        assert_eq!(read(&bytes).unwrap().unsigned, bytes.len());
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "{end}");
        }
    }
}
