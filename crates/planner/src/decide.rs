//! What stands at one name: the candidates that are in, and what is kept of what is there.
//!
//! Invariant: an address leaves a name only with a reason — it was probed dead, or its member, listed whole, no longer
//! has it — and never while start-up has not converged.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::brakes::{BrakeInputs, Removal, floor};
use crate::desired::{Candidate, Desired};
use fleetdns_core::address::Address;
use fleetdns_core::brakes::AllDown;
use fleetdns_core::hold::Hold;
use fleetdns_core::name::DnsName;
use fleetdns_core::observed::ObservedSet;
use fleetdns_core::overrides::OverrideKind;
use fleetdns_core::ownership::Ownership;
use fleetdns_core::plan::Cause;
use fleetdns_core::record::{NonEmpty, RecordData};
use fleetdns_core::small_set::SmallSet;

pub(crate) mod current;
pub(crate) mod flattened;
mod retained;

pub(crate) use current::Current;
use flattened::{all_sent_out, flatten};
use retained::Retained;

/// What should stand at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These sets: one CNAME, or A, or AAAA, or both.
    Sets(Vec<RecordData>),
    /// Whatever is there now.
    AsItIs,
    /// Nothing.
    Nothing(Cause),
}

/// A decision, with what was kept against the override of inventory or health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameDecision<'a> {
    pub(crate) answer: Answer,
    pub(crate) ownership: Cow<'a, Ownership>,
    pub(crate) hold: Option<Hold>,
}

/// Decides what stands at a wanted name. `bare`: no host name can stand there as it is.
pub(crate) fn decide<'a>(
    desired: &'a Desired,
    observed: &[ObservedSet],
    bare: bool,
    brakes: &BrakeInputs<'_>,
) -> NameDecision<'a> {
    let ours = Current::of(observed);
    let done = |answer, hold| NameDecision { answer, ownership: Cow::Borrowed(&desired.ownership), hold };
    if desired.removed {
        return done(Answer::Nothing(Cause::MemberDeparted), None);
    }
    let flat = flatten(desired, bare || desired.candidates.len() > 1);
    let retained = Retained { desired, flat: &flat, ours: &ours, brakes };
    if let Some(hold) = retained.alias() {
        return done(Answer::AsItIs, Some(hold));
    }
    let mut ownership = Cow::Borrowed(&desired.ownership);
    let (kept, hold) = retained.addresses(&mut ownership);
    match sole_hostname(desired).filter(|_| !bare && kept.is_empty()) {
        Some((alias, candidate)) => {
            let (answer, hold) = settle_alias(desired, alias, candidate, &ours, brakes);
            done(answer, hold)
        }
        None => {
            let (answer, hold) = settle_addresses(&retained, kept, hold);
            NameDecision { answer, ownership, hold }
        }
    }
}

fn settle_alias(
    desired: &Desired,
    alias: &DnsName,
    candidate: &Candidate,
    ours: &Current<'_>,
    brakes: &BrakeInputs<'_>,
) -> (Answer, Option<Hold>) {
    let publish = Answer::Sets(vec![RecordData::Cname(alias.clone())]);
    let sent_out = candidate.kind == Some(OverrideKind::ForceOut);
    let all_down = brakes.settings.all_down;
    let keep_all = all_down != AllDown::Empty && desired.up.is_none() && !sent_out;
    let freeze = || brakes.hold(Removal::Wanted).filter(|_| ours.exists());
    match candidate.alive() {
        Some(true) => (publish, None),
        None => (Answer::AsItIs, ours.exists().then_some(Hold::Undecided)),
        Some(false) => match freeze() {
            Some(hold) => (Answer::AsItIs, Some(hold)),
            None if keep_all && (ours.exists() || all_down == AllDown::All) => (publish, Some(Hold::AllDown)),
            None => (fallback(desired), None),
        },
    }
}

/// The host name that is all that is wanted.
pub(crate) fn sole_hostname(desired: &Desired) -> Option<(&DnsName, &Candidate)> {
    let (address, candidate) = desired.candidates.first_key_value()?;
    let alias = address.hostname().filter(|_| desired.candidates.len() == 1)?;
    Some((alias, candidate))
}

/// Where a name goes that has no address.
fn fallback(desired: &Desired) -> Answer {
    match &desired.up {
        Some(up) => Answer::Sets(vec![RecordData::Cname(up.clone())]),
        None if desired.candidates.is_empty() => Answer::Nothing(Cause::ServiceGone),
        None if all_sent_out(desired) => Answer::Nothing(Cause::ForcedOut),
        None => Answer::Nothing(Cause::AllDown),
    }
}

fn settle_addresses(
    retained: &Retained<'_>,
    mut kept: SmallSet<IpAddr>,
    mut hold: Option<Hold>,
) -> (Answer, Option<Hold>) {
    let Retained { desired, flat, ours, brakes } = *retained;
    let alive: SmallSet<IpAddr> =
        flat.ips.iter().filter(|seen| seen.alive() == Some(true)).map(|seen| seen.ip).collect();
    if desired.up.is_none() {
        floor(brakes, (desired, flat, ours), &alive, &mut kept, &mut hold);
    }
    let all: SmallSet<IpAddr> = alive.iter().chain(&kept).copied().collect();
    // What only waits for its turn holds nobody's place.
    let lasts = |ip: &IpAddr| alive.contains(ip) || !brakes.waiting.contains(&Address::from(*ip));
    let answer = if all.iter().any(lasts) || (!all.is_empty() && flat.undecided.is_empty()) {
        Answer::Sets(by_family(&all))
    } else if !flat.undecided.is_empty() {
        hold = hold.or_else(|| ours.exists().then_some(Hold::Undecided));
        Answer::AsItIs
    } else if let Some(freeze) =
        brakes.hold(Removal::Wanted).filter(|_| desired.up.is_none() && ours.exists())
    {
        hold = Some(freeze);
        Answer::AsItIs
    } else if desired.up.is_none() && retained.last_set() {
        hold = Some(Hold::AllDown);
        Answer::AsItIs
    } else {
        fallback(desired)
    };
    (answer, hold)
}

fn by_family(ips: &SmallSet<IpAddr>) -> Vec<RecordData> {
    let v4 = ips.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(*ip) } else { None });
    let v6 = ips.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(*ip) } else { None });
    let a = NonEmpty::new(v4).map(RecordData::A);
    let aaaa = NonEmpty::new(v6).map(RecordData::Aaaa);
    a.into_iter().chain(aaaa).collect()
}
