//! Members that objects of a host cluster name.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use fleetdns_core::{Label, MemberName, text};
use fleetdns_watch::{
    Access, Allowed, Given, Limits, MemberConfig, Named, Objects, Origin, Providers, Query, Text, object_path,
};

use super::members::bare;
use super::membership::{Candidate, Kind, LARGEST, Listing, State};
use super::outside::Outside;

/// A source on a host cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(super) host: MemberConfig,
    /// All namespaces without.
    pub(super) namespace: Option<String>,
    pub(super) selector: Option<String>,
    pub(super) reading: Reading,
    pub(super) labels: Labels,
    pub(super) limits: Limits,
}

/// How an object becomes a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    Secret { key: Option<String>, allowed: Allowed },
    Profile { providers: Providers },
}

/// Labels of an object that say something of its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) zone: String,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    Cluster(Named),
    /// It names no cluster: perhaps never, perhaps not just now.
    Other {
        path: String,
    },
    Unreadable {
        path: String,
        problem: String,
    },
}

impl Remote {
    pub(crate) const fn kind(&self) -> Kind {
        match self.reading {
            Reading::Secret { .. } => Kind::Secrets,
            Reading::Profile { .. } => Kind::Profiles,
        }
    }

    /// What is asked of the host cluster.
    pub(crate) fn query(&self) -> Query {
        let objects = match self.reading {
            Reading::Secret { .. } => Objects::Secrets,
            Reading::Profile { .. } => Objects::Profiles,
        };
        let (namespace, selector) = (self.namespace.clone(), self.selector.clone());
        let again = Duration::from_secs(2);
        Query { access: self.host.access.clone(), objects, namespace, selector, again }
    }

    /// Reads one object.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(&self, raw: &[u8]) -> Result<Option<Object>, String> {
        let named = match &self.reading {
            Reading::Secret { key, .. } => Named::in_secret(raw, key.as_deref()),
            Reading::Profile { providers } => Named::in_profile(raw, providers),
        };
        let path = || object_path(raw).ok_or_else(|| "an item has no name".to_owned());
        Ok(Some(match named {
            Ok(Some(named)) => Object::Cluster(named),
            Ok(None) => Object::Other { path: path()? },
            Err(problem) => Object::Unreadable { path: path()?, problem },
        }))
    }

    /// Nothing is known of it yet.
    pub(super) fn pending(&self) -> Listing {
        Listing { state: State::Pending, ..Listing::new(self.kind(), self.to_string()) }
    }

    /// What it says. Parses kubeconfigs, which takes some time for many of them.
    pub(crate) fn listing(&self, found: Result<Vec<Object>, String>) -> Listing {
        let mut listing = self.pending();
        let found = match found {
            Ok(found) => found,
            Err(problem) => {
                listing.state = State::Failed(format!("cannot be read: {problem}"));
                return listing;
            }
        };
        listing.state = State::Read;
        let mut clusters = Vec::new();
        let unclear = |listing: &mut Listing, path: String, problem: String| {
            listing.faults.push(format!("{self}: {}: {problem}", text::printable(&path)));
            listing.unclear.push((self.origin(path), problem));
        };
        for object in found {
            match object {
                Object::Cluster(named) => clusters.push(named),
                Object::Other { path } => {
                    listing.unclear.push((self.origin(path), "it names no cluster now".to_owned()));
                }
                Object::Unreadable { path, problem } => unclear(&mut listing, path, problem),
            }
        }
        // Whoever was there first has its name and its API server.
        let age = |one: &Named| (one.created.clone(), one.namespace.clone(), one.name.clone());
        clusters.sort_by_cached_key(age);
        let mut candidates = Vec::new();
        for named in clusters {
            match self.candidate(&named) {
                Ok(candidate) => candidates.push((named, candidate)),
                Err(problem) => {
                    unclear(&mut listing, format!("{}/{}", named.namespace, named.name), problem);
                }
            }
        }
        listing.members = without_copies(candidates);
        listing
    }

    fn origin(&self, path: String) -> Origin {
        match self.reading {
            Reading::Secret { .. } => Origin::Secret(path),
            Reading::Profile { .. } => Origin::Profile(path),
        }
    }

    fn candidate(&self, named: &Named) -> Result<Candidate, String> {
        let Named { namespace, name, labels, cluster, kubeconfig, .. } = named;
        let label = |key: &str| labels.get(key).filter(|text| !text.is_empty());
        let stem = name.strip_suffix("-kubeconfig").unwrap_or(name);
        let called = label(&self.labels.name).or(cluster.as_ref()).map_or(stem, String::as_str);
        let called = called.parse::<MemberName>().map_err(|error| error.to_string())?;
        let origin = self.origin(format!("{namespace}/{name}"));
        let allowed = match self.reading {
            Reading::Secret { allowed, .. } => allowed,
            // Its plugin is one of the configuration.
            Reading::Profile { .. } => Allowed { exec: true, files: false },
        };
        let (text, mut broken) = match kubeconfig {
            Ok(text) if text.size() as u64 > LARGEST => {
                (Text::from(String::new()), Some(format!("its kubeconfig has more than {LARGEST} bytes")))
            }
            Ok(text) => (text.clone(), None),
            Err(problem) => (Text::from(String::new()), Some(problem.clone())),
        };
        let access = Access::Given(Given::new(&origin.to_string(), text, allowed));
        let outside = Outside::system(&|_| Ok(Vec::new()));
        broken = broken.or_else(|| (outside.endpoint)(&access).err());
        let mut place = |key: &str| {
            let read = label(key).map(|text| text.parse::<Label>()).transpose();
            read.unwrap_or_else(|error| {
                broken.get_or_insert_with(|| format!("its label {key}: {error}"));
                None
            })
        };
        let (region, zone) = (place(&self.labels.region), place(&self.labels.zone));
        let member = MemberConfig {
            origin,
            region,
            zones: zone.into_iter().collect(),
            ..bare(called, access, self.limits, &outside)
        };
        Ok(Candidate { member, broken })
    }
}

