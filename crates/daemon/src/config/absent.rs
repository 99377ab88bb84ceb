//! Files that a config names and that do not exist.
//!
//! The daemon runs without them and tries again: a kubeconfig or a certificate may come later. Where the config has other
//! faults they are reported together with those, so that one look is enough.

use std::io::ErrorKind;
use std::path::Path;

use super::fault::Fault;
use super::files::OURS;
use super::outside::Outside;
use super::raw::{Raw, RawValue, Section};
use crate::registry::providers;

/// A fault for each file that is not there, of those that nothing else looks at when the config is read.
pub(super) fn files(path: &Path, outside: &Outside<'_>) -> Vec<Fault> {
    let Ok(bytes) = (outside.read)(path) else { return Vec::new() };
    let (raw, _) = Raw::read(&path.display().to_string(), &bytes, &outside.variables);
    let mut faults = Vec::new();
    for section in &raw.sections {
        for (key, value) in section.values.iter().filter(|(key, _)| names_files(section, key)) {
            faults.extend(absent(section, key, value, outside));
        }
    }
    faults
}

fn names_files(section: &Section, key: &str) -> bool {
    match section.kind.as_str() {
        "cluster" => key == "kubeconfig",
        "discovery" => key == "directory",
        "ha" => matches!(key, "etcd-ca-file" | "etcd-cert-file" | "etcd-key-file"),
        // A secret that comes from a file is fetched when the config is read; no key of a provider has that name.
        "zone" | "global" => {
            let mut keys = providers().flat_map(|provider| provider.keys);
            key.ends_with("-file") && !OURS.contains(&key) && keys.any(|spec| spec.name == key)
        }
        _ => false,
    }
}

fn absent<'a>(
    section: &'a Section,
    key: &'a str,
    value: &'a RawValue,
    outside: &'a Outside<'_>,
) -> impl Iterator<Item = Fault> + 'a {
    outside.path_list(&value.text).into_iter().filter_map(move |path| {
        let gone = (outside.read)(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        let problem = format!("{} does not exist", path.display());
        gone.then(|| Fault::new(&value.at, &section.title(), key, problem))
    })
}
