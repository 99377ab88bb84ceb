//! A configuration file that is changed in place.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use super::{Config, Fault, Flags};

/// A file as it is before the change.
#[derive(Debug)]
pub struct Draft {
    /// The file itself, behind symbolic links.
    path: PathBuf,
    before: Vec<u8>,
}

/// Why a file cannot be changed. It is as it was.
#[derive(Debug, Error)]
pub enum DraftError {
    /// It cannot be read.
    #[error("{} cannot be read; -c FILE names another one, and fleetdns init writes a first one", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be replaced.
    #[error("{} cannot be replaced; its directory has to be writable", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file beside it cannot be made.
    #[error("{} cannot be made", path.display())]
    Beside {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else changed it.
    #[error("{} was changed by another program in this moment; try again", .0.display())]
    Changed(PathBuf),
}

impl Draft {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path) -> Result<Self, DraftError> {
        let failed = |source| DraftError::Read { path: path.to_owned(), source };
        let path = fs::canonicalize(path).map_err(failed)?;
        let before = fs::read(&path).map_err(|source| DraftError::Read { path: path.clone(), source })?;
        Ok(Self { path, before })
    }

    /// The text; characters that are not UTF-8 are replaced, and [`Self::check`] names their lines.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.before).into_owned()
    }

    /// What the file would mean with this text.
    ///
    /// # Errors
    /// Everything that is wrong, by line.
    pub fn check(&self, text: &str, flags: &Flags) -> Result<Config, Vec<Fault>> {
        let file = flags.file();
        // What cannot be read as text could not be written back as it was.
        Config::of_text(file, &self.before, flags)
            .err()
            .filter(|_| std::str::from_utf8(&self.before).is_err())
            .map_or_else(|| Config::of_text(file, text.as_bytes(), flags), Err)
    }

    /// Replaces the file whole, with its mode and owner.
    ///
    /// # Errors
    /// When it cannot be written, or was changed since it was read.
    pub fn replace(&self, text: &str) -> Result<(), DraftError> {
        let path = || self.path.clone();
        let failed = |source| DraftError::Write { path: path(), source };
        let mut file = self.new_file(|mode| mode).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        if fs::read(&self.path).map_err(failed)? != self.before {
            return Err(DraftError::Changed(path()));
        }
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// A path in the directory of the file.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    /// Makes a file with a secret in it, which must not be there yet, with the owner of this one. Its owner alone can read
    /// it, and its group where this one is for owner and group, as under systemd.
    ///
    /// # Errors
    /// When it is there, or cannot be written.
    pub fn make_secret(
        &self,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DraftError> {
        let failed = |source| DraftError::Beside { path: path.to_owned(), source };
        let mut file =
            self.new_file(|mode| if mode & 0o044 == 0o040 { 0o640 } else { 0o600 }).map_err(failed)?;
        write(&mut file).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist_noclobber(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// A temporary file beside the file, with its owner and a mode that follows from its own.
    fn new_file(&self, mode: impl FnOnce(u32) -> u32) -> io::Result<NamedTempFile> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let file = tempfile::Builder::new().prefix(".dns.conf").tempfile_in(directory)?;
        let (old, new) = (fs::metadata(&self.path)?, file.as_file().metadata()?);
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        file.as_file().set_permissions(Permissions::from_mode(mode(old.mode() & 0o7777)))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_behind_its_link_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.conf"), folder.path().join("dns.conf"));
        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        symlink("real.conf", &link).unwrap();
        let inode = fs::metadata(&file).unwrap().ino();
        let draft = Draft::of(&link).unwrap();
        assert_eq!(draft.text(), "before");
        draft.replace("after").unwrap();
        let now = fs::metadata(&file).unwrap();
        assert_eq!((fs::read_to_string(&link).unwrap(), now.mode() & 0o777), ("after".to_owned(), 0o640));
        assert!(now.ino() != inode && fs::symlink_metadata(&link).unwrap().is_symlink());

        // It was read as "before", and somebody has written "after" since.
        assert!(matches!(draft.replace("late"), Err(DraftError::Changed(_))));
        assert_eq!(fs::read_to_string(&link).unwrap(), "after");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn a_secret_beside_the_file_is_for_its_readers_and_never_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dns.conf");
        fs::write(&file, "").unwrap();
        for (mode, expected) in [(0o600, 0o600), (0o640, 0o640), (0o644, 0o600), (0o400, 0o600)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let draft = Draft::of(&file).unwrap();
            let path = draft.beside(&format!("{mode}"));
            draft.make_secret(&path, |out| out.write_all(b"token")).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, expected, "{mode:o}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "token");
            let again = draft.make_secret(&path, |out| out.write_all(b"other"));
            assert!(matches!(again, Err(DraftError::Beside { .. })), "{again:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5, "nothing is left behind");
    }

    #[test]
    fn a_file_that_is_not_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dns.conf");
        fs::write(&file, b"[fleet]\nname = \xff\n").unwrap();
        let draft = Draft::of(&file).unwrap();
        let flags = Flags { config: Some(file), ..Flags::default() };
        let faults = draft.check(&draft.text(), &flags).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.to_string().contains(":2: has bytes that are not UTF-8")),
            "{faults:?}"
        );
    }
}
