//! The `[zone "NAME"]` sections, with the provider keys of `[Global]` under them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fleetdns_core::keys::{KeyFault, Keys};
use fleetdns_core::routing::Routing;
use fleetdns_core::{DnsName, Label, Provider, Ttl};
use fleetdns_planner::ZoneSettings;

use super::fault::{Fault, Place};
use super::files;
use super::fleet::{Fleet, TTL_RIGHT};
use super::outside::Outside;
use super::raw::{Raw, Section};
use super::reader::{Reader, items};
use super::schema::key_names;
use super::secret::{Sources, forms};
use crate::registry::{self, ProviderSpec, Registry};

/// A zone that is written.
#[derive(Debug, Clone)]
pub struct ZoneConfig {
    /// As the planner takes it.
    pub settings: ZoneSettings,
    /// Name of its provider.
    pub provider: &'static str,
    /// Keys for the provider, those of `[Global]` among them.
    pub keys: Keys,
    /// A number that changes with the content of the files that the provider reads.
    files: u64,
    pub(crate) spec: &'static ProviderSpec,
    places: Places,
}

/// Where its keys stand in the file makes no difference.
impl PartialEq for ZoneConfig {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.has_same_provider(other)
    }
}

/// Where the keys of a zone were written.
#[derive(Debug, Clone)]
struct Places {
    /// Place and section of each key that is given.
    given: BTreeMap<String, (Place, String)>,
    /// The same for a key that is not.
    other: (Place, String),
}

impl ZoneConfig {
    /// Whether the provider of another configuration of the zone serves for this one too.
    pub(crate) fn has_same_provider(&self, other: &Self) -> bool {
        self.settings.owner == other.settings.owner
            && (self.provider, &self.keys, self.files) == (other.provider, &other.keys, other.files)
    }

    /// What a provider says of a key, with the key's place.
    pub fn fault(&self, fault: &KeyFault) -> Fault {
        let (at, section) = self.places.given.get(&fault.key).unwrap_or(&self.places.other);
        let mut problem = fault.problem.clone();
        // A provider should not repeat a secret; if it does, it ends here.
        for spec in self.spec.keys.iter().filter(|spec| spec.secret) {
            if let Some(secret) = self.keys.get(spec.name).filter(|secret| !secret.is_empty()) {
                problem = problem.replace(secret, "...");
            }
        }
        Fault::new(at, section, &fault.key, problem)
    }

    /// Makes the zone's provider.
    ///
    /// # Errors
    /// All faults of its keys at once, each with its place.
    pub fn connect(&self, registry: &Registry) -> Result<Box<dyn Provider>, Vec<Fault>> {
        let connected = registry.connect(self.spec, &self.settings.zone, &self.settings.owner, &self.keys);
        connected.map_err(|faults| faults.iter().map(|fault| self.fault(fault)).collect())
    }
}

/// What reading the zones needs.
struct Zones<'a> {
    raw: &'a Raw,
    outside: &'a Outside<'a>,
    faults: &'a mut Vec<Fault>,
    notes: &'a mut Vec<Fault>,
    /// Where each name was seen.
    seen: BTreeMap<DnsName, Place>,
}

/// All zones, for a fleet that may have faults of its own.
pub(super) fn read(
    raw: &mut Raw,
    file: &str,
    fleet: Option<&Fleet>,
    outside: &Outside<'_>,
    faults: &mut Vec<Fault>,
    notes: &mut Vec<Fault>,
) -> Vec<ZoneConfig> {
    zones_of_kubefed(raw);
    if raw.of_kind("zone").next().is_none() {
        let problem = "is missing; add one, such as [zone \"example.com\"], or --dns-zone-name example.com";
        faults.push(Fault::new(&Place::whole(file), "zone \"NAME\"", "", problem));
    }
    let mut reading = Zones { raw, outside, faults, notes, seen: BTreeMap::new() };
    let sections: Vec<&Section> = raw.of_kind("zone").collect();
    let read = sections.iter().filter_map(|section| Some((*section, reading.zone(section, fleet)?)));
    let (sections, mut zones): (Vec<&Section>, Vec<ZoneConfig>) = read.unzip();
    let names: Vec<DnsName> = zones.iter().map(|zone| zone.settings.zone.clone()).collect();
    for (section, zone) in sections.into_iter().zip(&mut zones) {
        zone.settings.other_zones =
            names.iter().filter(|name| **name != zone.settings.zone).cloned().collect();
        reading.suffix(section, &zone.settings);
    }
    reading.unused(&zones);
    zones
}

/// `zones` of kubefed's file names the zones when nothing else does.
fn zones_of_kubefed(raw: &mut Raw) {
    let value = raw.section("global").and_then(|global| global.values.get("zones")).cloned();
    let named = raw.of_kind("zone").next().is_some();
    if let (Some(value), false) = (value, named) {
        let sections = items(&value.text).map(|item| Section::new("zone", Some(item), value.at.clone()));
        raw.sections.extend(sections);
    }
}

