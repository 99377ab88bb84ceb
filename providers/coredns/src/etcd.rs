//! A zone in CoreDNS's etcd.

mod apply;
mod changes;
mod check;
mod client;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod layout;
mod listing;
mod pack;
mod store;
mod value;

#[cfg(test)]
mod model_tests;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use etcd_client::{GetOptions, GetResponse, KvClient};
use fleetdns_core::limits::{ANSWER_BYTES, Allowance};
use fleetdns_core::{
    Applied, ApprovedPlan, Capabilities, DnsName, Finding, Label, Listing, ObservedSet, Provider,
    ProviderError, Refusals, Ttl,
};

use crate::settings::EtcdSettings;
pub use store::Store;

use client::Link;
use error::{Fault, Kind};
use layout::Layout;
use listing::{Pair, View};

/// Keys of one page of a listing.
const PAGE: i64 = 2000;
/// Keys of one page where values are large: so many of the largest that etcd takes (1.5 MiB unless set) fit one answer.
const SMALL_PAGE: i64 = 40;

/// One zone in etcd.
#[derive(Debug)]
pub(crate) struct EtcdZone {
    layout: Layout,
    owner: Label,
    link: Link,
    seen: Mutex<Seen>,
    refusals: Mutex<Refusals>,
}

/// Up to which revisions this zone is known: what a guard against *new* keys needs, and no set's version can say.
#[derive(Debug, Default)]
struct Seen {
    /// Revision of the last listing.
    listed: Option<i64>,
    /// Names written since then, with the revision at which they were read again.
    since: HashMap<DnsName, i64>,
    /// Foreign sets of the zone's own name that only a listing finds.
    apex_strays: Vec<ObservedSet>,
}

impl EtcdZone {
    pub(crate) fn new(zone: DnsName, owner: Label, settings: EtcdSettings) -> Self {
        let layout = Layout::new(zone, &settings.path);
        let link = Link::new(settings, layout.zone_key().to_owned());
        Self { layout, owner, link, seen: Mutex::default(), refusals: Mutex::default() }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list_at_one_revision(&self) -> Result<Listing, Fault> {
        let (pages, revision) = match self.pages().await {
            // Compacted while we read: once more from the start.
            Err(Fault { kind: Kind::Compacted, .. }) => self.pages().await?,
            result => result?,
        };
        let View { mut listing, apex_strays } =
            listing::view(&self.layout, &self.owner, pages.iter().flat_map(pairs));
        listing.observed.set_unwritable(self.layout.reserved());
        let mut seen = self.seen();
        // What was written while the pages were read is known at a later revision.
        seen.since.retain(|_, written| *written > revision);
        (seen.listed, seen.apex_strays) = (Some(revision), apex_strays);
        Ok(listing)
    }

    /// All keys of the zone as they were at one revision.
    async fn pages(&self) -> Result<(Vec<GetResponse>, i64), Fault> {
        let prefix = self.layout.zone_prefix();
        let (end, mut limit) = (end_of(&prefix), PAGE);
        let first = self.page(prefix.into_bytes(), &end, 0, &mut limit).await?;
        let revision = first.header().map_or(0, etcd_client::ResponseHeader::revision);
        let key = GetOptions::new().with_revision(revision);
        let mut pages = vec![self.get(self.layout.zone_key().into(), key).await?];
        let (mut page, mut allowance) = (first, Allowance::new());
        while page.more() {
            let bytes = page.kvs().iter().map(|kv| kv.key().len() + kv.value().len()).sum();
            allowance.take(page.kvs().len(), bytes).map_err(|excess| self.link.excess(excess))?;
            let Some(last) = page.kvs().last() else { break };
            let mut next = last.key().to_vec();
            next.push(0);
            pages.push(page);
            page = self.page(next, &end, revision, &mut limit).await?;
        }
        pages.push(page);
        Ok((pages, revision))
    }

    /// Up to `limit` of the keys from `start` to `end`; fewer where their values are too large for one answer, and from
    /// there on twice as many each time.
    async fn page(
        &self,
        start: Vec<u8>,
        end: &[u8],
        revision: i64,
        limit: &mut i64,
    ) -> Result<GetResponse, Fault> {
        let options = |limit| GetOptions::new().with_revision(revision).with_limit(limit).with_range(end);
        match self.get(start.clone(), options(*limit)).await {
            Err(Fault { kind: Kind::AnswerTooLarge, .. }) => {
                *limit = SMALL_PAGE;
                self.get(start, options(SMALL_PAGE)).await
            }
            result => {
                *limit = limit.saturating_mul(2).min(PAGE);
                result
            }
        }
    }

    async fn get(&self, key: Vec<u8>, options: GetOptions) -> Result<GetResponse, Fault> {
        self.link
            .call(|client| {
                let (mut kv, key, options) = (kv(&client), key.clone(), options.clone());
                async move { kv.get(key, Some(options)).await }
            })
            .await
    }
}

#[async_trait]
impl Provider for EtcdZone {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            wildcards: false,
            apex: true,
            answers_subtree: true,
            // CoreDNS takes 0 for "not given", and answers with 300.
            ttl: (Ttl::new(1).unwrap_or(Ttl::DEFAULT), Ttl::MAX),
            max_values: pack::MAX_VALUES,
            ..Capabilities::default()
        }
    }

    async fn list(&self) -> Result<Listing, ProviderError> {
        self.list_at_one_revision().await.map_err(|fault| fault.into_error("list the zone"))
    }

    async fn apply(&self, plan: &ApprovedPlan) -> Applied {
        self.apply_plan(plan.plan()).await
    }

    async fn check(&self, suffix: &DnsName) -> Vec<Finding> {
        self.check_all(suffix).await
    }
}

fn kv(client: &etcd_client::Client) -> KvClient {
    client.kv_client().max_decoding_message_size(ANSWER_BYTES)
}

/// The first key after all keys with a prefix that ends with a slash.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

fn pairs(response: &GetResponse) -> impl Iterator<Item = Pair<'_>> {
    response.kvs().iter().map(|kv| Pair { key: kv.key(), value: kv.value(), revision: kv.mod_revision() })
}
