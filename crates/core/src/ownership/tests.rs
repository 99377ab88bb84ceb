use proptest::prelude::*;

use super::*;
use crate::text::printable;

const TEXT: &str = "v=1 owner=fed service=default/web routing=failover \
    member=arn:aws:eks:x:1:cluster/c;;;https:443@www.example.com/a%2Cb%20c;lb.example.net \
    member=east;;;tcp:80;203.0.113.4;default/api \
    member=west;westus;1,2;tcp:80;203.0.113.1,2001:db8::1 unattributed=203.0.113.7,2001:db8::7 \
    override=cluster/west;drain;2023-11-14T22:13:20Z;;root;new%20kernel";

#[test]
fn evidence_is_read_back_as_it_was_written() {
    let ownership: Ownership = TEXT.parse().unwrap();
    assert_eq!(ownership.to_string(), TEXT);
    assert_eq!((ownership.members.len(), ownership.overrides.iter().count()), (3, 1));
    let services: Vec<String> = ownership.services().into_iter().map(ToString::to_string).collect();
    assert_eq!(services, ["default/api", "default/web"]);
    assert_eq!(ownership.unattributed.len(), 2);
    let west = &ownership.members[&"west".parse().unwrap()];
    assert_eq!(west.zones.len(), 2);
    assert_eq!(west.addresses.len(), 2);
}

#[test]
fn a_claim_is_ours_only_with_our_owner_id() {
    let fed: Label = "fed".parse().unwrap();
    assert!(Owner::read(Some(TEXT), &fed).ownership().is_some());
    assert_eq!(Owner::read(Some(TEXT), &"other".parse().unwrap()), Owner::Foreign);
    assert_eq!(Owner::read(None, &fed), Owner::Foreign);
    assert_eq!(Owner::read(Some("heritage=external-dns"), &fed), Owner::Foreign);
    assert_eq!(Owner::read(Some("v=1 owner=fed service=default/web member=;;"), &fed), Owner::Ours(None));
    assert_eq!(Owner::read(Some("v=1 owner=federated service=x"), &fed), Owner::Foreign);
}

#[test]
fn a_mark_is_kept_as_it_was_read_and_says_the_same_again() {
    let claim = Owner::read(Some(TEXT), &"fed".parse().unwrap());
    let mark = claim.mark().unwrap();
    assert_eq!((mark.as_str(), mark.to_string().as_str()), (TEXT, TEXT));
    assert_eq!(mark.owner().unwrap().as_str(), "fed");
    assert_eq!(["fed", "other"].map(|owner| mark.is_of(&owner.parse().unwrap())), [true, false]);
    assert_eq!(claim, Owner::of(&OwnershipRecord::from(&claim.ownership().unwrap())));
    assert_eq!(claim.overrides().len(), 1);
    let (silent, _) = TEXT.split_once(OVERRIDE).unwrap();
    assert_eq!(Owner::of(&silent.parse().unwrap()).overrides(), []);
    assert!("v=2".parse::<OwnershipRecord>().is_err());
    // Another program may name the members in another order.
    let ([one, other], start) =
        (["member=a;;;none;", "member=b;;;none;"], "v=1 owner=fed service=default/web");
    let turned: OwnershipRecord = format!("{start} {other} {one}").parse().unwrap();
    assert!(turned.says(&format!("{start} {one} {other}").parse().unwrap()));
    assert!(!turned.says(&format!("{start} {one}").parse().unwrap()));
}

#[test]
fn who_wrote_a_mark_says_nothing_of_the_record() {
    let ownership: Ownership = TEXT.parse().unwrap();
    let writer = Writer { started: 1_764_421_137, number: 0x01f2_e3d4, pass: 17 };
    let mark = OwnershipRecord::of(&ownership, Some(writer));
    assert_eq!(mark.as_str(), format!("{TEXT} writer=1764421137-01f2e3d4-17"));
    assert_eq!(mark.as_str().parse(), Ok(ownership.clone()));
    assert_eq!((mark.writer(), OwnershipRecord::of(&ownership, None).writer()), (Some(writer), None));
    assert_eq!(mark, OwnershipRecord::of(&ownership, None));
    assert_ne!(mark, "v=1 owner=fed service=default/web".parse().unwrap());
    assert!(mark.says(&ownership));
    let part: OwnershipRecord = TEXT.split_once(" override=").unwrap().0.parse().unwrap();
    assert!(!part.says(&ownership) && !mark.says(&part.as_str().parse().unwrap()));
    assert_eq!(Owner::of(&mark).overrides().len(), 1);
    for bad in [
        "",
        "1",
        "1-2-3",
        "1-00000002",
        "+1-00000002-3",
        "1-00000002-3 owner=x",
        "1-00000002-3 writer=1-00000003-3",
    ] {
        assert!(format!("{TEXT} writer={bad}").parse::<Ownership>().is_err(), "{bad}");
    }
}

