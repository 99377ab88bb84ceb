//! What changed and has not been published yet.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::lines::Lines;
use fleetdns_core::{
    AddressPolicies, DnsName, Health, ProbeKey, SelfCheckFailure, UnprobeablePolicy, Verdict,
};
use imbl::OrdSet;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::answer::Answer;

/// How often it is seen whether log lines were left out.
const SAY: Duration = Duration::from_secs(60);

/// Namespaces for which an endpoint stands.
pub(crate) type Namespaces<'a> = &'a mut dyn Iterator<Item = Arc<str>>;

#[derive(Debug)]
pub(crate) struct Changes {
    verdicts: Vec<(ProbeKey, Option<Verdict>)>,
    resolved: Vec<(DnsName, Option<OrdSet<IpAddr>>)>,
    unprobeable: Vec<(ProbeKey, bool)>,
    /// Keys that cannot be probed, of IPv4 and of IPv6.
    blind_keys: [usize; 2],
    unprobeable_policy: UnprobeablePolicy,
    unresolvable: Vec<(DnsName, bool)>,
    self_check: Option<Option<SelfCheckFailure>>,
    /// Log lines of each namespace.
    lines: Lines,
    epoch: Instant,
    say_at: Duration,
}

impl Changes {
    pub(crate) fn new(unprobeable_policy: UnprobeablePolicy) -> Self {
        Self {
            verdicts: Vec::new(),
            resolved: Vec::new(),
            unprobeable: Vec::new(),
            blind_keys: [0; 2],
            unprobeable_policy,
            unresolvable: Vec::new(),
            self_check: None,
            lines: Lines::default(),
            epoch: Instant::now(),
            say_at: SAY,
        }
    }

    pub(crate) const fn set_unprobeable_policy(&mut self, policy: UnprobeablePolicy) {
        self.unprobeable_policy = policy;
    }

    /// Says what only another configuration changes.
    pub(crate) fn configured(&self, policies: &Arc<AddressPolicies>, out: &watch::Sender<Health>) {
        out.send_if_modified(|health| {
            let same = health.unprobeable_policy == self.unprobeable_policy && health.addresses == *policies;
            health.unprobeable_policy = self.unprobeable_policy;
            health.addresses = Arc::clone(policies);
            !same
        });
    }

    /// A verdict changed: says so too, as this is the one place where each change passes once.
    pub(crate) fn verdict(
        &mut self,
        (key, namespaces): (&ProbeKey, Namespaces<'_>),
        (before, after): (Verdict, Verdict),
        answer: &Answer,
    ) {
        let ProbeKey { address, spec } = key;
        let error = answer.error();
        match (before, after) {
            // Every new address comes through this.
            (Verdict::Unknown, Verdict::Healthy) => {
                debug!(%address, probe = %spec, verdict = %after, "verdict changed");
            }
            _ if !self.admits(namespaces) => {
                debug!(%address, probe = %spec, verdict = %after, error, "verdict changed");
            }
            (_, Verdict::Unhealthy) => {
                warn!(%address, probe = %spec, verdict = %after, error, "verdict changed");
            }
            _ => info!(%address, probe = %spec, verdict = %after, error, "verdict changed"),
        }
        self.verdicts.push((key.clone(), Some(after)));
    }

    /// A verdict changed without a probe.
    pub(crate) fn taken_back(
        &mut self,
        (key, namespaces): (&ProbeKey, Namespaces<'_>),
        (before, after): (Verdict, Verdict),
    ) {
        let ProbeKey { address, spec } = key;
        if self.admits(namespaces) {
            info!(%address, probe = %spec, %before, verdict = %after, "verdict taken back");
        } else {
            debug!(%address, probe = %spec, %before, verdict = %after, "verdict taken back");
        }
        self.verdicts.push((key.clone(), Some(after)));
    }

    /// Whether a log line may be written for one of these namespaces.
    pub(crate) fn admits(&mut self, namespaces: Namespaces<'_>) -> bool {
        let now = self.epoch.elapsed();
        for namespace in namespaces {
            if self.lines.admit(&namespace, now) {
                return true;
            }
        }
        false
    }

    /// Logs, once a minute, which namespaces had more to say than their share of the log.
    pub(crate) fn tell_left_out(&mut self) {
        let now = self.epoch.elapsed();
        if now < self.say_at {
            return;
        }
        self.say_at = now + SAY;
        for (namespace, lines) in self.lines.left_out(now) {
            warn!(%namespace, lines, "log lines of a noisy namespace left out; status has what they said");
        }
    }

    /// A verdict that stands already becomes an endpoint's.
    pub(crate) fn known(&mut self, key: ProbeKey, verdict: Verdict) {
        self.verdicts.push((key, Some(verdict)));
    }

    /// Doubt begins, changes or ends.
    pub(crate) fn self_check(&mut self, self_check: Option<SelfCheckFailure>) {
        self.self_check = Some(self_check);
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
    pub(crate) fn unprobeable(&mut self, key: ProbeKey, (is, had_verdict): (bool, bool), answer: &Answer) {
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
                    unprobeable_policy = self.unprobeable_policy.as_str(),
                    "addresses cannot be probed from here"
                ),
                (1, 0) => info!(family = name, "all addresses can be probed again"),
                _ => {}
            }
        }
        if had_verdict {
            self.verdicts.push((key.clone(), None));
        }
        self.unprobeable.push((key, is));
    }

