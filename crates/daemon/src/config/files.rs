//! The files that a configuration depends on: which ones, and a number that changes with what they hold.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use fleetdns_core::keys::{KeySpec, Keys};

use super::outside::Outside;

/// Files of a provider that we write ourselves.
pub(super) const OURS: [&str; 2] = ["zone-file", "state-file"];

/// Reads files, and remembers which ones were asked for, whether they were there or not.
#[derive(Debug, Default)]
pub(super) struct Seen(RefCell<BTreeSet<PathBuf>>);

impl Seen {
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.borrow_mut().insert(path.to_owned());
        std::fs::read(path)
    }

    pub(super) fn into_paths(self) -> BTreeSet<PathBuf> {
        self.0.into_inner()
    }
}

/// A number that changes when one of the files changes, comes or goes.
pub(super) fn digest<'a>(paths: impl IntoIterator<Item = &'a Path>, outside: &Outside<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        (path, (outside.read)(path).ok()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Files that a provider reads: certificates and keys.
pub(super) fn of_provider(specs: &[KeySpec], keys: &Keys, outside: &Outside<'_>) -> Vec<PathBuf> {
    let names = specs.iter().map(|spec| spec.name);
    let files = names.filter(|name| name.ends_with("-file") && !OURS.contains(name));
    files.filter_map(|name| keys.get(name)).map(|text| outside.path(text)).collect()
}
