use super::*;

const FOREIGN: &str = "$TTL 300\n@ IN SOA ns1 hostmaster (\n    2026112200 ; serial (SOA 1)\n    3600 600 604800 30 )\n\
    @ NS ns1\nns1 A 192.0.2.53\nmail MX 10 ns1 ; SOA a b 5\n";

fn zone() -> DnsName {
    "example.com".parse().unwrap()
}

fn owner() -> Label {
    "fed".parse().unwrap()
}

fn read(text: &str) -> ZoneText {
    read_in(text).unwrap()
}

fn read_in(text: &str) -> Result<ZoneText, Damage> {
    ZoneText::read(text, &zone(), &owner(), (Path::new("/etc/db"), &|_| Err("no such file".to_owned())))
}

fn one(name: &str, value: &str) -> Ours {
    let mark: OwnershipRecord =
        "v=1 owner=fed service=default/web member=west;;;tcp:80;10.0.0.1".parse().unwrap();
    let set = OurSet {
        ttl: Ttl::DEFAULT,
        data: RecordData::A(NonEmpty::new([value.parse().unwrap()]).unwrap()),
        mark: Some(mark),
    };
    Ours::from([(name.parse().unwrap(), BTreeMap::from([(RecordType::A, set)]))])
}

fn sets(zone: &ZoneText) -> Vec<String> {
    let listing = zone.listing();
    listing
        .observed
        .iter()
        .flat_map(|(name, sets)| sets.iter().map(move |set| format!("{name} {set}")))
        .collect()
}

#[test]
fn foreign_text_survives_and_the_serial_grows() {
    let before = read(FOREIGN);
    let text =
        before.render(&one("www.example.com", "10.0.0.1"), &Leaving::default(), &owner(), 1_795_435_200);
    let expected = FOREIGN.replace("2026112200", "2026112300")
        + "; fleetdns begin owner=fed\n\
           ; what stands between these two lines is replaced; write above or below them\n\
           ; v=1 owner=fed service=default/web member=west;;;tcp:80;10.0.0.1\n\
           www.example.com.\t30\tIN\tA\t10.0.0.1\n\
           ; fleetdns end owner=fed\n";
    assert_eq!(text, expected);
    let after = read(&text);
    assert_eq!(after.ours, one("www.example.com", "10.0.0.1"));
    assert_eq!(
        after.render(&Ours::new(), &Leaving::default(), &owner(), 1_795_435_200),
        FOREIGN.replace("2026112200", "2026112301")
    );
}

#[test]
fn everything_in_the_file_is_seen() {
    let text = read(FOREIGN).render(&one("www.example.com", "10.0.0.1"), &Leaving::default(), &owner(), 1);
    assert_eq!(
        sets(&read(&text)),
        [
            "example.com 300 NS …",
            "example.com 300 SOA …",
            "mail.example.com 300 MX …",
            "ns1.example.com 300 A 192.0.2.53",
            "www.example.com 30 A 10.0.0.1",
        ]
    );
}

#[test]
fn what_others_wrote_around_and_into_the_block_is_kept() {
    let text = format!(
        "{FOREIGN}; fleetdns begin owner=other\nx.example.com. 30 IN A 10.0.0.9\n; fleetdns end owner=other\n\
         ; fleetdns begin owner=fed\n; v=1 owner=fed service=default/web\nwww.example.com. 30 IN A 10.0.0.1\n\
         stray TXT \"put here by hand\"\n   MX 5 mail\n; fleetdns end owner=fed\nafter A 10.0.0.8"
    );
    let zone = read(&text);
    assert_eq!(zone.ours.len(), 1);
    let new = zone.render(&zone.ours, &Leaving::default(), &owner(), 1);
    for kept in
        ["owner=other\nx.example.com. 30 IN A 10.0.0.9\n; fleetdns end owner=other\n", "after A 10.0.0.8"]
    {
        assert!(new.contains(kept), "{new}");
    }
    let block = new.split("begin owner=fed").nth(1).unwrap();
    assert!(new.contains("stray TXT \"put here by hand\"\n") && !block.contains("stray"), "{new}");
    assert_eq!(sets(&read(&new)), sets(&zone));
    let seen = sets(&zone).join("\n");
    for set in
        ["after.example.com 300 A 10.0.0.8", "stray.example.com 300 TXT …", "stray.example.com 300 MX …"]
    {
        assert!(seen.contains(set), "{seen}");
    }
}

#[test]
fn a_set_that_is_not_as_we_write_it_has_no_mark() {
    let block = |lines: &str| {
        let text = format!(
            "{FOREIGN}; fleetdns begin owner=fed\n; v=1 owner=fed service=default/web\n{lines}\n; fleetdns end owner=fed\n"
        );
        let www: DnsName = "www.example.com".parse().unwrap();
        read(&text).ours[&www][&RecordType::A].mark.is_some()
    };
    assert!(block("www.example.com. 30 IN A 10.0.0.1\nwww.example.com. 30 IN A 10.0.0.2"));
    assert!(!block("www.example.com. 30 IN A 10.0.0.1\nwww.example.com. 31 IN A 10.0.0.2"));
    assert!(!block("www.example.com. 30 IN A 10.0.0.1\nwww.example.com. 30 IN A 10.0.0.1"));
    assert!(!block("www.example.com. 30 IN A 10.0.0.1\n; hand\nwww.example.com. 30 IN A 10.0.0.2"));
}

