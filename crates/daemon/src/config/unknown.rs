//! Sections and keys that nobody knows.

use super::fault::{Fault, Place};
use super::ini::shown;
use super::raw::{Raw, Section};
use super::schema::{HOSTNAMES, SECTIONS, SectionSpec, key_names, title};
use crate::registry::{self, ProviderSpec};
use crate::suggestion::suggestion;

/// Notes every section and key that nobody knows.
pub(super) fn find(raw: &Raw, faults: &mut Vec<Fault>) {
    for section in &raw.sections {
        let Some(spec) = SECTIONS.into_iter().find(|spec| spec.kind == section.kind) else {
            faults.push(fault(&section.at, section, "", unknown_section(section)));
            continue;
        };
        match (spec.label, &section.label) {
            (Some(_), None) => {
                let problem = format!("does not say which one; write {}", written(spec));
                faults.push(fault(&section.at, section, "", problem));
            }
            (None, Some(_)) => {
                let problem = format!("stands once and has no name; write {}", written(spec));
                faults.push(fault(&section.at, section, "", problem));
            }
            _ => {}
        }
        if section.kind == HOSTNAMES.kind {
            continue;
        }
        let provider = provider_of(raw, section);
        let known = known_keys(spec, provider);
        for (key, value) in section.values.iter().filter(|(key, _)| !known.contains(key)) {
            faults.push(fault(&value.at, section, shown(key), unknown_key(key, provider, &known)));
        }
    }
}

fn fault(at: &Place, section: &Section, key: &str, problem: String) -> Fault {
    Fault::new(at, &section.title(), key, problem)
}

fn written(spec: &SectionSpec) -> String {
    match spec.label {
        Some(label) => format!("[{} \"{label}\"]", spec.kind),
        None => format!("[{}]", title(spec.kind, None)),
    }
}

fn unknown_section(section: &Section) -> String {
    let near = suggestion(&section.kind, SECTIONS.iter().map(|spec| spec.kind));
    let known = SECTIONS.into_iter().map(written).collect::<Vec<_>>().join(", ");
    format!("unknown section; expected one of {known}{near}")
}

fn known_keys(spec: &SectionSpec, provider: Option<&ProviderSpec>) -> Vec<String> {
    let own = spec.keys.iter().flat_map(key_names);
    let with_providers = spec.kind == "global" || spec.kind == "zone";
    let providers = registry::providers()
        .filter(|other| with_providers && provider.is_none_or(|provider| provider.name == other.name));
    own.chain(providers.flat_map(|other| other.keys).flat_map(key_names)).collect()
}

/// The provider that a zone asks for, if it is known: it says which keys the zone may have.
fn provider_of(raw: &Raw, section: &Section) -> Option<&'static ProviderSpec> {
    if section.kind != "zone" {
        return None;
    }
    let global = || raw.section("global").and_then(|global| global.values.get("provider"));
    let value = section.values.get("provider").or_else(global)?;
    registry::find(&value.text)
}

fn unknown_key(key: &str, provider: Option<&ProviderSpec>, known: &[String]) -> String {
    let has_it = |other: &&ProviderSpec| other.keys.iter().flat_map(key_names).any(|name| name == key);
    if let (Some(own), Some(other)) = (provider, registry::providers().find(has_it)) {
        return format!("is a key of {}, and the provider of this zone is {}", other.name, own.name);
    }
    let what =
        if shown(key).is_empty() { "has a key that is not known" } else { "is not a key of this section" };
    format!("{what}{}", suggestion(key, known.iter().map(String::as_str)))
}
