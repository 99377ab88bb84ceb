//! Makes the socket, in a place that nobody else can write.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

/// A daemon that lives answers a connection at once.
const PATIENCE: Duration = Duration::from_secs(1);
/// Others may write there.
const OPEN: u32 = 0o022;
/// And yet not replace what is another's.
const STICKY: u32 = 0o1000;

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum BindError {
    /// It cannot be made.
    #[error("the socket {} cannot be made; [admin] socket names another one, or off", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A daemon listens there.
    #[error("another fleetdns already listens on {}; end it, or give this one its own [admin] socket", .path.display())]
    Live {
        /// Where.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} exists and is not a socket; set [admin] socket to another path", .path.display())]
    NoSocket {
        /// Where.
        path: PathBuf,
    },
    /// Others can replace it.
    #[error("other users can write in {}; [admin] socket names a place in a directory of our own, which is made if it is not there", .directory.display())]
    OpenDirectory {
        /// Where.
        directory: PathBuf,
    },
}

/// A socket that listens, with a file that only its owner can open.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket of ours; removed with this.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whoever has put another one there keeps it.
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            // Without an owner it is stale, and the next daemon replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Bound {
    /// Makes the directory, if it is not there, and the socket; replaces one that nobody listens on.
    ///
    /// # Errors
    /// [`BindError`]; what is there stays then.
    pub async fn new(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: path.to_owned(), source };
        // It is moved to this path, which has to fit into an address all the same (unix(7): 108 bytes).
        SocketAddr::from_pathname(path).map_err(failed)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        if !directory.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        }
        if !is_ours(directory).map_err(failed)? {
            return Err(BindError::OpenDirectory { directory: directory.to_owned() });
        }
        nobody_listens(path).await?;
        // Made where nobody else can look and moved when it is closed to them: there is no moment in between.
        let private =
            tempfile::Builder::new().prefix(".s").rand_bytes(4).tempdir_in(directory).map_err(failed)?;
        let made = private.path().join("s");
        let listener = UnixListener::bind(&made).map_err(failed)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600)).map_err(failed)?;
        let file = SocketFile { path: path.to_owned(), inode: inode(&made).map_err(failed)? };
        fs::rename(&made, path).map_err(failed)?;
        Ok(Self { listener, file })
    }

    pub(super) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Whether only we and root can say what stands there.
fn is_ours(directory: &Path) -> io::Result<bool> {
    let found = fs::metadata(directory)?;
    let owner = found.uid() == 0 || found.uid() == rustix::process::geteuid().as_raw();
    Ok(owner && (found.mode() & OPEN == 0 || found.mode() & STICKY != 0))
}

async fn nobody_listens(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(BindError::Io { path: path.to_owned(), source }),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NoSocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match tokio::time::timeout(PATIENCE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Ok(Err(source)) => Err(BindError::Io { path: path.to_owned(), source }),
        // One that is too busy to take a connection lives too.
        Ok(Ok(_)) | Err(_) => Err(BindError::Live { path: path.to_owned() }),
    }
}
