//! What a webhook lists, name by name, and what a [`Listing`] says of it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use fleetdns_core::ownership::txt::TxtRecord;
use fleetdns_core::{
    Content, DnsName, Label, Listing, NonEmpty, Observed, ObservedSet, Owner, RecordData, RecordType as Kind,
    Ttl, Unreadable, Version,
};

use crate::ownership::{self, Stored, fingerprint, marked_name};
use crate::wire::{Endpoint, Property};

/// All endpoints of one type at one name, put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    /// As it came, to be sent back so.
    pub(crate) endpoint: Endpoint,
    /// Whether it has no set identifier, and one TTL and the same properties throughout.
    simple: bool,
    /// Whether the webhook itself returns these properties to what we write.
    pub(crate) usual: bool,
}

/// The TXT where the ownership record of a name is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) raw: Raw,
    pub(crate) record: TxtRecord,
}

/// Everything at one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// By type in capitals, our mark of another name not among them.
    pub(crate) sets: BTreeMap<String, Raw>,
    pub(crate) kept: Option<Kept>,
}

/// A zone as it was listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) names: HashMap<DnsName, Known>,
    unreadable: Unreadable,
}

/// A name as webhooks give it: some have the escaped asterisk of Route 53.
pub(crate) fn read_name(text: &str) -> Result<DnsName, fleetdns_core::name::NameError> {
    match text.strip_prefix("\\052") {
        Some(rest) => format!("*{rest}").parse(),
        None => text.parse(),
    }
}

impl View {
    pub(crate) fn of(endpoints: Vec<Endpoint>, zone: &DnsName, owner: &Label) -> Self {
        let mut view = Self::default();
        for endpoint in endpoints {
            match read_name(&endpoint.dns_name) {
                Ok(name) if name.is_within(zone) => view.names.entry(name).or_default().add(endpoint),
                Ok(_) => {}
                Err(error) if is_in(&endpoint.dns_name, zone) => {
                    let entry = format!("{} {}: {error}", endpoint.dns_name, endpoint.record_type);
                    view.unreadable.push(&entry);
                }
                Err(_) => {}
            }
        }
        view.find_marks(owner);
        view
    }

    fn find_marks(&mut self, owner: &Label) {
        let mut found = Vec::new();
        for (name, known) in &mut self.names {
            let Some(marked) = marked_name(name) else { continue };
            if let Some(raw) = known.sets.get("TXT") {
                let record = match raw.simple {
                    true => ownership::read(&raw.endpoint.targets, owner),
                    false => TxtRecord::FOREIGN,
                };
                let mut raw = raw.clone();
                if record.owner.is_ours() {
                    known.sets.remove("TXT");
                    raw.endpoint.targets = ownership::as_written(&raw.endpoint.targets);
                }
                found.push((marked, Kept { raw, record }));
            } else if let Some(raw) = known.sets.get("CNAME") {
                // No TXT can stand beside it.
                found.push((marked, Kept { raw: raw.clone(), record: TxtRecord::FOREIGN }));
            }
        }
        for (name, kept) in found {
            self.names.entry(name).or_default().kept = Some(kept);
        }
    }

    pub(crate) fn at(&self, name: &DnsName) -> Known {
        self.names.get(name).cloned().unwrap_or_default()
    }

    /// Sets with our mark whose properties nobody of us has seen yet, as they would be written again.
    pub(crate) fn strange(&self) -> Vec<Endpoint> {
        let all = self.names.values().flat_map(|known| {
            let strange =
                |kind: &Kind| known.claimed(*kind).is_some_and(|(raw, _)| !known.is_expected(*kind, raw));
            [Kind::A, Kind::Aaaa, Kind::Cname].into_iter().filter(strange).filter_map(|kind| known.raw(kind))
        });
        let plain = |raw: &Raw| Endpoint {
            provider_specific: Vec::new(),
            labels: serde_json::Value::Null,
            ..raw.endpoint.clone()
        };
        all.map(plain).collect()
    }

    /// What the webhook returns to sets as ours by itself is no stranger's.
    pub(crate) fn accept(&mut self, adjusted: &[Endpoint]) {
        for endpoint in adjusted {
            let known = read_name(&endpoint.dns_name).ok().and_then(|name| self.names.get_mut(&name));
            let raw = known.and_then(|known| known.sets.get_mut(&endpoint.record_type.to_uppercase()));
            if let Some(raw) = raw {
                let number = |all: &[Property]| fingerprint(all);
                raw.usual = number(&raw.endpoint.provider_specific) == number(&endpoint.provider_specific);
            }
        }
    }

    pub(crate) fn listing(&self) -> Listing {
        let sets = self
            .names
            .iter()
            .flat_map(|(name, known)| known.observed().into_iter().map(move |set| (name.clone(), set)));
        let mut observed: Observed = sets.collect();
        let servers = self.names.values().filter_map(|known| known.sets.get("NS"));
        let targets = servers.flat_map(|raw| &raw.endpoint.targets);
        observed.set_name_servers(targets.filter_map(|target| target.parse().ok()).collect());
        Listing { observed, unreadable: self.unreadable.sentences() }
    }

    /// How many sets there are.
    pub(crate) fn count(&self) -> usize {
        self.names.values().map(|known| known.sets.len()).sum()
    }
}

/// Whether a name that is none that could be published lies in the zone.
fn is_in(text: &str, zone: &DnsName) -> bool {
    let text = text.trim_end_matches('.').to_lowercase();
    text.strip_suffix(zone.as_str()).is_some_and(|rest| rest.ends_with('.'))
}

