//! From a request to a response: opcodes, EDNS (RFC 6891), and what fits into a datagram.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::Request;
use hickory_server::zone_handler::MessageResponseBuilder;
use tracing::debug;

use crate::answer::{Reply, answer};
use crate::store::Catalog;

/// Largest datagram that is sent, in octets: what passes nearly every path without fragments.
const MAX_DATAGRAM: u16 = 1232;
/// Largest datagram without EDNS (RFC 1035 §4.2.1).
const PLAIN_DATAGRAM: u16 = 512;
/// Octets of a message header, of an OPT record without options, of a record's fixed part behind its owner name, and
/// of a pointer to a name (RFC 1035 §4.1, RFC 6891 §6.1.2).
const HEADER: usize = 12;
const OPT: usize = 11;
const FIXED: usize = 10;
const POINTER: usize = 2;

/// Answers from a catalog.
pub(crate) struct Handler {
    pub(crate) catalog: Arc<Catalog>,
}

/// A response, and what it looks like when it is cut down to its question.
pub(crate) struct Response {
    pub(crate) bytes: Vec<u8>,
    /// Octets that are more than were asked with: what a forged source address would be sent for nothing.
    pub(crate) gain: usize,
}

impl Handler {
    /// The response to a message; `None` where none is due: to fragments of a header, and to responses, which two servers
    /// could send each other for ever.
    pub(crate) fn respond(&self, raw: &[u8], source: SocketAddr, protocol: Protocol) -> Option<Response> {
        if raw.len() < HEADER || raw.get(2)? & RESPONSE != 0 {
            return None;
        }
        let bytes = match Request::from_bytes(raw.to_vec(), source, protocol) {
            Ok(request) => self.encode(&request).unwrap_or_else(|error| {
                debug!(client = %source, %error, "response cannot be encoded");
                bare(raw, ResponseCode::ServFail)
            }),
            Err(_) => bare(raw, ResponseCode::FormErr),
        };
        Some(Response { gain: bytes.len().saturating_sub(raw.len()), bytes })
    }

    fn encode(&self, request: &Request) -> Result<Vec<u8>, ProtoError> {
        let edns = request.edns.as_ref().map(response_edns);
        let mut reply = self.reply(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = reply.code;
        metadata.authoritative = reply.authoritative;
        let mut limit = u16::MAX;
        if request.protocol() == Protocol::Udp {
            limit = edns.as_ref().map_or(PLAIN_DATAGRAM, Edns::max_payload);
            metadata.truncation = truncate(&mut reply, request.queries.as_bytes().len(), limit.into());
        }
        let builder = MessageResponseBuilder::new(&request.queries, edns.as_ref());
        let response = builder.build(metadata, &reply.answers, &reply.authorities, [], &reply.additionals);
        let mut bytes = Vec::with_capacity(512);
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(limit);
        response.destructive_emit(&mut encoder)?;
        Ok(bytes)
    }
}

/// The bit of a header that says response.
const RESPONSE: u8 = 0x80;
/// Opcode and "recursion desired", which a response repeats; and "truncated".
const REPEATED: u8 = 0x79;
const TRUNCATED: u8 = 0x02;

/// A header without anything else, for a message with a header (RFC 1035 §4.1.1).
fn bare(raw: &[u8], code: ResponseCode) -> Vec<u8> {
    let byte = |index: usize| raw.get(index).copied().unwrap_or_default();
    let mut bytes = vec![byte(0), byte(1), RESPONSE | (byte(2) & REPEATED), code.low()];
    bytes.resize(HEADER, 0);
    bytes
}

/// Answers nothing and says that there is more over TCP: no forged source address gains by it.
pub(crate) fn cut(raw: &[u8]) -> Vec<u8> {
    let mut bytes = bare(raw, ResponseCode::NoError);
    if let Some(flags) = bytes.get_mut(2) {
        *flags |= TRUNCATED;
    }
    // The question, as far as it has its usual form: one, without pointers.
    let end = question_end(raw);
    if let (Some(question), Some(count)) = (end.and_then(|end| raw.get(HEADER..end)), bytes.get_mut(5)) {
        *count = 1;
        bytes.extend(question);
    }
    bytes
}

fn question_end(raw: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        let length = usize::from(*raw.get(at)?);
        at = at.checked_add(1)?;
        match length {
            0 => return at.checked_add(4).filter(|end| *end <= raw.len()),
            1..=63 => at = at.checked_add(length)?,
            _ => return None,
        }
    }
}

impl Handler {
    fn reply(&self, request: &Request) -> Reply {
        if request.version() > 0 {
            return Reply::error(ResponseCode::BADVERS);
        }
        match request.metadata.op_code {
            OpCode::Query => {}
            OpCode::Notify | OpCode::Update => return Reply::error(ResponseCode::Refused),
            _ => return Reply::error(ResponseCode::NotImp),
        }
        let [query] = request.queries.queries() else {
            return Reply::error(ResponseCode::FormErr);
        };
        // The id is as good as random and costs nothing.
        answer(&self.catalog, query.original(), request.metadata.id.into())
    }
}

fn response_edns(asked: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(asked.max_payload().clamp(PLAIN_DATAGRAM, MAX_DATAGRAM));
    edns.set_dnssec_ok(asked.flags().dnssec_ok);
    edns.set_version(0);
    edns
}

/// Leaves out what would not fit into `limit` octets, and says whether that has to be told.
///
/// The encoder cuts too, but what it leaves out first is the OPT record, which has to be there (RFC 6891 §6.1.1).
/// Additional records are a courtesy: without them a response is whole (RFC 2181 §9).
fn truncate(reply: &mut Reply, question: usize, limit: usize) -> bool {
    let mut room = limit.saturating_sub(HEADER + OPT + question);
    if !take(&mut reply.answers, &mut room) {
        reply.authorities.clear();
        reply.additionals.clear();
        return true;
    }
    let whole = take(&mut reply.authorities, &mut room);
    if !whole || !take(&mut reply.additionals, &mut room) {
        reply.additionals.clear();
    }
    !whole
}

/// Keeps as many records as there is room for; whether these are all.
fn take(records: &mut Vec<Record>, room: &mut usize) -> bool {
    let mut written: [Option<&Name>; 2] = [None, None];
    let mut fit = 0;
    for record in records.iter() {
        // The encoder writes pointers to names that it has written before.
        let known = written.contains(&Some(&record.name));
        let owner = if known { POINTER } else { wire_len(&record.name) };
        let size = owner + FIXED + data_len(&record.data);
        let Some(left) = room.checked_sub(size) else { break };
        *room = left;
        fit += 1;
        written = [Some(&record.name), target(&record.data)];
    }
    let all = fit == records.len();
    records.truncate(fit);
    all
}

fn target(data: &RData) -> Option<&Name> {
    match data {
        RData::CNAME(name) => Some(&name.0),
        _ => None,
    }
}

fn data_len(data: &RData) -> usize {
    match data {
        RData::A(_) => 4,
        RData::AAAA(_) => 16,
        RData::CNAME(name) => wire_len(&name.0),
        RData::NS(name) => wire_len(&name.0),
        RData::SOA(soa) => wire_len(&soa.mname) + wire_len(&soa.rname) + 20,
        _ => usize::from(u16::MAX),
    }
}

/// One octet before each label and the root behind them: one more than the text with its final dot.
fn wire_len(name: &Name) -> usize {
    name.len() + 1
}
