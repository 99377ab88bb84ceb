//! What is answered to which question.

use hickory_proto::op::{OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RecordType};

use crate::support::{
    ZONE, ask, create, plan, question, say, serial, serve, serve_records, start, tcp, udp, update,
};

const NODATA: &str = "NoError aa |  | example.com 30 SOA";
const NXDOMAIN: &str = "NXDomain aa |  | example.com 30 SOA";

/// Asks each question over UDP and over TCP.
#[track_caller]
fn check(records: &[&str], cases: &[(&str, &str)]) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let server = serve_records(records).await;
        for (text, expected) in cases {
            assert_eq!(ask(server.address, text).await, *expected, "{text}, from {caller}");
            assert_eq!(say(&tcp(server.address, &question(text)).await), *expected, "{text} over TCP");
        }
    }
}

#[tokio::test]
async fn sets_are_answered_and_a_missing_type_is_no_missing_name() {
    let records = ["web.example.com A 192.0.2.1,192.0.2.2", "six.example.com AAAA 2001:db8::1"];
    check(
        &records,
        &[
            (
                "web.example.com. A",
                "NoError aa | web.example.com 60 A 192.0.2.1, web.example.com 60 A 192.0.2.2 | ",
            ),
            ("six.example.com. AAAA", "NoError aa | six.example.com 60 AAAA 2001:db8::1 | "),
            ("web.example.com. AAAA", NODATA),
            ("web.example.com. TXT", NODATA),
            ("example.com. A", NODATA),
            ("nope.example.com. A", NXDOMAIN),
            ("below.web.example.com. A", NXDOMAIN),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_apex_has_soa_and_ns_and_the_name_server_an_address() {
    check(
        &["example.com A 192.0.2.9"],
        &[
            ("example.com. SOA", "NoError aa | example.com 300 SOA | "),
            ("example.com. NS", "NoError aa | example.com 3600 NS ns1.example.com | "),
            ("example.com. A", "NoError aa | example.com 60 A 192.0.2.9 | "),
            ("ns1.example.com. A", "NoError aa | ns1.example.com 30 A 127.0.0.1 | "),
            ("ns1.example.com. AAAA", NODATA),
            ("ns1.example.com. SOA", NODATA),
        ],
    )
    .await;
    let server = serve(&[ZONE]).await;
    let (reply, _) = udp(server.address, &question("example.com. NS")).await;
    assert_eq!(reply.additionals.len(), 1, "the name server's address comes along");
    create(&*server.zones[0], &["ns1.example.com A 203.0.113.53"]).await;
    let expected = "NoError aa | ns1.example.com 60 A 203.0.113.53 | ";
    assert_eq!(ask(server.address, "ns1.example.com. A").await, expected, "what was written goes first");
}

#[tokio::test]
async fn an_empty_non_terminal_exists() {
    check(
        &["a.b.c.example.com A 192.0.2.1"],
        &[
            ("b.c.example.com. A", NODATA),
            ("c.example.com. A", NODATA),
            ("c.example.com. ANY", NODATA),
            ("x.c.example.com. A", NXDOMAIN),
        ],
    )
    .await;
}

#[tokio::test]
async fn aliases_are_followed_and_the_code_is_that_of_the_last_name() {
    check(
        &[
            "www.example.com CNAME web.example.com",
            "web.example.com CNAME real.example.com",
            "real.example.com A 192.0.2.1",
            "dangling.example.com CNAME gone.example.com",
            "outside.example.com CNAME www.example.net",
            "one.example.com CNAME two.example.com",
            "two.example.com CNAME one.example.com",
            "self.example.com CNAME self.example.com",
        ],
        &[
            (
                "www.example.com. A",
                "NoError aa | www.example.com 60 CNAME web.example.com, \
                 web.example.com 60 CNAME real.example.com, real.example.com 60 A 192.0.2.1 | ",
            ),
            (
                "web.example.com. AAAA",
                "NoError aa | web.example.com 60 CNAME real.example.com | example.com 30 SOA",
            ),
            ("www.example.com. CNAME", "NoError aa | www.example.com 60 CNAME web.example.com | "),
            (
                "dangling.example.com. A",
                "NXDomain aa | dangling.example.com 60 CNAME gone.example.com | example.com 30 SOA",
            ),
            ("outside.example.com. A", "NoError aa | outside.example.com 60 CNAME www.example.net | "),
            (
                "one.example.com. A",
                "NoError aa | one.example.com 60 CNAME two.example.com, two.example.com 60 CNAME one.example.com | ",
            ),
            ("self.example.com. A", "NoError aa | self.example.com 60 CNAME self.example.com | "),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_long_chain_is_cut() {
    let records: Vec<String> =
        (0..20).map(|n| format!("c{n}.example.com CNAME c{}.example.com", n + 1)).collect();
    let server = serve_records(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (reply, _) = udp(server.address, &question("c0.example.com. A")).await;
    assert_eq!(reply.answers.len(), 9);
}

#[tokio::test]
async fn wildcards_are_synthesized_where_nothing_exists() {
    check(
        &[
            "*.example.com A 192.0.2.1",
            "host.example.com AAAA 2001:db8::1",
            "a.ent.example.com A 192.0.2.2",
            "*.alias.example.com CNAME host.example.com",
        ],
        &[
            ("any.example.com. A", "NoError aa | any.example.com 60 A 192.0.2.1 | "),
            ("x.y.example.com. A", "NoError aa | x.y.example.com 60 A 192.0.2.1 | "),
            ("any.example.com. AAAA", NODATA),
            ("*.example.com. A", "NoError aa | *.example.com 60 A 192.0.2.1 | "),
            ("host.example.com. A", NODATA),
            ("x.host.example.com. A", NXDOMAIN),
            ("ent.example.com. A", NODATA),
            ("x.ent.example.com. A", NXDOMAIN),
            (
                "x.alias.example.com. AAAA",
                "NoError aa | x.alias.example.com 60 CNAME host.example.com, host.example.com 60 AAAA 2001:db8::1 | ",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn any_gets_one_set() {
    let server =
        serve_records(&["web.example.com A 192.0.2.1", "www.example.com CNAME web.example.com"]).await;
    let six = crate::support::creation("web.example.com AAAA 2001:db8::1");
    server.zones[0].apply(&plan([six])).await;
    let web = ask(server.address, "web.example.com. ANY").await;
    assert_eq!(web, "NoError aa | web.example.com 60 A 192.0.2.1 | ");
    let www = ask(server.address, "www.example.com. ANY").await;
    assert_eq!(www, "NoError aa | www.example.com 60 CNAME web.example.com | ");
    assert_eq!(ask(server.address, "example.com. ANY").await, "NoError aa | example.com 300 SOA | ");
}

#[tokio::test]
async fn case_is_ignored_and_comes_back_as_it_was_asked() {
    let server = serve_records(&["web.example.com A 192.0.2.1"]).await;
    let (reply, _) = udp(server.address, &question("wEb.eXample.COM. A")).await;
    assert!(reply.queries[0].name().eq_case(&Name::from_ascii("wEb.eXample.COM.").unwrap()));
    assert_eq!(say(&reply), "NoError aa | wEb.eXample.COM 60 A 192.0.2.1 | ");
}

#[tokio::test]
async fn an_alias_is_not_followed_into_a_zone_that_may_lack_names() {
    let server = start(&[ZONE, "example.net"], &[]).await;
    create(&*server.zones[0], &["www.example.com CNAME web.example.net"]).await;
    server.zones[0].converged().await;
    let alias = "NoError aa | www.example.com 60 CNAME web.example.net | ";
    assert_eq!(ask(server.address, "www.example.com. A").await, alias);
    server.zones[1].converged().await;
    assert!(
        ask(server.address, "www.example.com. A").await.starts_with("NXDomain aa | www.example.com 60 CNAME")
    );
}

#[tokio::test]
async fn zones_of_one_server_are_told_apart_and_followed_into() {
    let server = serve(&[ZONE, "sub.example.com", "example.net"]).await;
    let [com, sub, net] = &server.zones[..] else { panic!("three zones") };
    create(&**com, &["www.example.com CNAME www.example.net", "*.example.com A 192.0.2.1"]).await;
    create(&**sub, &["a.sub.example.com A 192.0.2.2"]).await;
    create(&**net, &["www.example.net A 192.0.2.3"]).await;
    for (text, expected) in [
        (
            "www.example.com. A",
            "NoError aa | www.example.com 60 CNAME www.example.net, www.example.net 60 A 192.0.2.3 | ",
        ),
        ("a.sub.example.com. A", "NoError aa | a.sub.example.com 60 A 192.0.2.2 | "),
        ("b.sub.example.com. A", "NXDomain aa |  | sub.example.com 30 SOA"),
        (
            "www.example.com. AAAA",
            "NoError aa | www.example.com 60 CNAME www.example.net | example.net 30 SOA",
        ),
    ] {
        assert_eq!(ask(server.address, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn what_is_not_ours_to_answer_is_refused() {
    let server = serve_records(&["web.example.com A 192.0.2.1"]).await;
    for text in
        ["example.org. A", "com. NS", ". NS", "notexample.com. A", "example.com. AXFR", "example.com. IXFR"]
    {
        assert_eq!(ask(server.address, text).await, "Refused |  | ", "{text}");
        assert_eq!(say(&tcp(server.address, &question(text)).await), "Refused |  | ", "{text} over TCP");
    }
    let mut chaos = question("version.bind. TXT");
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(say(&udp(server.address, &chaos).await.0), "Refused |  | ");
    for (opcode, expected) in [
        (OpCode::Update, "Refused |  | "),
        (OpCode::Notify, "Refused |  | "),
        (OpCode::Status, "NotImp |  | "),
    ] {
        let mut message = question("example.com. SOA");
        message.metadata.op_code = opcode;
        assert_eq!(say(&udp(server.address, &message).await.0), expected, "{opcode:?}");
    }
    let mut two = question("web.example.com. A");
    two.add_query(Query::query(Name::from_ascii("web.example.com.").unwrap(), RecordType::AAAA));
    assert_eq!(say(&udp(server.address, &two).await.0), "FormErr |  | ");
}

#[tokio::test]
async fn the_serial_grows_with_each_change_and_only_then() {
    let server = serve(&[ZONE]).await;
    let ask = async || serial(&udp(server.address, &question("example.com. SOA")).await.0);
    let first = ask().await;
    create(&*server.zones[0], &["a.example.com A 192.0.2.1", "b.example.com A 192.0.2.1"]).await;
    assert_eq!(ask().await, first + 1, "one plan is one change");
    let before = crate::support::listed(&*server.zones[0], "a.example.com").await;
    let change = plan([update(&before[0], "a.example.com A 192.0.2.2")]);
    server.zones[0].apply(&change).await;
    assert_eq!(ask().await, first + 2);
    server.zones[0].apply(&change).await;
    assert_eq!(ask().await, first + 2, "a refused plan changes nothing");
}

#[tokio::test]
async fn the_first_address_changes_from_query_to_query() {
    let server = serve_records(&["web.example.com A 192.0.2.0,192.0.2.1,192.0.2.2"]).await;
    for id in 0..4u16 {
        let mut message = question("web.example.com. A");
        message.metadata.id = id;
        let (reply, _) = udp(server.address, &message).await;
        assert_eq!(reply.answers[0].data.to_string(), format!("192.0.2.{}", id % 3));
        assert_eq!(reply.answers.len(), 3);
    }
}
