//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use fleetdns_core::DnsName;
use fleetdns_core::keys::Keys;
use fleetdns_core::text::is_hidden;
use hickory_proto::op::{Message, MessageType};
use hickory_server::net::xfer::Protocol;

use crate::handler::{Handler, cut};
use crate::settings::Settings;
use crate::state::{State, parse, print};
use crate::store::{Catalog, Store};
use crate::zone::Zone;

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] = &[("dns_packet", 15_000, dns_packet), ("zone_state", 3_000, zone_state)];

const RECORDS: &str = "fleetdns-zone 1 example.com serial 7 changes 9
web.example.com 1 30 A 203.0.113.1,203.0.113.2 v=1 owner=fed service=default/web
web.example.com 1 30 AAAA 2001:db8::1 v=1 owner=fed service=default/web
*.any.example.com 2 30 A 203.0.113.3 v=1 owner=fed service=default/any
eu.example.com 3 30 CNAME web.example.com v=1 owner=fed service=default/web
a.loop.example.com 4 30 CNAME b.loop.example.com v=1 owner=fed service=default/a
b.loop.example.com 5 30 CNAME a.loop.example.com v=1 owner=fed service=default/a
away.example.com 6 30 CNAME lb.example.net v=1 owner=fed service=default/away
";

fn name() -> DnsName {
    "example.com".parse().unwrap()
}

fn zone(State { serial, entries, complete, .. }: State) -> Zone {
    let mut zone = Zone::new(Arc::new(Settings::read(&name(), &Keys::default()).unwrap()), serial);
    zone.complete = complete;
    entries.into_iter().for_each(|(name, sets)| zone.restore(&name, sets.into()));
    zone
}

fn handler() -> Handler {
    let mut records = String::from(RECORDS);
    // More than a datagram holds.
    let many: Vec<String> = (0..120).map(|at| format!("198.51.100.{at}")).collect();
    records += &format!("many.example.com 7 30 A {} v=1 owner=fed service=default/many\n", many.join(","));
    let catalog = Arc::new(Catalog::default());
    catalog.add(&name(), Arc::new(Store::new(zone(parse(&records, &name())), None)));
    Handler { catalog }
}

thread_local! {
    static HANDLER: Handler = handler();
}

/// Every question has an answer that can be read, with its id; no response has one. A datagram is as short as was asked
/// for, and says so when it does not hold all that is said over TCP.
fn dns_packet(data: &[u8]) {
    let source = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    let ask = |raw: &[u8], protocol| {
        HANDLER.with(|handler| handler.respond(raw, source, protocol)).map(|response| response.bytes)
    };
    let read = |bytes: &[u8]| {
        let message = Message::from_vec(bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}"));
        assert_eq!(bytes.get(..2), data.get(..2));
        assert_eq!(message.metadata.message_type, MessageType::Response);
        message
    };
    let (udp, tcp) = (ask(data, Protocol::Udp), ask(data, Protocol::Tcp));
    assert_eq!(udp.is_some(), tcp.is_some());
    let (Some(udp), Some(tcp)) = (udp, tcp) else { return };
    let edns = Message::from_vec(data).ok().and_then(|message| message.edns);
    assert!(
        udp.len() <= edns.map_or(512, |edns| edns.max_payload().clamp(512, 1232).into()),
        "{}",
        udp.len()
    );
    let (short, whole) = (read(&udp), read(&tcp));
    assert!(!whole.metadata.truncation);
    assert_eq!(short.metadata.response_code, whole.metadata.response_code);
    if !short.metadata.truncation {
        assert_eq!((&short.answers, &short.authorities), (&whole.answers, &whole.authorities));
    }
    assert_eq!(ask(&udp, Protocol::Udp), None);
    assert_eq!(ask(&tcp, Protocol::Tcp), None);
    let cut = cut(data);
    assert!(cut.len() <= data.len() && read(&cut).metadata.truncation && read(&cut).answers.is_empty());
}

/// A state file is read back as it is printed, and nothing of another zone comes from it.
fn zone_state(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let state = parse(&text, &name());
    assert!(state.entries.keys().all(|one| one.is_within(&name())));
    if let Some(damage) = &state.damage {
        let shown = damage.to_string();
        assert!(!state.complete && shown.len() < 2_000 && !shown.contains(is_hidden), "{shown:?}");
    }
    let (entries, serial, complete) = (format!("{:?}", state.entries), state.serial, state.complete);
    let printed = print(&zone(state)).unwrap();
    let again = parse(&printed, &name());
    assert!(again.damage.is_none(), "{:?}", again.damage);
    assert_eq!((format!("{:?}", again.entries), again.serial, again.complete), (entries, serial, complete));
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
