//! The fleet as a whole: what every page begins with.

use std::sync::Arc;

use fleetdns_core::text::age;
use fleetdns_core::{ServiceKey, Verdict};
use fleetdns_planner::Input;
use fleetdns_probe::CanaryReport;
use tokio::time::Instant;

use super::banner::{Facts, Notice};
use super::clusters::{Ages, ClusterRow};
use super::survey::Survey;
use super::text::{Level, Text, count};
use super::zones::ZoneRow;
use crate::view::{PutOffLine, View, unprobeable};

/// The banner, the clusters, the zones, and which Services there are.
#[derive(Debug)]
pub(super) struct Overview {
    pub(super) fleet: Text,
    pub(super) version: &'static str,
    pub(super) up: String,
    pub(super) level: Level,
    pub(super) headline: String,
    /// What there is, in numbers.
    pub(super) sums: String,
    /// Whether probe results count, and what tells the prober.
    pub(super) prober: String,
    pub(super) notices: Vec<Notice>,
    /// The worst first.
    pub(super) clusters: Vec<ClusterRow>,
    pub(super) zones: Vec<ZoneRow>,
    /// See [`Survey::services`].
    pub(super) services: Vec<ServiceKey>,
    pub(super) troubled: usize,
}

impl Overview {
    /// As the view is now. Looks at every endpoint once.
    pub(super) fn of(view: &View) -> Self {
        let now = Instant::now();
        let input = view.inputs.current();
        let survey = Survey::of(&input);
        let clusters = cluster_rows(view, &input, &survey, now);
        let zones: Vec<ZoneRow> =
            view.zones.iter().map(|status| ZoneRow::of(&status.borrow(), now)).collect();
        let state_fault: Option<Arc<str>> = view.state.borrow().clone();
        let notices = Facts {
            self_check: input.health().self_check.as_ref(),
            standing: &view.standing.borrow(),
            unprobeable: unprobeable(input.health()),
            put_offs: view.reports.put_offs().into_iter().map(PutOffLine::from).collect(),
            startup: input.startup(),
            hanging: view.heartbeats.hanging().iter().map(ToString::to_string).collect(),
            state_fault,
            reloaded: &view.reloaded,
            overrides: input.overrides(),
            clusters: &clusters,
            zones: &zones,
        }
        .notices();
        let level = notices.iter().map(|notice| notice.level).max().unwrap_or_default();
        Self {
            fleet: Text::of(&view.fleet),
            version: env!("CARGO_PKG_VERSION"),
            up: age(view.started.elapsed().as_secs()),
            level: if level == Level::Note { Level::Good } else { level },
            headline: headline(&notices),
            sums: sums(&survey, &zones),
            prober: prober(input.health().self_check.is_some(), &view.reports.canaries()),
            notices,
            clusters,
            zones,
            services: survey.services,
            troubled: survey.troubled,
        }
    }
}

fn cluster_rows(view: &View, input: &Input, survey: &Survey, now: Instant) -> Vec<ClusterRow> {
    let contacts = view.beats.contacts();
    let since = |at: Instant| now.saturating_duration_since(at).as_secs();
    let members = input.fleet().members.values();
    let mut rows: Vec<ClusterRow> = members
        .map(|member| {
            let name = &member.name;
            let ages = Ages {
                joined: since(view.joined.get(name).copied().unwrap_or(view.started)),
                listed: contacts.get(name).and_then(|contact| contact.listed_at).map(since),
            };
            let health = input.health().clusters.get(name).copied().unwrap_or_default();
            let verdicts = survey.clusters.get(name).copied().unwrap_or_default();
            let source = view.origins.get(name).map(String::as_str).unwrap_or_default();
            ClusterRow::of(member, health, &verdicts, ages, source)
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.level));
    rows
}

/// `prober: self-check passed, 2 of 3 canaries answer`.
fn prober(failed: bool, canaries: &[CanaryReport]) -> String {
    let heard = canaries.iter().filter(|canary| canary.heard() == Some(true)).count();
    let result = if failed { "failed" } else { "passed" };
    let canaries = match canaries.len() {
        0 => "no canaries".to_owned(),
        all => format!("{heard} of {} answer", count(all, "canary")),
    };
    format!("prober: self-check {result}, {canaries}")
}

fn headline(notices: &[Notice]) -> String {
    let number = |level| notices.iter().filter(|notice| notice.level == level).count();
    match (number(Level::Problem), number(Level::Warning)) {
        (0, 0) => "No problems".to_owned(),
        (0, warnings) => count(warnings, "warning"),
        (problems, 0) => count(problems, "problem"),
        (problems, warnings) => format!("{}, {}", count(problems, "problem"), count(warnings, "warning")),
    }
}

/// `2 clusters · 3 Services · 4 endpoints: 3 healthy, 1 unhealthy · 9 names in 1 zone`.
fn sums(survey: &Survey, zones: &[ZoneRow]) -> String {
    let all = |place: usize| survey.clusters.values().filter_map(|row| row.get(place)).sum::<usize>();
    let each: Vec<(Verdict, usize)> =
        Verdict::ALL.into_iter().enumerate().map(|(place, verdict)| (verdict, all(place))).collect();
    let endpoints: usize = each.iter().map(|(_, number)| number).sum();
    let words: Vec<String> = each
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(verdict, number)| format!("{number} {verdict}"))
        .collect();
    let colon = if words.is_empty() { "" } else { ": " };
    let names = zones.iter().map(|zone| zone.owned).sum();
    format!(
        "{} · {} · {}{colon}{} · {} in {}",
        count(survey.clusters.len(), "cluster"),
        count(survey.services.len(), "Service"),
        count(endpoints, "endpoint"),
        words.join(", "),
        count(names, "name"),
        count(zones.len(), "zone"),
    )
}
