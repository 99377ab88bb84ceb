//! The two services, and where they differ in words.

/// Which of the two services has the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Public,
    Private,
}

impl Service {
    /// The resource type in ids.
    pub(crate) const fn segment(self) -> &'static str {
        match self {
            Self::Public => "dnsZones",
            Self::Private => "privateDnsZones",
        }
    }

    pub(crate) const fn api_version(self) -> &'static str {
        match self {
            Self::Public => "2018-05-01",
            Self::Private => "2020-06-01",
        }
    }

    /// Where all sets of a zone are listed.
    pub(crate) const fn all(self) -> &'static str {
        match self {
            Self::Public => "all",
            Self::Private => "ALL",
        }
    }

    /// Built-in role that may write zones.
    pub(crate) const fn role(self) -> &'static str {
        match self {
            Self::Public => "DNS Zone Contributor",
            Self::Private => "Private DNS Zone Contributor",
        }
    }

    /// How the service is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Public => "Azure DNS",
            Self::Private => "Azure Private DNS",
        }
    }

    /// The part of `az network` for these zones.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Public => "dns",
            Self::Private => "private-dns",
        }
    }
}
