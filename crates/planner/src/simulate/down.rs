//! What is taken for dead.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::{ScenarioError, fail, parse};
use crate::input::Input;
use fleetdns_core::ClusterVerdict;
use fleetdns_core::address::Address;
use fleetdns_core::member::{Health, Snapshot};
use fleetdns_core::member_name::MemberName;
use fleetdns_core::overrides::Subject;
use fleetdns_core::probe::{ProbeKey, Target, Verdict};
use fleetdns_core::service::{Published, ServiceKey};

/// Members, Services and addresses.
pub(super) struct Down(pub(super) BTreeSet<Subject>);

impl Down {
    pub(super) fn read(texts: &[String], snapshot: &Snapshot) -> Result<Self, ScenarioError> {
        let read = |text: &String| {
            let subject = match text.parse() {
                Ok(name) if snapshot.members.contains_key(&name) => Subject::Cluster(name),
                Ok(name) if !text.contains('/') => {
                    let known: Vec<&str> = snapshot.members.keys().map(MemberName::as_str).collect();
                    return fail(
                        "--down",
                        format!("no cluster '{name}'; the fleet has {}", known.join(", ")),
                    );
                }
                _ => parse("--down", text)?,
            };
            let known = snapshot.members.values().any(|member| {
                let mut services = member.services.values();
                let gives = |address: &Address| {
                    member
                        .services
                        .values()
                        .any(|service| service.addresses.iter().flatten().any(|a| a == address))
                };
                match &subject {
                    Subject::Cluster(name) => *name == member.name,
                    Subject::Service(key) => services.any(|service| service.key == *key),
                    Subject::ServiceIn(key, name) => {
                        *name == member.name && services.any(|service| service.key == *key)
                    }
                    Subject::Address(address) => gives(address),
                }
            });
            if known { Ok(subject) } else { fail("--down", format!("there is no {subject}")) }
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a member is taken for dead as a whole.
    pub(super) fn takes(&self, member: &MemberName) -> bool {
        self.0.contains(&Subject::Cluster(member.clone()))
    }

    pub(super) fn hits(&self, member: &MemberName, service: &ServiceKey, address: &Address) -> bool {
        self.0.iter().any(|subject| match subject {
            Subject::Cluster(name) => name == member,
            Subject::Service(key) => key == service,
            Subject::ServiceIn(key, name) => key == service && name == member,
            Subject::Address(one) => one == address,
        })
    }

    /// What decisions are made from when all of it is dead. What lives in another member too is as it was.
    pub(super) fn applied(&self, input: &Input) -> Input {
        let (fleet, mut health) = (input.fleet().clone(), input.health().clone());
        let (mut keys, mut named) = (BTreeSet::new(), BTreeSet::new());
        for dead in [true, false] {
            for (member, service, address) in addresses(&fleet) {
                if self.hits(member, &service.key, address) != dead {
                    continue;
                }
                match endpoints(service, address, &health) {
                    Ok(all) if dead => keys.extend(all),
                    Ok(all) => all.iter().for_each(|key| {
                        keys.remove(key);
                    }),
                    Err(target) if dead => {
                        named.insert(target);
                    }
                    Err(target) => {
                        named.remove(&target);
                    }
                }
            }
        }
        health.verdicts.extend(keys.into_iter().map(|key| (key, Verdict::Unhealthy)));
        health.named.extend(named.into_iter().map(|target| (target, Verdict::Unhealthy)));
        // What is not probed would outlive its cluster. The verdicts on the others follow from the rest.
        let out = |subject: &Subject| match subject {
            Subject::Cluster(name) => Some((name.clone(), ClusterVerdict::Out)),
            _ => None,
        };
        health.clusters = self.0.iter().filter_map(out).collect();
        // No update tells of a host name that was never resolved: outside of scenarios none has a verdict.
        let again = !health.named.is_empty();
        let mut after = if again { Input::default() } else { input.clone() };
        after.startup.clone_from(&input.startup);
        after.update(&fleet, &health, input.overrides());
        after
    }

    /// Services of which an address is dead.
    pub(super) fn services(&self, fleet: &Snapshot) -> BTreeSet<ServiceKey> {
        let hit =
            addresses(fleet).filter(|(member, service, address)| self.hits(member, &service.key, address));
        hit.map(|(_, service, _)| service.key.clone()).collect()
    }
}

fn addresses(fleet: &Snapshot) -> impl Iterator<Item = (&MemberName, &Published, &Address)> {
    fleet.members.values().flat_map(|member| {
        member.services.values().flat_map(|service| {
            service.addresses.iter().flatten().map(|address| (&member.name, &**service, address))
        })
    })
}

/// What an address stands for: what is probed, or a host name of which nobody knows what it resolves to.
pub(super) fn endpoints(
    service: &Published,
    address: &Address,
    health: &Health,
) -> Result<Vec<ProbeKey>, Target> {
    let key = |ip| ProbeKey { address: ip, spec: Arc::clone(&service.probe) };
    match address.hostname().map(|name| health.resolved.get(name)) {
        None => Ok(address.ip().into_iter().map(key).collect()),
        Some(Some(ips)) => Ok(ips.iter().copied().map(key).collect()),
        Some(None) => Err(Target { address: address.clone(), spec: Arc::clone(&service.probe) }),
    }
}
