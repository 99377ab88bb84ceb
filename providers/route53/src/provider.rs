//! One hosted zone: which it is, what stands in it, and what was last seen of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_sdk_route53::types::{HostedZone, HostedZoneConfig, ResourceRecordSet, RrType};
use fleetdns_core::limits::{self, Allowance};
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, DnsName, Finding, Label, Listing, Measure, Provider, ProviderError,
    Refusals,
};
use tokio::sync::Mutex;

use crate::alias::suffixes;
use crate::changes::Group;
use crate::client::Link;
use crate::error::{Fault, Kind, Whom};
use crate::insync::Insync;
use crate::listing::{Kept, View};
use crate::names::{read_name, write_name};
use crate::settings::Settings;
use crate::shape::Shapes;

/// Most sets of a page.
const PAGE: i32 = 300;
/// Most values of a set (Route 53's quota).
const MAX_VALUES: usize = 400;

/// A zone at Route 53.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) name: DnsName,
    owner: Label,
    pub(crate) link: Arc<Link>,
    /// Batches on their way to the name servers, where that is to be known.
    pub(crate) insync: Option<Insync>,
    /// One batch at a time: Route 53 wants it so. A listing does not wait for it, nor does a write wait for a listing.
    pub(crate) turn: Mutex<()>,
    pub(crate) refusals: StdMutex<Refusals>,
    id: StdMutex<Option<Hosted>>,
    seen: StdMutex<Seen>,
}

/// A hosted zone that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hosted {
    pub(crate) id: String,
    pub(crate) private: bool,
    pub(crate) sets: Option<i64>,
}

#[derive(Debug, Default)]
struct Seen {
    view: Arc<View>,
    /// Marks that had no record at the last two listings. Pages are not of one moment, so one listing proves nothing.
    unattributed: HashMap<DnsName, Kept>,
    /// Names that were written since the last listing began.
    written: BTreeSet<DnsName>,
}

