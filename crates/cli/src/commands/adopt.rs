//! `fleetdns adopt`: records that another program or another owner id has become ours; and those of ours that nobody claims.

use std::collections::BTreeSet;
use std::io::Write;

use fleetdns_core::ownership::external_dns::{Naming, Text};
use fleetdns_core::{Content, DnsName, Label, Observed, ObservedSet, Plan};
use fleetdns_planner::simulate::Report;
use fleetdns_planner::{Handover, Input, Orphan, Planner};
use serde::Serialize;

use super::survey::{self, Applied, Unread, Zone};
use crate::args::{AdoptArgs, Program};
use crate::error::{CommandError, Exit};
use crate::output::{Text as Out, show};
use crate::progress::Progress;
use fleetdns_daemon::config::{Config, ZoneConfig};

/// What is printed.
#[derive(Debug, Default, Serialize)]
struct Printed {
    #[serde(flatten)]
    report: Report,
    /// What stays with whom it is.
    left: Vec<Left>,
    /// Names of ours that nobody claims.
    orphans: Vec<OrphanLine>,
    /// Owner ids of external-dns in the zones, where none was found that was asked for.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    owners: BTreeSet<String>,
    incomplete: Vec<Unread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<Applied>,
    #[serde(skip)]
    plans: Vec<Plan>,
}

#[derive(Debug, Serialize)]
struct Left {
    name: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct OrphanLine {
    name: String,
    records: Vec<String>,
    service: Option<String>,
    clusters: Vec<String>,
    /// Why it is still there.
    held: Option<String>,
}

/// Whose records are taken over.
enum From {
    ExternalDns {
        naming: Naming,
        owner: String,
    },
    Kubefed,
    Owner,
    /// Nobody's: ours are looked through.
    Orphans,
}

/// Lists clusters and zones, prints what would be adopted and what would not, and adopts it with `--apply`.
///
/// # Errors
/// When the config has faults, or a name is none.
pub async fn adopt(args: &AdoptArgs) -> Result<Exit, CommandError> {
    let config = Config::load(&args.flags).map_err(CommandError::Config)?;
    let _ = crate::log::start(config.admin.log, tracing::Level::WARN);
    let names = names(&args.names)?;
    let from = from(args)?;
    let configs = match &args.from_owner {
        Some(owner) => owned_by(&config.zones, owner)?,
        None => config.zones.clone(),
    };
    let mut printed = Printed::default();
    let progress = Progress::start("reading zones", configs.len());
    let zones = survey::zones(&configs, &mut printed.incomplete, &progress).await?;
    // What a zone says of a cluster claims nothing.
    let snapshot = survey::clusters(&config, Vec::new(), &mut printed.incomplete, &progress).await;
    let observed = zones.iter().map(|zone| &zone.listing.observed);
    let overrides = survey::overrides(&config, observed, &mut printed.incomplete);
    // Whether a name is claimed does not depend on probes, and what its addresses are to be is for the next pass.
    let input = Input::new(&snapshot, &fleetdns_core::Health::default(), &overrides);
    let wanted = |name: &DnsName| names.is_empty() || names.contains(name);
    for zone in &zones {
        let settings =
            config.zones.iter().map(|own| &own.settings).find(|own| own.zone == zone.config.settings.zone);
        let Some(settings) = settings else { continue };
        let (capabilities, brakes) = (zone.provider.capabilities(), config.brakes.brakes.clone());
        let mut planner = Planner::new(settings.clone(), capabilities, brakes);
        planner.update(&input);
        let there = &zone.listing.observed;
        match &from {
            From::ExternalDns { naming, owner } => {
                let found = planner.adopt_external_dns(there, (naming, owner), wanted);
                if found.plan.is_empty() && found.left.is_empty() {
                    printed.owners.extend(owners(there));
                }
                printed.add(found);
            }
            From::Kubefed => printed.add(planner.adopt_kubefed(there, wanted)),
            From::Owner => printed.add(planner.adopt_owner(there, wanted)),
            From::Orphans => printed.orphans.extend(planner.orphans(there).iter().map(orphan)),
        }
    }
    progress.stage("writing");
    printed.missing(&names);
    if args.apply {
        printed.apply(&zones, &config).await;
    }
    drop(progress);
    show(args.output.output, &printed, |out| text(out, &printed, &from))?;
    let failed = printed.applied.as_ref().is_some_and(|applied| !applied.unwritten.is_empty());
    Ok(if failed || !printed.incomplete.is_empty() { Exit::Failed } else { Exit::Done })
}

fn names(names: &[String]) -> Result<BTreeSet<DnsName>, CommandError> {
    let parse =
        |name: &String| name.parse().map_err(|error| CommandError::Failed(format!("{name}: {error}")));
    names.iter().map(parse).collect()
}

fn from(args: &AdoptArgs) -> Result<From, CommandError> {
    Ok(match (&args.from, &args.from_owner) {
        (Some(Program::Kubefed), _) => From::Kubefed,
        (Some(Program::ExternalDns), _) => From::ExternalDns {
            naming: Naming::new(&args.txt_prefix, &args.txt_suffix, &args.txt_wildcard_replacement)
                .map_err(|error| CommandError::failed(&error))?,
            owner: args.owner.clone().unwrap_or_default(),
        },
        (None, Some(_)) => From::Owner,
        (None, None) => From::Orphans,
    })
}

/// The zones as another owner id lists and writes them.
pub(super) fn owned_by(zones: &[ZoneConfig], owner: &str) -> Result<Vec<ZoneConfig>, CommandError> {
    let failed = |why: String| CommandError::Failed(format!("owner id '{owner}': {why}"));
    let owner: Label = owner.parse().map_err(|error| failed(format!("{error}")))?;
    let own = |zone: &ZoneConfig| {
        if zone.settings.owner == owner {
            return Err(failed("it is the one of dns.conf".to_owned()));
        }
        let mut zone = zone.clone();
        zone.settings.owner = owner.clone();
        Ok(zone)
    };
    zones.iter().map(own).collect()
}

/// The owner ids of external-dns in a zone.
fn owners(observed: &Observed) -> BTreeSet<String> {
    let sets = observed.iter().flat_map(|(_, sets)| sets);
    let texts = sets.filter_map(|set| match &set.content {
        Content::Text(values) => Some(Text::of(values.iter().map(|value| &**value))),
        _ => None,
    });
    let owners = texts.filter_map(|text| match text {
        Text::Mark(mark) => Some(mark.owner),
        Text::Mixed(owner) => Some(owner),
        Text::Sealed | Text::Other => None,
    });
    owners.map(|owner| fleetdns_core::text::printable(&owner).into_owned()).collect()
}

fn orphan(Orphan { name, sets, hold }: &Orphan) -> OrphanLine {
    let ownership = sets.iter().find_map(|set| set.claim.ownership());
    OrphanLine {
        name: name.to_string(),
        records: sets.iter().map(ObservedSet::to_string).collect(),
        service: ownership.as_ref().map(|ownership| ownership.service.to_string()),
        clusters: ownership.iter().flat_map(|one| one.members.keys().map(ToString::to_string)).collect(),
        held: hold.as_ref().map(ToString::to_string),
    }
}

impl Printed {
    fn add(&mut self, Handover { plan, left }: Handover) {
        self.report.add(&plan);
        self.plans.push(plan);
        self.left
            .extend(left.iter().map(|(name, why)| Left { name: name.to_string(), reason: why.to_string() }));
    }

