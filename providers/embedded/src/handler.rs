//! From a request to a response: opcodes, EDNS (RFC 6891), and what fits into a datagram.

use std::sync::Arc;

use async_trait::async_trait;
use hickory_proto::op::{Edns, Header, HeaderCounts, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, Record};
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
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

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut responder: R,
    ) -> ResponseInfo {
        let edns = request.edns.as_ref().map(response_edns);
        let mut reply = self.reply(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = reply.code;
        metadata.authoritative = reply.authoritative;
        if request.protocol() == Protocol::Udp {
            let limit = edns.as_ref().map_or(PLAIN_DATAGRAM, Edns::max_payload);
            metadata.truncation = truncate(&mut reply, request.queries.as_bytes().len(), limit.into());
        }
        let builder = MessageResponseBuilder::new(&request.queries, edns.as_ref());
        let response = builder.build(metadata, &reply.answers, &reply.authorities, [], &reply.additionals);
        responder.send_response(response).await.unwrap_or_else(|error| {
            debug!(client = %request.src(), %error, "response not sent");
            ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
        })
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
