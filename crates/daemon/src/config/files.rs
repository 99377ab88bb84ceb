//! The files that a configuration depends on: which ones, and a number that changes with what they hold.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fleetdns_core::keys::{KeySpec, Keys};

use super::outside::{self, DirectoryFile, Outside};

/// Files of a provider that we write ourselves.
pub(super) const OURS: [&str; 2] = ["zone-file", "state-file"];

/// Identity, time of change and size of a file; `None` when it cannot be looked at.
pub(crate) type Stamp = Option<(u64, u64, i64, i64, u64)>;
/// Files, also those that are not there, as they were when they were looked at.
pub(crate) type Stamps = BTreeMap<PathBuf, Stamp>;

/// What a file is now, behind symbolic links.
pub(crate) fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    // Not the time of its content alone: one of another mode may be readable now.
    Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec(), found.size()))
}

/// Reads files, and remembers which ones were asked for and what they were right before.
#[derive(Debug, Default)]
pub(super) struct Seen(RefCell<Stamps>);

impl Seen {
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path);
        std::fs::read(path)
    }

    pub(super) fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryFile>> {
        self.note(directory);
        outside::list(directory)
    }

    fn note(&self, path: &Path) {
        self.0.borrow_mut().entry(path.to_owned()).or_insert_with(|| stamp(path));
    }

    pub(super) fn into_stamps(self) -> Stamps {
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
