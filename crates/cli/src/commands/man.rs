//! `fleetdns man`: the man pages of the commands, which packages bring along.

use std::path::Path;

use clap::CommandFactory;

use crate::args::Cli;
use crate::error::{CommandError, Exit};

/// Writes a page for the program and one for each command that its help lists.
///
/// # Errors
/// When a page cannot be written.
pub fn pages(directory: &Path) -> Result<Exit, CommandError> {
    clap_mangen::generate_to(Cli::command(), directory).map_err(|error| {
        CommandError::Failed(format!("the man pages cannot be written to {}: {error}", directory.display()))
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_command_of_the_help_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        pages(folder.path()).unwrap();
        let written = std::fs::read_dir(folder.path()).unwrap();
        let written: BTreeSet<String> =
            written.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let cli = Cli::command();
        let listed = cli.get_subcommands().filter(|command| !command.is_hide_set());
        let listed = listed.map(|command| format!("fleetdns-{}.1", command.get_name()));
        assert_eq!(written, listed.chain(["fleetdns.1".to_owned()]).collect());
        let page = std::fs::read_to_string(folder.path().join("fleetdns-why.1")).unwrap();
        assert!(page.contains("fleetdns why shop/web"), "{page}");
        assert!(pages(&folder.path().join("nosuch")).is_err());
    }
}
