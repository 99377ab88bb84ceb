use fleetdns_core::{Owner, OwnershipRecord};
use proptest::prelude::*;

use super::*;
use crate::changes::KINDS;

const BASE: &str = "v=1 owner=fed service=default/web";

fn owner() -> Label {
    "fed".parse().unwrap()
}

fn of(values: &[&str]) -> BTreeSet<Txt> {
    values.iter().map(|value| Txt::new([value.as_bytes().to_vec()])).collect()
}

#[test]
fn somebody_elses_record_beside_ours_makes_all_of_it_foreign() {
    let ours = format!("{BASE} sets=A");
    let record = read(&of(&[&ours]), &owner());
    assert!(record.owner.ownership().is_some() && record.covers(RecordType::A));
    assert!(!record.covers(RecordType::Aaaa));
    for beside in ["v=spf1 -all", "v=1 owner=other service=default/web sets=A", ""] {
        assert_eq!(read(&of(&[&ours, beside]), &owner()), TxtRecord::FOREIGN, "{beside}");
    }
    let binary = BTreeSet::from([Txt::new([ours.into_bytes(), vec![0xff]])]);
    assert_eq!(read(&binary, &owner()), TxtRecord::FOREIGN);
    assert_eq!(read(&BTreeSet::new(), &owner()), TxtRecord::FOREIGN);
}

#[test]
fn ownership_records_of_any_owner_are_told_from_other_texts() {
    let is_mark = |strings: &[&str]| Txt::new(strings.iter().map(|one| one.as_bytes().to_vec())).is_mark();
    for mark in [&[BASE][..], &["v=1 owner=other service=a/b"], &["part=2/3 x"], &["v=1 ow", "ner=fed"]] {
        assert!(is_mark(mark), "{mark:?}");
    }
    for other in [&["v=spf1 -all"][..], &["A", BASE], &["heritage=external-dns"], &[""], &[]] {
        assert!(!is_mark(other), "{other:?}");
    }
    assert!(!Txt::new([vec![0xff]]).is_mark());
}

proptest! {
    /// Short, packed or in parts, and wherever a server lets strings end: it is read back as itself, and by its owner alone.
    #[test]
    fn a_record_is_read_back_wherever_its_strings_end(
        members in prop_oneof![0..3_u32, 40..60_u32, 600..700_u32],
        both in any::<bool>(),
        cut in 1..256_usize,
    ) {
        let far = |at: u32| {
            let host = u64::from(at).wrapping_mul(6_364_136_223_846_793_005);
            format!(" member=m{at};r{};z;tcp:{};lb{host:016x}.example.net", at % 7, at + 1)
        };
        let mark: OwnershipRecord = format!("{BASE}{}", (0..members).map(far).collect::<String>()).parse().unwrap();
        let types = if both { vec![RecordType::A, RecordType::Aaaa] } else { vec![RecordType::Cname] };
        let records = write(mark.as_str(), types.iter().copied()).unwrap();
        prop_assert!(records.len() <= ROOM.values && records.iter().all(Txt::is_mark));
        for record in &records {
            prop_assert!(record.strings().all(|string| (1..=MAX_STRING).contains(&string.len())));
            prop_assert!(record.strings().map(Vec::len).sum::<usize>() <= ROOM.value);
        }
        let cut: BTreeSet<Txt> =
            records.iter().map(|one| Txt::new(one.0.concat().chunks(cut).map(<[u8]>::to_vec))).collect();
        let record = read(&cut, &owner());
        prop_assert_eq!(&record.owner, &Owner::of(&mark));
        prop_assert!(KINDS.iter().all(|kind| record.covers(*kind) == types.contains(kind)));
        prop_assert_eq!(read(&records, &"other".parse().unwrap()).owner, Owner::Foreign);
    }
}
