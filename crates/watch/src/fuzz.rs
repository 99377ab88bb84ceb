//! What holds of any input: the targets of `tests/fuzz` in this crate. They are built for tests alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use fleetdns_core::ServiceKey;
use fleetdns_core::text::is_hidden;
use futures::executor::block_on;
use futures::io::{BufReader, Cursor};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::catalog::{Catalog, Listed, Patience};
use crate::given::{Allowed, Given};
use crate::kubeconfig::{Files, equal, parse};
use crate::lines::Lines;
use crate::list::{Head, PageFault, Splitter};
use crate::normal::{check, normalise};
use crate::wire::{self, Event, Item};

/// Name, how many variations are tried in the gate, and what is run.
pub type Target = (&'static str, usize, fn(&[u8]));

/// All of this crate.
pub const TARGETS: &[Target] =
    &[("kubeconfig", 700, kubeconfig), ("kube_list", 5_000, kube_list), ("kube_watch", 1_200, kube_watch)];

/// A kubeconfig that is normal stays so, and is read back as it is printed; a context that can be used stays so; one that
/// came from elsewhere runs nothing.
fn kubeconfig(data: &[u8]) {
    let path = Path::new("/etc/kube/config");
    let assert_shown = |text: String| assert!(text.len() < 3_000 && !text.contains(is_hidden), "{text:?}");
    let file = match parse(path, data) {
        Ok(file) => file,
        Err(error) => return assert_shown(error.to_string()),
    };
    let mut again = file.clone();
    normalise(&mut again, Path::new("/etc/kube"));
    assert!(equal(&again, &file), "{again:?}\n{file:?}");
    let printed = serde_json::to_vec(&file).unwrap_or_default();
    assert!(parse(path, &printed).is_ok_and(|read| equal(&read, &file)), "{file:?}");

    let Ok(text) = String::from_utf8(data.to_vec()) else { return };
    let given = Given::new("secret a/b", text.into(), Allowed::default());
    let Ok(files) = Files::given(&given) else { return };
    let contexts = files.contexts().map_err(|error| assert_shown(error.to_string())).unwrap_or_default();
    for context in contexts {
        let Ok(mut chosen) = files.choose(Some(&context)) else { continue };
        if check(&mut chosen).is_ok() {
            let once = chosen.clone();
            assert_eq!(check(&mut chosen), Ok(()));
            assert!(equal(&once.cluster, &chosen.cluster) && equal(&once.user, &chosen.user));
            assert!(chosen.cluster.server.as_ref().is_some_and(|server| server.contains("://")));
        }
        if given.check(&chosen).is_ok() {
            let user = &chosen.user;
            assert!(user.exec.is_none() && user.auth_provider.is_none() && user.token_file.is_none());
        }
    }
}

type Page = Result<(Head, Vec<Vec<u8>>), PageFault>;

fn split(data: &[u8], size: usize) -> Page {
    let mut splitter = Splitter::new(64 << 10);
    let mut items = Vec::new();
    for chunk in data.chunks(size.max(1)) {
        splitter.feed(chunk, |item| {
            items.push(item.to_vec());
            Ok(())
        })?;
    }
    Ok((splitter.end()?, items))
}

fn catalog() -> Catalog {
    let settings = fleetdns_planner::PublishSettings {
        zones: vec![("example.com".parse().unwrap(), "example.com".parse().unwrap())],
        ..fleetdns_planner::PublishSettings::default()
    };
    Catalog::new(settings.into(), Patience::default())
}

/// A page is the same however it is cut into pieces, a part of it is no page, and its items are those that a reader of
/// all JSON finds. The order of a list makes no difference.
fn kube_list(data: &[u8]) {
    let page = split(data, data.len());
    for size in [1, 7] {
        assert_eq!(split(data, size), page, "in pieces of {size}");
    }
    let Ok((_, items)) = page else { return };
    let end = data.iter().rposition(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    for cut in [end, end / 2] {
        assert!(split(data.get(..cut).unwrap_or_default(), 64).is_err(), "cut at {cut}");
    }
    #[derive(Deserialize)]
    struct All<'a> {
        #[serde(borrow)]
        items: Option<Vec<&'a RawValue>>,
    }
    if let Ok(All { items: all }) = serde_json::from_slice(data) {
        let all: Vec<&[u8]> = all.iter().flatten().map(|item| item.get().as_bytes()).collect();
        assert_eq!(all, items);
    }
    let read: Vec<Listed> = items
        .iter()
        .filter_map(|item| match wire::service(item) {
            Ok(Item::Known(listed)) => Some(listed),
            _ => None,
        })
        .collect();
    let keys: BTreeSet<ServiceKey> = read.iter().filter_map(key).collect();
    if keys.len() == read.len() {
        let (mut forth, mut back) = (catalog(), catalog());
        let _ = forth.list(read.iter().cloned(), Duration::ZERO);
        let _ = back.list(read.into_iter().rev(), Duration::ZERO);
        assert_eq!(forth.services(), back.services());
    }
}

fn key(listed: &Listed) -> Option<ServiceKey> {
    match listed {
        Listed::Service(service) => service.key().ok(),
        Listed::Gone(key) | Listed::Unreadable(key) => Some(key.clone()),
    }
}

fn lines(data: &[u8], size: usize) -> Vec<u8> {
    let mut lines = Lines::new(BufReader::with_capacity(size, Cursor::new(data)), 64 << 10);
    let mut all = Vec::new();
    while let Ok(Some(some)) = block_on(lines.next()) {
        assert!(some.ends_with(b"\n"));
        all.extend(some);
    }
    all
}

/// The lines of a watch are whole however they come in; and what is known after them is what a list of the same would say.
fn kube_watch(data: &[u8]) {
    let whole = data.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    for size in [1, 5, 4096] {
        assert_eq!(lines(data, size), data.get(..whole).unwrap_or_default(), "in pieces of {size}");
    }
    let (mut watched, mut last) = (catalog(), BTreeMap::new());
    for line in data.split(|byte| *byte == b'\n') {
        match wire::event(line) {
            Ok((Event::Put(Item::Known(Listed::Service(service))), _)) => {
                let key = service.key().unwrap();
                last.insert(key, Listed::Service(service.clone()));
                let _ = watched.put(service, Duration::ZERO);
            }
            Ok((Event::Put(Item::Known(Listed::Gone(key))) | Event::Deleted(key), _)) => {
                last.remove(&key);
                let _ = watched.remove(&key, Duration::ZERO);
            }
            _ => {}
        }
    }
    let mut listed = catalog();
    let _ = listed.list(last.into_values(), Duration::ZERO);
    assert!(watched.services().keys().eq(listed.services().keys()));
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_input_keeps_what_is_promised_of_it() {
        fleetdns_replay::replay(super::TARGETS);
    }
}
