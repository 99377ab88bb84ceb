//! What is taken for dead.

use std::collections::BTreeSet;

use super::error::{ScenarioError, fail, parse};
use fleetdns_core::address::Address;
use fleetdns_core::member::Snapshot;
use fleetdns_core::member_name::MemberName;
use fleetdns_core::overrides::Subject;
use fleetdns_core::service::ServiceKey;

/// Members, Services and addresses.
pub(super) struct Down(BTreeSet<Subject>);

impl Down {
    pub(super) fn read(texts: &[String], snapshot: &Snapshot) -> Result<Self, ScenarioError> {
        let read = |text: &String| {
            let subject = match text.parse() {
                Ok(name) if snapshot.members.contains_key(&name) => Subject::Cluster(name),
                Ok(name) if !text.contains('/') => {
                    return fail("--down", format!("there is no member {name}"));
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
}
