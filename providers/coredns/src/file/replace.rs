//! Replacing a file whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::{Builder, NamedTempFile};

/// Begins the names of temporary files, so that CoreDNS's `auto` plugin takes none of them for a zone: its customary
/// pattern is `db\.(.*)`.
const PREFIX: &str = ".fleetdns-";

/// What became of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    Done,
    /// It was not any more as it was read; nothing was done.
    Changed,
}

/// Writes `octets` beside the file and renames it over it, unless the file is not `before` any more (`None`: not there).
/// It keeps its mode, and its owner where we may set it. A symbolic link stays one.
pub(crate) fn replace(file: &Path, before: Option<&[u8]>, octets: &[u8]) -> io::Result<Replaced> {
    let target = resolve(file)?;
    let mut temporary = temporary(&target)?;
    temporary.write_all(octets)?;
    match fs::metadata(&target) {
        Ok(metadata) => {
            // Without the right to give files away the owner becomes ours, as with every editor.
            let _ = chown(temporary.path(), Some(metadata.uid()), Some(metadata.gid()));
            temporary.as_file().set_permissions(metadata.permissions())?;
        }
        // CoreDNS may run as another user.
        Err(_) => temporary.as_file().set_permissions(Permissions::from_mode(0o644))?,
    }
    temporary.as_file().sync_all()?;
    let unchanged = match fs::read(&target) {
        Ok(now) => before.is_some_and(|before| before == now),
        Err(error) if error.kind() == io::ErrorKind::NotFound => before.is_none(),
        Err(error) => return Err(error),
    };
    if !unchanged {
        return Ok(Replaced::Changed);
    }
    temporary.persist(&target).map_err(|error| error.error)?;
    // The rename itself has to survive a power cut.
    File::open(folder(&target))?.sync_all()?;
    Ok(Replaced::Done)
}

/// Whether a file can be made beside this one; it is gone at once.
pub(crate) fn can_write(file: &Path) -> io::Result<()> {
    temporary(&resolve(file)?).map(drop)
}

/// What a crash has left is removed: no replacing takes so long.
const LEFT: Duration = Duration::from_secs(60);

fn temporary(target: &Path) -> io::Result<NamedTempFile> {
    for entry in fs::read_dir(folder(target))?.flatten() {
        let old = |modified: SystemTime| modified.elapsed().is_ok_and(|age| age > LEFT);
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.metadata().and_then(|found| found.modified()).is_ok_and(old)
        {
            // One that stays costs its room and nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
    Builder::new().prefix(PREFIX).suffix(".tmp").tempfile_in(folder(target))
}

fn resolve(file: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(file) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(file.to_owned()),
        Err(error) => Err(error),
    }
}

/// The folder of a file.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_as_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.example.com");
        assert_eq!(replace(&file, Some(b"x"), b"1").unwrap(), Replaced::Changed);
        assert_eq!(replace(&file, None, b"1").unwrap(), Replaced::Done);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o644);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(replace(&file, None, b"2").unwrap(), Replaced::Changed);
        assert_eq!(replace(&file, Some(b"0"), b"2").unwrap(), Replaced::Changed);
        assert_eq!(fs::read_to_string(&file).unwrap(), "1");
        assert_eq!(replace(&file, Some(b"1"), b"2").unwrap(), Replaced::Done);
        assert_eq!(fs::read_to_string(&file).unwrap(), "2");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_a_crash_has_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join(".fleetdns-old.tmp"), folder.path().join(".fleetdns-new.tmp"));
        for file in [&old, &new] {
            fs::write(file, "half").unwrap();
        }
        File::options().write(true).open(&old).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        replace(&folder.path().join("db.example.com"), None, b"1").unwrap();
        assert!(!old.exists() && new.exists());
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("db.link"), folder.path().join("real"));
        fs::write(&target, "1").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(replace(&link, Some(b"1"), b"2").unwrap(), Replaced::Done);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "2");
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        assert!(replace(Path::new("/nonexistent/db.x"), None, b"1").is_err());
        assert!(can_write(Path::new("/nonexistent/db.x")).is_err());
    }
}
