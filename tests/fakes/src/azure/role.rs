//! Built-in roles for DNS zones, and the scope on which they are assigned.

use super::{Answer, Call};

/// A role assignment.
#[derive(Debug, Clone)]
pub struct Role {
    /// Resource type of which it has all actions.
    kind: &'static str,
    scope: String,
}

impl Role {
    /// A role by its name, on a resource.
    ///
    /// # Panics
    /// When it is a role that this does not know.
    pub fn new(name: &str, scope: &str) -> Self {
        // Azure built-in roles for Networking.
        let kind = match name {
            "DNS Zone Contributor" => "dnsZones",
            "Private DNS Zone Contributor" => "privateDnsZones",
            _ => panic!("{name} is not known here"),
        };
        Self { kind, scope: scope.to_ascii_lowercase() }
    }

    /// The refusal of what is outside of it. A list of a subscription or group needs a right there.
    pub(super) fn refuse(&self, call: &Call) -> Option<Answer> {
        let path = call.path.trim_end_matches('/').to_ascii_lowercase();
        let kind = path.split('/').nth(7).or(path.split('/').nth(5)).unwrap_or_default();
        let within =
            path.strip_prefix(&self.scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if within && kind.eq_ignore_ascii_case(self.kind) {
            return None;
        }
        let verb = match call.method.as_str() {
            "GET" => "read",
            "DELETE" => "delete",
            _ => "write",
        };
        let message = format!(
            "The client 'x' with object id 'o-1' does not have authorization to perform action \
             'Microsoft.Network/{kind}/{verb}' over scope '{}' or the scope is invalid.",
            call.path
        );
        Some(Answer::arm(403, "AuthorizationFailed", &message))
    }
}
