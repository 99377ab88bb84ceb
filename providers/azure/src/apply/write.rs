//! Writing one set.

use std::time::Duration;

use azure_core::http::Url;
use fleetdns_core::ownership::external_dns;
use fleetdns_core::{Content, DnsName, ObservedSet, OwnershipRecord, RecordData, RecordSet};

use super::Trouble;
use crate::client::{Answer, Condition};
use crate::error::{Fault, Kind};
use crate::listing::{self, Item};
use crate::ownership::Metadata;
use crate::provider::AzureZone;

/// Pauses before a write is tried again, where it is tried again at all.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(600), Duration::from_secs(2)];
/// A name that lost its old type waits so long for its new one before the rest of the plan goes on.
const GAP_WAIT: Duration = Duration::from_secs(15);

impl AzureZone {
    /// Deletes a set as it was read. That it is gone already is as good.
    pub(super) async fn delete(
        &self,
        name: &DnsName,
        record_type: &str,
        before: &ObservedSet,
    ) -> Result<(), Trouble> {
        let url = self.set_url(name, record_type)?;
        let (etag, _) = listing::parts(&before.version);
        let on = known(etag)?;
        let result = self.patiently(false, || self.arm.delete(url.clone(), on)).await;
        match result {
            Ok(_) => Ok(()),
            // It may have gone through before its answer was lost.
            Err(Fault { kind: Kind::Changed, .. }) => match self.arm.get(url).await {
                Err(Fault { kind: Kind::Missing, .. }) => Ok(()),
                _ => Err(Trouble::Conflict),
            },
            Err(fault) => Err(fault.into()),
        }
    }

    /// Writes a set where `before` stands, or where nothing does; returns what Azure has then.
    pub(super) async fn put(
        &self,
        set: &RecordSet,
        mark: Option<&OwnershipRecord>,
        before: Option<&ObservedSet>,
        in_gap: bool,
    ) -> Result<ObservedSet, Trouble> {
        if set.name == self.zone && matches!(set.data, RecordData::Cname(_)) {
            // Azure says of it what it says of a CNAME that somebody else's record forbids.
            let problem = "the zone's own name, which cannot have a CNAME (RFC 1034 §3.6.2)";
            return Err(invalid(format!("{} is {problem}", set.name)).into());
        }
        let Some(before) = before else {
            return self.put_on(set, mark, Condition::Absent, Metadata::new(), in_gap).await;
        };
        let (etag, others) = listing::parts(&before.version);
        self.put_on(set, mark, known(etag)?, others, in_gap).await
    }

    /// Sets the ownership records of another program aside, marks its set as ours, then deletes them. So nobody but us changes
    /// the set from the first write on, and wherever this stops, the next adoption goes on with it.
    pub(super) async fn adopt(
        &self,
        set: &RecordSet,
        mark: &OwnershipRecord,
        before: &ObservedSet,
        theirs: &[(DnsName, ObservedSet)],
    ) -> Result<ObservedSet, Trouble> {
        let mut aside = Vec::new();
        for (at, text) in theirs {
            let text = self.set_aside(at, text).await;
            aside.push((at, text.map_err(|trouble| half(trouble, !aside.is_empty()))?));
        }
        let written = self.put(set, Some(mark), Some(before), false).await;
        let written = written.map_err(|trouble| match trouble {
            Trouble::Conflict => trouble,
            trouble => half(trouble, !aside.is_empty()),
        })?;
        for (at, text) in aside {
            self.delete(at, "TXT", &text).await.map_err(|trouble| half(trouble, true))?;
        }
        Ok(written)
    }

