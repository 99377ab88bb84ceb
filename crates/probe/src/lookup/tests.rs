use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A name server over UDP: the first label of a question says how it is answered. Counts the questions.
async fn name_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = socket.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut packet = vec![0; 4096];
        while let Ok((size, from)) = socket.recv_from(&mut packet).await {
            counter.fetch_add(1, Ordering::Relaxed);
            let question = Message::from_vec(&packet[..size]).unwrap();
            if let Some(answer) = answer(&question) {
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        }
    });
    (address, asked)
}

fn answer(question: &Message) -> Option<Message> {
    let query = question.queries.first().unwrap().clone();
    let name = query.name().clone();
    let v4 = query.query_type() == RecordType::A;
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    answer.add_query(query);
    let record = |name: &Name, ttl, data| Record::from_rdata(name.clone(), ttl, data);
    let a = |last| RData::A(A::new(192, 0, 2, last));
    let aaaa = || RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    let soa = RData::SOA(SOA::new(name.base_name(), name.base_name(), 1, 60, 60, 60, 60));
    let label = name.to_ascii().split('.').next().unwrap().to_ascii_lowercase();
    match (label.as_str(), v4) {
        ("dual", true) => {
            answer.add_answer(record(&name, 60, a(1)));
            answer.add_answer(record(&name, 60, a(2)));
        }
        ("dual", false) => {
            answer.add_answer(record(&name, 30, aaaa()));
        }
        ("alias", true) => {
            let target: Name = "real.example.com.".parse().unwrap();
            answer.add_answer(record(&name, 20, RData::CNAME(CNAME(target.clone()))));
            answer.add_answer(record(&target, 60, a(3)));
        }
        ("unusable", true) => {
            answer.add_answer(record(&name, 60, RData::A(A::new(0, 0, 0, 0))));
            answer.add_answer(record(&name, 60, RData::A(A::new(169, 254, 169, 254))));
        }
        ("half", true) => {
            answer.add_answer(record(&name, 60, a(4)));
        }
        ("half" | "broken", _) => answer.metadata.response_code = ResponseCode::ServFail,
        ("refused", _) => answer.metadata.response_code = ResponseCode::Refused,
        ("silent", _) => return None,
        ("gone", _) => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            answer.add_authority(record(&name.base_name(), 60, soa));
        }
        _ => {
            answer.add_authority(record(&name.base_name(), 60, soa));
        }
    }
    Some(answer)
}

fn found(addresses: &[&str], ttl: u32) -> Family {
    Family::Found(addresses.iter().map(|text| text.parse().unwrap()).collect(), SECOND * ttl)
}

async fn ask(server: SocketAddr, label: &str) -> Families {
    let name: DnsName = format!("{label}.example.com").parse().unwrap();
    let (asked, answer) = NameServers::new(&[server]).lookup(name.clone()).await;
    assert_eq!(asked, name);
    answer
}

#[tokio::test]
async fn each_family_is_answered_on_its_own() {
    let (server, _) = name_server().await;
    assert_eq!(
        ask(server, "dual").await,
        (found(&["192.0.2.1", "192.0.2.2"], 60), found(&["2001:db8::1"], 30))
    );
    assert_eq!(ask(server, "alias").await, (found(&["192.0.2.3"], 20), Family::Empty));
    assert_eq!(ask(server, "gone").await, (Family::Empty, Family::Empty));
    assert_eq!(ask(server, "nodata").await, (Family::Empty, Family::Empty));
    // Whether a link-local address may be published is not for the resolver to say.
    assert_eq!(ask(server, "unusable").await, (found(&["169.254.169.254"], 60), Family::Empty));
}

#[tokio::test]
async fn an_answer_is_asked_for_again_each_time() {
    let (server, asked) = name_server().await;
    let servers = NameServers::new(&[server]);
    for label in ["dual", "dual", "gone", "gone"] {
        servers.clone().lookup(format!("{label}.example.com").parse().unwrap()).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 8, "two questions for each");
}

#[tokio::test]
async fn the_hosts_file_of_the_machine_is_not_read() {
    // Whatever the file has that DNS can be asked for: on every machine at least its own names.
    let file = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = file.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.flat_map(|line| line.split_whitespace().skip(1)).map(str::to_owned);
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let names: BTreeSet<String> =
        names.chain([own.trim().to_owned()]).filter(|name| name.parse::<DnsName>().is_ok()).collect();
    assert!(!names.is_empty());
    let (server, asked) = name_server().await;
    let servers = NameServers::new(&[server]);
    for name in names.iter().filter(|name| !name.starts_with("localhost")) {
        let (_, answer) = servers.clone().lookup(name.parse().unwrap()).await;
        assert_eq!(answer, (Family::Empty, Family::Empty), "{name}");
    }
    assert!(asked.load(Ordering::Relaxed) > 0, "{names:?}");
}

#[tokio::test]
async fn faults_of_name_servers_are_no_answers() {
    let (server, _) = name_server().await;
    let failed = |family: &Family| matches!(family, Family::Failed(why) if !why.is_empty());
    for label in ["broken", "refused"] {
        let (v4, v6) = ask(server, label).await;
        assert!(failed(&v4) && failed(&v6), "{label}: {v4:?} {v6:?}");
    }
    let (v4, v6) = ask(server, "half").await;
    assert_eq!(v4, found(&["192.0.2.4"], 60));
    assert!(failed(&v6), "{v6:?}");
}

#[tokio::test]
async fn a_silent_name_server_is_given_up() {
    let (server, asked) = name_server().await;
    let servers = NameServers::with_timeout(&[server], Duration::from_millis(50));
    let (_, (v4, v6)) = servers.lookup("silent.example.com".parse().unwrap()).await;
    assert!(matches!((&v4, &v6), (Family::Failed(_), Family::Failed(_))), "{v4:?} {v6:?}");
    assert!(asked.load(Ordering::Relaxed) > 2, "asked more than once before giving up");
}
