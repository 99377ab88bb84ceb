//! Clients that mean no good: what they send is dropped or closed, and others are answered all the same.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::support::{ask, question, serve_records, tcp};

const RECORD: &str = "web.example.com A 192.0.2.1";
const ANSWER: &str = "NoError aa | web.example.com 60 A 192.0.2.1 | ";

/// What comes back to these octets, while a good question after them is answered.
async fn reply(server: SocketAddr, octets: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(octets, server).await.unwrap();
    let mut buffer = vec![0; 2000];
    let length = timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await.ok()?.unwrap();
    buffer.truncate(length);
    Some(buffer)
}

#[tokio::test]
async fn a_response_is_never_answered_whatever_else_it_is() {
    let server = serve_records(&[RECORD]).await;
    let good = question("web.example.com. A").to_vec().unwrap();
    let mut response = good.clone();
    response[2] |= 0x80;
    // One that cannot be parsed was answered with FORMERR: two servers could send each other that for ever.
    let broken: Vec<u8> = [&response[..12], &[0xff; 40]].concat();
    for octets in [&response[..], &broken, &response[..12], &good[..11], &[]] {
        assert_eq!(reply(server.address, octets).await, None, "{octets:?}");
    }
    let bad = [&good[..12], &[0xff; 40]].concat();
    let formerr = reply(server.address, &bad).await.unwrap();
    assert_eq!((formerr.len(), formerr[2] & 0x80, formerr[3] & 0x0f), (12, 0x80, 1), "{formerr:?}");
    assert_eq!(ask(server.address, "web.example.com. A").await, ANSWER);
}

#[tokio::test]
async fn a_connection_is_closed_when_it_dawdles_and_serves_many_questions_when_it_does_not() {
    let server = serve_records(&[RECORD]).await;
    let query = question("web.example.com. A").to_vec().unwrap();
    let framed = [&u16::try_from(query.len()).unwrap().to_be_bytes()[..], &query].concat();
    let mut good = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..100 {
        good.write_all(&framed).await.unwrap();
        let length = good.read_u16().await.unwrap();
        good.read_exact(&mut vec![0; usize::from(length)]).await.unwrap();
    }
    for start in [&[][..], &[0], &[0, 40, 1, 2, 3]] {
        let mut idle = TcpStream::connect(server.address).await.unwrap();
        idle.write_all(start).await.unwrap();
        let closed = timeout(Duration::from_secs(20), idle.read(&mut [0; 8])).await.expect("it is closed");
        assert!(matches!(closed, Ok(0) | Err(_)));
    }
    let mut long = TcpStream::connect(server.address).await.unwrap();
    long.write_all(&[0xff, 0xff, 1, 2]).await.unwrap();
    let closed = timeout(Duration::from_secs(5), long.read(&mut [0; 8])).await.expect("closed at once");
    assert!(matches!(closed, Ok(0) | Err(_)));
}

#[tokio::test]
async fn idle_connections_of_one_client_leave_room_and_processor_for_the_others() {
    let server = serve_records(&[RECORD]).await;
    let mut limit = Vec::new();
    for _ in 0..400 {
        limit.push(TcpStream::connect(server.address).await.unwrap());
    }
    let last = limit.last_mut().unwrap();
    let closed = timeout(Duration::from_secs(5), last.read(&mut [0; 8])).await.expect("closed at once");
    assert!(matches!(closed, Ok(0) | Err(_)));
    let measures = server.zones[0].measures();
    let shown = measures.iter().find(|gauge| gauge.name == "dns_connections_closed").unwrap();
    assert!(shown.value >= 350.0, "{shown:?}");
    // Datagrams do not wait for any of them.
    assert_eq!(ask(server.address, "web.example.com. A").await, ANSWER);
    drop(limit);
    let started = Instant::now();
    while timeout(Duration::from_secs(1), tcp_or_closed(server.address)).await != Ok(true) {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(tcp(server.address, &question("web.example.com. A")).await.answers.len(), 1);
}

/// Whether a question over TCP is answered.
async fn tcp_or_closed(server: SocketAddr) -> bool {
    let query = question("web.example.com. A").to_vec().unwrap();
    let framed = [&u16::try_from(query.len()).unwrap().to_be_bytes()[..], &query].concat();
    let Ok(mut stream) = TcpStream::connect(server).await else { return false };
    stream.write_all(&framed).await.is_ok() && stream.read_u16().await.is_ok()
}