fn key(text: &str) -> Option<ServiceKey> {
    let (namespace, name) = text.split_at(text.len().min(text.floor_char_boundary(text.len() / 2)));
    ServiceKey::new(namespace, name).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever names a member, a Service, a label or a path: it is refused, or read back as itself and as nothing else.
    #[test]
    fn no_text_forges_a_part_of_a_mark(
        texts in proptest::collection::vec(
            "(?s)[a-z]{0,3}.{0,3}[a-z]{0,2}|[ -~]{0,12}|a (member|unattributed|owner|override)=b;;;none;|x\n@ 30 IN NS ns.evil",
            8
        ),
    ) {
        let member = texts[0].parse::<MemberName>();
        let share = Contribution {
            region: texts[1].parse().ok(),
            zones: texts[2].parse().into_iter().collect(),
            probe: ProbeSpec::of(crate::probe::Check::Guess(Box::new(crate::probe::GuessCheck {
                port: 80,
                path: format!("/{}", texts[3].chars().filter(char::is_ascii_graphic).collect::<String>()).into(),
                expect: crate::probe::Expect::default(),
            }))),
            addresses: texts[4].parse().into_iter().collect(),
            service: key(&texts[7]),
        };
        let mut overrides = Overrides::default();
        let service = key(&texts[5]).unwrap_or_else(|| "default/web".parse().unwrap());
        overrides.set(Override {
            subject: crate::overrides::Subject::Service(service.clone()),
            kind: crate::overrides::OverrideKind::Drain,
            reason: printable(&texts[6]).into(),
            by: printable(&texts[7]).into(),
            since: 1,
            until: None,
        });
        let ownership = Ownership {
            owner: "fed".parse().unwrap(),
            service,
            routing: None,
            members: member.into_iter().map(|name| (name, share.clone())).collect(),
            unattributed: BTreeSet::new(),
            overrides,
        };
        let text = ownership.to_string();
        prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{:?}", text);
        prop_assert_eq!(text.parse::<Ownership>(), Ok(ownership));
    }
}

#[test]
fn a_mark_is_read_strictly() {
    for (good, forged) in [
        ("member=west;", "member=west;;;none; member=west;"),
        ("203.0.113.1,2001", "203.0.113.1,,2001"),
        ("unattributed=203.0.113.7", "unattributed=203.0.113.8 unattributed=203.0.113.7"),
        ("routing=failover", "routing=some"),
        ("routing=failover", "routing=failover routing=failover"),
        ("default/web", "default/web\n"),
        ("default/web", "default/web\u{a0}"),
        ("default/web", "De.fault/web"),
        (" member=west", "  member=west"),
        ("/a%2Cb", "/a%0Ab"),
        (";default/api", ";default"),
        (";default/api", ";"),
        (";default/api", ";default/api;"),
    ] {
        let text = TEXT.replacen(good, forged, 1);
        assert_ne!(text, TEXT, "{good}");
        assert!(text.parse::<Ownership>().is_err(), "{forged:?}");
    }
    let fed: Label = "fed".parse().unwrap();
    for foreign in
        ["v=spf1 include:x owner=fed", "v=1 owner=other service=a/b owner=fed", "owner=fed", "x owner=fed"]
    {
        assert_eq!(Owner::read(Some(foreign), &fed), Owner::Foreign, "{foreign}");
    }
    assert_eq!(Owner::read(Some("v=2 owner=fed whatever"), &fed), Owner::Ours(None));
}

#[test]
fn a_text_with_a_damaged_part_is_not_half_read() {
    for bad in ["", "v=2 owner=a service=a/b", "v=1 owner=a", "v=1 owner=a service=b"] {
        assert!(bad.parse::<Ownership>().is_err(), "{bad}");
    }
    for address in ["203.0.113.1", "203.0.113.7"] {
        assert!(TEXT.replace(address, "203.0.113.999").parse::<Ownership>().is_err());
    }
}
