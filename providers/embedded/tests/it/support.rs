//! A running server, a client, and plans in short form.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fleetdns_core::keys::Keys;
use fleetdns_core::plan::Cause;
use fleetdns_core::{
    Applied, ApprovedPlan, Brakes, Change, DnsName, Label, NameChange, NonEmpty, ObservedSet, Outcome,
    Ownership, OwnershipRecord, Plan, Provider, RecordData, RecordSet, Ttl, approve,
};
use fleetdns_embedded::Servers;
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const ZONE: &str = "example.com";

pub(crate) fn owner() -> Label {
    "fed".parse().unwrap()
}

pub(crate) fn keys(pairs: &[(&str, &str)]) -> Keys {
    Keys::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
}

pub(crate) struct Running {
    pub(crate) servers: Servers,
    pub(crate) zones: Vec<Box<dyn Provider>>,
    pub(crate) address: SocketAddr,
    _shutdown: DropGuard,
}

/// Zones of a daemon whose start-up has converged.
pub(crate) async fn serve(zones: &[&str]) -> Running {
    let running = start(zones, &[]).await;
    for zone in &running.zones {
        zone.converged().await;
    }
    running
}

/// Zones of a daemon that has just started.
pub(crate) async fn start(zones: &[&str], more: &[(&str, &str)]) -> Running {
    let servers = Servers::new();
    let keys = keys(&[&[("listen", "127.0.0.1:0")], more].concat());
    let zones: Vec<_> =
        zones.iter().map(|zone| servers.connect(&zone.parse().unwrap(), &owner(), &keys).unwrap()).collect();
    let bound = servers.bind().await.unwrap();
    let (_, address) = bound.addresses().next().unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(Servers::run(bound, shutdown.clone()));
    Running { servers, zones, address, _shutdown: shutdown.drop_guard() }
}

/// A zone with records, each as `name type values`.
pub(crate) async fn serve_records(records: &[&str]) -> Running {
    let running = serve(&[ZONE]).await;
    create(&*running.zones[0], records).await;
    running
}

pub(crate) async fn create(zone: &dyn Provider, records: &[&str]) {
    let applied = zone.apply(&plan(records.iter().map(|record| creation(record)))).await;
    for (name, outcome) in applied.names {
        assert!(matches!(outcome, Outcome::Done(_)), "{name}: {outcome:?}");
    }
}

/// `name type value,value`, with TTL 60.
pub(crate) fn set(text: &str) -> RecordSet {
    let [name, record_type, values] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let data = match record_type {
        "A" => RecordData::A(NonEmpty::new(values.split(',').map(|v| v.parse().unwrap())).unwrap()),
        "AAAA" => RecordData::Aaaa(NonEmpty::new(values.split(',').map(|v| v.parse().unwrap())).unwrap()),
        _ => RecordData::Cname(values.parse().unwrap()),
    };
    RecordSet { name: name.parse().unwrap(), ttl: Ttl::new(60).unwrap(), data }
}

pub(crate) fn mark() -> OwnershipRecord {
    let service = "default/web".parse().unwrap();
    OwnershipRecord::from(&Ownership {
        owner: owner(),
        service,
        routing: None,
        members: BTreeMap::new(),
        unattributed: std::collections::BTreeSet::new(),
        overrides: fleetdns_core::Overrides::default(),
    })
}

pub(crate) fn creation(record: &str) -> NameChange {
    let set = set(record);
    NameChange { name: set.name.clone(), changes: vec![Change::Create { set, mark: mark() }] }
}

pub(crate) fn update(before: &ObservedSet, record: &str) -> NameChange {
    let set = set(record);
    let change = Change::Update { before: before.clone(), set, mark: mark() };
    NameChange { name: self::set(record).name, changes: vec![change] }
}

pub(crate) fn deletion(name: &str, before: &ObservedSet) -> NameChange {
    let record_type = before.content.record_type().unwrap();
    let change = Change::Delete { before: before.clone(), record_type, cause: Cause::ServiceGone };
    NameChange { name: name.parse().unwrap(), changes: vec![change] }
}

pub(crate) fn plan(changes: impl IntoIterator<Item = NameChange>) -> ApprovedPlan {
    let changes = changes.into_iter().collect();
    let plan = Plan { zone: ZONE.parse().unwrap(), changes, held: vec![], refused: vec![], owned: 0 };
    approve(plan, &Brakes::default())
}

/// What stands at a name.
pub(crate) async fn listed(zone: &dyn Provider, name: &str) -> Vec<ObservedSet> {
    zone.list().await.unwrap().observed.at(&name.parse::<DnsName>().unwrap()).to_vec()
}

/// Outcomes in the order of the plan, by their first word.
pub(crate) fn words(applied: &Applied) -> Vec<&'static str> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Done(_) => "done",
        Outcome::Conflict => "conflict",
        Outcome::Failed(_) => "failed",
        Outcome::Incomplete { .. } => "incomplete",
        Outcome::NotTried => "not tried",
    };
    applied.names.iter().map(|(_, outcome)| word(outcome)).collect()
}

/// `name type`, as a query with id 0.
pub(crate) fn question(text: &str) -> Message {
    let (name, record_type) = text.split_once(' ').unwrap();
    let mut message = Message::query();
    message.metadata.id = 0;
    let record_type = if record_type == "IXFR" { RecordType::IXFR } else { record_type.parse().unwrap() };
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
    message
}

pub(crate) fn with_edns(text: &str, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    let mut message = question(text);
    message.set_edns(edns);
    message
}

/// The response over UDP, and its octets.
pub(crate) async fn udp(server: SocketAddr, message: &Message) -> (Message, Vec<u8>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&message.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await.unwrap();
    buffer.truncate(length);
    (Message::from_vec(&buffer).unwrap(), buffer)
}

pub(crate) async fn tcp(server: SocketAddr, message: &Message) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let bytes = message.to_vec().unwrap();
    stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

/// The response to a question over UDP, as one line.
pub(crate) async fn ask(server: SocketAddr, text: &str) -> String {
    say(&udp(server, &question(text)).await.0)
}

/// `CODE [aa] [tc] | answers | authority`, records as `name ttl type value` without final dots.
pub(crate) fn say(message: &Message) -> String {
    let meta = &message.metadata;
    let flag = |on: bool, name: &'static str| if on { name } else { "" };
    let records = |records: &[Record]| records.iter().map(record).collect::<Vec<_>>().join(", ");
    let flags = [flag(meta.authoritative, " aa"), flag(meta.truncation, " tc")].concat();
    let (answers, authorities) = (records(&message.answers), records(&message.authorities));
    format!("{:?}{flags} | {answers} | {authorities}", meta.response_code)
}

fn record(record: &Record) -> String {
    let value = match &record.data {
        RData::SOA(_) => String::new(),
        data => format!(" {}", data.to_string().trim_end_matches('.')),
    };
    let name = record.name.to_ascii();
    format!("{} {} {}{value}", name.trim_end_matches('.'), record.ttl, record.record_type())
}

pub(crate) fn serial(message: &Message) -> u32 {
    let soa = message.answers.iter().chain(&message.authorities).find_map(|record| match &record.data {
        RData::SOA(soa) if record.record_type() == RecordType::SOA => Some(soa.serial),
        _ => None,
    });
    soa.unwrap()
}
