//! The file that keeps overrides over a restart: `overrides.json` in the state directory.
//!
//! Invariant: the file is replaced whole or not at all, and a file that cannot be read is never taken for an empty one: it
//! is set aside under another name, and where it says nothing the ownership records of the zones do.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetdns_core::{Observed, Override, Overrides};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;
use thiserror::Error;
use tracing::warn;

const FILE: &str = "overrides.json";
const VERSION: u32 = 1;

/// Why overrides cannot be kept or read back.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory cannot be made or written.
    #[error("the state directory {} cannot be used; [fleet] state-dir names another one", .path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is there and cannot be read.
    #[error("{} cannot be read; it keeps what is drained and forced", .path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no JSON of ours.
    #[error("{} cannot be understood", .path.display())]
    Json {
        /// Which one.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The file has an entry that is no override.
    #[error("{} has an entry that cannot be understood", .path.display())]
    Entry {
        /// Which one.
        path: PathBuf,
        /// Which entry.
        #[source]
        source: serde_json::Error,
    },
    /// The file was written by another version.
    #[error("{} has version {found}, and this fleetdns reads version {VERSION}", .path.display())]
    Version {
        /// Which one.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The replicas cannot share it.
    #[error("{engine} cannot keep what is drained and forced: {problem}")]
    Engine {
        /// Where it is shared.
        engine: Arc<str>,
        /// Why not.
        problem: String,
    },
    /// The file cannot be replaced.
    #[error("{} cannot be written", .path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content<T> {
    version: u32,
    overrides: Vec<T>,
    /// How often an outage was confirmed: replicas tell each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirmed: Option<u64>,
    /// How often replicas have changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<u64>,
}

/// Any version has this.
#[derive(Debug, Deserialize)]
struct Head {
    version: u32,
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Kept {
    /// What could be read of it; `None` when there is no file, or nothing could be.
    pub overrides: Option<Overrides>,
    /// Why not all of it could be read.
    pub damage: Option<StoreError>,
    /// How often an outage was confirmed.
    pub(super) confirmed: Option<u64>,
    /// How often replicas have changed it.
    pub(super) changes: u64,
}

impl Kept {
    const fn damaged(damage: StoreError) -> Self {
        Self { overrides: None, damage: Some(damage), confirmed: None, changes: 0 }
    }

    /// What a text says. `path`: where it stands, for people.
    pub(super) fn of(bytes: &[u8], path: &Path) -> Self {
        let broken = |source| Self::damaged(StoreError::Json { path: path.to_owned(), source });
        match serde_json::from_slice::<Head>(bytes) {
            Err(error) => return broken(error),
            Ok(Head { version }) if version != VERSION => {
                return Self::damaged(StoreError::Version { path: path.to_owned(), found: version });
            }
            Ok(_) => {}
        }
        let content: Content<Value> = match serde_json::from_slice(bytes) {
            Ok(content) => content,
            Err(error) => return broken(error),
        };
        let mut kept = Self {
            confirmed: content.confirmed,
            changes: content.changes.unwrap_or_default(),
            ..Self::default()
        };
        let mut overrides = Overrides::default();
        for entry in content.overrides.into_iter().map(serde_json::from_value::<Override>) {
            match entry {
                Ok(entry) => drop(overrides.set(entry)),
                Err(source) => {
                    kept.damage = Some(StoreError::Entry { path: path.to_owned(), source });
                }
            }
        }
        kept.overrides = Some(overrides);
        kept
    }
}

/// The text that keeps overrides.
pub(super) fn text(
    overrides: &Overrides,
    confirmed: Option<u64>,
    changes: Option<u64>,
) -> serde_json::Result<String> {
    let overrides = overrides.iter().collect::<Vec<_>>();
    serde_json::to_string_pretty(&Content { version: VERSION, overrides, confirmed, changes })
}

/// The file in its directory.
#[derive(Debug, Clone)]
pub struct StateFile {
    directory: PathBuf,
    file: PathBuf,
}

/// Begin and end the names of temporary files; a crash may leave one.
const TEMPORARY: (&str, &str) = (".overrides.", ".tmp");

impl StateFile {
    /// The file in this directory, which may not be there yet.
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), file: directory.join(FILE) }
    }

    /// The same file in a directory in which nothing new can be made.
    #[cfg(test)]
    pub(super) fn unwritable(self) -> Self {
        let directory = self.file.clone();
        Self { directory, ..self }
    }

    /// Makes the directory if it is not there, for us alone, and tries whether it can be written.
    ///
    /// # Errors
    /// [`StoreError::Directory`]; what is there can still be read then.
    pub fn prepare(&self) -> Result<(), StoreError> {
        self.temporary().map(drop).map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: io::Error) -> StoreError {
        StoreError::Directory { path: self.directory.clone(), source }
    }

    fn temporary(&self) -> io::Result<NamedTempFile> {
        if !self.directory.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        }
        let (prefix, suffix) = TEMPORARY;
        tempfile::Builder::new().prefix(prefix).suffix(suffix).tempfile_in(&self.directory)
    }

    /// What was kept.
    pub fn read(&self) -> Kept {
        match fs::read(&self.file) {
            Ok(bytes) => Kept::of(&bytes, &self.file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(source) => Kept::damaged(StoreError::Read { path: self.file.clone(), source }),
        }
    }

    /// The same for the process that owns the file from now on: what a crash has left half written is removed, and a file
    /// that cannot be read as a whole is set aside.
    pub fn take_over(&self) -> Kept {
        self.sweep();
        let kept = self.read();
        if let Some(damage) = &kept.damage {
            let found = kept.overrides.iter().map(|overrides| overrides.iter().count()).sum::<usize>();
            let (error, now) = (crate::chain(damage), super::clock::Clock::system().now());
            let aside = self.directory.join(format!("{FILE}.broken-{now}"));
            match fs::rename(&self.file, &aside) {
                Ok(()) => warn!(
                    error, aside = %aside.display(), found,
                    "file of what is drained and forced damaged; set aside, going on with what could be read of it \
                     and with what the zones say"
                ),
                Err(cause) => warn!(
                    error, %cause, found,
                    "file of what is drained and forced damaged and cannot be set aside; going on with what could be \
                     read of it and with what the zones say"
                ),
            }
        }
        kept
    }

    fn sweep(&self) {
        let (prefix, suffix) = TEMPORARY;
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(prefix) && name.ends_with(suffix) {
                // One that stays costs its room and nothing else.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Replaces the file; returns when it would outlive a loss of power.
    ///
    /// # Errors
    /// [`StoreError::Write`]; the old file stays then.
    pub fn write(&self, overrides: &Overrides) -> Result<(), StoreError> {
        let write = || {
            let mut file = self.temporary()?;
            writeln!(file, "{}", text(overrides, None, None)?)?;
            file.as_file().sync_all()?;
            file.persist(&self.file)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| StoreError::Write { path: self.file.clone(), source })
    }
}

/// What the marks of a zone say; of two overrides for one subject the later.
pub fn marked(observed: &Observed) -> Overrides {
    let mut changes = Overrides::default();
    for entry in observed.iter().flat_map(|(_, sets)| sets).flat_map(|set| set.claim.overrides()) {
        changes.set_newer(&entry);
    }
    changes
}

/// What is in force, for who has no override store: the file's word, or else that of the zones' marks.
///
/// # Errors
/// When there is a file that cannot be read.
pub fn standing<'a>(
    directory: Option<&Path>,
    zones: impl IntoIterator<Item = &'a Observed>,
    now: u64,
) -> Result<Overrides, StoreError> {
    let kept = directory.map(|directory| StateFile::at(directory).read()).unwrap_or_default();
    if let Some(damage) = kept.damage {
        return Err(damage);
    }
    let mut overrides = kept.overrides.unwrap_or_else(|| {
        let mut changes = Overrides::default();
        for observed in zones {
            for entry in marked(observed).iter() {
                changes.set_newer(entry);
            }
        }
        changes
    });
    overrides.expire(now);
    Ok(overrides)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain;

    fn overrides() -> Overrides {
        [
            "cluster/east;drain;2023-11-14T22:13:20Z;2023-11-15T00:13:20Z;root;new%20kernel",
            "service/default/web@east;force-in;2023-11-14T22:13:21Z;;alice;",
        ]
        .into_iter()
        .map(|line| Override::from_line(line).unwrap())
        .collect()
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("a/b");
        let store = StateFile::at(&directory);
        store.prepare().unwrap();
        assert_eq!(store.read().overrides, None, "no file is not the same as no override");
        for overrides in [overrides(), Overrides::default()] {
            store.write(&overrides).unwrap();
            fs::write(directory.join(".overrides.Ab12.tmp"), "half").unwrap();
            assert_eq!(StateFile::at(&directory).take_over().overrides, Some(overrides));
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_what_can_be_read_of_it_counts() {
        let entry = r#""by":"root","since":"2023-11-14T22:13:20Z"}"#;
        let good = format!(r#"{{"subject":"cluster/b","kind":"drain",{entry}"#);
        for (text, part, found) in [
            (String::new(), "cannot be understood", None),
            ("{\"version\":1,\"overrides\":[".to_owned(), "cannot be understood", None),
            ("{\"version\":2,\"overrides\":{\"new\":1}}".to_owned(), "version 2", None),
            ("{\"version\":1,\"overrides\":[],\"more\":1}".to_owned(), "more", None),
            (
                format!(r#"{{"version":1,"overrides":[{good},{{"subject":"pod/a","kind":"drain",{entry}]}}"#),
                "pod/a",
                Some(1),
            ),
            (
                format!(
                    r#"{{"version":1,"overrides":[{{"subject":"cluster/a","kind":"stop",{entry},{good}]}}"#
                ),
                "stop",
                Some(1),
            ),
            (format!(r#"{{"version":1,"overrides":[7,{good}]}}"#), "invalid type", Some(1)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (store, file) = (StateFile::at(folder.path()), folder.path().join(FILE));
            fs::write(&file, &text).unwrap();
            let changes = chain(store.read().damage.as_ref().unwrap());
            assert!(
                changes.contains(&file.display().to_string()) && changes.contains(part),
                "{text}: {changes}"
            );
            assert!(standing(Some(folder.path()), [], 0).is_err(), "who only looks says so: {text}");
            assert!(file.exists(), "looking at it changes nothing");
            let kept = store.take_over();
            assert_eq!(kept.overrides.map(|overrides| overrides.iter().count()), found, "{text}");
            assert!(!file.exists() && fs::read_dir(folder.path()).unwrap().count() == 1, "{text}");
            assert!(store.take_over().damage.is_none());
        }
    }

    #[test]
    fn what_cannot_be_written_can_still_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = StateFile::at(folder.path());
        fs::create_dir(folder.path().join(FILE)).unwrap();
        assert!(matches!(store.read().damage, Some(StoreError::Read { .. })));
        assert!(matches!(store.write(&overrides()), Err(StoreError::Write { .. })));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let store = StateFile::at(&file.join("x"));
        let changes = chain(&store.prepare().unwrap_err());
        assert!(changes.contains("state-dir") && changes.contains("file/x"), "{changes}");
        assert!(store.write(&overrides()).is_err());
    }
}
