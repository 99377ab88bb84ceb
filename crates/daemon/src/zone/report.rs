//! What is said of a pass, in the log and to the rest of the daemon: each change of state once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::hold::Hold;
use fleetdns_core::lines::Lines;
use fleetdns_core::plan::{HeldChange, Refusal, Refused};
use fleetdns_core::stamp::span_ms;
use fleetdns_core::text::printable;
use fleetdns_core::{ClusterVerdict, DnsName, NameChange, ServiceKey};
use fleetdns_planner::{Move, Scope, Way};
use tokio::time::Instant;
use tracing::{Level, debug, enabled, info, warn};

use super::ZoneTask;

/// Names of one pass that are logged one by one.
const MANY: usize = 50;

impl ZoneTask {
    pub(super) fn report_written(
        &mut self,
        changes: &[NameChange],
        written: &BTreeSet<DnsName>,
        took: Duration,
    ) {
        let (logged, took_ms) = (self.logged(written), span_ms(took));
        let all = enabled!(Level::DEBUG);
        let zone = &self.planner.zone().zone;
        if written.len() > MANY {
            info!(%zone, names = written.len(), took_ms, "many names written");
        }
        let is_logged =
            |change: &&NameChange| written.contains(&change.name) && (all || logged.contains(&change.name));
        for change in changes.iter().filter(is_logged) {
            for one in &change.changes {
                let (verb, record_type, name) = (one.verb(), one.record_type(), &change.name);
                let values = one.after().map(|(set, _)| set.data.values().join(" ")).unwrap_or_default();
                if !logged.contains(name)
                    || !admit(&mut self.lines, self.planner.namespace_at(name), self.started)
                {
                    debug!(%zone, verb, %name, %record_type, %values, "record set written");
                } else {
                    info!(%zone, verb, %name, %record_type, %values, took_ms, "record set written");
                }
            }
        }
    }

