//! The `[cluster "NAME"]` sections, or the contexts of the kubeconfig in their place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fleetdns_core::{Label, MemberName};
use fleetdns_watch::{Access, Limits, MemberConfig, Origin};

use super::fault::{Fault, Place};
use super::files;
use super::outside::Outside;
use super::parse;
use super::probing::{self, Probe};
use super::raw::{Raw, Section};
use super::reader::Reader;
use super::settings::count;

/// The members that the configuration names; where it `discovers` others there need not be any.
pub(super) fn read(
    raw: &Raw,
    file: &str,
    outside: &Outside<'_>,
    probe: &mut Probe,
    faults: &mut Vec<Fault>,
    discovers: bool,
) -> Vec<MemberConfig> {
    let usual = usual_limits(raw, file, faults);
    let mut members: Vec<MemberConfig> = Vec::new();
    let mut seen = false;
    for section in raw.of_kind("cluster") {
        seen = true;
        let mut reader = Reader::of(section, faults);
        let Some(member) = member(section, outside, probe, usual, &mut reader) else { continue };
        if let Some(same) = members.iter().find(|other| other.access == member.access) {
            let problem =
                format!("is the same cluster as [cluster \"{}\"]; leave one of them out", same.name);
            reader.fault("", problem);
        }
        members.push(member);
    }
    if seen || discovers {
        return members;
    }
    match found(outside, usual) {
        Ok(members) => members,
        Err(problem) => {
            faults.push(Fault::new(&Place::whole(file), "cluster \"NAME\"", "", problem));
            Vec::new()
        }
    }
}

fn member(
    section: &Section,
    outside: &Outside<'_>,
    probe: &mut Probe,
    usual: Limits,
    reader: &mut Reader<'_>,
) -> Option<MemberConfig> {
    let label = section.label.as_deref()?;
    let name = label.parse::<MemberName>().map_err(|error| reader.fault("", error.to_string())).ok();
    let paths = reader.text("kubeconfig").map(|list| outside.path_list(list));
    let context = reader.text("context").map(str::to_owned);
    let region = reader.typed("region");
    let zones = reader.list("zones", "the label of a zone", |text| text.parse::<Label>().ok());
    let probe = probing::of_member(reader, name.as_ref(), probe, outside);
    let limits = limits(reader, usual);
    let access = match (paths, context) {
        (Some(paths), _) if paths.is_empty() => {
            reader.fault("kubeconfig", "names no file");
            return None;
        }
        (Some(paths), context) => Access::Kubeconfig { paths, context },
        // A kubeconfig that is empty has its fault already.
        (None, _) if reader.has("kubeconfig") => return None,
        (None, Some(_)) if outside.kubeconfig().is_empty() => {
            let problem = "needs a kubeconfig; add kubeconfig = FILE, or set KUBECONFIG";
            reader.fault("context", problem);
            return None;
        }
        (None, Some(context)) => Access::Kubeconfig { paths: outside.kubeconfig(), context: Some(context) },
        (None, None) => Access::InCluster,
    };
    let zones = zones.into_iter().collect();
    Some(MemberConfig { region, zones, probe, ..bare(name?, access, limits, outside) })
}

/// How much an API may send, unless its own section says otherwise.
pub(super) fn usual_limits(raw: &Raw, file: &str, faults: &mut Vec<Fault>) -> Limits {
    limits(&mut Reader::new(raw, "fleet", file, faults), Limits::default())
}

fn limits(reader: &mut Reader<'_>, usual: Limits) -> Limits {
    let mut size = |key: &str, most: u64| {
        let right = format!("a size from 4KiB to {}GiB, such as 512KiB, 2MiB or 1GiB", most >> 30);
        reader.parse(key, &right, |text| parse::size(text).filter(|size| (4096..=most).contains(size)))
    };
    let object = size("max-object-size", 1 << 30).and_then(|size| usize::try_from(size).ok());
    let list = size("max-list-size", 64 << 30);
    let objects = count(reader, "max-services", 10_000_000).and_then(|number| usize::try_from(number).ok());
    Limits {
        objects: objects.unwrap_or(usual.objects),
        object_size: object.unwrap_or(usual.object_size),
        list_size: list.unwrap_or(usual.list_size),
    }
}

/// A member of which nothing but its access is known.
pub(super) fn bare(name: MemberName, access: Access, limits: Limits, outside: &Outside<'_>) -> MemberConfig {
    let named = fleetdns_watch::files(&access);
    MemberConfig {
        name,
        files: files::digest(named.iter().map(PathBuf::as_path), outside),
        endpoint: (outside.endpoint)(&access).ok(),
        access,
        region: None,
        zones: BTreeSet::new(),
        probe: None,
        limits,
        origin: Origin::Config,
    }
}

/// The priorities that sections give.
pub(super) fn priorities(raw: &Raw, faults: &mut Vec<Fault>) -> BTreeMap<MemberName, u16> {
    let mut priorities = BTreeMap::new();
    for section in raw.of_kind("cluster") {
        let mut reader = Reader::of(section, faults);
        let right = "a number from 0 to 65535, the lowest comes first";
        let priority = reader.parse("priority", right, |text| text.parse::<u16>().ok());
        let name = section.label.as_deref().and_then(|label| label.parse().ok());
        priorities.extend(name.zip(priority));
    }
    priorities
}

/// The members when no section names one: all contexts of the kubeconfig, otherwise the cluster that we run in.
fn found(outside: &Outside<'_>, limits: Limits) -> Result<Vec<MemberConfig>, String> {
    let paths = outside.kubeconfig();
    if paths.is_empty() {
        outside.variable("KUBERNETES_SERVICE_HOST").ok_or(
            "is missing; add a section for each cluster, or set KUBECONFIG, or run in a pod of the cluster",
        )?;
        let name = "in-cluster".parse::<MemberName>().map_err(|error| error.to_string())?;
        return Ok(vec![bare(name, Access::InCluster, limits, outside)]);
    }
    let list = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
    let contexts = (outside.contexts)(&paths).map_err(|error| {
        format!("is missing, and the contexts of {list} cannot be used in its place: {error}")
    })?;
    if contexts.is_empty() {
        return Err(format!("is missing, and {list} has no context; add a section for each cluster"));
    }
    let member = |context: String| {
        let name = context.parse::<MemberName>().map_err(|error| {
            format!("is missing, and a context of {list} cannot stand in its place: {error}; add sections")
        })?;
        let access = Access::Kubeconfig { paths: paths.clone(), context: Some(context) };
        Ok(bare(name, access, limits, outside))
    };
    contexts.into_iter().map(member).collect()
}