#[test]
fn a_set_without_a_mark_does_not_get_that_of_the_set_above_it() {
    let mut ours = one("www.example.com", "10.0.0.1");
    let marked = ours.values().next().unwrap()[&RecordType::A].clone();
    let v6 = RecordData::Aaaa(NonEmpty::new(["2001:db8::1".parse().unwrap()]).unwrap());
    let unmarked = OurSet { data: v6, mark: None, ..marked.clone() };
    let other = OurSet { mark: None, ..marked.clone() };
    let both = BTreeMap::from([(RecordType::A, marked), (RecordType::Aaaa, unmarked)]);
    ours.insert("x.example.com".parse().unwrap(), both);
    ours.insert(
        "y.example.com".parse().unwrap(),
        one("y.example.com", "10.0.0.2").into_values().next().unwrap(),
    );
    ours.insert("z.example.com".parse().unwrap(), BTreeMap::from([(RecordType::A, other)]));
    let text = read(FOREIGN).render(&ours, &Leaving::default(), &owner(), 1);
    assert_eq!(read(&text).ours, ours, "{text}");
}

#[test]
fn a_damaged_file_is_not_half_read() {
    let damage = |text: &str| read_in(text).unwrap_err();
    assert_eq!(damage("a TXT \"x\n"), Damage::Unclosed(1));
    assert_eq!(damage("a A 10.0.0.1\n; fleetdns begin owner=fed\nb A 10.0.0.1\n"), Damage::NoEnd(2));
}

#[test]
fn a_new_zone_is_a_zone() {
    let text = ZoneText::new_zone(&zone(), &["ns1.example.net".parse().unwrap()], 1_795_435_200);
    let zone = read(&text);
    assert!(zone.serial.is_ok());
    assert_eq!(sets(&zone), ["example.com 3600 NS …", "example.com 3600 SOA …"]);
}

/// Somebody who was told of a file without SOA record gave it a second one.
#[test]
fn a_serial_that_cannot_be_changed_says_why() {
    let source = |_: &Path| Ok("@ SOA ns1 hostmaster 7 1 1 1 1\n".to_owned());
    for (text, why) in [
        ("www A 10.0.0.1\nsub SOA a b 1 2 3 4 5\n", NoSerial::NoSoa),
        ("$INCLUDE soa.db\n", NoSerial::Included("/etc/soa.db".into())),
        ("@ SOA ns1 hostmaster x 1 1 1 1\n", NoSerial::Unreadable),
        ("@ TYPE6 \\# 22 00 00 00000007 00000001 00000001 00000001 00000001\n", NoSerial::Unreadable),
    ] {
        let read = ZoneText::read(text, &zone(), &owner(), (Path::new("/etc/db"), &source)).unwrap();
        assert_eq!(read.serial, Err(why), "{text}");
    }
}

/// Another reader has to see the same.
#[test]
fn hickory_reads_what_we_write() {
    use hickory_proto::rr::Name;
    use hickory_proto::serialize::txt::Parser;

    let mut ours = one("www.example.com", "10.0.0.1");
    ours.extend(one("*.eu.example.com", "10.0.0.2"));
    let alias =
        OurSet { ttl: Ttl::DEFAULT, data: RecordData::Cname("lb.example.net".parse().unwrap()), mark: None };
    ours.insert("cdn.example.com".parse().unwrap(), BTreeMap::from([(RecordType::Cname, alias)]));
    for start in [FOREIGN, &ZoneText::new_zone(&zone(), &["ns1.example.net".parse().unwrap()], 1_795_435_200)]
    {
        let text = read(start).render(&ours, &Leaving::default(), &owner(), 1_795_435_200);
        let origin = Name::from_ascii("example.com.").unwrap();
        let (_, sets) = Parser::new(text, None, Some(origin)).parse().unwrap();
        let names: Vec<String> = sets.keys().map(|key| format!("{} {}", key.name, key.record_type)).collect();
        for expected in
            ["www.example.com. A", "*.eu.example.com. A", "cdn.example.com. CNAME", "example.com. SOA"]
        {
            assert!(names.iter().any(|name| name == expected), "{names:?}");
        }
    }
}

/// A namespace with a line break wrote real NS and A lines into the zone: nothing that is written can have one now.
#[test]
fn no_name_and_no_mark_can_make_another_record() {
    for hostile in
        ["x\n@ 30 IN NS ns.evil.example.", "a;b", "a\"b", "a@b", "a b", "a/b", "(", "$ORIGIN", "a\tb", "a\\b"]
    {
        assert!(format!("{hostile}.example.com").parse::<DnsName>().is_err(), "{hostile:?}");
        let text = format!("v=1 owner=fed service={hostile}/web");
        assert!(text.parse::<OwnershipRecord>().is_err(), "{hostile:?}");
    }
}

