//! The answer to a scenario, for programs and for people.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::desired::ZoneSettings;
use crate::input::Input;
use crate::lines::SetLine;
use crate::lines::{HeldLine, Reason};
use crate::planner::{Memory, Planner, Scope};
use fleetdns_core::brakes::Brakes;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::Observed;
use fleetdns_core::plan::{Change, Plan};
use fleetdns_core::provider::Capabilities;
use fleetdns_core::record::{RecordData, Ttl};

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangeLine {
    /// `create`, `update`, `delete`, `adopt` or `release`.
    pub verb: Cow<'static, str>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
        let preview = planner.preview_desired(&Scope::All, observed, &mut Memory::default(), Duration::ZERO);
        let mut plan = preview.approved.plan().clone();
        plan.refused.extend(planner.faults().cloned());
        self.add(&plan);
        self.desired.extend(preview.desired.iter().map(SetLine::from));
        plan
    }

    /// Adds another report.
    pub(super) fn append(&mut self, other: Self) {
        self.desired.extend(other.desired);
        self.plan.extend(other.plan);
        self.held.extend(other.held);
        self.refused.extend(other.refused);
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

fn change_line(name: &DnsName, change: &Change) -> ChangeLine {
    let before = change.before();
    let values_before = before.and_then(|set| set.content.data()).map(RecordData::values).unwrap_or_default();
    let ttl = change.after().map(|(set, _)| set.ttl).or(before.map(|set| set.ttl)).unwrap_or(Ttl::DEFAULT);
    ChangeLine {
        verb: change.verb().into(),
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