impl Zones<'_> {
    fn zone(&mut self, section: &Section, fleet: Option<&Fleet>) -> Option<ZoneConfig> {
        let name = self.name(section);
        let mut reader = Reader::of(section, self.faults);
        let suffix = reader.typed::<DnsName>("suffix");
        let ttl = reader.parse("ttl", TTL_RIGHT, |text| text.parse().ok());
        if let (Some(suffix), Some(name)) = (&suffix, &name)
            && !suffix.is_within(name)
        {
            let problem =
                format!("'{suffix}' does not lie in the zone; it has to be {name} or end in .{name}");
            reader.fault("suffix", problem);
        }
        let routing = reader.parse("routing", "all or failover", |text| text.parse::<Routing>().ok());
        let provider = self.provider(section);
        let (name, spec) = (name?, provider?);
        let owner =
            fleet.map_or_else(|| "fleetdns".parse::<Label>().ok(), |fleet| Some(fleet.owner.clone()))?;
        let settings = ZoneSettings {
            suffix: suffix.unwrap_or_else(|| name.clone()),
            zone: name,
            other_zones: Vec::new(),
            owner,
            fleet: fleet.filter(|fleet| fleet.federation_names).map(|fleet| fleet.name.clone()),
            ttl: ttl.unwrap_or_else(|| fleet.map_or(Ttl::DEFAULT, |fleet| fleet.ttl)),
            routing: routing.unwrap_or_default(),
            priorities: Arc::default(),
            policy: Arc::default(),
        };
        let (keys, places) = self.keys(section, spec);
        let read = files::of_provider(spec.keys, &keys, self.outside);
        let files = files::digest(read.iter().map(PathBuf::as_path), self.outside);
        let zone = ZoneConfig { settings, provider: spec.name, keys, files, spec, places };
        self.check(section, &zone);
        Some(zone)
    }

    /// What the provider says of the keys.
    fn check(&mut self, section: &Section, zone: &ZoneConfig) {
        // A value that is empty, and a secret that could not be fetched, have their fault already.
        let failed = |fault: &KeyFault| {
            zone.keys.get(&fault.key).is_none()
                && self.with_global(section).iter().any(|section| {
                    let mut forms = forms(&fault.key).into_iter().chain([fault.key.clone()]);
                    forms.any(|form| section.values.contains_key(&form))
                })
        };
        let found = zone.spec.check(&zone.settings.zone, &zone.settings.owner, &zone.keys);
        let found: Vec<Fault> =
            found.iter().filter(|fault| !failed(fault)).map(|fault| zone.fault(fault)).collect();
        self.faults.extend(found);
    }

    /// `[Global]`, and the zone's section over it.
    fn with_global<'a>(&'a self, section: &'a Section) -> Vec<&'a Section> {
        self.raw.section("global").into_iter().chain([section]).collect()
    }

    fn name(&mut self, section: &Section) -> Option<DnsName> {
        let label = section.label.as_deref()?;
        let problem = match label.parse::<DnsName>() {
            Err(error) => format!("{error}; the name of a zone is such as example.com"),
            Ok(name) if name.is_wildcard() => "a wildcard is not the name of a zone".to_owned(),
            Ok(name) => match self.seen.get(&name) {
                Some(first) => format!("is the zone of {first} already; put both together"),
                None => {
                    self.seen.insert(name.clone(), section.at.clone());
                    return Some(name);
                }
            },
        };
        Reader::of(section, self.faults).fault("", problem);
        None
    }

    fn provider(&mut self, section: &Section) -> Option<&'static ProviderSpec> {
        let raw = self.raw;
        let global = raw.section("global");
        let asked = [Some(section), global].into_iter().flatten().find(|s| s.values.contains_key("provider"));
        let Some(asked) = asked else {
            let problem =
                format!("is missing; provider = NAME or --dns-provider NAME, one of {}", registry::names());
            Reader::of(section, self.faults).fault("provider", problem);
            return None;
        };
        let mut reader = Reader::of(asked, self.faults);
        let text = reader.text("provider")?;
        let found = registry::find(text);
        if found.is_none() {
            let problem = registry::not_found(text);
            reader.fault("provider", problem);
        }
        found
    }

    /// The keys for the provider: those of `[Global]`, with those of the zone over them.
    fn keys(&mut self, section: &Section, spec: &ProviderSpec) -> (Keys, Places) {
        let global = self.raw.section("global");
        let reads = |key: &String| spec.keys.iter().flat_map(key_names).any(|name| name == *key);
        let home = global.filter(|global| global.values.keys().any(reads)).unwrap_or(section);
        let mut places = Places { given: BTreeMap::new(), other: (home.at.clone(), home.title()) };
        let mut values = BTreeMap::new();
        for section in global.into_iter().chain([section]) {
            let mut sources =
                Sources { section, outside: self.outside, faults: self.faults, notes: self.notes };
            for key in spec.keys {
                if let Some((text, at)) = sources.value(key) {
                    values.insert(key.name.to_owned(), text);
                    places.given.insert(key.name.to_owned(), (at, section.title()));
                }
            }
            if let Some(value) = section.values.get("provider") {
                places.given.insert("provider".to_owned(), (value.at.clone(), section.title()));
            }
        }
        (Keys::new(values), places)
    }

    /// A suffix that lies in another zone would put names there.
    fn suffix(&mut self, section: &Section, zone: &ZoneSettings) {
        let other =
            zone.other_zones.iter().find(|other| other.is_below(&zone.zone) && zone.suffix.is_within(other));
        if let Some(other) = other {
            let problem =
                format!("'{}' lies in the zone {other}, which has a section of its own", zone.suffix);
            Reader::of(section, self.faults).fault("suffix", problem);
        }
    }

    /// Keys of `[Global]` that no zone's provider reads.
    fn unused(&mut self, zones: &[ZoneConfig]) {
        let Some(global) = self.raw.section("global").filter(|_| !zones.is_empty()) else { return };
        for (key, value) in &global.values {
            let reads = |spec: &ProviderSpec| spec.keys.iter().flat_map(key_names).any(|name| name == *key);
            let owner = registry::providers().find(|spec| reads(spec));
            if let (Some(owner), false) = (owner, zones.iter().any(|zone| reads(zone.spec))) {
                let problem = format!("is a key of {}, which serves none of the zones: not used", owner.name);
                self.notes.push(Fault::new(&value.at, "Global", key, problem));
            }
        }
    }
}
