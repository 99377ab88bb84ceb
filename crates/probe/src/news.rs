//! What changed and has not been published yet.

use std::net::IpAddr;

use fleetdns_core::{DnsName, Doubt, Health, ProbeKey, Unprobeable, Verdict};
use imbl::OrdSet;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::answer::Answer;

#[derive(Debug, Default)]
pub(crate) struct News {
    verdicts: Vec<(ProbeKey, Option<Verdict>)>,
    resolved: Vec<(DnsName, Option<OrdSet<IpAddr>>)>,
    blind: Vec<(ProbeKey, bool)>,
    /// Keys that cannot be probed, of IPv4 and of IPv6.
    blind_keys: [usize; 2],
    unprobeable: Unprobeable,
    unresolvable: Vec<(DnsName, bool)>,
    doubt: Option<Option<Doubt>>,
}

impl News {
    pub(crate) fn new(unprobeable: Unprobeable) -> Self {
        Self { unprobeable, ..Self::default() }
    }

    /// Says what never changes.
    pub(crate) fn start(&self, out: &watch::Sender<Health>) {
        out.send_if_modified(|health| {
            std::mem::replace(&mut health.unprobeable, self.unprobeable) != self.unprobeable
        });
    }

    /// A verdict changed: says so too, as this is the one place where each change passes once.
    pub(crate) fn verdict(&mut self, key: &ProbeKey, before: Verdict, after: Verdict, answer: &Answer) {
        let ProbeKey { address, spec } = key;
        let error = answer.error();
        match (before, after) {
            (_, Verdict::Unhealthy) => {
                warn!(%address, probe = %spec, verdict = %after, error, "verdict changed");
            }
            (Verdict::Unknown, Verdict::Healthy) => {
                debug!(%address, probe = %spec, verdict = %after, "verdict changed");
            }
            _ => info!(%address, probe = %spec, verdict = %after, error, "verdict changed"),
        }
        self.verdicts.push((key.clone(), Some(after)));
    }

    /// A verdict changed without a probe.
    pub(crate) fn taken_back(&mut self, key: &ProbeKey, before: Verdict, after: Verdict) {
        let ProbeKey { address, spec } = key;
        info!(%address, probe = %spec, %before, verdict = %after, "verdict taken back");
        self.verdicts.push((key.clone(), Some(after)));
    }

    /// A verdict that stands already becomes an endpoint's.
    pub(crate) fn known(&mut self, key: ProbeKey, verdict: Verdict) {
        self.verdicts.push((key, Some(verdict)));
    }

    /// Doubt begins, changes or ends.
    pub(crate) fn doubt(&mut self, doubt: Option<Doubt>) {
        self.doubt = Some(doubt);
    }

    /// A key with a verdict is no endpoint's any more.
    pub(crate) fn gone(&mut self, key: ProbeKey) {
        self.verdicts.push((key, None));
    }

    /// A host name has other addresses than before.
    pub(crate) fn resolved(&mut self, name: DnsName, addresses: OrdSet<IpAddr>) {
        self.resolved.push((name, Some(addresses)));
    }

    /// A host name is not wanted any more.
    pub(crate) fn forgotten(&mut self, name: DnsName) {
        self.resolved.push((name, None));
    }

    /// A key cannot be probed from here and loses the verdict that it had, or it can be again. Only the first and the last
    /// key of an address family are logged: a missing route hits many.
    pub(crate) fn blind(&mut self, key: ProbeKey, (is, had_verdict): (bool, bool), answer: &Answer) {
        let family = usize::from(key.address.is_ipv6());
        let name = ["IPv4", "IPv6"].get(family).copied().unwrap_or_default();
        if let Some(count) = self.blind_keys.get_mut(family) {
            let before = *count;
            *count = if is { before + 1 } else { before.saturating_sub(1) };
            match (before, *count) {
                (0, 1) => warn!(
                    family = name,
                    address = %key.address,
                    error = answer.error(),
                    unprobeable = self.unprobeable.as_str(),
                    "addresses cannot be probed from here"
                ),
                (1, 0) => info!(family = name, "all addresses can be probed again"),
                _ => {}
            }
        }
        if had_verdict {
            self.verdicts.push((key.clone(), None));
        }
        self.blind.push((key, is));
    }

    /// A host name could never be resolved, or it was.
    pub(crate) fn unresolvable(&mut self, name: DnsName, is: bool) {
        self.unresolvable.push((name, is));
    }

    fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
            && self.resolved.is_empty()
            && self.blind.is_empty()
            && self.unresolvable.is_empty()
            && self.doubt.is_none()
    }

    /// Touches only what changed, and sends nothing when that is nothing.
    pub(crate) fn publish(&mut self, out: &watch::Sender<Health>) {
        if self.is_empty() {
            return;
        }
        out.send_modify(|health| {
            if let Some(doubt) = self.doubt.take() {
                health.doubt = doubt;
            }
            for (key, verdict) in self.verdicts.drain(..) {
                match verdict {
                    Some(verdict) => health.verdicts.insert(key, verdict),
                    None => health.verdicts.remove(&key),
                };
            }
            for (key, is) in self.blind.drain(..) {
                if is {
                    health.blind.insert(key)
                } else {
                    health.blind.remove(&key)
                };
            }
            for (name, is) in self.unresolvable.drain(..) {
                if is {
                    health.unresolvable.insert(name)
                } else {
                    health.unresolvable.remove(&name)
                };
            }
            for (name, addresses) in self.resolved.drain(..) {
                health.unresolvable.remove(&name);
                match addresses {
                    Some(addresses) => health.resolved.insert(name, addresses),
                    None => health.resolved.remove(&name),
                };
            }
        });
    }
}