    /// Gives the ownership record of another program an owner id that nobody has; returns it as it is then.
    async fn set_aside(&self, at: &DnsName, text: &ObservedSet) -> Result<ObservedSet, Trouble> {
        let Content::Text(values) = &text.content else { return Err(Trouble::Conflict) };
        let Some(aside) = external_dns::set_aside(values.iter().map(|value| &**value), &self.owner) else {
            return Ok(text.clone());
        };
        let (etag, others) = listing::parts(&text.version);
        let (url, on) = (self.set_url(at, "TXT")?, known(etag)?);
        let body = listing::text_body(self.arm.settings().service, text.ttl, &aside, others);
        match self.patiently(false, || self.arm.put(url.clone(), on, &body)).await {
            Ok(answer) => Ok(self.item(&answer, None)?.set),
            Err(Fault { kind: Kind::Changed, .. }) => Err(Trouble::Conflict),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Writes a set again that was deleted to make room for another type, which then could not be written.
    pub(super) async fn put_back(
        &self,
        name: &DnsName,
        before: &ObservedSet,
        mark: Option<&OwnershipRecord>,
    ) -> Result<ObservedSet, Trouble> {
        let data = before.ours().cloned().ok_or(Trouble::Conflict)?;
        let set = RecordSet { name: name.clone(), ttl: before.ttl, data };
        let mark = before.claim.mark().or(mark);
        let (_, others) = listing::parts(&before.version);
        self.put_on(&set, mark, Condition::Absent, others, true).await
    }

    async fn put_on(
        &self,
        set: &RecordSet,
        mark: Option<&OwnershipRecord>,
        on: Condition<'_>,
        others: Metadata,
        in_gap: bool,
    ) -> Result<ObservedSet, Trouble> {
        let record_type = set.data.record_type().as_str();
        let url = self.set_url(&set.name, record_type)?;
        let body = listing::body(self.arm.settings().service, set, mark, others).map_err(invalid)?;
        match self.patiently(in_gap, || self.arm.put(url.clone(), on, &body)).await {
            Ok(answer) => self.verify(&answer, url, set, mark, matches!(on, Condition::Absent)).await,
            Err(Fault { kind: Kind::Changed, .. }) => self.reread(url, set, mark).await,
            Err(Fault { kind: Kind::Exclusive, .. }) => Err(Trouble::Conflict),
            Err(Fault { kind: Kind::Invalid, problem }) => {
                Err(invalid(format!("{} {record_type}: {problem}", set.name)).into())
            }
            Err(fault) => Err(fault.into()),
        }
    }

    fn set_url(&self, name: &DnsName, record_type: &str) -> Result<Url, Fault> {
        let relative = listing::relative(name, &self.zone)
            .ok_or_else(|| invalid(format!("{name} is not in the zone {}", self.zone)))?;
        Ok(self.arm.url(&[record_type, relative]))
    }

    /// Tries again what Azure has queued; in a gap also what was not answered.
    async fn patiently<F>(&self, in_gap: bool, call: impl Fn() -> F) -> Result<Answer, Fault>
    where
        F: Future<Output = Result<Answer, Fault>>,
    {
        for pause in PAUSES {
            let fault = match call().await {
                Err(fault) => fault,
                answer => return answer,
            };
            match fault.kind {
                Kind::Queued => tokio::time::sleep(pause).await,
                Kind::Unreachable | Kind::Away | Kind::Broken if in_gap => tokio::time::sleep(pause).await,
                Kind::Throttled(Some(wait)) if in_gap && wait.duration() <= GAP_WAIT => {
                    tokio::time::sleep(wait.duration()).await;
                }
                _ => return Err(fault),
            }
        }
        call().await
    }

    /// Azure is known to answer with success and to keep less than it was given. A set that came to be without our mark
    /// would be nobody's, so that it goes again.
    async fn verify(
        &self,
        answer: &Answer,
        url: Url,
        set: &RecordSet,
        mark: Option<&OwnershipRecord>,
        is_new: bool,
    ) -> Result<ObservedSet, Trouble> {
        let Item { set: found, odd, .. } = self.item(answer, mark)?;
        if listing::stands(&found, set, mark) {
            return Ok(found);
        }
        let (etag, _) = listing::parts(&found.version);
        if is_new && !etag.is_empty() {
            // Should this fail, the set is foreign at the next listing, and said to be.
            let _ = self.arm.delete(url, Condition::Etag(etag)).await;
        }
        let why = odd.unwrap_or_else(|| format!("it has {found} now"));
        Err(invalid(format!("Azure took {set} and kept something else: {why}")).into())
    }

    /// The condition did not hold: somebody else was faster, or our own write was, whose answer got lost.
    async fn reread(
        &self,
        url: Url,
        set: &RecordSet,
        mark: Option<&OwnershipRecord>,
    ) -> Result<ObservedSet, Trouble> {
        // Where this read is throttled or fails, the next listing says what is there.
        let answer = self.arm.get(url).await.map_err(|_| Trouble::Conflict)?;
        let Item { set: found, .. } = self.item(&answer, mark)?;
        if listing::stands(&found, set, mark) { Ok(found) } else { Err(Trouble::Conflict) }
    }

    /// Asks for a write on a condition that is never true: the right to write is looked at first.
    pub(crate) async fn try_write(&self, set: &RecordSet) -> Result<(), Fault> {
        const NEVER: &str = "00000000-0000-0000-0000-000000000000";
        let url = self.set_url(&set.name, set.data.record_type().as_str())?;
        let mark = format!("v=1 owner={} service=fleetdns/check", self.owner).parse::<OwnershipRecord>();
        let mark = mark.map_err(|error| invalid(error.to_string()))?;
        let body =
            listing::body(self.arm.settings().service, set, Some(&mark), Metadata::new()).map_err(invalid)?;
        match self.arm.put(url, Condition::Etag(NEVER), &body).await {
            Ok(_) | Err(Fault { kind: Kind::Changed, .. }) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

/// A fault after something was written.
fn half(trouble: Trouble, is_half: bool) -> Trouble {
    match trouble {
        Trouble::Fault(fault) if is_half => Trouble::Half(fault),
        Trouble::Conflict if is_half => Trouble::Half(Fault::away("another writer changed it meanwhile")),
        other => other,
    }
}

/// Without an etag nothing could be proven, and everything overwritten.
fn known(etag: &str) -> Result<Condition<'_>, Trouble> {
    if etag.is_empty() { Err(Trouble::Conflict) } else { Ok(Condition::Etag(etag)) }
}

fn invalid(problem: String) -> Fault {
    Fault { kind: Kind::Invalid, problem }
}
