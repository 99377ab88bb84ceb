//! How much one tenant may have.

/// How much one tenant may have. What is beyond is refused and said, and what it had before goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one annotation.
    pub annotation: usize,
    /// Host names of one Service.
    pub service_hostnames: usize,
    /// Host names of one namespace in one member.
    pub namespace_hostnames: usize,
    /// Addresses of one family at one name.
    pub addresses: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { annotation: 4096, service_hostnames: 100, namespace_hostnames: 10_000, addresses: 100 }
    }
}
