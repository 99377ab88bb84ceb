//! Files with secrets that everybody on this machine can read.

use std::path::Path;

use super::fault::Fault;
use super::outside::Outside;
use super::raw::{Raw, RawValue, Section};
use super::schema::{DISCOVERY, HA, SECRET_FORMS};
use crate::registry::providers;

/// The right of others to read a file.
const OTHERS: u32 = 0o004;
/// Keys of providers and of `[ha]` whose files hold private keys or tokens.
const PRIVATE: [&str; 4] = ["etcd-key-file", "certificate-file", "token-file", "credentials-file"];

/// A note for each such file: of the config with a secret in it, and of every file that it names.
pub(super) fn files(path: &Path, outside: &Outside<'_>, mode: impl Fn(&Path) -> Option<u32>) -> Vec<Fault> {
    let Ok(bytes) = (outside.read)(path) else { return Vec::new() };
    let (raw, _) = Raw::read(&path.display().to_string(), &bytes, &outside.variables);
    let open = |path: &Path| mode(path).is_some_and(|mode| mode & OTHERS != 0);
    let config_is_open = open(path);
    let mut notes = Vec::new();
    let mut note = |section: &Section, key: &str, value: &RawValue, path: &Path| {
        let problem = format!(
            "{} has a secret in it and every user of this machine can read it; chmod o-r {0}",
            path.display()
        );
        notes.push(Fault::new(&value.at, &section.title(), key, problem));
    };
    for section in &raw.sections {
        for (key, value) in &section.values {
            if section.kind == DISCOVERY.kind && key == "directory" {
                let directory = outside.path(&value.text);
                let files = (outside.list)(&directory).unwrap_or_default();
                let files = files.iter().map(|file| directory.join(&file.name));
                files.filter(|file| open(file)).for_each(|file| note(section, key, value, &file));
            }
            if is_secret(section, key) {
                if config_is_open && value.at.is_line() {
                    note(section, key, value, path);
                }
            } else if holds_secrets(section, key) {
                for file in outside.path_list(&value.text).iter().filter(|file| open(file)) {
                    note(section, key, value, file);
                }
            }
        }
    }
    notes
}

/// The keys of providers, and of `[ha]`, where etcd has the same.
fn of_backend(section: &Section) -> bool {
    ["zone", "global", HA.kind].contains(&&*section.kind)
}

/// Whether the value itself is a secret.
fn is_secret(section: &Section, key: &str) -> bool {
    let mut keys = providers().flat_map(|provider| provider.keys).chain(HA.keys);
    of_backend(section) && keys.any(|spec| spec.secret && spec.name == key)
}

/// Whether the value names files with secrets.
fn holds_secrets(section: &Section, key: &str) -> bool {
    let from_file = key.strip_suffix(SECRET_FORMS[0]).is_some_and(|key| is_secret(section, key));
    let private = of_backend(section) && PRIVATE.contains(&key);
    from_file || private || (section.kind == "cluster" && key == "kubeconfig")
}
