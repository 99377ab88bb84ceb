//! The answer to a scenario, for programs and for people.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::desired::ZoneSettings;
use crate::input::Input;
use crate::lines::SetLine;
use crate::lines::{HeldLine, Reason};
use crate::planner::{Memory, Planner, Scope};
use fleetdns_core::brakes::Brakes;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::{Observed, ObservedSet};
use fleetdns_core::plan::{Change, Plan, Refused};
use fleetdns_core::provider::Capabilities;
use fleetdns_core::record::{RecordData, RecordSet, Ttl};

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Everything that ought to exist.
    pub desired: Vec<SetLine>,
    /// What has to change and may.
    pub plan: Vec<ChangeLine>,
    /// What is kept by a brake.
    pub held: Vec<HeldLine>,
    /// What is wanted and not written.
    pub refused: Vec<Reason>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ChangeLine {
    /// `create`, `update`, `delete`, `adopt` or `release`.
    pub verb: &'static str,
    /// Owner name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds afterwards, or of what is deleted.
    pub ttl: u32,
    /// Values afterwards; none after a deletion.
    pub values: Vec<String>,
    /// Values before; none before a creation.
    pub before: Vec<String>,
    /// Why it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Report {
    /// What this says beyond another report: what follows from what was assumed here and not there.
    #[must_use]
    pub fn beyond(mut self, base: &Self) -> Self {
        fn keep<T: Ord>(mine: &mut Vec<T>, base: &[T]) {
            let known: BTreeSet<&T> = base.iter().collect();
            mine.retain(|line| !known.contains(line));
        }
        keep(&mut self.desired, &base.desired);
        keep(&mut self.plan, &base.plan);
        keep(&mut self.held, &base.held);
        keep(&mut self.refused, &base.refused);
        self
    }

    /// Adds what one pass over a zone does, and returns it. What the last minute had is not known: its first minute.
    pub fn add_zone(
        &mut self,
        (zone, capabilities, brakes): (&ZoneSettings, &Capabilities, &Brakes),
        input: &Input,
        observed: &Observed,
    ) -> Plan {
        let mut planner = Planner::new(zone.clone(), capabilities.clone(), brakes.clone());
        planner.update(input);
        let preview = planner.preview(&Scope::All, observed, &mut Memory::default(), Duration::ZERO);
        let mut plan = preview.approved.plan().clone();
        plan.refused.extend(planner.faults().cloned());
        self.add(&plan);
        self.desired.extend(planner.desired(observed).iter().map(SetLine::from));
        plan
    }

    /// Adds what one pass over a zone does after a change of what it is decided from, beyond what it does before.
    pub(super) fn add_beyond(
        &mut self,
        of: (&ZoneSettings, &Capabilities, &Brakes),
        (before, after): (&Input, &Input),
        observed: &Observed,
    ) {
        let mine = match Self::of_changed(of, (before, after), observed) {
            Some(few) => few,
            None => {
                let (mut base, mut mine) = (Self::default(), Self::default());
                base.add_zone(of, before, observed);
                mine.add_zone(of, after, observed);
                mine.beyond(&base)
            }
        };
        self.desired.extend(mine.desired);
        self.plan.extend(mine.plan);
        self.held.extend(mine.held);
        self.refused.extend(mine.refused);
    }

    /// The same by the names that depend on the change alone, where the zone is in order: a pass over them is then a pass
    /// over everything.
    fn of_changed(
        (zone, capabilities, brakes): (&ZoneSettings, &Capabilities, &Brakes),
        (before, after): (&Input, &Input),
        observed: &Observed,
    ) -> Option<Self> {
        // A planner is told of no change of these: outside of scenarios there are none.
        if before.health.named != after.health.named {
            return None;
        }
        let mut planner = Planner::new(zone.clone(), capabilities.clone(), brakes.clone());
        planner.update(before);
        let base = planner.preview(&Scope::All, observed, &mut Memory::default(), Duration::ZERO);
        let plan = base.approved.plan();
        let Scope::Names(names) = planner.update(after) else { return None };
        let refused = |one: &Refused| one.name.parse().is_ok_and(|name| names.contains(&name));
        if !plan.is_empty() || !plan.held.is_empty() || plan.refused.iter().any(refused) {
            return None;
        }
        // A name that is in order holds what is desired there.
        let sets = |name: &DnsName| observed.at(name).iter().filter_map(|set| as_set(name, set)).collect();
        let desired = names.iter().flat_map(|name| -> Vec<RecordSet> { sets(name) });
        let base = Self { desired: desired.map(|set| SetLine::from(&set)).collect(), ..Self::default() };
        let scope = Scope::Names(names.clone());
        let preview = planner.preview(&scope, observed, &mut Memory::default(), Duration::ZERO);
        let mut mine = Self::default();
        mine.add(preview.approved.plan());
        let desired = names.iter().flat_map(|name| planner.sets_at(name, observed));
        mine.desired.extend(desired.map(|set| SetLine::from(&set)));
        Some(mine.beyond(&base))
    }

    /// Adds a plan.
    pub fn add(&mut self, plan: &Plan) {
        for change in &plan.changes {
            self.plan.extend(change.changes.iter().map(|one| change_line(&change.name, one)));
        }
        self.held.extend(plan.held.iter().map(HeldLine::from));
        self.refused.extend(plan.refused.iter().map(Reason::from));
    }
}

