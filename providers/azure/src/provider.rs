//! A zone: listing it, and what the trait asks for.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::Url;
use fleetdns_core::limits::{self, Allowance};
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, DnsName, Finding, Label, Listing, Observed, ObservedSet,
    OwnershipRecord, Provider, ProviderError, Refusals, Ttl, Unreadable,
};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Answer, Arm};
use crate::error::{Fault, Kind};
use crate::listing::{Item, Raw};
use crate::settings::Settings;

/// Sets on one page. Azure's own default is 100, and a listing is limited by its pages.
const PAGE: &str = "1000";
/// Pauses before a page is asked for again.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];
/// Most values in one set; both services have the same limit.
const MAX_VALUES: usize = 20;

/// One zone of Azure.
#[derive(Debug)]
pub(crate) struct AzureZone {
    pub(crate) zone: DnsName,
    pub(crate) owner: Label,
    pub(crate) arm: Arm,
    seen: Mutex<Seen>,
    refusals: Mutex<Refusals>,
    /// Names from which one type was deleted and the next could not be written yet.
    gaps: Mutex<BTreeSet<DnsName>>,
    /// Whether Azure takes our page size.
    wide: AtomicBool,
}

/// The zone as we last saw it: a write answers for one set, and a name may have several.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    observed: Observed,
    /// Names that were written since the last listing began: its pages may be older.
    written: BTreeSet<DnsName>,
}

impl Seen {
    pub(crate) const fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Takes in what stands at a name that was written.
    pub(crate) fn write(&mut self, name: &DnsName, sets: Vec<ObservedSet>) {
        self.observed.replace(name.clone(), sets);
        self.written.insert(name.clone());
    }

    /// Takes in a listing, which shows what was written meanwhile.
    fn list(&mut self, observed: &mut Observed) {
        for name in &self.written {
            observed.replace(name.clone(), self.observed.at(name).to_vec());
        }
        self.observed = observed.clone();
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    /// Required: an answer without it is no list, least of all an empty one.
    value: Vec<Value>,
    #[serde(default)]
    next_link: Option<String>,
}

/// Pages become a listing.
struct Collector<'a> {
    zone: &'a DnsName,
    owner: &'a Label,
    /// A set may come twice when somebody writes while we read; the later one is newer.
    sets: BTreeMap<(DnsName, String), ObservedSet>,
    servers: BTreeSet<DnsName>,
    unreadable: Unreadable,
    allowance: Allowance,
}

