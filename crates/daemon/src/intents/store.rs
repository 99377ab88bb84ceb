//! The file that keeps wishes over a restart: `intents.json` in the state directory.
//!
//! Invariant: the file is replaced whole or not at all, and a file that cannot be read is never taken for an empty one.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use fleetdns_core::intent::BadIntent;
use fleetdns_core::{Intent, Intents, Observed, Subject};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use thiserror::Error;

const FILE: &str = "intents.json";
const VERSION: u32 = 1;

/// Why wishes cannot be kept or read back.
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
    #[error("{} cannot be understood; mend it, or remove it to forget what is drained and forced", .path.display())]
    Json {
        /// Which one.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The file has an entry that is no wish.
    #[error("{} has an entry that cannot be understood; mend it, or remove the entry", .path.display())]
    Entry {
        /// Which one.
        path: PathBuf,
        /// Which entry.
        #[source]
        source: BadIntent,
    },
    /// The file was written by another version.
    #[error("{} has version {found}, and this fleetdns reads version {VERSION}", .path.display())]
    Version {
        /// Which one.
        path: PathBuf,
        /// Its version.
        found: u32,
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
struct Content {
    version: u32,
    intents: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    of: String,
    wish: String,
    by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    /// Seconds of Unix time, as the next one.
    since: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

impl Entry {
    fn of(subject: &Subject, intent: &Intent) -> Self {
        Self {
            of: subject.to_string(),
            wish: intent.wish.to_string(),
            by: intent.by.to_string(),
            reason: intent.reason.to_string(),
            since: intent.since,
            until: intent.until,
        }
    }

    fn read(self) -> Result<(Subject, Intent), BadIntent> {
        let intent = Intent {
            wish: self.wish.parse()?,
            reason: self.reason.into(),
            by: self.by.into(),
            since: self.since,
            until: self.until,
        };
        Ok((self.of.parse()?, intent))
    }
}

/// The file, in a directory that can be written.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    file: PathBuf,
}

impl Store {
    /// Makes the directory if it is not there, for us alone, and tries whether it can be written.
    ///
    /// # Errors
    /// [`StoreError::Directory`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let bad = |source| StoreError::Directory { path: directory.to_owned(), source };
        if !directory.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(bad)?;
        }
        NamedTempFile::new_in(directory).map_err(bad)?;
        Ok(Self::at(directory))
    }

    fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), file: directory.join(FILE) }
    }

    /// What was kept; `None` when there is no file yet.
    ///
    /// # Errors
    /// When there is one and it cannot be read.
    pub fn read(&self) -> Result<Option<Intents>, StoreError> {
        let path = || self.file.clone();
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path: path(), source }),
        };
        let content: Content =
            serde_json::from_slice(&bytes).map_err(|source| StoreError::Json { path: path(), source })?;
        if content.version != VERSION {
            return Err(StoreError::Version { path: path(), found: content.version });
        }
        let entries = content.intents.into_iter().map(Entry::read);
        entries
            .collect::<Result<Intents, _>>()
            .map(Some)
            .map_err(|source| StoreError::Entry { path: path(), source })
    }

    /// Replaces the file; returns when it would outlive a loss of power.
    ///
    /// # Errors
    /// [`StoreError::Write`]; the old file stays then.
    pub fn write(&self, intents: &Intents) -> Result<(), StoreError> {
        let write = || {
            let entries = intents.iter().map(|(subject, intent)| Entry::of(subject, intent)).collect();
            let mut file = NamedTempFile::new_in(&self.directory)?;
            serde_json::to_writer_pretty(&mut file, &Content { version: VERSION, intents: entries })?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&self.file)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| StoreError::Write { path: self.file.clone(), source })
    }
}

/// What the marks of a zone say; of two wishes for one subject the later.
pub fn marked(observed: &Observed) -> Intents {
    let mut said = Intents::default();
    for (subject, intent) in observed.iter().flat_map(|(_, sets)| sets).flat_map(|set| set.claim.intents()) {
        said.set_newer(&subject, &intent);
    }
    said
}

/// What is in force, for who has no keeper: the file's word, or else that of the zones' marks.
///
/// # Errors
/// When there is a file that cannot be read.
pub fn standing<'a>(
    directory: Option<&Path>,
    zones: impl IntoIterator<Item = &'a Observed>,
    now: u64,
) -> Result<Intents, StoreError> {
    let kept = directory.map(|directory| Store::at(directory).read()).transpose()?.flatten();
    let mut intents = kept.unwrap_or_else(|| {
        let mut said = Intents::default();
        for observed in zones {
            for (subject, intent) in marked(observed).iter() {
                said.set_newer(subject, intent);
            }
        }
        said
    });
    intents.expire(now);
    Ok(intents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain;

    fn wishes() -> Intents {
        [
            "cluster/east;drain;1700000000;1700007200;root;new%20kernel",
            "service/default/web@east;force-in;1700000001;;alice;",
        ]
        .into_iter()
        .map(|line| fleetdns_core::intent::from_line(line).unwrap())
        .collect()
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("a/b");
        let store = Store::open(&directory).unwrap();
        assert_eq!(store.read().unwrap(), None, "no file is not the same as no wish");
        for intents in [wishes(), Intents::default()] {
            store.write(&intents).unwrap();
            assert_eq!(Store::open(&directory).unwrap().read().unwrap(), Some(intents));
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let file = folder.path().join(FILE);
        let entry = r#""by":"root","since":1}"#;
        for (text, part) in [
            (String::new(), "cannot be understood"),
            ("{\"version\":1,\"intents\":[".to_owned(), "cannot be understood"),
            ("{\"version\":2,\"intents\":[]}".to_owned(), "version 2"),
            ("{\"version\":1,\"intents\":[],\"more\":1}".to_owned(), "more"),
            (format!(r#"{{"version":1,"intents":[{{"of":"pod/a","wish":"drain",{entry}]}}"#), "pod/a"),
            (format!(r#"{{"version":1,"intents":[{{"of":"cluster/a","wish":"stop",{entry}]}}"#), "stop"),
        ] {
            fs::write(&file, &text).unwrap();
            let said = chain(&store.read().unwrap_err());
            assert!(said.contains(&file.display().to_string()) && said.contains(part), "{text}: {said}");
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(matches!(store.read(), Err(StoreError::Read { .. })));
        assert!(matches!(store.write(&wishes()), Err(StoreError::Write { .. })));
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let said = chain(&Store::open(&file.join("x")).unwrap_err());
        assert!(said.contains("state-dir") && said.contains("file/x"), "{said}");
    }
}
