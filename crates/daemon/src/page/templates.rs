//! Models into HTML. What is decided is decided in the models; templates only render.

use std::collections::BTreeSet;
use std::time::SystemTime;

use askama::Template;
use fleetdns_core::{MemberName, ServiceKey};
use fleetdns_planner::Input;

use super::addresses::{Facts, Moves};
use super::clusters::ClusterRow;
use super::overview::Overview;
use super::preview::{self as previews, Preview};
use super::services::{self, Found, NameRow, Search, ServiceRow};
use super::text::{Text, command, count};
use super::timeline::{Filter, Timeline};
use crate::journal::Kind;
use crate::view::View;

/// Clusters that are shown where not all are asked for.
const CLUSTERS: usize = 20;
/// Names of a Service that are explained.
const EXPLAINED: usize = 20;

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    all: &'a Overview,
    clusters: &'a [ClusterRow],
    more_clusters: usize,
    search: &'a Search,
    found: Found,
    services: Vec<ServiceRow>,
    filter: &'a Filter,
    kinds: [Kind; Kind::ALL.len()],
    timeline: Timeline,
}

/// The page at `/`.
pub(super) fn index(
    overview: &Overview,
    view: &View,
    search: &Search,
    filter: &Filter,
    all_clusters: bool,
) -> askama::Result<String> {
    let input = view.inputs.current();
    let found = search.find(overview, input.fleet());
    let shown = if all_clusters { usize::MAX } else { CLUSTERS };
    Index {
        all: overview,
        clusters: overview.clusters.get(..shown).unwrap_or(&overview.clusters),
        more_clusters: overview.clusters.len().saturating_sub(shown),
        search,
        services: rows(view, &input, &found.keys, false),
        found,
        filter,
        kinds: Kind::ALL,
        timeline: filter.timeline(&view.journal.kept()),
    }
    .render()
}

/// These Services with their names and addresses.
fn rows(view: &View, input: &Input, keys: &[ServiceKey], all: bool) -> Vec<ServiceRow> {
    let mut names: Vec<Vec<NameRow>> = vec![Vec::new(); keys.len()];
    for zone in &view.zones {
        // Held for as long as the names of one page take.
        let of_zone = services::names_in(&zone.borrow(), input.fleet(), keys);
        names.iter_mut().zip(of_zone).for_each(|(names, more)| names.extend(more));
    }
    let wanted: BTreeSet<&str> = names.iter().flatten().map(|name| name.key.as_str()).collect();
    let moves = Moves::of(&view.journal.kept(), &wanted);
    let facts = Facts { input, report: &|key| view.reports.get(key), moves: &moves, now: SystemTime::now() };
    keys.iter().zip(names).map(|(key, names)| services::row(&facts, key, names, all)).collect()
}

#[derive(Template)]
#[template(path = "service.html")]
struct Service<'a> {
    all: &'a Overview,
    service: ServiceRow,
    explained: Vec<Explained>,
}

/// A name as `fleetdns why` explains it.
struct Explained {
    name: Text,
    lines: Vec<Text>,
    why: Text,
}

/// The page of one Service; none when no cluster has it.
pub(super) fn service(overview: &Overview, view: &View, key: &ServiceKey) -> askama::Result<Option<String>> {
    let input = view.inputs.current();
    if !input.fleet().members.values().any(|member| member.services.contains_key(key)) {
        return Ok(None);
    }
    let Some(service) = rows(view, &input, std::slice::from_ref(key), true).pop() else { return Ok(None) };
    let explain = |name: &NameRow| {
        let text = view.why(&name.key).explanation.map(|said| said.to_string()).unwrap_or_default();
        Explained {
            name: name.name.clone(),
            lines: text.lines().skip(1).map(Text::of).collect(),
            why: command(&["fleetdns", "why", &name.key]),
        }
    };
    let explained = service.names.iter().take(EXPLAINED).map(explain).collect();
    Service { all: overview, service, explained }.render().map(Some)
}

#[derive(Template)]
#[template(path = "preview.html")]
struct Previewed<'a> {
    all: &'a Overview,
    cluster: Text,
    preview: Preview,
    changing: String,
    holding: String,
    simulate: Text,
    drain: Text,
}

/// What would be if a cluster died; none when there is no such cluster.
pub(super) fn preview(
    overview: &Overview,
    view: &View,
    cluster: &MemberName,
) -> askama::Result<Option<String>> {
    let input = view.inputs.current();
    if !input.fleet().members.contains_key(cluster) {
        return Ok(None);
    }
    let zones: Vec<_> = view.zones.iter().map(|zone| zone.borrow().clone()).collect();
    let name = cluster.as_str();
    let preview = previews::preview(&input, &view.brakes, &zones, cluster);
    let page = Previewed {
        all: overview,
        cluster: Text::of(name),
        changing: count(preview.names, "name"),
        holding: count(preview.names_held, "name"),
        preview,
        simulate: command(&["fleetdns", "simulate", "--down", name]),
        drain: command(&["fleetdns", "drain", &format!("cluster/{name}")]),
    };
    page.render().map(Some)
}