proptest::proptest! {
    /// Whatever text asks to be a name, a target or a mark: it is refused, or read back as itself, in one line.
    #[test]
    fn what_is_written_is_read_back_and_adds_its_own_lines_only(
        text in r#"[a-z0-9*_.@;()"\\$ \n\r\t\x7f\u{85}\u{2028}-]{1,20}|[a-z]{60,66}|[a-c.]{1,8}"#,
        target in "(?s)[a-z.]{1,6}.{0,3}",
    ) {
        let name: Result<DnsName, _> = format!("{text}.example.com").parse();
        let mark: Result<OwnershipRecord, _> = format!("v=1 owner=fed service=default/web member={text};;;none;10.0.0.1").parse();
        let mark = mark.or_else(|_| "v=1 owner=fed service=default/web".parse());
        if let (Ok(name), Ok(mark)) = (name, mark) {
            let data = match format!("{target}.example.net").parse() {
                Ok(target) => RecordData::Cname(target),
                Err(_) => RecordData::A(NonEmpty::new(["10.0.0.1".parse().unwrap()]).unwrap()),
            };
            let set = OurSet { ttl: Ttl::DEFAULT, data, mark: Some(mark) };
            let kind = set.data.record_type();
            let ours = Ours::from([(name, BTreeMap::from([(kind, set)]))]);
            let written = read(FOREIGN).render(&ours, &Leaving::default(), &owner(), 1_795_435_200);
            proptest::prop_assert_eq!(written.lines().count(), FOREIGN.lines().count() + 5, "{}", written);
            proptest::prop_assert!(!written.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
            let again = read(&written);
            proptest::prop_assert_eq!(&again.ours, &ours);
            proptest::prop_assert_eq!(again.listing().unreadable.len(), 0);
        }
    }
}

/// Names that other lines make are there, and are not written beside.
#[test]
fn generated_names_are_foreign_and_names_that_cannot_be_known_are_unwritable() {
    let text = format!(
        "{FOREIGN}$GENERATE 1-3 host-$ A 10.0.0.$\n$ORIGIN eu\n$INCLUDE missing.db\n$GENERATE 1-2 a$$.us.example.com. A 10.0.0.1\n"
    );
    let listing = read(&text).listing();
    let at = |name: &str| listing.observed.at(&name.parse().unwrap()).len();
    assert_eq!((at("host-1.example.com"), at("host-3.example.com"), at("host-4.example.com")), (1, 1, 0));
    let why = |name: &str| listing.observed.unwritable(&name.parse().unwrap()).map(ToString::to_string);
    assert!(
        why("x.eu.example.com").unwrap().contains("$INCLUDE /etc/missing.db cannot be read: no such file")
    );
    assert!(why("x.us.example.com").unwrap().contains("$GENERATE has 'a$$.us.example.com. A 10.0.0.1'"));
    assert_eq!(why("www.example.com"), None);
    assert_eq!(listing.unreadable.len(), 2);
}

/// Addresses were written beside records of others whose name or type was spelt in another way.
#[test]
fn names_with_escapes_and_types_by_number_are_those_of_others() {
    let text = format!(
        "{FOREIGN}www TYPE1 \\# 4 0A000001\ncn TYPE5 \\# 9 0378797a036e657400\nw\\119w2 CLASS1 A 10.0.0.1\n\
         child TYPE2 \\# 5 036e733100\nold TYPE39 \\# 5 036e733100\na\\.b A 10.0.0.1\n"
    );
    let listing = read(&text).listing();
    for (name, kind) in [("www", "A"), ("cn", "CNAME"), ("www2", "A")] {
        let sets = listing.observed.at(&format!("{name}.example.com").parse().unwrap());
        assert!(
            matches!(sets, [set] if set.type_name() == kind && set.answers_for_addresses()),
            "{name}: {sets:?}"
        );
    }
    for (below, kind) in [("x.child.example.com", "NS"), ("x.old.example.com", "DNAME")] {
        let cut = listing.observed.cut(&zone(), &below.parse().unwrap());
        assert_eq!(cut.map(|(_, kind)| kind), Some(kind), "{below}");
    }
    assert!(matches!(&listing.unreadable[..], [one] if one.contains("is not a name we know")), "{listing:?}");
}

#[test]
fn the_name_servers_of_the_file_are_told() {
    let listing = read(&format!("{FOREIGN}@ NS ns.elsewhere.net.\n$ORIGIN child\n@ NS ns\n")).listing();
    let told: Vec<&str> = listing.observed.name_servers().iter().map(DnsName::as_str).collect();
    assert_eq!(told, ["ns.child.example.com", "ns1.example.com", "ns.elsewhere.net"]);
}
