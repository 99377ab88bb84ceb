//! A primary name server of our own, as strict as RFC 2136, RFC 5936 and RFC 8945, that can be made to fail in ways in
//! which the real ones cannot.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetdns_core::Provider;
use fleetdns_core::keys::Keys;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::tsig::{
    TSIG, TsigAlgorithm, TsigError, make_tsig_record, signed_bitmessage_to_buf,
};
use hickory_proto::rr::rdata::{A, NS, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub const ZONE: &str = "example.com";
pub const KEY: &str = "fleet-key";
pub const SECRET: &str = "c2VjcmV0IG9mIGEgdGVzdCwgMzIgb2N0ZXRzIGxvbmc=";

/// How a transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// One record a message, each message signed that has a number divisible by this, and the last one.
    SignedEach(usize),
    /// The same, and the last one is not signed.
    OpenEnd(usize),
    /// The third message is not what was signed.
    Forged,
    /// Messages without an end.
    Endless,
    /// The last SOA has another serial.
    OtherEnd,
    /// Nothing after the first message.
    Stalled,
    /// It is refused.
    Refused,
}

/// What the server has, and what it does next.
#[derive(Debug)]
pub struct World {
    pub records: Vec<Record>,
    pub serial: u32,
    pub transfer: Transfer,
    /// Updates of names that end so are answered so.
    pub refused: Vec<(&'static str, ResponseCode)>,
    /// On updates of names that end so it closes the connection.
    pub hangs_up: Option<&'static str>,
    /// Every update is answered so.
    pub answer: Option<ResponseCode>,
    /// Of the next update that adds a CNAME at this name the additions are left out.
    pub half: Option<String>,
    pub halves: usize,
    /// Connections after which the next update is cut, before or after it is carried out.
    pub cut: Option<bool>,
    pub cuts: usize,
    /// Updates that were asked for.
    pub updates: usize,
    /// How long it takes for an update: the way to it and back.
    pub way: Duration,
    /// Seconds that its clock is ahead.
    pub ahead: i64,
    /// Whether deletions of signatures are refused, and whether they are needed for a CNAME in the place of addresses.
    pub signatures: Signatures,
}

/// What a server that signs makes of RRSIG and NSEC in updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// It signs nothing.
    None,
    /// As BIND: they may not be touched, and stand in nobody's way.
    Refused,
    /// As Knot: unless they are deleted too, a CNAME does not come.
    InTheWay,
    /// As Knot with an acl for types.
    RefusedAndInTheWay,
}

/// Dropping it ends it.
#[derive(Debug)]
pub struct Strict {
    pub address: SocketAddr,
    world: Arc<Mutex<World>>,
    task: JoinHandle<()>,
}

