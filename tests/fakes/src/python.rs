//! The vendors' clients, for the tests that let them check our test servers. Includes nothing, so that the tests of a
//! provider may take this file as it stands.

use std::path::PathBuf;

/// The Python that has what `tests/servers/python/requirements.txt` says: in `python-clients` of the target folder
/// that holds this test.
///
/// # Panics
/// When it is not there, with what to do about it.
pub fn python() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let mut places = this.ancestors().map(|folder| folder.join("python-clients/bin/python"));
    places.find(|path| path.is_file()).expect("no target/python-clients: run tests/setup and test again")
}
