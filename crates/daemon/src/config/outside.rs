//! What a configuration refers to outside of its file.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use fleetdns_watch::Access;

/// Returns the bytes of a file.
type Read<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;
/// Returns the names of the contexts that kubeconfig files have, or why it cannot.
type Contexts<'a> = &'a dyn Fn(&[PathBuf]) -> Result<Vec<String>, String>;
/// Returns the regular files of a directory, behind symbolic links.
type List<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<DirectoryFile>>;
/// Returns a number of the API server that an access leads to, or why it leads nowhere.
type Endpoint<'a> = &'a dyn Fn(&Access) -> Result<u64, String>;

/// A file of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryFile {
    /// Its name.
    pub name: String,
    /// Its bytes; 0 where nothing can be found out about it.
    pub size: u64,
}

/// Everything outside, as values and functions, so that reading a configuration is pure.
pub struct Outside<'a> {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Whether this process is root's.
    pub root: bool,
    /// Returns the bytes of a file.
    pub read: Read<'a>,
    /// Returns the names of the contexts that kubeconfig files have, or why it cannot.
    pub contexts: Contexts<'a>,
    /// Returns the regular files of a directory, behind symbolic links.
    pub list: List<'a>,
    /// Returns a number of the API server that an access leads to, or why it leads nowhere.
    pub endpoint: Endpoint<'a>,
}

impl fmt::Debug for Outside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("variables", &self.variables.len()).finish_non_exhaustive()
    }
}

impl<'a> Outside<'a> {
    /// This process's environment and files.
    pub fn system(contexts: Contexts<'a>) -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        let root = rustix::process::geteuid().is_root();
        Self {
            variables,
            root,
            read: &|path| std::fs::read(path),
            contexts,
            list: &list,
            endpoint: &|access| fleetdns_watch::endpoint(access).map_err(|error| crate::chain(&error)),
        }
    }

    /// A variable that is set to something.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|text| !text.trim().is_empty())
    }

    /// A path as it was written, with `~/` for the home directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.variable("HOME")) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            _ => PathBuf::from(text),
        }
    }

    /// The kubeconfig files that kubectl would read: those of `KUBECONFIG`, or the one of the home directory when it
    /// is there.
    pub fn kubeconfig(&self) -> Vec<PathBuf> {
        if let Some(list) = self.variable("KUBECONFIG") {
            return self.path_list(list);
        }
        let default = self.path("~/.kube/config");
        if (self.read)(&default).is_ok() { vec![default] } else { Vec::new() }
    }

    /// The first directory that systemd made for the service, as the variable says (systemd.exec(5)).
    pub(super) fn directory(&self, variable: &str) -> Option<PathBuf> {
        let list = self.variable(variable)?;
        list.split(':').find(|text| !text.is_empty()).map(PathBuf::from)
    }

    /// The paths of a list with `:` between them.
    pub(super) fn path_list(&self, list: &str) -> Vec<PathBuf> {
        list.split(':').map(str::trim).filter(|text| !text.is_empty()).map(|text| self.path(text)).collect()
    }
}

/// The regular files of a directory by name, behind symbolic links. One of which nothing can be found out is among them:
/// reading it says why.
pub(super) fn list(directory: &Path) -> io::Result<Vec<DirectoryFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let size = match std::fs::metadata(entry.path()) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => continue,
            Err(_) => 0,
        };
        files.push(DirectoryFile { name: entry.file_name().to_string_lossy().into_owned(), size });
    }
    files.sort();
    Ok(files)
}
