//! A zone in a zone file, for CoreDNS's `file` and `auto` plugins.
//!
//! Our records stand in a block between two comment lines that name the owner; the rest is not ours. CoreDNS reads the
//! file again when the serial has changed.

mod check;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod generate;
mod octets;
mod plain;
mod records;
mod replace;
mod scan;
mod serial;
mod zone;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, Change, DnsName, Finding, Label, Listing, NameChange, ObservedSet,
    Outcome, OwnershipRecord, Plan, Provider, ProviderError, RecordData, RecordType,
};

use crate::settings::FileSettings;
use error::{Failure, Subject};
use octets::{to_octets, to_text};
use replace::{Replaced, replace};
use zone::{Damage, Leaving, OurSet, Ours, ZoneText};

/// How often a file that changes under our hands is read again before the plan is given back.
const TRIES: usize = 3;

/// One zone in a file.
#[derive(Debug)]
pub(crate) struct FileZone(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    zone: DnsName,
    owner: Label,
    file: PathBuf,
    name_servers: Vec<DnsName>,
    /// One writer at a time.
    writing: Mutex<()>,
    draft: Mutex<Draft>,
}

/// A file that is not there is made when start-up has converged: CoreDNS answers SERVFAIL without one, and NXDOMAIN for a name
/// that a file does not hold yet.
#[derive(Debug)]
enum Draft {
    /// What the file will hold.
    Kept(Option<String>),
    /// Start-up has converged.
    Over,
}

/// What became of the names of a plan.
type Outcomes = BTreeMap<DnsName, Outcome>;

impl FileZone {
    pub(crate) fn new(zone: DnsName, owner: Label, settings: FileSettings) -> Self {
        let FileSettings { file, name_servers } = settings;
        let draft = Mutex::new(Draft::Kept(None));
        Self(Arc::new(Inner { zone, owner, file, name_servers, writing: Mutex::default(), draft }))
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, ProviderError> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(|error| ProviderError::Unavailable {
            endpoint: self.0.subject().endpoint(),
            action,
            source: Some(Box::new(error)),
        })
    }
}

#[async_trait]
impl Provider for FileZone {
    fn capabilities(&self) -> Capabilities {
        Capabilities { own_copy: true, ..Capabilities::default() }
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        self.blocking("list the zone", Inner::list).await?
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        let work = plan.plan().clone();
        let names: Vec<DnsName> = work.changes.iter().map(|change| change.name.clone()).collect();
        match self.blocking("write the zone", move |inner| inner.apply(&work)).await {
            Ok(outcomes) => Applied { names: outcomes.into_iter().collect() },
            Err(_) => {
                let failed =
                    |name| (name, Outcome::Failed(self.0.subject().unavailable("write the zone", None)));
                Applied { names: names.into_iter().map(failed).collect() }
            }
        }
    }

    async fn converged(&self) {
        // What could not be written is missing at the next list, and written again.
        let _ = self.blocking("write the zone", Inner::converged).await;
    }

    async fn check(&self, _suffix: &DnsName) -> Vec<Finding> {
        match self.blocking("check the zone", Inner::check).await {
            Ok(findings) => findings,
            Err(error) => vec![Finding { good: false, text: error.to_string() }],
        }
    }
}

