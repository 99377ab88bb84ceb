//! A zone behind a webhook, and what is known of the webhook by now.

use std::collections::HashMap;
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};

use fleetdns_core::{DnsName, Label, Listing, RecordType as Kind, Refusals};
use tokio::sync::Mutex;

use crate::client::Link;
use crate::error::{Action, Fault};
use crate::filter::{Filter, Reach};
use crate::listing::View;
use crate::settings::Settings;

/// Most names of one call. Webhooks write record by record within one call, so that thousands would take minutes.
pub(crate) const MOST_AT_ONCE: usize = 250;

/// A zone behind a webhook.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) zone: DnsName,
    pub(crate) owner: Label,
    pub(crate) link: Link,
    /// One plan at a time. A listing does not wait for it, nor does a plan wait for a listing.
    pub(crate) state: Mutex<State>,
    /// `None` before the first listing.
    filter: StdMutex<Option<Filter>>,
}

/// What is known of the webhook by now.
#[derive(Debug)]
pub(crate) struct State {
    /// Names of one call.
    pub(crate) at_once: usize,
    /// TTL and properties that it lists where it was sent a TTL.
    pub(crate) learned: HashMap<(Kind, i64), (i64, u32)>,
    pub(crate) refusals: Refusals,
    /// Whether it keeps only one value of a TXT.
    pub(crate) one_target: bool,
}

impl Webhook {
    pub(crate) fn new(zone: DnsName, owner: Label, settings: Settings) -> Self {
        let state = State {
            at_once: MOST_AT_ONCE,
            learned: HashMap::new(),
            refusals: Refusals::default(),
            one_target: false,
        };
        Self { zone, owner, link: Link::new(settings), state: Mutex::new(state), filter: StdMutex::default() }
    }

    /// What stands in the zone.
    pub(crate) async fn read(&self) -> Result<View, (Fault, Action)> {
        let records = self.link.records().await.map_err(|fault| (fault, Action::Read))?;
        let mut view = View::of(records, &self.zone, &self.owner);
        let strange = view.strange();
        if !strange.is_empty() {
            view.accept(&self.link.adjust(&strange).await.map_err(|fault| (fault, Action::Adjust))?);
        }
        Ok(view)
    }

    pub(crate) async fn list_whole(&self) -> Result<Listing, (Fault, Action)> {
        let filter = self.link.negotiate().await.map_err(|fault| (fault, Action::Negotiate))?;
        if let Filter::Lists { .. } = filter
            && filter.reach(&self.zone, &self.owner) == Reach::None
        {
            return Err((self.left_out(&filter), Action::Negotiate));
        }
        let excluded = filter.excluded();
        *self.filter() = Some(filter);
        let mut listing = self.read().await?.listing();
        listing.observed.set_unwritable(excluded);
        Ok(listing)
    }

    pub(crate) fn filter(&self) -> MutexGuard<'_, Option<Filter>> {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn left_out(&self, filter: &Filter) -> Fault {
        Fault::Denied {
            problem: format!("its domain filter ({}) leaves {} out", filter.shown(), self.zone),
            remedy: format!("add {} to the domain filter of the webhook", self.zone),
        }
    }
}
