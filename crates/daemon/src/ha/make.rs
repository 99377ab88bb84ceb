//! From the configuration to a replica and its engine.

use std::hash::{BuildHasher, RandomState};

use fleetdns_core::keys::{KeyFault, Keys};
use fleetdns_core::ownership::Writer;
use fleetdns_core::text::printable;
use fleetdns_election::Found;

use super::clock::Uptime;
use super::engine::{Document, Engine};
use super::kubernetes;
use super::replica::Replica;
use crate::config::{Config, Fleet, HaEngine};
use crate::overrides::Clock;

/// The replica of a configuration, and where it shares what has to outlive it; `None` without `[ha]`.
pub fn make(config: &Config) -> Option<(Replica, Engine)> {
    let (ha, engine) = (config.ha.as_ref()?, engine(config)?);
    let name = identity(ha.replica.as_deref());
    Some((Replica::new(&name, engine.clone(), ha.lease_time, Uptime::system()), engine))
}

/// Reads what the replicas share, and says who leads and whether this one may write it; `None` without `[ha]`.
///
/// # Errors
/// Why it cannot be read or written, and what to do, in words.
pub async fn look(config: &Config) -> Option<Result<String, String>> {
    let engine = engine(config)?;
    let (lease, overrides) = tokio::join!(engine.read(Document::Lease), engine.read(Document::Overrides));
    let lease = lease.and_then(|stored| stored.map(Found::try_from).transpose());
    Some(match (lease, overrides, may_write(config).await) {
        (Ok(lease), Ok(_), Ok(())) => {
            let holder = lease.and_then(|found| found.record.holder);
            let leads = holder.map_or_else(|| "nobody".to_owned(), |holder| printable(&holder).into_owned());
            Ok(format!("{} can be read and written; {leads} has the lease", engine.name()))
        }
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => Err(error),
    })
}

fn engine(config: &Config) -> Option<Engine> {
    Some(match &config.ha.as_ref()?.engine {
        HaEngine::Lease { cluster, namespace, name } => {
            let member = config.members.iter().find(|member| member.name == *cluster)?;
            kubernetes::engine(member.access.clone(), cluster, namespace, name)
        }
        HaEngine::Etcd(keys) => etcd(&usual_prefix(Some(&config.fleet)), keys)?,
    })
}

/// Whether the engine lets this one write, found without a write.
async fn may_write(config: &Config) -> Result<(), String> {
    match config.ha.as_ref().map(|ha| &ha.engine) {
        Some(HaEngine::Lease { cluster, namespace, name }) => {
            let member = config.members.iter().find(|member| member.name == *cluster);
            match member {
                Some(member) => kubernetes::may_write(member.access.clone(), namespace, name).await,
                None => Ok(()),
            }
        }
        Some(HaEngine::Etcd(keys)) => etcd_may_write(&usual_prefix(Some(&config.fleet)), keys).await,
        None => Ok(()),
    }
}

/// This process, as the marks of what it writes name it.
pub fn writer(config: &Config) -> Writer {
    let started = if config.ha.is_some() { 0 } else { Clock::system().now().max(1) };
    Writer { started, number: drawn(), pass: 0 }
}

/// A number drawn for this process.
fn drawn() -> u32 {
    // The keys of a hash map are drawn from the system's random numbers.
    let [a, b, c, d, ..] = RandomState::new().hash_one(std::process::id()).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// A name that no other process has: that of the replica or of the host, and a number drawn for this process.
pub fn identity(replica: Option<&str>) -> String {
    let host = rustix::system::uname();
    let host = printable(&host.nodename().to_string_lossy()).into_owned();
    format!("{}-{:08x}", replica.unwrap_or(&host), drawn())
}

/// Where in etcd a fleet keeps what its replicas share, unless the configuration says so.
pub(crate) fn usual_prefix(fleet: Option<&Fleet>) -> String {
    format!("/fleetdns/{}", fleet.map_or("fleetdns", |fleet| fleet.owner.as_str()))
}

#[cfg(feature = "coredns")]
async fn etcd_may_write(usual_prefix: &str, keys: &Keys) -> Result<(), String> {
    match fleetdns_coredns::Store::new(usual_prefix, keys) {
        Ok(store) => super::etcd::may_write(&store).await,
        Err(_) => Ok(()),
    }
}

#[cfg(not(feature = "coredns"))]
async fn etcd_may_write(_: &str, _: &Keys) -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "coredns")]
fn etcd(usual_prefix: &str, keys: &Keys) -> Option<Engine> {
    fleetdns_coredns::Store::new(usual_prefix, keys).ok().map(super::etcd::engine)
}

#[cfg(not(feature = "coredns"))]
fn etcd(_: &str, _: &Keys) -> Option<Engine> {
    None
}

/// What is wrong with the keys that say how etcd is reached.
#[cfg(feature = "coredns")]
pub(crate) fn check_etcd(usual_prefix: &str, keys: &Keys) -> Vec<KeyFault> {
    fleetdns_coredns::Store::new(usual_prefix, keys).err().unwrap_or_default()
}

/// This build has no client of etcd.
#[cfg(not(feature = "coredns"))]
pub(crate) fn check_etcd(_: &str, _: &Keys) -> Vec<KeyFault> {
    let problem = "needs a build with the feature coredns, which has the client of etcd; or use lease";
    vec![KeyFault { key: "etcd-endpoints".to_owned(), problem: problem.to_owned() }]
}
