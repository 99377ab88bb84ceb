//! The servers of the process, one for each listen address, and the zones that they serve.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use fleetdns_core::keys::{KeyFault, Keys};
use fleetdns_core::{DnsName, Label, Provider};
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::handler::Handler;
use crate::listen;
use crate::provider::Embedded;
use crate::settings::Settings;
use crate::site::{BindError, Site, bind};
use crate::state;
use crate::store::{self, Store};
use crate::zone::Zone;

/// All embedded zones of the process; those with the same `listen` share one server.
#[derive(Debug, Default)]
pub struct Servers {
    sites: Mutex<BTreeMap<SocketAddr, Arc<Site>>>,
}

/// A server that ended by itself.
#[derive(Debug, Error)]
pub enum RunError {
    /// Its socket broke.
    #[error("the DNS server on {address} has lost its socket")]
    Socket {
        /// Where it listened.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its task broke off.
    #[error("a task of the DNS server broke off")]
    Task(#[source] JoinError),
}

struct Sockets {
    site: Arc<Site>,
    address: SocketAddr,
    udp: UdpSocket,
    tcp: TcpListener,
}

/// Servers with sockets that nobody reads yet.
pub struct Bound(Vec<Sockets>);

impl Bound {
    /// For each server its `listen` value and where it really listens; they differ when the port is 0.
    pub fn addresses(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
        self.0.iter().map(|sockets| (sockets.site.listen, sockets.address))
    }
}

impl Servers {
    /// No zones yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The provider of a zone, with what its state file has kept. The same zone may be connected again with the same
    /// keys, and for another owner: it stays one zone. Once the servers are bound it may have other keys too, and keeps what
    /// it holds.
    ///
    /// # Errors
    /// With all keys that cannot be used.
    pub fn connect(
        &self,
        zone: &DnsName,
        owner: &Label,
        keys: &Keys,
    ) -> Result<Box<dyn Provider>, Vec<KeyFault>> {
        let settings = Settings::read(zone, keys)?;
        let site = self.site(settings.listen);
        let home = self.home(zone).filter(|home| home.bound().is_some());
        let is_served = home.is_some();
        let store = match home.unwrap_or_else(|| Arc::clone(&site)).catalog.get(zone) {
            Some(store) if *store.snapshot().settings == settings => store,
            Some(_) if !is_served => {
                let problem = format!("{} serves {zone} with other settings; name a zone once", site.listen);
                return Err(vec![KeyFault { key: "listen".to_owned(), problem }]);
            }
            before => {
                self.own_file(&settings).map_err(|fault| vec![fault])?;
                let store = Arc::new(match before {
                    Some(before) => Store::unsaved(before.snapshot().with_settings(settings)),
                    None => open(settings),
                });
                if is_served {
                    self.remove(zone);
                }
                site.catalog.add(zone, store.clone());
                store
            }
        };
        Ok(Box::new(Embedded::new(site, store, owner.clone())))
    }

    /// Serves a zone no longer: questions about it are refused.
    pub fn remove(&self, zone: &DnsName) {
        if let Some(home) = self.home(zone) {
            home.catalog.remove(zone);
        }
    }

    /// The site that serves a zone.
    fn home(&self, zone: &DnsName) -> Option<Arc<Site>> {
        let sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.values().find(|site| site.catalog.get(zone).is_some()).cloned()
    }

    /// Says that a daemon runs beside this process and serves these zones: that their ports are taken is no fault then.
    pub fn assume_served(&self, serves: impl Fn(&DnsName) -> bool) {
        let sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        for site in sites.values() {
            let zones = site.catalog.all();
            site.set_served(zones.iter().any(|store| serves(&store.snapshot().settings.zone)));
        }
    }

    /// Two zones in one state file would overwrite each other.
    fn own_file(&self, settings: &Settings) -> Result<(), KeyFault> {
        let sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let zones = sites.values().flat_map(|site| site.catalog.all()).map(|store| store.snapshot());
        let same = |zone: &Arc<Zone>| {
            zone.settings.zone != settings.zone
                && zone.settings.state_file.is_some()
                && zone.settings.state_file == settings.state_file
        };
        let Some(other) = zones.into_iter().find(same) else { return Ok(()) };
        let problem = format!("is that of {} too; give each zone a file of its own", other.settings.zone);
        Err(KeyFault { key: "state-file".to_owned(), problem })
    }

    fn site(&self, listen: SocketAddr) -> Arc<Site> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.entry(listen).or_insert_with(|| Arc::new(Site::new(listen))).clone()
    }

    /// Binds the sockets of every server that has none. Queries wait in them until [`Servers::run`].
    ///
    /// # Errors
    /// At the first address that cannot be listened on.
    pub async fn bind(&self) -> Result<Bound, BindError> {
        let sites: Vec<Arc<Site>> = self
            .sites
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .filter(|site| site.bound().is_none())
            .cloned()
            .collect();
        let mut bound = Vec::with_capacity(sites.len());
        for site in sites {
            let (udp, tcp, address) = bind(site.listen).await?;
            bound.push(Sockets { site, address, udp, tcp });
        }
        for Sockets { site, address, .. } in &bound {
            site.set_bound(Some(*address));
            // From here on these files are ours alone.
            site.catalog.all().iter().for_each(|store| store.take_over());
        }
        Ok(Bound(bound))
    }

    /// Serves until `shutdown`, with no server too.
    ///
    /// # Errors
    /// When a server ends before that.
    pub async fn run(bound: Bound, shutdown: CancellationToken) -> Result<(), RunError> {
        let sites: Vec<Arc<Site>> = bound.0.iter().map(|sockets| sockets.site.clone()).collect();
        let mut tasks = JoinSet::new();
        for Sockets { site, address, udp, tcp } in bound.0 {
            info!(%address, "DNS server listens");
            let handler = || Handler { catalog: site.catalog.clone() };
            let lost = move |source| RunError::Socket { address, source };
            let datagrams = listen::datagrams(udp, handler(), site.counters.clone());
            tasks.spawn(async move { datagrams.await.map_err(lost) });
            let connections = listen::connections(tcp, handler(), site.counters.clone());
            tasks.spawn(async move { connections.await.map_err(lost) });
        }
        let ended = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            Some(ended) = tasks.join_next() => ended.map_err(RunError::Task).flatten(),
        };
        // Dropping the tasks drops the servers and closes their sockets.
        tasks.shutdown().await;
        for site in sites {
            site.set_bound(None);
        }
        ended
    }
}

fn open(settings: Settings) -> Store {
    let path = settings.state_file.clone();
    let now = store::now();
    let mut zone = Zone::new(Arc::new(settings), now);
    let loaded = path.as_deref().and_then(|path| state::load(path, &zone.settings.zone));
    let Some(kept) = loaded else { return Store::new(zone, None) };
    zone.serial = now.max(kept.serial.wrapping_add(1));
    zone.changes = kept.changes;
    zone.complete = kept.complete;
    for (name, sets) in kept.entries {
        zone.restore(&name, sets.into());
    }
    Store::new(zone, kept.damage)
}
