//! Reading and replacing the file: the only part that does I/O.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use fleetdns_core::limits::{ANSWER_BYTES, ANSWER_VALUES, json_values};

use crate::error::Fault;
use crate::listing::Zone;

/// Reads the zone. Whatever comes from a backend is bounded before it is parsed.
pub(crate) fn read(file: &Path) -> Result<Zone, Fault> {
    let mut text = Vec::new();
    let limit = ANSWER_BYTES as u64;
    File::open(file)?.take(limit.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() > ANSWER_BYTES {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
    }
    json_values(&text, ANSWER_VALUES)?;
    Ok(Zone::new(serde_json::from_slice(&text)?))
}

/// Reads the zone, lets `change` change it, and writes it when it changed. No other process writes meanwhile.
pub(crate) fn update<T>(file: &Path, change: impl FnOnce(&mut Zone) -> T) -> Result<T, Fault> {
    let lock = File::create(file.with_extension("lock"))?;
    lock.try_lock().map_err(|_| Fault::Busy)?;
    let before = read(file)?;
    let mut after = before.clone();
    let result = change(&mut after);
    if after != before {
        let mut new = tempfile::NamedTempFile::new_in(folder(file))?;
        new.write_all(&serde_json::to_vec_pretty(&after.entries())?)?;
        new.as_file().sync_all()?;
        new.persist(file).map_err(|error| error.error)?;
    }
    Ok(result)
}

/// Whether a file can be made beside it. Changes nothing.
pub(crate) fn can_write(file: &Path) -> Result<(), Fault> {
    tempfile::tempfile_in(folder(file)).map(drop).map_err(Fault::Io)
}

fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}
