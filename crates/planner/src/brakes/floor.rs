//! The brake on the last addresses of a name.

use std::net::IpAddr;

use super::BrakeInputs;
use crate::decide::current::Current;
use crate::decide::flattened::{Considered, Flattened};
use crate::desired::Desired;
use fleetdns_core::address::Address;
use fleetdns_core::brakes::AllDown;
use fleetdns_core::hold::Hold;
use fleetdns_core::overrides::OverrideKind;
use fleetdns_core::probe::Verdict;
use fleetdns_core::small_set::SmallSet;

/// Keeps enough failing addresses: the last set when nothing is alive, `min_kept` otherwise. `kept` and `hold`: what other
/// brakes hold, and why.
pub(crate) fn floor(
    of: &BrakeInputs<'_>,
    (desired, flat, ours): (&Desired, &Flattened, &Current<'_>),
    alive: &SmallSet<IpAddr>,
    kept: &mut SmallSet<IpAddr>,
    hold: &mut Option<Hold>,
) {
    let out = |seen: &&Considered| seen.alive() == Some(false) && seen.kind != Some(OverrideKind::ForceOut);
    let mut failing: Vec<Considered> = flat.ips.iter().filter(out).copied().collect();
    if failing.is_empty() {
        return;
    }
    // What was sent out and answers is better than what is dead.
    failing.sort_by_key(|seen| (seen.verdict.is_in() != Some(true), seen.ip));
    // What answers again, if not often enough, is better than nothing that answers.
    let again = |seen: &&Considered| seen.verdict == Verdict::Recovering && seen.kind.is_none();
    let back: SmallSet<IpAddr> = failing.iter().filter(again).map(|seen| seen.ip).collect();
    let failing: Vec<IpAddr> = failing.iter().map(|seen| seen.ip).collect();
    let fails: SmallSet<IpAddr> = failing.iter().copied().collect();
    // What only waits for its turn is as good as gone: it takes nothing else's place.
    let firm: SmallSet<IpAddr> = kept
        .iter()
        .copied()
        .filter(|ip| !(fails.contains(ip) && of.waiting.contains(&Address::from(*ip))))
        .collect();
    let published: Vec<IpAddr> =
        failing.iter().copied().filter(|ip| ours.ips.contains(ip) && !firm.contains(ip)).collect();
    // What answers again leaves the last set whole: it may be gone in a moment.
    if alive.is_empty() && firm.iter().all(|ip| back.contains(ip)) {
        if !flat.undecided.is_empty() && !ours.exists() {
            return;
        }
        let alias = ours.cname.map(|target| Address::Hostname(target.clone()));
        let known = alias.is_some_and(|alias| desired.candidates.contains_key(&alias));
        let left = failing.iter().any(|ip| ours.ips.contains(ip));
        let replaced = ours.exists() && !left && !known && flat.undecided.is_empty();
        match of.settings.all_down {
            AllDown::Empty => return,
            // Nothing of the last set is left in any cluster: what the clusters have now is better than no answer.
            AllDown::Keep if replaced => kept.extend(failing),
            AllDown::Keep => kept.extend(published.into_iter().chain(back)),
            AllDown::All => kept.extend(failing),
        }
        if !kept.is_empty() {
            *hold = Some(Hold::AllDown);
        }
        return;
    }
    let missing = of.settings.min_kept.saturating_sub(alive.len() + firm.len());
    let more: Vec<IpAddr> = published.into_iter().take(missing).collect();
    if !more.is_empty() {
        kept.extend(more);
        hold.get_or_insert(Hold::Floor);
    }
}