pub(crate) fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Zone {
    pub(crate) fn new(name: DnsName, owner: Label, settings: Settings) -> Self {
        Self {
            insync: settings.wait_insync.then(|| Insync::new(name.clone())),
            name,
            owner,
            link: Arc::new(Link::new(settings)),
            turn: Mutex::default(),
            refusals: StdMutex::default(),
            id: StdMutex::default(),
            seen: StdMutex::default(),
        }
    }

    pub(crate) fn shapes(&self) -> Shapes {
        Shapes { aliases: self.link.settings.aliases }
    }

    /// The zone as it was last read and written.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&lock(&self.seen).view)
    }

    /// Marks without a record, which may be deleted.
    pub(crate) fn unattributed(&self) -> HashMap<DnsName, Kept> {
        lock(&self.seen).unattributed.clone()
    }

    /// Takes in what was written.
    pub(crate) fn learn(&self, groups: &[Group]) {
        let mut seen = lock(&self.seen);
        for Group { name, after, mark, .. } in groups {
            seen.unattributed.remove(name);
            Arc::make_mut(&mut seen.view).stands(name, after, mark.as_ref());
            seen.written.insert(name.clone());
        }
    }

    pub(crate) async fn error(&self, fault: Fault, action: &'static str) -> ProviderError {
        let partition = self.link.connection().await.partition;
        let found = lock(&self.id).clone().map(|hosted| hosted.id);
        let zone_id = found.as_deref().or(self.link.settings.zone_id.as_deref());
        let wait_insync = self.insync.is_some();
        fault.into_error(&Whom { endpoint: self.link.endpoint(), partition, zone_id, wait_insync }, action)
    }

    /// To be looked for again at the next call.
    pub(crate) fn forget_id(&self) {
        *lock(&self.id) = None;
    }

    /// The hosted zone, found at the first call.
    pub(crate) async fn id(&self) -> Result<Hosted, Fault> {
        if let Some(hosted) = lock(&self.id).clone() {
            return Ok(hosted);
        }
        let hosted = match &self.link.settings.zone_id {
            Some(id) => self.get(id).await?,
            None => self.find().await?,
        };
        *lock(&self.id) = Some(hosted.clone());
        Ok(hosted)
    }

    async fn get(&self, id: &str) -> Result<Hosted, Fault> {
        let answer = self.link.call(|client| client.get_hosted_zone().id(id).send()).await?;
        let Some(zone) = answer.hosted_zone() else {
            return Err(Fault::new(Kind::NoZone, format!("the answer has no hosted zone {id}")));
        };
        if read_name(zone.name()).as_ref() != Some(&self.name) {
            let reason = format!("the hosted zone {id} is {}, not {}", zone.name(), self.name);
            return Err(Fault::new(Kind::Denied("set zone-id to the one of the zone".to_owned()), reason));
        }
        let hosted = hosted(zone);
        match self.link.settings.private {
            Some(private) if private != hosted.private => Err(Fault::new(
                Kind::Denied("mend zone-type or zone-id".to_owned()),
                format!("the hosted zone {id} is {}", kind(hosted.private)),
            )),
            _ => Ok(hosted),
        }
    }

    /// By its name. What Route 53 returns begins at the name and goes on to others.
    async fn find(&self) -> Result<Hosted, Fault> {
        let mut found: Vec<Hosted> = Vec::new();
        let (mut start, mut allowance) = ((write_name(&self.name), None), Allowance::new());
        loop {
            let (name, id) = &start;
            let answer = self
                .link
                .call(|client| {
                    client.list_hosted_zones_by_name().dns_name(name).set_hosted_zone_id(id.clone()).send()
                })
                .await?;
            let zones = answer.hosted_zones();
            allowance
                .take(zones.len(), 0)
                .map_err(|excess| Fault::new(Kind::Denied(limits::REMEDY.to_owned()), excess.to_string()))?;
            let ours = |zone: &&HostedZone| read_name(zone.name()).as_ref() == Some(&self.name);
            found.extend(zones.iter().filter(ours).map(hosted));
            let more = answer.is_truncated() && zones.last().as_ref().is_some_and(ours);
            match answer.next_dns_name().filter(|_| more) {
                Some(next) => start = (next.to_owned(), answer.next_hosted_zone_id().map(str::to_owned)),
                None => break,
            }
        }
        choose(&self.name, found, self.link.settings.private)
    }

    /// All record sets, page by page.
    async fn read(&self) -> Result<Vec<ResourceRecordSet>, Fault> {
        let id = self.id().await?.id;
        let (mut sets, mut allowance) = (Vec::new(), Allowance::new());
        let mut next: (Option<String>, Option<RrType>, Option<String>) = (None, None, None);
        loop {
            let (name, record_type, identifier) = &next;
            let page = self
                .link
                .call(|client| {
                    client
                        .list_resource_record_sets()
                        .hosted_zone_id(&id)
                        .max_items(PAGE)
                        .set_start_record_name(name.clone())
                        .set_start_record_type(record_type.clone())
                        .set_start_record_identifier(identifier.clone())
                        .send()
                })
                .await?;
            allowance
                .take(page.resource_record_sets().len(), 0)
                .map_err(|excess| Fault::new(Kind::Denied(limits::REMEDY.to_owned()), excess.to_string()))?;
            sets.extend_from_slice(page.resource_record_sets());
            if !page.is_truncated() {
                return Ok(sets);
            }
            let after = (
                page.next_record_name().map(str::to_owned),
                page.next_record_type().cloned(),
                page.next_record_identifier().map(str::to_owned),
            );
            if after == next || after.0.is_none() {
                return Err(Fault::new(Kind::Unavailable, "a page of the listing is followed by itself"));
            }
            next = after;
        }
    }

    pub(crate) async fn list_whole(&self) -> Result<Listing, Fault> {
        lock(&self.seen).written.clear();
        let sets = match self.read().await {
            // Deleted and made again, perhaps.
            Err(Fault { kind: Kind::NoZone, .. }) if lock(&self.id).is_some() => {
                self.forget_id();
                self.read().await?
            }
            result => result?,
        };
        let mut view = View::of(&sets, &self.owner, self.shapes());
        let mut seen = lock(&self.seen);
        // Pages that were read before a write say what stood there then.
        for name in &seen.written {
            view.stands(name, seen.view.observed.at(name), seen.view.marks.get(name));
        }
        let listing = view.listing();
        let before: HashMap<DnsName, Kept> =
            seen.view.unattributed().map(|(name, mark)| (name.clone(), mark.clone())).collect();
        let still = |name: &&DnsName, mark: &Kept| before.get(*name) == Some(mark);
        seen.unattributed = view
            .unattributed()
            .filter(|(name, mark)| still(name, mark))
            .map(|(name, mark)| (name.clone(), mark.clone()))
            .collect();
        seen.view = Arc::new(view);
        Ok(listing)
    }
}

