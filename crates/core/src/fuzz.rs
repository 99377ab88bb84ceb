//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use crate::address::Address;
use crate::name::{DnsName, MAX_LABEL, MAX_NAME};
use crate::overrides::Override;
use crate::ownership::external_dns::{Text, set_aside};
use crate::ownership::txt::{self, Room, Sets, TxtRecord};
use crate::ownership::{Owner, Ownership, OwnershipRecord};
use crate::record::RecordType;
use crate::text::is_hidden;

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] =
    &[("dns_name", 8_000, dns_name), ("ownership", 1_500, ownership), ("external_dns", 10_000, external_dns)];

/// Faults are shown to people.
fn assert_shown(text: &str) {
    assert!(text.len() < 2_000 && !text.contains(is_hidden), "{text:?}");
}

/// A name is normal, is the same however it was spelled, and is read back as it is printed; so is an address.
fn dns_name(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<DnsName>() {
        Err(error) => assert_shown(&error.to_string()),
        Ok(name) => {
            let printed = name.to_string();
            let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'*' | b'.');
            assert!(printed.len() <= MAX_NAME && printed.bytes().all(plain), "{printed}");
            assert!(name.labels().all(|label| (1..=MAX_LABEL).contains(&label.len())), "{printed}");
            for spelled in [printed.clone(), format!("{printed}."), printed.to_uppercase()] {
                assert_eq!(spelled.parse().as_ref(), Ok(&name), "{spelled}");
            }
            if let Some(parent) = name.parent() {
                assert!(name.is_below(&parent) && parent < name && !parent.is_within(&name));
                assert_eq!(parent.prepend(name.labels().next().unwrap_or_default()).as_ref(), Ok(&name));
            }
        }
    }
    match text.parse::<Address>() {
        Ok(address) => assert_eq!(address.to_string().parse(), Ok(address)),
        Err(error) => assert_shown(&error.to_string()),
    }
}

/// A mark is visible ASCII, and read back as it is printed, whatever the order of its parts; as TXT values too, whatever
/// their order, and without one of them it says nothing of addresses. Nobody else's mark is ours.
fn ownership(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let fed = "fed".parse().unwrap();
    if Owner::read(Some(&text), &fed).is_ours() {
        let owner = text.split(' ').nth(1).map(str::to_ascii_lowercase);
        assert!(text.starts_with("v=") && owner.as_deref() == Some("owner=fed"), "{text}");
    }
    let ownership: Ownership = match text.parse() {
        Ok(ownership) => ownership,
        Err(error) => return assert_shown(&format!("{error:?}")),
    };
    let printed = ownership.to_string();
    assert!(printed.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{printed}");
    assert_eq!(printed.parse().as_ref(), Ok(&ownership));
    let mut parts: Vec<&str> = printed.split(' ').collect();
    parts.get_mut(3..).unwrap_or_default().reverse();
    assert_eq!(parts.join(" ").parse().as_ref(), Ok(&ownership));
    for entry in ownership.overrides.iter() {
        assert_eq!(Override::from_line(&entry.to_line()).as_ref(), Ok(entry));
    }
    let record = OwnershipRecord::from(&ownership);
    let sets = Sets::from([(RecordType::A, "30".to_owned()), (RecordType::Cname, String::new())]);
    for room in [Room { value: 250, values: 20 }, Room { value: 70, values: 90 }] {
        let Ok(values) = txt::write(record.as_str(), &sets, room) else { continue };
        assert!(values.len() <= room.values && values.iter().all(|value| value.len() <= room.value));
        let read = |values: &mut dyn Iterator<Item = &String>| {
            txt::read(values.map(String::as_str), &ownership.owner)
        };
        assert_eq!(read(&mut values.iter().rev()), TxtRecord::ours(&record, sets.clone()));
        for left_out in &values {
            let part = read(&mut values.iter().filter(|value| *value != left_out));
            assert!(part.owner.mark().is_none() && part.text.is_none(), "{part:?}");
        }
    }
}

/// Whatever lines stand in a TXT set: they are ours with our owner id alone, in any order; and what is set aside for an
/// adoption is set aside once.
fn external_dns(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let fed = "fed".parse().unwrap();
    let record = txt::read(text.lines(), &fed);
    assert_eq!(record, txt::read(text.lines().rev(), &fed));
    assert!(!record.owner.is_ours() || text.to_ascii_lowercase().contains("owner=fed"), "{text}");
    let kind = |text: Text| match text {
        Text::Mark(mark) => Some(mark.owner),
        _ => None,
    };
    assert_eq!(kind(Text::of(text.lines())), kind(Text::of(text.lines().rev())));
    if let Some(aside) = set_aside(text.lines(), &fed) {
        assert_eq!(kind(Text::of([aside.as_str()])).as_deref(), Some("fleetdns-fed-adopts"));
        assert_eq!(set_aside([aside.as_str()], &fed), None);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
