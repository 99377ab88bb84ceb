//! What holds of any `dns.conf`.

use std::collections::BTreeMap;
use std::io;

use fleetdns_core::MemberName;
use fleetdns_core::text::is_hidden;

use super::edit::{add_member, members, remove_member};
use super::raw::Raw;
use super::schema::{SECTIONS, key_names};
use super::{Config, Fault, Flags, Outside};
use crate::registry;

/// What a text says of each section, without where it says so.
fn meaning(raw: &Raw) -> BTreeMap<String, BTreeMap<String, String>> {
    let values = |section: &super::Section| {
        section.values.iter().map(|(key, value)| (key.clone(), value.text.clone())).collect()
    };
    raw.sections.iter().map(|section| (section.title(), values(section))).collect()
}

fn read(bytes: &[u8]) -> (BTreeMap<String, BTreeMap<String, String>>, Vec<Fault>) {
    let (raw, faults) = Raw::read("dns.conf", bytes, &BTreeMap::new());
    (meaning(&raw), faults)
}

/// Values are as they were written, whatever ends the lines, and are read back as they are printed; a member that joins
/// and leaves leaves no trace; faults are fit for a terminal and show no secret.
pub(crate) fn ini(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let (said, faults) = read(text.as_bytes());
    let blank = [' ', '\t', '\r'];
    for value in said.values().flat_map(BTreeMap::values) {
        let whole = text.replace('\0', "");
        let end = value.trim_end_matches(blank);
        assert!(whole.split('\n').any(|line| line.trim_end_matches(blank).ends_with(end)), "{value:?}");
    }
    if !text.contains('\r') {
        assert_eq!(read(text.replace('\n', "\r\n").as_bytes()).0, said);
    }
    let mut printed = String::new();
    for (title, values) in &said {
        printed += &format!("[{title}]\r\n");
        values.iter().for_each(|(key, value)| printed += &format!("{key} = {value}\r\n"));
    }
    if faults.is_empty() {
        let (again, more) = read(printed.as_bytes());
        assert_eq!(again, said, "{printed:?}");
        assert!(more.is_empty(), "{more:?}");
    }

    let name: MemberName = "one-more".parse().unwrap();
    if !members(&text).contains(&name.to_string()) {
        let joined = add_member(&text, &name, &[("context", "x".to_owned())]);
        assert!(joined.starts_with(&text));
        assert_eq!(remove_member(&joined, &name), Some(text.clone()));
    }
    check_faults(&text, &said);
}

fn check_faults(text: &str, said: &BTreeMap<String, BTreeMap<String, String>>) {
    let none = || io::Error::from(io::ErrorKind::NotFound);
    let outside = Outside {
        variables: BTreeMap::new(),
        root: false,
        read: &|_| Err(none()),
        contexts: &|_| Ok(Vec::new()),
        list: &|_| Err(none()),
        endpoint: &|_| Ok(0),
    };
    let shown = match Config::parse("dns.conf", text.as_bytes(), &Flags::default(), &outside) {
        Ok(config) => {
            format!("{config:?}{}", config.notes.iter().map(ToString::to_string).collect::<String>())
        }
        Err(faults) => {
            for fault in &faults {
                let line = fault.to_string();
                assert!(line.len() < 10_000 && !line.contains(is_hidden), "{line:?}");
            }
            faults.iter().map(ToString::to_string).collect()
        }
    };
    let keys = SECTIONS.iter().flat_map(|section| section.keys);
    let keys = keys.chain(registry::providers().flat_map(|provider| provider.keys));
    let secret: Vec<String> =
        keys.filter(|key| key.secret).map(|key| key_names(key).swap_remove(0)).collect();
    // The keys of [hostnames] are namespaces.
    let all = said.iter().filter(|(title, _)| *title != "hostnames").flat_map(|(_, values)| values);
    for (_, value) in all.filter(|(key, value)| secret.contains(key) && value.len() >= 12) {
        // Where it stands once, nothing else can have shown it.
        let once = text.matches(value.as_str()).count() == 1;
        assert!(!once || !shown.contains(value.as_str()), "{shown}");
    }
}