#[async_trait]
impl Provider for Zone {
    fn capabilities(&self) -> Capabilities {
        let alias_below = if self.shapes().aliases { suffixes().collect() } else { Arc::default() };
        Capabilities { max_values: MAX_VALUES, alias_below, ..Capabilities::default() }
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        match self.list_whole().await {
            Ok(listing) => Ok(listing),
            Err(fault) => Err(self.error(fault, "list the zone").await),
        }
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        self.apply_plan(plan.plan()).await
    }

    async fn check(&self, suffix: &DnsName) -> Vec<Finding> {
        self.check_all(suffix).await
    }

    fn measures(&self) -> Vec<Measure> {
        self.insync.as_ref().map(Insync::measures).unwrap_or_default()
    }
}

pub(crate) const fn kind(private: bool) -> &'static str {
    if private { "private" } else { "public" }
}

fn hosted(zone: &HostedZone) -> Hosted {
    Hosted {
        id: zone.id().trim_start_matches("/hostedzone/").to_owned(),
        private: zone.config().is_some_and(HostedZoneConfig::private_zone),
        sets: zone.resource_record_set_count(),
    }
}

/// The one that is meant.
fn choose(name: &DnsName, found: Vec<Hosted>, private: Option<bool>) -> Result<Hosted, Fault> {
    let all: Vec<String> = found.iter().map(|zone| format!("{} ({})", zone.id, kind(zone.private))).collect();
    let all = all.join(", ");
    let mut meant: Vec<Hosted> =
        found.into_iter().filter(|zone| private.is_none_or(|private| zone.private == private)).collect();
    match (meant.pop(), meant.is_empty(), all.is_empty()) {
        (Some(only), true, _) => Ok(only),
        (Some(_), false, _) => Err(Fault::new(
            Kind::Denied("set zone-id to the one that is meant, or zone-type where one is public".to_owned()),
            format!("there are several hosted zones {name}: {all}"),
        )),
        (None, _, false) => Err(Fault::new(
            Kind::Denied("mend zone-type".to_owned()),
            format!("there is no {} hosted zone {name}, but {all}", kind(private.unwrap_or_default())),
        )),
        (None, ..) => Err(Fault::new(
            Kind::Denied(format!(
                "create it (aws route53 create-hosted-zone --name {name} --caller-reference {name}), or use \
                 credentials of the account that has it"
            )),
            format!("there is no hosted zone {name}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(id: &str, private: bool) -> Hosted {
        Hosted { id: id.to_owned(), private, sets: None }
    }

    fn chosen(found: &[(&str, bool)], private: Option<bool>) -> Result<String, String> {
        let found = found.iter().map(|(id, private)| zone(id, *private)).collect();
        choose(&"example.com".parse().unwrap(), found, private)
            .map(|zone| zone.id)
            .map_err(|fault| fault.reason.0.to_string())
    }

    #[test]
    fn one_of_several_zones_is_chosen_only_when_it_is_clear_which() {
        let both = [("Z1", false), ("Z2", true)];
        assert_eq!(chosen(&both[..1], None).as_deref(), Ok("Z1"));
        assert_eq!(chosen(&both, Some(true)).as_deref(), Ok("Z2"));
        let text = chosen(&both, None).unwrap_err();
        assert!(text.contains("Z1 (public), Z2 (private)"), "{text}");
        assert!(chosen(&both[..1], Some(true)).unwrap_err().contains("no private hosted zone"));
        assert!(chosen(&[], None).unwrap_err().contains("there is no hosted zone example.com"));
        assert!(chosen(&[("Z1", true), ("Z2", true)], Some(true)).is_err());
    }
}