impl Known {
    fn add(&mut self, endpoint: Endpoint) {
        let simple = endpoint.set_identifier.is_empty();
        match self.sets.get_mut(&endpoint.record_type.to_uppercase()) {
            None => {
                let raw = Raw { simple, endpoint, usual: false };
                self.sets.insert(raw.endpoint.record_type.to_uppercase(), raw);
            }
            // Some webhooks list each target for itself.
            Some(raw) => {
                let there = &mut raw.endpoint;
                raw.simple &= simple
                    && there.record_ttl == endpoint.record_ttl
                    && fingerprint(&there.provider_specific) == fingerprint(&endpoint.provider_specific);
                there.targets.extend(endpoint.targets);
            }
        }
    }

    pub(crate) fn raw(&self, kind: Kind) -> Option<&Raw> {
        self.sets.get(kind.as_str())
    }

    /// A set for which a mark of ours speaks, and what it says of it.
    fn claimed(&self, kind: Kind) -> Option<(&Raw, Option<Stored>)> {
        let record = &self.kept.as_ref()?.record;
        let raw = self.raw(kind).filter(|raw| raw.simple && record.owner.is_ours() && record.covers(kind))?;
        Some((raw, ownership::stored(record, kind)))
    }

    /// Whether its properties are those with which we left it. One without any is plain again.
    fn is_expected(&self, kind: Kind, raw: &Raw) -> bool {
        let now = fingerprint(&raw.endpoint.provider_specific);
        let stored = self.claimed(kind).and_then(|(_, stored)| stored);
        now == 0 || raw.usual || stored.is_some_and(|stored| stored.properties == now)
    }

    /// The record sets as the planner sees them.
    pub(crate) fn observed(&self) -> Vec<ObservedSet> {
        self.sets.iter().map(|(name, raw)| self.observe(name, raw)).collect()
    }

    fn observe(&self, name: &str, raw: &Raw) -> ObservedSet {
        let kind = name.parse::<Kind>().ok();
        let data = kind.filter(|_| raw.simple).and_then(|kind| data(kind, &raw.endpoint.targets));
        let ours = kind.and_then(|kind| self.claimed(kind).filter(|_| self.is_expected(kind, raw)));
        let seconds = match ours {
            // A TTL that the webhook has put in place of the one that was wanted is as good as that.
            Some((_, Some(stored))) if stored.listed == raw.endpoint.record_ttl => stored.desired,
            _ => raw.endpoint.record_ttl,
        };
        let ttl = ttl(seconds);
        match data {
            Some(data) if fingerprint(&raw.endpoint.provider_specific) == 0 || ours.is_some() => {
                let kept = self.kept.as_ref().filter(|_| ours.is_some());
                let claim = kept.map_or(Owner::Foreign, |kept| kept.record.owner.clone());
                ObservedSet { ttl, content: Content::Known(data), claim, version: self.version(raw) }
            }
            _ if name == "TXT" && raw.simple => {
                let content = ownership::content(&raw.endpoint.targets);
                ObservedSet { ttl, content, claim: Owner::Foreign, version: self.version(raw) }
            }
            _ => ObservedSet {
                ttl,
                content: Content::other(name),
                claim: Owner::Foreign,
                version: Version::default(),
            },
        }
    }

    /// Differs when the set or the mark of its name differs. The protocol has nothing of the kind.
    fn version(&self, raw: &Raw) -> Version {
        let mut hasher = DefaultHasher::new();
        let mark = self.kept.as_ref().map(|kept| sorted(&kept.raw.endpoint.targets));
        let endpoint = &raw.endpoint;
        (endpoint.record_ttl, sorted(&endpoint.targets), fingerprint(&endpoint.provider_specific), mark)
            .hash(&mut hasher);
        Version(format!("{:016x}", hasher.finish()).into())
    }
}

impl Raw {
    /// Whether another list gave the same, in whatever order.
    pub(crate) fn is(&self, endpoint: &Endpoint) -> bool {
        self.endpoint.record_ttl == endpoint.record_ttl
            && sorted(&self.endpoint.targets) == sorted(&endpoint.targets)
            && fingerprint(&self.endpoint.provider_specific) == fingerprint(&endpoint.provider_specific)
    }
}

fn sorted(targets: &[String]) -> Vec<&String> {
    let mut all: Vec<&String> = targets.iter().collect();
    all.sort_unstable();
    all
}

fn ttl(seconds: i64) -> Ttl {
    u32::try_from(seconds).ok().and_then(Ttl::new).or_else(|| Ttl::new(0)).unwrap_or(Ttl::DEFAULT)
}

/// The values, when all targets can be read.
pub(crate) fn data(kind: Kind, targets: &[String]) -> Option<RecordData> {
    let ips = || targets.iter().map(|target| target.trim().parse::<IpAddr>().ok());
    match kind {
        Kind::A => {
            let v4 = ips().map(|ip| ip.and_then(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }));
            NonEmpty::new(v4.collect::<Option<Vec<_>>>()?).map(RecordData::A)
        }
        Kind::Aaaa => {
            let v6 = ips().map(|ip| ip.and_then(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None }));
            NonEmpty::new(v6.collect::<Option<Vec<_>>>()?).map(RecordData::Aaaa)
        }
        Kind::Cname => match targets {
            [target] => target.parse().ok().map(RecordData::Cname),
            _ => None,
        },
    }
}
