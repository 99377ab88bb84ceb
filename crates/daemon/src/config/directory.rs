//! Members from a directory: every kubeconfig in it is one, named as its file.
//!
//! Hidden files are passed over, and with them the `..data` of a Secret or ConfigMap that Kubernetes mounts; so are folders
//! and what editors leave behind. Symbolic links are followed.

use std::path::Path;

use fleetdns_core::MemberName;
use fleetdns_core::text::printable;
use fleetdns_watch::{Access, Limits, MemberConfig, Origin};

use super::members::bare;
use super::membership::{Candidate, Kind, LARGEST, Listing, State};
use super::outside::{DirectoryFile, Outside};

/// Endings of a kubeconfig; a name without a dot is one too.
const ENDINGS: [&str; 5] = ["kubeconfig", "yaml", "yml", "conf", "json"];
/// What editors and copying leave behind.
const LEFTOVERS: [&str; 4] = ["swp", "tmp", "bak", "part"];

/// The members of a directory.
pub(super) fn list(directory: &Path, limits: Limits, outside: &Outside<'_>) -> Listing {
    let mut listing = Listing::new(Kind::Directory, format!("directory {}", directory.display()));
    match (outside.list)(directory) {
        Ok(files) => {
            for file in &files {
                match name_of(&file.name) {
                    Name::None => {}
                    Name::Bad(problem) => {
                        let name = printable(&file.name);
                        listing.faults.push(format!("{}: {name}: {problem}", listing.place));
                    }
                    Name::Member(name) => {
                        listing.members.push(candidate(name, file, directory, limits, outside));
                    }
                }
            }
        }
        Err(error) => listing.state = State::Failed(format!("cannot be read: {error}")),
    }
    listing
}

enum Name {
    /// Not meant for us.
    None,
    Bad(String),
    Member(MemberName),
}

fn name_of(file: &str) -> Name {
    if file.starts_with(['.', '#']) || file.ends_with('~') {
        return Name::None;
    }
    let stem = match file.rsplit_once('.') {
        None => file,
        Some((stem, ending)) if ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)) => stem,
        Some((_, ending)) if LEFTOVERS.contains(&ending) => return Name::None,
        Some(_) => {
            let problem =
                "not taken for a kubeconfig; name it CLUSTER.kubeconfig, or let its name begin with a dot";
            return Name::Bad(problem.to_owned());
        }
    };
    stem.parse::<MemberName>().map_or_else(|error| Name::Bad(error.to_string()), Name::Member)
}

fn candidate(
    name: MemberName,
    file: &DirectoryFile,
    directory: &Path,
    limits: Limits,
    outside: &Outside<'_>,
) -> Candidate {
    let path = directory.join(&file.name);
    let paths = vec![path.clone()];
    let contexts = if file.size > LARGEST {
        Err(format!("it has more than {LARGEST} bytes"))
    } else {
        (outside.contexts)(&paths)
    };
    // The only context is the one that is meant, whatever the current one is called.
    let context = contexts.as_ref().ok().and_then(|all| match all.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    });
    let access = Access::Kubeconfig { paths, context };
    let broken = contexts.and_then(|_| (outside.endpoint)(&access)).err();
    let member = MemberConfig { origin: Origin::File(path), ..bare(name, access, limits, outside) };
    Candidate { member, broken }
}