    /// Names that were asked for and that nobody has.
    fn missing(&mut self, names: &BTreeSet<DnsName>) {
        for name in names.iter().map(ToString::to_string) {
            let planned = self.report.plan.iter().any(|line| line.name == name);
            if !planned && !self.left.iter().any(|left| left.name == name) {
                self.left.push(Left { name, reason: "no record there is theirs".to_owned() });
            }
        }
    }

    async fn apply(&mut self, zones: &[Zone<'_>], config: &Config) {
        let mut applied = Applied::default();
        for (zone, plan) in zones.iter().zip(&self.plans) {
            if !plan.is_empty() {
                applied.apply(&*zone.provider, plan.clone(), config).await;
            }
        }
        self.applied = Some(applied);
    }
}

fn text(out: &mut Out<'_>, printed: &Printed, from: &From) -> std::io::Result<()> {
    printed.plans.iter().try_for_each(|plan| write!(out, "{plan}"))?;
    let them = match from {
        From::Owner => "the other owner",
        From::Kubefed => "kubefed",
        From::ExternalDns { .. } | From::Orphans => "external-dns",
    };
    for Left { name, reason } in &printed.left {
        writeln!(out, "  = {name}  left to {them}: {reason}")?;
    }
    let nothing = printed.left.is_empty() && printed.report.plan.is_empty();
    if nothing && matches!(from, From::ExternalDns { .. }) {
        let owners: Vec<&str> = printed.owners.iter().map(String::as_str).collect();
        let others = if owners.is_empty() { "no records" } else { "records as: " };
        writeln!(out, "nothing has this owner id; external-dns has {others}{}", owners.join(", "))?;
    }
    for Unread { what, reason } in &printed.incomplete {
        writeln!(out, "incomplete: {what}: {reason}")?;
    }
    if matches!(from, From::Orphans) {
        return orphans(out, &printed.orphans);
    }
    match &printed.applied {
        Some(applied) => write!(out, "{applied}"),
        None if printed.plans.iter().any(|plan| !plan.is_empty()) => {
            writeln!(out, "nothing was written; add --apply")
        }
        None => Ok(()),
    }
}

fn orphans(out: &mut Out<'_>, orphans: &[OrphanLine]) -> std::io::Result<()> {
    if orphans.is_empty() {
        return writeln!(out, "every record of ours is claimed");
    }
    let row = |line: &OrphanLine| {
        let held = line.held.clone().unwrap_or_else(|| "the next pass deletes it".to_owned());
        let service = line.service.clone().unwrap_or_default();
        [line.name.clone(), line.records.join(", "), service, line.clusters.join(","), held]
    };
    out.table(["NAME", "RECORDS", "SERVICE", "CLUSTERS", "STATE"], &[], orphans.iter().map(row))
}