    /// The names of a pass that are logged one by one: at most [`MANY`], the first of each namespace before the second of
    /// any.
    fn logged<'a>(&self, written: &'a BTreeSet<DnsName>) -> BTreeSet<&'a DnsName> {
        let mut names: Vec<_> = written.iter().map(|name| (self.planner.namespace_at(name), name)).collect();
        in_turn(&mut names);
        names.into_iter().take(MANY).map(|(_, name)| name).collect()
    }

    /// Says which addresses came and went, and why.
    pub(super) fn report_moved(&mut self, moves: &[Move], written: &BTreeSet<DnsName>) {
        let (zone, all) = (&self.planner.zone().zone, enabled!(Level::DEBUG));
        let is_out = |one: &&Move| written.contains(&one.name) && (all || one.way == Way::Out);
        let mut moves = moves.iter().filter(is_out).peekable();
        if moves.peek().is_none() {
            return;
        }
        let logged = self.logged(written);
        for one in moves {
            let (name, address, cause) = (&one.name, &one.address, one.cause.as_str());
            let members = one.members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            match one.way {
                Way::In => debug!(%zone, %name, %address, cause, members, "address in"),
                Way::Out
                    if logged.contains(name)
                        && admit(&mut self.lines, one.namespace().map(Into::into), self.started) =>
                {
                    info!(%zone, %name, %address, cause, members, "address out");
                }
                Way::Out => debug!(%zone, %name, %address, cause, members, "address out"),
            }
        }
    }

    /// Says which clusters have another verdict as a whole.
    pub(super) fn report_clusters(&mut self) {
        let turned = self.planner.turned();
        for (cluster, verdict) in turned.iter().filter(|_| self.says_clusters) {
            match verdict {
                ClusterVerdict::Out => warn!(%cluster, %verdict, "cluster down: no endpoint healthy"),
                ClusterVerdict::In => info!(%cluster, %verdict, "cluster up: an endpoint is healthy"),
                ClusterVerdict::Unknown | ClusterVerdict::Unprobed => {
                    debug!(%cluster, %verdict, "the cluster has no verdict as a whole");
                }
            }
        }
    }

    /// Says what is newly held or refused, and what no longer is.
    pub(super) fn report(&mut self, scope: &Scope, held: &[HeldChange], refused: &[Refused]) {
        let new_held: BTreeMap<DnsName, HeldChange> =
            held.iter().map(|one| (one.name.clone(), one.clone())).collect();
        let mut new_refused: BTreeMap<Arc<str>, Vec<Refused>> = BTreeMap::new();
        let pending = self.pending.names().filter(|name| scope.contains(name));
        let pending = pending.filter_map(|name| Some(by_backend(name, self.pending.refusal(name)?)));
        for one in refused.iter().cloned().chain(pending) {
            new_refused.entry(Arc::clone(&one.name)).or_default().push(one);
        }
        let faults = self.planner.changed_faults();
        let zone = &self.planner.zone().zone;
        self.status.send_modify(|status| {
            let before = status.held.iter().filter(|(name, _)| scope.contains(name));
            self.recorder.holds(before, &new_held, |name| self.planner.namespace_at(name));
            for (name, one) in &new_held {
                match &one.reason {
                    reason if status.held.get(name).is_some_and(|before| before.reason == *reason) => {}
                    // Every new address passes through this, most for milliseconds.
                    reason @ Hold::Undecided => debug!(%zone, %name, %reason, "removal held"),
                    reason if admit(&mut self.lines, self.planner.namespace_at(name), self.started) => {
                        info!(%zone, %name, %reason, "removal held");
                    }
                    reason => debug!(%zone, %name, %reason, "removal held"),
                }
            }
            status.held.retain(|name, _| !scope.contains(name));
            status.held.extend(new_held);
            let mut news = Vec::new();
            let mut old: BTreeMap<Arc<str>, Vec<Refused>> = BTreeMap::new();
            match scope {
                Scope::All => old = std::mem::take(&mut status.refused),
                Scope::Names(names) => {
                    old.extend(names.iter().filter_map(|name| status.refused.remove_entry(name.as_str())));
                }
            }
            for (name, all) in &new_refused {
                let service = name.parse().ok().and_then(|name| self.planner.service_at(&name));
                news.extend(
                    added(old.get(name), all).into_iter().map(|one| (concerned(one, service.as_ref()), one)),
                );
            }
            for (service, all) in &faults {
                let one = |one| (Some(service.clone()), one);
                news.extend(added(status.faults.get(service), all).into_iter().map(one));
            }
            if self.fence.standing().writes() {
                self.recorder.refused(news.iter().cloned());
            }
            let mut news: Vec<_> = news
                .into_iter()
                .map(|(service, one)| (service.map(|key| key.namespace().into()), one))
                .collect();
            news.retain(|(namespace, _)| admit(&mut self.lines, namespace.clone(), self.started));
            in_turn(&mut news);
            report_refused(zone, &news);
            drop(news);
            status.refused.extend(new_refused);
            for (service, all) in faults {
                match all.is_empty() {
                    true => drop(status.faults.remove(&service)),
                    false => drop(status.faults.insert(service, all)),
                }
            }
        });
    }

    /// Says that the backend refuses a name, or no longer does.
    pub(super) fn refuse(&self, name: &DnsName, reason: Option<Arc<str>>) {
        let is_backend = |one: &Refused| matches!(one.reason, Refusal::Backend(_));
        self.status.send_if_modified(|status| {
            let known = status.refused.get_mut(name.as_str());
            let Some(reason) = reason else {
                let Some(known) = known.filter(|all| all.iter().any(is_backend)) else { return false };
                known.retain(|one| !is_backend(one));
                if known.is_empty() {
                    status.refused.remove(name.as_str());
                }
                return true;
            };
            let one = by_backend(name, &reason);
            let is_news = known.as_ref().is_none_or(|all| !all.contains(&one));
            if is_news {
                self.recorder.refused([(self.planner.service_at(name), &one)]);
            }
            match known {
                Some(all) if all.contains(&one) => return false,
                Some(all) => {
                    all.retain(|one| !is_backend(one));
                    all.push(one);
                }
                None => drop(status.refused.insert(Arc::clone(&one.name), vec![one])),
            }
            true
        });
    }

    /// Records what is refused once this replica leads: as long as it follows, another one does.
    pub(super) fn record_refused(&self) {
        let status = self.status.borrow();
        let by_name = status.refused.iter().flat_map(|(name, all)| {
            let service = name.parse().ok().and_then(|name| self.planner.service_at(&name));
            all.iter().map(move |one| (concerned(one, service.as_ref()), one))
        });
        let by_service =
            status.faults.iter().flat_map(|(key, all)| all.iter().map(move |one| (Some(key.clone()), one)));
        self.recorder.refused(by_name.chain(by_service));
    }

    /// Says what is wrong with the zone as a whole. `news`: a fault that was not there before.
    pub(super) fn report_fault(&self, news: Option<String>) {
        if let Some(text) = news {
            self.recorder.fault(&text);
        }
        let (read, write) = (self.reading.access.fault(), self.writing.fault());
        let fault = match (read, write) {
            (Some(read), Some(write)) if read != write => Some(format!("{read}; {write}")),
            (one, other) => one.or(other).map(str::to_owned),
        };
        let write = write.map(str::to_owned);
        let mended = fault.is_none() && self.status.borrow().fault.is_some();
        if mended {
            self.recorder.mended();
        }
        self.status.send_if_modified(|status| {
            let changed = (&status.fault, &status.write_fault) != (&fault, &write);
            (status.fault, status.write_fault) = (fault, write);
            changed
        });
    }

    /// Whether a log line about a name may be written.
    pub(super) fn admits(&mut self, name: &DnsName) -> bool {
        admit(&mut self.lines, self.planner.namespace_at(name), self.started)
    }

    /// Logs entries of the zone that cannot be read and could be when it was read last.
    pub(super) fn report_unreadable(&mut self, entries: Vec<String>) {
        let zone = &self.planner.zone().zone;
        let entries: BTreeSet<String> = entries.iter().map(|entry| printable(entry).into_owned()).collect();
        let before = std::mem::take(&mut self.unreadable);
        let news: Vec<&String> = entries.difference(&before).collect();
        for entry in news.iter().take(MANY) {
            warn!(%zone, %entry, "the zone has an entry that cannot be read");
        }
        if news.len() > MANY {
            warn!(%zone, entries = news.len() - MANY, "the zone has more entries that cannot be read");
        }
        self.unreadable = entries;
    }

    /// Says which namespaces had more to say than their share of the log.
    pub(super) fn report_left_out(&mut self) {
        for (namespace, lines) in self.lines.left_out(self.started.elapsed()) {
            let zone = &self.planner.zone().zone;
            warn!(%zone, %namespace, lines, "log lines of a noisy namespace left out; status and events have them");
        }
    }

    pub(super) fn report_startup(&self) {
        let startup = self.planner.startup().map(str::to_owned);
        if self.status.borrow().startup != startup {
            if startup.is_none() {
                info!(zone = %self.planner.zone().zone, "start-up has converged, removals are possible from now on");
            }
            self.status.send_modify(|status| status.startup = startup);
        }
    }
}