impl Inner {
    fn subject(&self) -> Subject<'_> {
        Subject { zone: &self.zone, file: &self.file }
    }

    /// The text, `None` when there is no file.
    fn text(&self) -> io::Result<Option<String>> {
        match std::fs::read(&self.file) {
            Ok(octets) => Ok(Some(to_text(&octets))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The text with what it includes.
    fn take_apart(&self, text: &str) -> Result<ZoneText, Damage> {
        ZoneText::read(text, &self.zone, &self.owner, (&self.file, &included))
    }

    fn parse(&self, action: &'static str, text: &str) -> Result<ZoneText, ProviderError> {
        self.take_apart(text).map_err(|damage: Damage| {
            self.subject().denied(action, damage.to_string(), "mend the zone file by hand")
        })
    }

    fn list(&self) -> Result<Listing, ProviderError> {
        const ACTION: &str = "list the zone";
        let text = self.text().map_err(|error| self.subject().failed(ACTION, error))?;
        match text.or_else(|| self.draft()) {
            Some(text) => Ok(self.parse(ACTION, &text)?.listing()),
            None => Ok(Listing::default()),
        }
    }

    /// What a file will hold that is not there yet.
    fn draft(&self) -> Option<String> {
        match &*self.draft.lock().unwrap_or_else(PoisonError::into_inner) {
            Draft::Kept(text) => text.clone(),
            Draft::Over => None,
        }
    }

    /// Writes the file; while start-up goes on, one that is not there is kept for its end.
    fn write(&self, before: Option<&str>, text: &str) -> io::Result<Replaced> {
        if before.is_none()
            && let Draft::Kept(kept) = &mut *self.draft.lock().unwrap_or_else(PoisonError::into_inner)
        {
            *kept = Some(text.to_owned());
            return Ok(Replaced::Done);
        }
        replace(&self.file, before.map(to_octets).as_deref(), &to_octets(text))
    }

    fn converged(&self) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept =
            std::mem::replace(&mut *self.draft.lock().unwrap_or_else(PoisonError::into_inner), Draft::Over);
        if let Draft::Kept(Some(text)) = kept {
            let _ = replace(&self.file, None, text.as_bytes());
        }
    }

    fn apply(&self, plan: &Plan) -> Outcomes {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES {
            match self.try_apply(plan) {
                Ok(Some(outcomes)) => return outcomes,
                Ok(None) => {}
                Err(error) => return self.fail_all(plan, &error),
            }
        }
        plan.changes.iter().map(|change| (change.name.clone(), Outcome::Conflict)).collect()
    }

    /// The same fault for each name; the error itself cannot be cloned.
    fn fail_all(&self, plan: &Plan, error: &Failure) -> Outcomes {
        plan.changes
            .iter()
            .map(|change| (change.name.clone(), Outcome::Failed(error.error(self.subject()))))
            .collect()
    }

    /// `None` when the file changed meanwhile, and nothing was written.
    fn try_apply(&self, plan: &Plan) -> Result<Option<Outcomes>, Failure> {
        let before = self.text().map_err(Failure::Io)?;
        let now = now();
        if before.is_none() && self.name_servers.is_empty() {
            return Err(Failure::NoNameServers);
        }
        let known = before.clone().or_else(|| self.draft());
        let start = known.unwrap_or_else(|| ZoneText::new_zone(&self.zone, &self.name_servers, now));
        let zone = self.take_apart(&start).map_err(Failure::Damaged)?;
        if let Err(why) = &zone.serial {
            return Err(Failure::NoSerial(why.clone()));
        }
        let listing = zone.listing();
        let (mut ours, mut leaving) = (zone.ours.clone(), Leaving::default());
        let mut outcomes = Outcomes::new();
        for change in &plan.changes {
            let there = listing.observed.at(&change.name);
            if let Some(problem) = impossible(&self.zone, change) {
                let outcome = Outcome::Failed(ProviderError::Rejected { problem });
                outcomes.insert(change.name.clone(), outcome);
            } else if is_as_planned(change, there)
                && !(is_new(change, there) && listing.observed.unwritable(&change.name).is_some())
            {
                self.put(&mut ours, &mut leaving, change);
                outcomes.insert(change.name.clone(), Outcome::Done([].into()));
            } else {
                outcomes.insert(change.name.clone(), Outcome::Conflict);
            }
        }
        let mut after = listing;
        if ours != zone.ours {
            let text = zone.render(&ours, &leaving, &self.owner, now);
            match self.write(before.as_deref(), &text).map_err(Failure::Io)? {
                Replaced::Done => {}
                Replaced::Changed => return Ok(None),
            }
            after = self.take_apart(&text).map_err(Failure::Damaged)?.listing();
        }
        for (name, outcome) in &mut outcomes {
            if let Outcome::Done(sets) = outcome {
                *sets = after.observed.at(name).into();
            }
        }
        Ok(Some(outcomes))
    }

    fn put(&self, ours: &mut Ours, leaving: &mut Leaving, change: &NameChange) {
        let (name, owner) = (&change.name, &self.owner);
        for change in &change.changes {
            let record_type = change.record_type();
            if let Some(sets) = ours.get_mut(name) {
                sets.remove(&record_type);
            }
            let Some((set, mark)) = change.after() else { continue };
            let to = match mark.map(OwnershipRecord::owner) {
                None => &mut leaving.released,
                Some(Some(other)) if other != *owner => leaving.others.entry(other).or_default(),
                Some(_) => &mut *ours,
            };
            to.entry(name.clone()).or_default().insert(record_type, OurSet::new(set, mark));
        }
        if ours.get(name).is_some_and(BTreeMap::is_empty) {
            ours.remove(name);
        }
    }
}

/// Largest file that is included, in bytes.
const MOST_INCLUDED: u64 = 16 << 20;

/// The text of an included file.
fn included(path: &Path) -> Result<String, String> {
    let mut octets = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    if !file.metadata().is_ok_and(|about| about.is_file()) {
        return Err("it is not a file".to_owned());
    }
    let read = file.take(MOST_INCLUDED + 1).read_to_end(&mut octets).map_err(|error| error.to_string())?;
    if read as u64 > MOST_INCLUDED {
        return Err(format!("it is larger than {} MiB", MOST_INCLUDED >> 20));
    }
    Ok(to_text(&octets))
}

fn impossible(zone: &DnsName, change: &NameChange) -> Option<String> {
    let name = &change.name;
    if !name.is_within(zone) {
        return Some(format!("{name} is not in the zone"));
    }
    if change.changes.iter().any(|one| matches!(one, Change::Adopt { .. })) {
        let how = "delete the lines of others by hand, fleetdns then writes its own";
        return Some(format!("{name} stands in a zone file, from which no line of others is taken; {how}"));
    }
    let alias = |(set, _): (&fleetdns_core::RecordSet, _)| matches!(set.data, RecordData::Cname(_));
    let at_apex = name == zone && change.changes.iter().filter_map(Change::after).any(alias);
    at_apex.then(|| format!("{name} is the zone's own name, which cannot have a CNAME (RFC 1034 §3.6.2)"))
}

/// Whether the name still is as the plan saw it: what was read is there, and nothing has come in the way.
fn is_as_planned(change: &NameChange, there: &[ObservedSet]) -> bool {
    let removed: Vec<RecordType> = change.changes.iter().filter_map(removes).collect();
    change.changes.iter().all(|change| match change {
        Change::Update { before, .. }
        | Change::Delete { before, .. }
        | Change::Adopt { before, .. }
        | Change::Release { before, .. } => there.contains(before),
        Change::Create { set, .. } => {
            let kind = set.data.record_type();
            !there.iter().any(|other| match (other.claim.is_ours(), other.content.record_type()) {
                (true, Some(ours)) => {
                    let clashes = ours == kind || ours == RecordType::Cname || kind == RecordType::Cname;
                    clashes && !removed.contains(&ours)
                }
                _ => kind == RecordType::Cname || other.answers_for_addresses(),
            })
        }
    })
}

/// Whether nothing of ours stands at the name.
fn is_new(change: &NameChange, there: &[ObservedSet]) -> bool {
    !change.vanishes() && !there.iter().any(|set| set.claim.is_ours())
}

fn removes(change: &Change) -> Option<RecordType> {
    match change {
        Change::Delete { record_type, .. } => Some(*record_type),
        _ => None,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
