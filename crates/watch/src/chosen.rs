//! Everything that one context of a kubeconfig names.

use kube::config::{AuthInfo, Cluster};

/// Everything that one context names.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) context: String,
    pub(crate) cluster: Cluster,
    pub(crate) user: AuthInfo,
}