impl Drop for Strict {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn absolute(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn signer() -> TSigner {
    let secret = data_encoding::BASE64.decode(SECRET.as_bytes()).unwrap();
    TSigner::new(secret, TsigAlgorithm::HmacSha256, absolute(KEY), 300).unwrap()
}

impl World {
    fn soa(&self) -> Record {
        let (ns, mail) = (absolute("ns.example.com"), absolute("hostmaster.example.com"));
        let soa = SOA::new(ns, mail, self.serial, 3600, 600, 604_800, 30);
        Record::from_rdata(absolute(ZONE), 60, RData::SOA(soa))
    }

    fn now(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        now.saturating_add_signed(self.ahead)
    }

    fn at<'a>(&'a self, name: &'a Name, kind: RecordType) -> impl Iterator<Item = &'a Record> {
        self.records
            .iter()
            .filter(move |one| one.name == *name && (kind == RecordType::ANY || one.record_type() == kind))
    }

    /// RFC 2136 §3.2.
    fn prerequisites(&self, guards: &[Record]) -> ResponseCode {
        let mut desired: Vec<(&Name, RecordType, Vec<&RData>)> = Vec::new();
        for guard in guards {
            let (name, kind) = (&guard.name, guard.record_type());
            let is_there = self.at(name, kind).next().is_some();
            match (guard.dns_class, kind, is_there) {
                (DNSClass::ANY, RecordType::ANY, false) => return ResponseCode::NXDomain,
                (DNSClass::ANY, _, false) => return ResponseCode::NXRRSet,
                (DNSClass::NONE, RecordType::ANY, true) => return ResponseCode::YXDomain,
                (DNSClass::NONE, _, true) => return ResponseCode::YXRRSet,
                (DNSClass::IN, _, _) => {
                    match desired.iter_mut().find(|(at, of, _)| *at == name && *of == kind) {
                        Some((_, _, values)) => values.push(&guard.data),
                        None => desired.push((name, kind, vec![&guard.data])),
                    }
                }
                _ => {}
            }
        }
        let holds = |(name, kind, values): &(&Name, RecordType, Vec<&RData>)| {
            let there: Vec<&RData> = self.at(name, *kind).map(|record| &record.data).collect();
            there.len() == values.len() && values.iter().all(|value| there.contains(value))
        };
        if desired.iter().all(holds) { ResponseCode::NoError } else { ResponseCode::NXRRSet }
    }

    /// RFC 2136 §3.4, and what servers make of it.
    fn update(&mut self, updates: &[Record]) -> ResponseCode {
        let is_signature =
            |record: &&Record| matches!(record.record_type(), RecordType::RRSIG | RecordType::NSEC);
        let touches = updates.iter().any(|record| is_signature(&record));
        if touches && matches!(self.signatures, Signatures::Refused | Signatures::RefusedAndInTheWay) {
            return ResponseCode::Refused;
        }
        for update in updates {
            let text = update.name.to_ascii();
            let refusal = self.refused.iter().find(|(end, _)| text.ends_with(&format!("{end}.")));
            if let Some((_, code)) = refusal {
                return *code;
            }
        }
        let adds_alias =
            |record: &&Record| record.dns_class == DNSClass::IN && record.record_type() == RecordType::CNAME;
        let half = self.half.clone().map(|name| absolute(&name));
        let is_half = updates.iter().filter(adds_alias).any(|record| Some(&record.name) == half.as_ref());
        if is_half {
            self.half = None;
            self.halves += 1;
        }
        let in_the_way = matches!(self.signatures, Signatures::InTheWay | Signatures::RefusedAndInTheWay);
        let mut deleted: Vec<Name> = Vec::new();
        for update in updates {
            let (name, kind) = (&update.name, update.record_type());
            match update.dns_class {
                DNSClass::ANY => {
                    if self.at(name, kind).next().is_some() && !touches {
                        deleted.push(name.clone());
                    }
                    self.records.retain(|one| {
                        one.name != *name || (kind != RecordType::ANY && one.record_type() != kind)
                    });
                }
                DNSClass::NONE => self.records.retain(|one| one.name != *name || one.data != update.data),
                _ if is_half && Some(name) == half.as_ref() => {}
                _ if kind == RecordType::CNAME && in_the_way && deleted.contains(name) => {}
                _ if kind == RecordType::CNAME => {
                    if self.at(name, RecordType::ANY).all(|one| one.record_type() == RecordType::CNAME) {
                        self.records.retain(|one| one.name != *name);
                        self.records.push(update.clone());
                    }
                }
                _ if self.at(name, RecordType::CNAME).next().is_some() => {}
                _ => {
                    self.records.retain(|one| one.name != *name || one.data != update.data);
                    self.records.push(update.clone());
                }
            }
        }
        if !updates.is_empty() {
            self.serial += 1;
        }
        ResponseCode::NoError
    }
}

impl Strict {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ns = absolute("ns.example.com");
        let world = World {
            records: vec![
                Record::from_rdata(absolute(ZONE), 60, RData::NS(NS(ns.clone()))),
                Record::from_rdata(ns, 60, RData::A(A([192, 0, 2, 53].into()))),
            ],
            serial: 1,
            transfer: Transfer::SignedEach(1),
            refused: Vec::new(),
            hangs_up: None,
            answer: None,
            half: None,
            halves: 0,
            cut: None,
            cuts: 0,
            updates: 0,
            way: Duration::ZERO,
            ahead: 0,
            signatures: Signatures::None,
        };
        let world = Arc::new(Mutex::new(world));
        let shared = Arc::clone(&world);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let world = Arc::clone(&shared);
                tokio::spawn(async move { serve(stream, &world).await });
            }
        });
        Self { address, world, task }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn provider(&self, owner: &str, other: &[(&str, &str)]) -> Box<dyn Provider> {
        let address = self.address.to_string();
        let right = [("server", address.as_str()), ("tsig-key-name", KEY), ("tsig-secret", SECRET)];
        let pairs = right.iter().chain(other).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let keys = Keys::new(pairs);
        fleetdns_rfc2136::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    /// Somebody else's record.
    pub fn put(&self, name: &str, ttl: u32, data: RData) {
        let mut world = self.world();
        world.records.push(Record::from_rdata(absolute(name), ttl, data));
        world.serial += 1;
    }

    /// The values of a type at a name.
    pub fn values(&self, name: &str, kind: RecordType) -> Vec<String> {
        let mut values: Vec<String> =
            self.world().at(&absolute(name), kind).map(|one| one.data.to_string()).collect();
        values.sort();
        values
    }
}

