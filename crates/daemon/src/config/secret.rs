//! Values for a provider, and where a secret may come from: the section itself, a file, or a variable.

use fleetdns_core::keys::KeySpec;
use fleetdns_core::secrets::keep_out;
use fleetdns_core::text::is_blank;

use super::fault::{Fault, Place};
use super::outside::Outside;
use super::raw::{RawValue, Section};
use super::reader::{EMPTY, has_comment};
use super::schema::{SECRET_FORMS, key_names};

/// The names under which a secret is fetched from elsewhere.
pub(super) fn forms(key: &str) -> Vec<String> {
    SECRET_FORMS.iter().map(|form| format!("{key}{form}")).collect()
}

/// One section, and what its values refer to.
pub(super) struct Sources<'a> {
    pub(super) section: &'a Section,
    pub(super) outside: &'a Outside<'a>,
    pub(super) faults: &'a mut Vec<Fault>,
    pub(super) notes: &'a mut Vec<Fault>,
}

impl Sources<'_> {
    /// The value of a key with its place; a secret is fetched from where it is.
    pub(super) fn value(&mut self, spec: &KeySpec) -> Option<(String, Place)> {
        let section = self.section;
        let mut given: Vec<(String, &RawValue)> = key_names(spec)
            .into_iter()
            .filter_map(|name| section.values.get(&name).map(|value| (name, value)))
            .collect();
        // A variable wins over the file, in whatever form the secret stands there.
        if given.iter().any(|(_, value)| !value.at.is_line()) {
            given.retain(|(_, value)| !value.at.is_line());
        }
        if let [(first, _), .., (last, value)] = given.as_slice() {
            self.fault(last, value, format!("says the same as {first}; leave one of them out"));
        }
        let (name, value) = given.into_iter().next()?;
        if value.text.trim().is_empty() || (!spec.secret && is_blank(&value.text)) {
            self.fault(&name, value, EMPTY.to_owned());
            return None;
        }
        let fetched = if name == spec.name {
            if spec.secret {
                self.look_at(&name, value);
            }
            Ok(value.text.clone())
        } else if name.ends_with("-file") {
            content(&value.text, self.outside)
        } else {
            variable(&value.text, self.outside)
        };
        match fetched {
            Ok(text) => {
                if spec.secret {
                    keep_out(&text).forever();
                }
                Some((text, value.at.clone()))
            }
            Err(problem) => {
                self.fault(&name, value, problem);
                None
            }
        }
    }

    fn fault(&mut self, key: &str, value: &RawValue, problem: String) {
        self.faults.push(Fault::new(&value.at, &self.section.title(), key, problem));
    }

    /// A secret is taken as it stands. Other readers of INI files would take some differently.
    fn look_at(&mut self, key: &str, value: &RawValue) {
        let text = value.text.as_str();
        let quoted = |mark: char| text.len() > 1 && text.starts_with(mark) && text.ends_with(mark);
        let problem = if quoted('"') || quoted('\'') {
            "the quotes around it are taken as a part of it; leave them out unless they are one"
        } else if has_comment(text) {
            "what follows '#' or ';' is taken as a part of it; a comment is a line of its own"
        } else if text.ends_with('\\') {
            "the '\\' at its end is taken as a part of it; a value ends with its line"
        } else {
            return;
        };
        self.notes.push(Fault::new(&value.at, &self.section.title(), key, problem));
    }
}

/// The content of a file without the newline at its end.
fn content(path: &str, outside: &Outside<'_>) -> Result<String, String> {
    // Somebody may have written the secret itself here: only what looks like a path is repeated.
    let shown = if path.starts_with(['/', '~', '.']) { path } else { "the file" };
    let bytes =
        (outside.read)(&outside.path(path)).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.trim().is_empty() { Err(format!("{shown} is empty")) } else { Ok(text.to_owned()) }
}

fn variable(name: &str, outside: &Outside<'_>) -> Result<String, String> {
    // As above: only what looks like a variable is repeated.
    let usual = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let shown = if name.bytes().all(usual) { name } else { "the variable that it names" };
    outside.variable(name).map(str::to_owned).ok_or_else(|| format!("{shown} is not set, or is empty"))
}
