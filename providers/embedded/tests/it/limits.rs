//! EDNS, and answers that do not fit into a datagram.

use crate::support::ZONE;
use crate::support::{create, question, say, serve, serve_records, tcp, udp, with_edns};

fn addresses(count: usize) -> String {
    (0..count).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn edns_is_answered_with_edns_and_only_then() {
    let server = serve_records(&["web.example.com A 192.0.2.1"]).await;
    let (plain, _) = udp(server.address, &question("web.example.com. A")).await;
    assert!(plain.edns.is_none());
    for (asked, said) in [(100, 512), (700, 700), (65_535, 1232)] {
        let (reply, _) = udp(server.address, &with_edns("web.example.com. A", asked)).await;
        let edns = reply.edns.as_ref().unwrap();
        assert_eq!((edns.max_payload(), edns.version()), (said, 0));
        assert_eq!(say(&reply), "NoError aa | web.example.com 60 A 192.0.2.1 | ");
    }
    let mut next_version = with_edns("web.example.com. A", 1232);
    next_version.edns.as_mut().unwrap().set_version(1);
    let (reply, _) = udp(server.address, &next_version).await;
    assert_eq!(reply.edns.as_ref().unwrap().version(), 0);
    assert_eq!(reply.edns.as_ref().unwrap().rcode_high(), 1, "BADVERS is 16");
    assert!(reply.answers.is_empty());
}

#[tokio::test]
async fn a_set_that_does_not_fit_is_cut_marked_and_whole_over_tcp() {
    let server = serve(&[ZONE]).await;
    for count in 20..90 {
        let name = format!("n{count}.example.com");
        let record = format!("{name} A {}", addresses(count));
        create(&*server.zones[0], &[&record]).await;
        let text = format!("{name}. A");
        for (message, limit) in
            [(question(&text), 512), (with_edns(&text, 512), 512), (with_edns(&text, 4096), 1232)]
        {
            let (reply, bytes) = udp(server.address, &message).await;
            assert!(bytes.len() <= limit, "{count}: {} octets", bytes.len());
            assert_eq!(reply.metadata.truncation, reply.answers.len() < count, "{count}");
            assert_eq!(reply.edns.is_some(), message.edns.is_some(), "{count}: OPT is never cut");
            // Nothing is cut that has room for another address.
            assert!(!reply.metadata.truncation || bytes.len() + 16 + 11 > limit, "{count}: {}", bytes.len());
        }
        let whole = tcp(server.address, &question(&text)).await;
        assert_eq!((whole.answers.len(), whole.metadata.truncation), (count, false));
    }
}

#[tokio::test]
async fn aliases_and_negative_answers_keep_to_the_limit_too() {
    let label = "x".repeat(60);
    let long = format!("{label}.{label}.{label}.example.com");
    let zone = serve(&[ZONE]).await;
    let records: Vec<String> = (0..4).map(|n| format!("{n}.{long} CNAME {}.{long}", n + 1)).collect();
    create(&*zone.zones[0], &records.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let text = format!("0.{long}. A");
    for message in [question(&text), with_edns(&text, 512), with_edns(&text, 1232)] {
        let limit = usize::from(message.edns.as_ref().map_or(512, hickory_proto::op::Edns::max_payload));
        let (reply, bytes) = udp(zone.address, &message).await;
        assert!(bytes.len() <= limit, "{} octets", bytes.len());
        assert_eq!(reply.edns.is_some(), message.edns.is_some());
        assert_eq!(reply.metadata.truncation, reply.answers.len() < 4 || reply.authorities.is_empty());
    }
    assert_eq!(tcp(zone.address, &question(&text)).await.answers.len(), 4);
}

/// Names of 255 octets, as many values as the provider says it takes, at the end of the longest chain.
#[tokio::test]
async fn the_largest_set_there_can_be_is_whole_over_tcp() {
    let server = serve(&[ZONE]).await;
    let name = |n: usize| {
        let label = |letter: &str| letter.repeat(63);
        format!("{n}{}.{}.{}.{}.example.com", "a".repeat(48), label("b"), label("c"), label("d"))
    };
    assert_eq!(name(0).len(), 253);
    let limit = server.zones[0].capabilities().max_values;
    let values: Vec<String> = (0..limit).map(|n| format!("2001:db8::{n:x}")).collect();
    let mut records: Vec<String> = (0..8).map(|n| format!("{} CNAME {}", name(n), name(n + 1))).collect();
    records.push(format!("{} AAAA {}", name(8), values.join(",")));
    create(&*server.zones[0], &records.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let reply = tcp(server.address, &question(&format!("{}. AAAA", name(0)))).await;
    assert_eq!((reply.answers.len(), reply.metadata.truncation), (limit + 8, false));
}