    /// A host name could never be resolved, or it was.
    pub(crate) fn unresolvable(&mut self, name: DnsName, is: bool) {
        self.unresolvable.push((name, is));
    }

    fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
            && self.resolved.is_empty()
            && self.unprobeable.is_empty()
            && self.unresolvable.is_empty()
            && self.self_check.is_none()
    }

    /// Touches only what changed, and sends nothing when that is nothing.
    pub(crate) fn publish(&mut self, out: &watch::Sender<Health>) {
        if self.is_empty() {
            return;
        }
        out.send_modify(|health| {
            if let Some(self_check) = self.self_check.take() {
                health.self_check = self_check;
            }
            for (key, verdict) in self.verdicts.drain(..) {
                match verdict {
                    Some(verdict) => health.judge(key, verdict),
                    None => health.forget(&key),
                }
            }
            for (key, is) in self.unprobeable.drain(..) {
                if is {
                    health.unprobeable.insert(key)
                } else {
                    health.unprobeable.remove(&key)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;
    use crate::answer::Failure;
    use crate::testing::key;

    /// Counts events that are not for debugging.
    #[derive(Default)]
    struct Loud(Arc<AtomicUsize>);

    impl Subscriber for Loud {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::INFO
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_flaps_has_its_share_of_the_log_and_another_its_own() {
        let lines = Arc::new(AtomicUsize::new(0));
        let _guard = tracing::subscriber::set_default(Loud(Arc::clone(&lines)));
        let count = || lines.swap(0, Ordering::Relaxed);
        let mut changes = Changes::new(UnprobeablePolicy::default());
        let key = key("10.0.0.1", "tcp:80");
        let turn = |changes: &mut Changes, namespaces: &[&str], to: Verdict| {
            let mut all = namespaces.iter().map(|name| Arc::from(*name));
            let from = Verdict::Suspect;
            changes.verdict((&key, &mut all), (from, to), &Answer::Fail(Failure::Refused));
        };
        for _ in 0..1000 {
            turn(&mut changes, &["noisy"], Verdict::Unhealthy);
            changes.taken_back(
                (&key, &mut [Arc::from("noisy")].into_iter()),
                (Verdict::Unhealthy, Verdict::Suspended),
            );
        }
        assert_eq!(count(), 100);
        turn(&mut changes, &["quiet"], Verdict::Unhealthy);
        turn(&mut changes, &["noisy", "other"], Verdict::Healthy);
        assert_eq!(count(), 2, "another namespace, and an endpoint that it shares");
        tokio::time::sleep(SAY).await;
        changes.tell_left_out();
        changes.tell_left_out();
        assert_eq!(count(), 1, "what was left out is said once");
    }
}