/// Whether a line that this namespace causes may be written; what is of none shares one share.
fn admit(lines: &mut Lines, namespace: Option<Arc<str>>, started: Instant) -> bool {
    lines.admit(&namespace.unwrap_or_else(|| "".into()), started.elapsed())
}

/// The Service that a refusal concerns: the one that asks in vain, where another one has the name.
fn concerned(one: &Refused, service: Option<&ServiceKey>) -> Option<ServiceKey> {
    match &one.reason {
        Refusal::Claimed { asked_by, .. }
        | Refusal::Shared { asked_by, .. }
        | Refusal::Kept { asked_by, .. } => Some(asked_by.clone()),
        _ => service.cloned(),
    }
}

fn by_backend(name: &DnsName, reason: &Arc<str>) -> Refused {
    Refused { name: name.as_str().into(), reason: Refusal::Backend(Arc::clone(reason)) }
}

/// What of all is new.
fn added<'a>(old: Option<&Vec<Refused>>, all: &'a [Refused]) -> Vec<&'a Refused> {
    let old: HashSet<&Refused> = old.into_iter().flatten().collect();
    all.iter().filter(|one| !old.contains(one)).collect()
}

/// Puts the first of each namespace before the second of any.
fn in_turn<T>(news: &mut [(Option<Arc<str>>, T)]) {
    let mut counts: HashMap<Option<Arc<str>>, usize> = HashMap::new();
    news.sort_by_cached_key(|(namespace, _)| {
        let count = counts.entry(namespace.clone()).or_default();
        *count += 1;
        *count
    });
}

fn report_refused(zone: &DnsName, news: &[(Option<Arc<str>>, &Refused)]) {
    for (_, one) in news.iter().take(MANY) {
        warn!(%zone, name = %one.name, reason = %one.reason, "record not written");
    }
    if news.len() > MANY {
        warn!(%zone, records = news.len() - MANY, "more records not written; fleetdns status lists them");
    }
}