fn as_set(name: &DnsName, set: &ObservedSet) -> Option<RecordSet> {
    set.ours().map(|data| RecordSet { name: name.clone(), ttl: set.ttl, data: data.clone() })
}

fn change_line(name: &DnsName, change: &Change) -> ChangeLine {
    let before = change.before();
    let values_before = before.and_then(|set| set.content.data()).map(RecordData::values).unwrap_or_default();
    let ttl = change.after().map(|(set, _)| set.ttl).or(before.map(|set| set.ttl)).unwrap_or(Ttl::DEFAULT);
    ChangeLine {
        verb: change.verb(),
        name: name.to_string(),
        record_type: change.record_type().to_string(),
        ttl: ttl.seconds(),
        values: change.after().map(|(set, _)| set.data.values()).unwrap_or_default(),
        before: values_before,
        cause: match change {
            Change::Delete { cause, .. } => Some(cause.to_string()),
            _ => None,
        },
    }
}

/// A table for people: one line for each record set, change and reason.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        section(
            f,
            "desired",
            self.desired
                .iter()
                .map(|set| format!("  {} {}", set.name, tail(set.ttl, &set.record_type, &set.values))),
        )?;
        section(
            f,
            "plan",
            self.plan.iter().map(|change| {
                let values = if change.values.is_empty() { &change.before } else { &change.values };
                let why = match (&change.cause, change.before == change.values) {
                    (Some(cause), _) => format!("  ({cause})"),
                    (None, true) => "  (ttl or ownership record)".to_owned(),
                    (None, false) if change.before.is_empty() => String::new(),
                    (None, false) => format!("  (was {})", change.before.join(" ")),
                };
                format!(
                    "  {} {} {}{why}",
                    change.verb,
                    change.name,
                    tail(change.ttl, &change.record_type, values)
                )
            }),
        )?;
        section(f, "held", self.held.iter().map(|line| format!("  {}  {}", line.name, line)))?;
        section(f, "refused", self.refused.iter().map(|line| format!("  {}  {}", line.name, line.reason)))
    }
}

fn tail(ttl: u32, record_type: &str, values: &[String]) -> String {
    format!("{ttl} {record_type} {}", values.join(" "))
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: impl Iterator<Item = String>) -> fmt::Result {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return writeln!(f, "{title}: nothing");
    }
    writeln!(f, "{title}:")?;
    lines.iter().try_for_each(|line| writeln!(f, "{line}"))
}