/// Leaves out the other kubeconfigs of a cluster whose Secret `CLUSTER-kubeconfig` can be used: that is the one for
/// controllers by the contract of Cluster API, and providers add one for people (`CLUSTER-user-kubeconfig` on EKS).
fn without_copies(candidates: Vec<(Named, Candidate)>) -> Vec<Candidate> {
    let contract = |named: &Named| {
        named.capi_cluster().filter(|(_, cluster)| named.name.strip_suffix("-kubeconfig") == Some(cluster))
    };
    let usable = candidates.iter().filter(|(_, candidate)| candidate.broken.is_none());
    let main: BTreeSet<_> = usable.filter_map(|(named, _)| contract(named)).collect();
    let is_copy = |named: &Named| {
        contract(named).is_none() && named.capi_cluster().is_some_and(|cluster| main.contains(&cluster))
    };
    candidates.into_iter().filter(|(named, _)| !is_copy(named)).map(|(_, candidate)| candidate).collect()
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of cluster {}", self.kind(), self.host.name)
    }
}

/// What sources on host clusters said last.
pub(crate) type Heard = Vec<(Remote, Listing)>;

impl super::Config {
    /// Takes in what the sources on host clusters said last.
    pub(crate) fn hear(&mut self, heard: &Heard) {
        for remote in &self.remotes {
            let said = heard.iter().find(|(of, _)| of == remote);
            let listing = said.map_or_else(|| remote.pending(), |(_, listing)| listing.clone());
            self.discovered.retain(|one| one.kind != listing.kind);
            self.discovered.push(listing);
        }
    }

    /// Asks the sources on host clusters once, for a command that looks at the members as they are now.
    pub async fn discover(&mut self) {
        let mut heard = Heard::new();
        for remote in &self.remotes {
            let found = remote.query().list(|raw| remote.read(raw)).await;
            heard.push((remote.clone(), remote.listing(found)));
        }
        self.hear(&heard);
        self.settle(None, false);
    }
}