/// A connection: `None` when it ends.
async fn serve(mut stream: TcpStream, world: &Mutex<World>) -> Option<()> {
    loop {
        let mut bytes = vec![0; stream.read_u16().await.ok()?.into()];
        stream.read_exact(&mut bytes).await.ok()?;
        let request = Message::from_vec(&bytes).unwrap();
        let signature = request.signature().expect("every message is signed").clone();
        let (covered, _) = signed_bitmessage_to_buf(&bytes, None, true).unwrap();
        assert!(signer().verify(&covered, &signature.data.mac).is_ok(), "a wrong signature");
        let mut answer =
            Answer { request: &request, last: signature.data.mac.clone(), first: true, pending: vec![] };
        let kind = request.queries[0].query_type();
        let skew = {
            let world = world.lock().unwrap();
            world.now().abs_diff(signature.data.time)
        };
        if skew > 300 {
            let framed = answer.bad_time(world.lock().unwrap().now());
            stream.write_all(&framed).await.ok()?;
            continue;
        }
        match (request.metadata.op_code, kind) {
            (OpCode::Update, _) => {
                let way = world.lock().unwrap().way;
                tokio::time::sleep(way).await;
                let framed = {
                    let mut world = world.lock().unwrap();
                    world.updates += 1;
                    let cut = if request.authorities.is_empty() { None } else { world.cut.take() };
                    world.cuts += usize::from(cut.is_some());
                    let end = world.hangs_up.map(|end| format!("{end}."));
                    let ends_so =
                        |one: &Record| end.as_ref().is_some_and(|end| one.name.to_ascii().ends_with(end));
                    if cut == Some(false) || request.authorities.iter().any(ends_so) {
                        return None;
                    }
                    let code = match world.answer {
                        Some(code) => code,
                        None => match world.prerequisites(&request.answers) {
                            ResponseCode::NoError => world.update(&request.authorities),
                            code => code,
                        },
                    };
                    if cut.is_some() {
                        return None;
                    }
                    answer.message(code, vec![], true, world.now())
                };
                stream.write_all(&framed).await.ok()?;
            }
            (_, RecordType::AXFR) => transfer(&mut stream, world, &mut answer).await?,
            _ => {
                let framed = {
                    let world = world.lock().unwrap();
                    answer.message(ResponseCode::NoError, vec![world.soa()], true, world.now())
                };
                stream.write_all(&framed).await.ok()?;
            }
        }
    }
}

