//! One complete list, and one round of them over all members, for a plan that is only printed.

use std::sync::Arc;

use fleetdns_core::{MemberView, Snapshot};
use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::access::Connector;
use crate::api::{Api, LIST, ServiceList};
use crate::entry::Entry;
use crate::error::Fault;
use crate::settings::{Members, WatchSettings};
use crate::{nodes, route};

/// Lists every member once, side by side, each within `startup_timeout`. A member that fails is `stale`, with what was
/// adopted for it, and says why in its `fault`.
pub async fn list_once(
    Members { members, settings, completeness }: &Members,
    adopted: Vec<MemberView>,
) -> Snapshot {
    let out = Arc::new(watch::Sender::new(Snapshot::default()));
    let entries: Vec<Entry> =
        members.iter().map(|member| Entry::new(member.clone(), settings, Arc::clone(&out))).collect();
    route::adopt(&out, |name| entries.iter().find(|entry| entry.name() == name), adopted);
    join_all(entries.iter().map(|entry| list(entry, settings))).await;
    let newcomer = entries.iter().find(|entry| entry.is_unknown()).map(Entry::name);
    route::resolve(&out, entries.iter().map(Entry::name), *completeness, newcomer);
    out.borrow().clone()
}

async fn list(entry: &Entry, settings: &WatchSettings) {
    let deadline = settings.startup_timeout;
    match timeout(deadline, attempt(entry, settings)).await {
        Ok(Ok(())) => return,
        Ok(Err(fault)) => entry.missed(&fault),
        Err(_) => {
            entry.missed(&Fault::Late { seconds: deadline.as_secs() });
        }
    }
    entry.give_up_waiting();
}

async fn attempt(entry: &Entry, settings: &WatchSettings) -> Result<(), Fault> {
    let mut connector = Connector::new(entry.config().access.clone());
    let connection = connector.connect(settings.request_timeout).await?;
    let limits = entry.config().limits;
    let api = Api::new(connection, settings.request_timeout, settings.selector.clone(), limits);
    let place = async {
        if nodes::are_needed(entry) {
            match api.nodes().await {
                Ok(census) => entry.placed(census),
                Err(fault) => entry.unplaced(&fault),
            }
        }
    };
    let (list, ()) = tokio::join!(complete(&api, settings), place);
    entry.listed(list?, false);
    Ok(())
}

/// A complete list with an end to the wait for all of its pages.
pub(crate) async fn complete(api: &Api, settings: &WatchSettings) -> Result<ServiceList, Fault> {
    let deadline = settings.request_timeout * 10;
    match timeout(deadline, api.services()).await {
        Ok(list) => list,
        Err(_) => {
            Err(Fault::Silent { peer: api.peer().clone(), action: LIST, seconds: deadline.as_secs_f64() })
        }
    }
}