impl AzureZone {
    pub(crate) fn new(zone: DnsName, owner: Label, settings: Settings) -> Self {
        let arm = Arm::new(settings, zone.clone());
        Self {
            zone,
            owner,
            arm,
            seen: Mutex::default(),
            refusals: Mutex::default(),
            gaps: Mutex::default(),
            wide: AtomicBool::new(true),
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn gaps(&self) -> MutexGuard<'_, BTreeSet<DnsName>> {
        self.gaps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A set in an answer, as the owner of `mark` reads it.
    pub(crate) fn item(&self, answer: &Answer, mark: Option<&OwnershipRecord>) -> Result<Item, Fault> {
        let raw: Raw = serde_json::from_slice(&answer.body).map_err(|error| unreadable(&error))?;
        let owner = mark.and_then(OwnershipRecord::owner);
        raw.read(&self.zone, owner.as_ref().unwrap_or(&self.owner)).map_err(Fault::away)
    }

    pub(crate) async fn list_all(&self) -> Result<Listing, Fault> {
        self.seen().written.clear();
        let mut collector = Collector {
            zone: &self.zone,
            owner: &self.owner,
            sets: BTreeMap::new(),
            servers: BTreeSet::new(),
            unreadable: Unreadable::default(),
            allowance: Allowance::new(),
        };
        let (mut page, mut links) = (self.first_page().await?, HashSet::new());
        loop {
            let next = collector.take(&page)?;
            let Some(link) = next else { break };
            let url = self.next(&link)?;
            if !links.insert(link) {
                return Err(Fault::away("a listing leads back to a page that was read"));
            }
            page = self.page(url).await?;
        }
        let mut listing = collector.finish();
        self.seen().list(&mut listing.observed);
        Ok(listing)
    }

    async fn first_page(&self) -> Result<Answer, Fault> {
        let plain = self.arm.url(&[self.arm.settings().service.all()]);
        if self.wide.load(Ordering::Relaxed) {
            let mut url = plain.clone();
            url.query_pairs_mut().append_pair("$top", PAGE);
            match self.page(url).await {
                // The largest page is documented nowhere.
                Err(Fault { kind: Kind::Invalid, .. }) => self.wide.store(false, Ordering::Relaxed),
                result => return result,
            }
        }
        self.page(plain).await
    }

    /// Half a zone is never given, so that one page that fails would cost all pages before it.
    async fn page(&self, url: Url) -> Result<Answer, Fault> {
        for pause in PAUSES {
            match self.arm.list(url.clone()).await {
                Err(Fault { kind: Kind::Unreachable | Kind::Away | Kind::Broken | Kind::Queued, .. }) => {
                    tokio::time::sleep(pause).await;
                }
                result => return result,
            }
        }
        self.arm.list(url).await
    }

    /// Our token goes where the link points.
    fn next(&self, link: &str) -> Result<Url, Fault> {
        let manager = &self.arm.settings().cloud.manager;
        let url = Url::parse(link).ok().filter(|url| url.origin() == manager.origin());
        url.ok_or_else(|| Fault::away(format!("the next page is elsewhere than at {manager}: {link}")))
    }
}

impl Collector<'_> {
    /// Returns the link to the next page.
    fn take(&mut self, answer: &Answer) -> Result<Option<String>, Fault> {
        let page: Page = serde_json::from_slice(&answer.body).map_err(|error| unreadable(&error))?;
        self.allowance.take(page.value.len(), answer.body.len()).map_err(|excess| Fault {
            kind: Kind::Denied(limits::REMEDY.to_owned()),
            problem: excess.to_string(),
        })?;
        for value in page.value {
            let item = serde_json::from_value::<Raw>(value)
                .map_err(|error| format!("a record set cannot be read: {error}"))
                .and_then(|raw| raw.read(self.zone, self.owner));
            match item {
                Ok(Item { name, set, odd, servers }) => {
                    self.servers.extend(servers);
                    odd.iter().for_each(|text| self.unreadable.push(text));
                    self.sets.insert((name, set.type_name().to_owned()), set);
                }
                Err(why) => self.unreadable.push(&why),
            }
        }
        Ok(page.next_link.filter(|link| !link.is_empty()))
    }

    fn finish(self) -> Listing {
        let mut observed: Observed = self.sets.into_iter().map(|((name, _), set)| (name, set)).collect();
        observed.set_name_servers(self.servers);
        Listing { observed, unreadable: self.unreadable.sentences() }
    }
}

fn unreadable(error: &serde_json::Error) -> Fault {
    Fault::away(format!("the answer cannot be read: {error}"))
}

#[async_trait]
impl Provider for AzureZone {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            wildcards: true,
            apex: true,
            answers_subtree: false,
            ttl: (Ttl::new(1).unwrap_or(Ttl::DEFAULT), Ttl::MAX),
            max_values: MAX_VALUES,
            ..Capabilities::default()
        }
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        self.list_all().await.map_err(|fault| self.arm.error(fault, "list the zone"))
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        self.apply_plan(plan.plan()).await
    }

    async fn check(&self, suffix: &DnsName) -> Vec<Finding> {
        self.check_all(suffix).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a page is refused with when so much of the bounds is used up.
    fn refusal(records: usize, bytes: usize) -> Option<String> {
        let (zone, owner) = ("example.com".parse().unwrap(), "fed".parse().unwrap());
        let mut allowance = Allowance::new();
        allowance.take(records, bytes).unwrap();
        let mut collector = Collector {
            zone: &zone,
            owner: &owner,
            sets: BTreeMap::new(),
            servers: BTreeSet::new(),
            unreadable: Unreadable::default(),
            allowance,
        };
        let body = br#"{"value":[0,0,0]}"#.to_vec();
        let fault = collector.take(&Answer { body }).err()?;
        assert!(matches!(&fault.kind, Kind::Denied(remedy) if remedy == limits::REMEDY), "{fault:?}");
        Some(fault.problem)
    }

    #[test]
    fn each_page_counts_with_its_record_sets_and_bytes() {
        assert_eq!(refusal(Allowance::RECORDS - 3, Allowance::BYTES - 17), None);
        let error = refusal(Allowance::RECORDS - 2, 0);
        assert_eq!(error.as_deref(), Some("the listing has more than 2000000 records"));
        let error = refusal(0, Allowance::BYTES - 16);
        assert_eq!(error.as_deref(), Some("the listing has more than 1073741824 bytes"));
    }
}