async fn transfer(stream: &mut TcpStream, world: &Mutex<World>, answer: &mut Answer<'_>) -> Option<()> {
    let (how, mut records, now) = {
        let world = world.lock().unwrap();
        let mut records = vec![world.soa()];
        if world.signatures != Signatures::None {
            let name = absolute(ZONE);
            let data = hickory_proto::rr::rdata::NULL::with(vec![1, 0, 0, 0, 0]);
            let mut record =
                Record::from_rdata(name, 60, RData::Unknown { code: RecordType::NSEC3PARAM, rdata: data });
            record.dns_class = DNSClass::IN;
            records.push(record);
        }
        records.extend(world.records.iter().cloned());
        records.push(world.soa());
        (world.transfer, records, world.now())
    };
    if how == Transfer::Refused {
        let framed = answer.message(ResponseCode::Refused, vec![], true, now);
        return stream.write_all(&framed).await.ok();
    }
    let last = records.len() - 1;
    if how == Transfer::OtherEnd {
        let RData::SOA(soa) = &mut records[last].data else { unreachable!() };
        soa.serial += 1;
    }
    if how == Transfer::Endless {
        records.pop();
    }
    for (index, record) in records.iter().cycle().enumerate() {
        let record = if how == Transfer::Endless && index >= records.len() {
            records[1].clone()
        } else {
            record.clone()
        };
        let is_signed = match how {
            Transfer::SignedEach(each) => index % each == 0 || index == last,
            Transfer::OpenEnd(each) => index % each == 0 && index != last,
            _ => true,
        };
        let mut framed = answer.message(ResponseCode::NoError, vec![record], is_signed, now);
        if how == Transfer::Forged && index == 2 {
            // An octet of the question's type or class would be found by the parser: one of the TTL is not.
            let at = 2 + 12 + 17 + 8;
            framed[at] ^= 1;
        }
        stream.write_all(&framed).await.ok()?;
        if how == Transfer::Stalled {
            std::future::pending::<()>().await;
        }
        if index == last && how != Transfer::Endless {
            break;
        }
    }
    Some(())
}

/// The signatures of one answer.
struct Answer<'a> {
    request: &'a Message,
    last: Vec<u8>,
    first: bool,
    pending: Vec<u8>,
}

impl Answer<'_> {
    fn message(&mut self, code: ResponseCode, records: Vec<Record>, is_signed: bool, now: u64) -> Vec<u8> {
        let mut message =
            Message::new(self.request.metadata.id, MessageType::Response, self.request.metadata.op_code);
        message.metadata.response_code = code;
        message.add_query(self.request.queries[0].clone());
        message.insert_answers(records);
        let bytes = message.to_vec().unwrap();
        if !is_signed {
            self.pending.extend(&bytes);
            return framed(&bytes);
        }
        let signer = signer();
        let stub =
            TSIG::new(signer.algorithm().clone(), now, 300, vec![], self.request.metadata.id, None, vec![]);
        let mut covered = u16::try_from(self.last.len()).unwrap().to_be_bytes().to_vec();
        covered.extend(&self.last);
        covered.append(&mut self.pending);
        covered.extend(&bytes);
        if self.first {
            // The variables of RFC 8945 §4.3.3, as they stand behind an empty previous signature and message.
            let variables = signer.encode_response_tbs(&[], &[], &stub).unwrap();
            covered.extend(&variables[2..]);
        } else {
            covered.extend(&now.to_be_bytes()[2..]);
            covered.extend(300_u16.to_be_bytes());
        }
        self.last = signer.sign(&covered).unwrap();
        self.first = false;
        let record = make_tsig_record(signer.signer_name().clone(), stub.set_mac(self.last.clone()));
        message.set_signature(Box::new(record));
        framed(&message.to_vec().unwrap())
    }

    fn bad_time(&self, now: u64) -> Vec<u8> {
        let mut message =
            Message::new(self.request.metadata.id, MessageType::Response, self.request.metadata.op_code);
        message.metadata.response_code = ResponseCode::NotAuth;
        let (signer, id) = (signer(), self.request.metadata.id);
        let other = now.to_be_bytes()[2..].to_vec();
        let tsig =
            TSIG::new(signer.algorithm().clone(), now, 300, vec![0; 32], id, Some(TsigError::BadTime), other);
        message.set_signature(Box::new(make_tsig_record(signer.signer_name().clone(), tsig)));
        framed(&message.to_vec().unwrap())
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut framed = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(bytes);
    framed
}
