//! What happens in one zone, for the journal.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fleetdns_core::hold::Hold;
use fleetdns_core::plan::{HeldChange, Refused};
use fleetdns_core::{Address, Applied, DnsName, Outcome, ProbeKey, ServiceKey};
use fleetdns_planner::planner::{Move, Way};
use fleetdns_probe::Reports;

use super::{Evidence, Journal, Kind, What};
use crate::chain;

/// What became of a move that is not written yet: one entry for each.
type Unwritten = HashMap<(DnsName, Address, Way), String>;

/// Writes down what happens in one zone, each change of state once.
#[derive(Debug)]
pub struct EventRecorder {
    journal: Journal,
    reports: Reports,
    zone: DnsName,
    unwritten: Unwritten,
}

impl EventRecorder {
    /// For one zone; the reports say what the prober knew of an address.
    pub fn new(journal: Journal, reports: Reports, zone: DnsName) -> Self {
        Self { journal, reports, zone, unwritten: HashMap::new() }
    }

    /// The moves of a plan, with what became of each name.
    pub fn moves(&mut self, moves: &[Move], applied: &Applied) {
        let outcomes: HashMap<&DnsName, &Outcome> =
            applied.names.iter().map(|(name, outcome)| (name, outcome)).collect();
        let mut events = Vec::new();
        for one in moves {
            let Some(outcome) = outcomes.get(&one.name) else { continue };
            let answer = match outcome {
                Outcome::Done(_) => "written".to_owned(),
                Outcome::Conflict => "conflict: record changed by another writer".to_owned(),
                Outcome::Failed(error) => format!("failed: {}", chain(error)),
                Outcome::Incomplete { problem } => format!("incomplete: {problem}"),
                Outcome::NotTried => continue,
            };
            let key = (one.name.clone(), one.address.clone(), one.way);
            if matches!(outcome, Outcome::Done(_)) {
                self.unwritten.remove(&key);
            } else if self.unwritten.insert(key, answer.clone()).as_ref() == Some(&answer) {
                continue; // Tried again, and refused again in the same way.
            }
            events.push(self.event(one, answer));
        }
        self.journal.record(events);
    }

    /// Everything that is wanted is written: what is refused from now on is news again.
    pub fn forget_unwritten(&mut self) {
        self.unwritten = HashMap::new();
    }

    fn event(&self, one: &Move, answer: String) -> What {
        let kind = match one.way {
            Way::In => Kind::In,
            Way::Out => Kind::Out,
        };
        let mut what =
            What::new(kind, one.cause.as_str()).zone(&self.zone).name(&one.name).clusters(&one.members);
        what.service = one.service.as_ref().map(|service| service.name().to_owned());
        what.namespace = one.namespace().map(str::to_owned);
        what.address = Some(one.address.to_string());
        what.evidence = one.probe.as_ref().and_then(|key| self.evidence(key));
        what.answer = Some(answer);
        what
    }

    fn evidence(&self, key: &ProbeKey) -> Option<Evidence> {
        let report = self.reports.get(key)?;
        Some(Evidence {
            probe: key.spec.to_string(),
            verdict: report.verdict.to_string(),
            failures: report.failures,
            successes: report.successes,
            last: report.last.error().unwrap_or_else(|| "answered".to_owned()),
        })
    }

    /// What was held before at the names that were looked at, and what is held now.
    pub fn holds<'a>(
        &self,
        before: impl Iterator<Item = (&'a DnsName, &'a HeldChange)>,
        now: &BTreeMap<DnsName, HeldChange>,
        namespace: impl Fn(&DnsName) -> Option<Arc<str>>,
    ) {
        let at = |what: What, name: &DnsName| {
            what.zone(&self.zone).name(name).namespace(namespace(name).as_deref())
        };
        let mut known: HashMap<&DnsName, &'static str> = HashMap::new();
        let mut events = Vec::new();
        for (name, held) in before.filter(|(_, held)| is_new(&held.reason)) {
            known.insert(name, held.reason.kind());
            if now.get(name).is_none_or(|held| !is_new(&held.reason)) {
                events.push(at(What::new(Kind::Released, held.reason.kind()), name));
            }
        }
        for (name, held) in now.iter().filter(|(_, held)| is_new(&held.reason)) {
            if known.get(name) != Some(&held.reason.kind()) {
                events.push(at(What::new(Kind::Held, held.reason.to_string()), name));
            }
        }
        self.journal.record(events);
    }

    /// What is newly refused, each with the Service that it concerns.
    pub fn refused<'a>(&self, news: impl IntoIterator<Item = (Option<ServiceKey>, &'a Refused)>) {
        let event = |(service, one): (Option<ServiceKey>, &Refused)| {
            let what = What::new(Kind::Refused, one.reason.to_string());
            what.zone(&self.zone).name(&one.name).service(service.as_ref())
        };
        self.journal.record(news.into_iter().map(event));
    }

    /// The zone cannot be read or written.
    pub fn fault(&self, text: &str) {
        self.journal.record([What::new(Kind::ZoneFault, text).zone(&self.zone)]);
    }

    /// It can again.
    pub fn mended(&self) {
        let text = "the zone can be read and written again";
        self.journal.record([What::new(Kind::ZoneMended, text).zone(&self.zone)]);
    }
}

/// Start-up is one thing for the whole zone, and every new address waits for its first verdict for a moment.
const fn is_new(hold: &Hold) -> bool {
    !matches!(hold, Hold::StartUp(_) | Hold::Undecided)
}
