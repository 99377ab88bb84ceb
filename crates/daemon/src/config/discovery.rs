//! The section `[discovery]`: members that come and go beside the sections.

use fleetdns_core::name::is_dns_label;
use fleetdns_watch::{Allowed, MemberConfig, Providers};

use super::directory;
use super::fault::Fault;
use super::members::usual_limits;
use super::membership::Listing;
use super::outside::Outside;
use super::parse::{is_label_key, is_selector};
use super::raw::Raw;
use super::reader::Reader;
use super::remote::{Labels, Reading, Remote};
use super::schema::DISCOVERY;

/// Keys that switch a source on.
const SOURCES: [&str; 3] = ["directory", "secrets", "profiles"];

/// Whether any source is named.
pub(super) fn is_used(raw: &Raw) -> bool {
    let section = raw.section(DISCOVERY.kind);
    section.is_some_and(|section| SOURCES.iter().any(|key| section.values.contains_key(*key)))
}

/// What the directory says.
pub(super) fn directory(
    raw: &Raw,
    file: &str,
    outside: &Outside<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Listing> {
    // Its faults are those of `[fleet]`, which is read elsewhere.
    let limits = usual_limits(raw, file, &mut Vec::new());
    let path =
        Reader::new(raw, DISCOVERY.kind, file, faults).text("directory").map(|text| outside.path(text))?;
    Some(directory::list(&path, limits, outside))
}

/// The sources on a host cluster, which is one of these members.
pub(super) fn remotes(
    raw: &Raw,
    file: &str,
    members: &[MemberConfig],
    outside: &Outside<'_>,
    faults: &mut Vec<Fault>,
) -> Vec<Remote> {
    let limits = usual_limits(raw, file, &mut Vec::new());
    let reader = &mut Reader::new(raw, DISCOVERY.kind, file, faults);
    let secrets = reader.parse("secrets", "a label selector, or *", selector);
    let profiles = reader.parse("profiles", "a label selector, or *", selector);
    let providers = providers(reader, outside);
    if profiles.is_some() && !reader.has("profile-providers") {
        reader.missing("profile-providers", "/etc/fleetdns/clusterprofile-providers.json");
    }
    let key = reader.parse("key", "a key of a Secret", |text| is_key(text).then(|| text.to_owned()));
    let allowed = allowed(reader);
    let (host, namespace, labels) = (host(reader, members), namespace(reader), labels(reader));
    let readings = [
        secrets.map(|selector| (selector, Reading::Secret { key, allowed })),
        profiles.zip(providers).map(|(selector, providers)| (selector, Reading::Profile { providers })),
    ];
    let mut remotes = Vec::new();
    for (selector, reading) in readings.into_iter().flatten() {
        if host.is_none() && !reader.has("cluster") {
            reader.missing("cluster", "mgmt, the host cluster, which has a section of its own");
        }
        if namespace.is_none() && !reader.has("namespace") {
            reader.missing("namespace", "fleet-system, or * for all namespaces");
        }
        if let (Some(host), Some(namespace)) = (&host, &namespace) {
            let (host, namespace, labels) = (host.clone(), namespace.clone(), labels.clone());
            remotes.push(Remote { host, namespace, selector, reading, labels, limits });
        }
    }
    remotes
}

fn providers(reader: &mut Reader<'_>, outside: &Outside<'_>) -> Option<Providers> {
    let path = outside.path(reader.text("profile-providers")?);
    let read = (outside.read)(&path).map_err(|error| format!("cannot be read: {error}"));
    let folder = path.parent().unwrap_or(&path);
    let parsed = read.and_then(|bytes| Providers::parse(&bytes, folder));
    parsed.map_err(|problem| reader.fault("profile-providers", format!("{} {problem}", path.display()))).ok()
}

/// `*`, or a label selector.
fn selector(text: &str) -> Option<Option<String>> {
    if text == "*" { Some(None) } else { is_selector(text).then(|| Some(text.to_owned())) }
}

fn host(reader: &mut Reader<'_>, members: &[MemberConfig]) -> Option<MemberConfig> {
    let name = reader.text("cluster")?;
    let host = members.iter().find(|member| member.name.as_str() == name);
    if host.is_none() {
        let known: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        reader.fault(
            "cluster",
            format!("there is no [cluster \"{name}\"]; the sections are {}", known.join(", ")),
        );
    }
    host.cloned()
}

/// `*`, or the name of a namespace.
fn namespace(reader: &mut Reader<'_>) -> Option<Option<String>> {
    let read = |text: &str| match text {
        "*" => Some(None),
        name => is_dns_label(name).then(|| Some(name.to_owned())),
    };
    reader.parse("namespace", "the name of a namespace, or * for all", read)
}

fn labels(reader: &mut Reader<'_>) -> Labels {
    let mut label = |key: &str, usual: &str| {
        let read = |text: &str| is_label_key(text).then(|| text.to_owned());
        reader.parse(key, "the key of a label", read).unwrap_or_else(|| usual.to_owned())
    };
    Labels {
        name: label("name-label", "cluster.x-k8s.io/cluster-name"),
        region: label("region-label", "topology.kubernetes.io/region"),
        zone: label("zone-label", "topology.kubernetes.io/zone"),
    }
}

fn allowed(reader: &mut Reader<'_>) -> Allowed {
    let mut allowed = Allowed::default();
    for what in reader.list("allow", "exec or files", |text| match text {
        "exec" => Some(Allowed { exec: true, files: false }),
        "files" => Some(Allowed { exec: false, files: true }),
        _ => None,
    }) {
        allowed.exec |= what.exec;
        allowed.files |= what.files;
    }
    allowed
}

/// What the API takes for a key of a Secret.
fn is_key(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
