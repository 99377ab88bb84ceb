//! Who may do what in a member: tokens, their rights, and kubeconfigs that use them.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::certs::Files;

/// Who a kubeconfig's token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Of group `system:masters`: may do everything.
    Admin,
    /// May get, list and watch Services and nodes of the whole cluster.
    Reader,
    /// May get, list and watch Services, but not nodes.
    ServicesOnly,
    /// Known, with no rights: its lists are answered 403.
    Nobody,
    /// Not known: all is answered 401, as with an expired token.
    Expired,
}

impl Access {
    const KNOWN: [Self; 4] = [Self::Admin, Self::Reader, Self::ServicesOnly, Self::Nobody];

    fn user(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Reader => "reader",
            Self::ServicesOnly => "services-only",
            Self::Nobody => "nobody",
            Self::Expired => "expired",
        }
    }

    /// Tokens differ by member, as they do in life.
    fn token(self, member: &str) -> String {
        format!("token-of-{}-in-{member}", self.user())
    }

    /// What it may list and watch, for those who get it by a role.
    fn resources(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Reader => Some(&["services", "nodes"]),
            Self::ServicesOnly => Some(&["services"]),
            Self::Admin | Self::Nobody | Self::Expired => None,
        }
    }
}

/// Roles and bindings, for those who have their rights by a role.
pub(crate) fn roles() -> Vec<Value> {
    let group = "rbac.authorization.k8s.io";
    let by_role = Access::KNOWN.into_iter().filter_map(|access| Some((access.user(), access.resources()?)));
    by_role
        .flat_map(|(user, resources)| {
            let role = json!({
                "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": user},
                "rules": [{"apiGroups": [""], "resources": resources, "verbs": ["get", "list", "watch"]}],
            });
            let binding = json!({
                "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": user},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": user},
                "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
            });
            [role, binding]
        })
        .collect()
}

/// The file for `--token-auth-file`.
pub(crate) fn write_tokens(folder: &Path, member: &str) -> PathBuf {
    let lines = Access::KNOWN.into_iter().fold(String::new(), |mut lines, access| {
        let (token, user) = (access.token(member), access.user());
        let groups = if access == Access::Admin { ",\"system:masters\"" } else { "" };
        let _ = writeln!(lines, "{token},{user},{user}{groups}");
        lines
    });
    let path = folder.join("tokens.csv");
    fs::write(&path, lines).expect("the temporary folder can be written to");
    path
}

/// A kubeconfig with one context, named as the member. (JSON is YAML.)
pub(crate) fn write_kubeconfig(
    folder: &Path,
    files: &Files,
    url: &str,
    member: &str,
    access: Access,
) -> PathBuf {
    let user = access.user();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": member,
        "clusters": [{"name": member,
            "cluster": {"server": url, "certificate-authority": files.authority.display().to_string()}}],
        "users": [{"name": user, "user": {"token": access.token(member)}}],
        "contexts": [{"name": member, "context": {"cluster": member, "user": user}}],
    });
    let path = folder.join(format!("{user}.kubeconfig"));
    let text = serde_json::to_string_pretty(&kubeconfig).expect("JSON of strings");
    fs::write(&path, text).expect("the temporary folder can be written to");
    // It has a token in it.
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    path
}
