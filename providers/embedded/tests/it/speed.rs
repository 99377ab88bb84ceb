//! Queries in a second. Run with `cargo test -p fleetdns-embedded -- --ignored --nocapture speed`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use crate::support::{ZONE, create, question, serve};

const NAMES: usize = 100_000;
const MORE: u32 = 100;
const CLIENTS: usize = 8;
const IN_FLIGHT: usize = 16;
const TIME: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute and wants the machine for itself"]
async fn speed_of_hits_and_misses_is_the_same_at_100_000_names() {
    let mut rates = Vec::new();
    for names in [NAMES / 100, NAMES] {
        let server = serve(&[ZONE]).await;
        let records: Vec<String> =
            (0..names).map(|n| format!("n{n}.ns.example.com A 192.0.2.1,192.0.2.2")).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let start = Instant::now();
        create(&*server.zones[0], &records).await;
        let filled = start.elapsed();
        for n in 0..MORE {
            create(&*server.zones[0], &[&format!("more{n}.example.com A 192.0.2.1")]).await;
        }
        let more = (start.elapsed() - filled) / MORE;
        println!("{names} names: written in {filled:?}, one more in {more:?}");
        for (what, suffix) in [
            ("hit", ".ns.example.com. A"),
            ("NODATA", ".ns.example.com. AAAA"),
            ("NXDOMAIN", ".x.example.com. A"),
        ] {
            let rate = load(server.address, names, suffix).await;
            println!("{names} names: {what} {rate} queries in a second");
            rates.push(rate);
        }
    }
    let (least, most) = (rates.iter().min().unwrap(), rates.iter().max().unwrap());
    assert!(least * 3 > *most, "{rates:?}");
}

async fn load(server: SocketAddr, names: usize, suffix: &'static str) -> u128 {
    let clients = (0..CLIENTS).map(|client| {
        tokio::spawn(async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.connect(server).await.unwrap();
            let questions: Vec<Vec<u8>> = (0..512)
                .map(|n| (n * 7919 + client) % names)
                .map(|n| question(&format!("n{n}{suffix}")).to_vec().unwrap())
                .collect();
            let (start, mut answered, mut buffer) = (Instant::now(), 0u128, [0; 1500]);
            let mut next = questions.iter().cycle();
            for _ in 0..IN_FLIGHT {
                socket.send(next.next().unwrap()).await.unwrap();
            }
            while start.elapsed() < TIME {
                if tokio::time::timeout(TIME, socket.recv(&mut buffer)).await.is_ok() {
                    answered += 1;
                }
                socket.send(next.next().unwrap()).await.unwrap();
            }
            answered
        })
    });
    let mut total = 0;
    for client in clients.collect::<Vec<_>>() {
        total += client.await.unwrap();
    }
    total * 1000 / TIME.as_millis()
}
