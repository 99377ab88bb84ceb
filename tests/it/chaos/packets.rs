//! Packets that are lost, on both ways or on one, and packets that arrive late and in another order.

use std::time::Duration;

use fleetdns_tests::packets::{Network, Way, run_again};

use super::faults::Fault;
use super::world::World;
use super::{Dice, each_once};

/// What the daemons reach over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// The API server of a cluster.
    Api(usize),
    Etcd,
    Bind,
    Azure,
    /// All endpoints, which are probed.
    Endpoints,
    /// The resolver of a load balancer's host name.
    Resolver,
}

/// Of a hundred, where every packet matters: a probe may fail, and not three in a row.
const FEW: u8 = 5;
const MANY: u8 = 25;

/// Packets to and from a server are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) server: Server,
    way: Way,
    percent: u8,
}

impl Loss {
    pub(super) fn draw(dice: &mut Dice, servers: &[Server]) -> Self {
        let server = servers[dice.below(servers.len())];
        let way = [Way::There, Way::Back, Way::Both][dice.below(3)];
        let some = if server == Server::Endpoints { FEW } else { MANY };
        Self { server, way, percent: [some, 100][dice.below(2)] }
    }

    pub(super) fn begin(self, world: &World) {
        for port in world.ports(self.server) {
            world.network().lose(port, self.way, self.percent);
        }
    }
}

impl World {
    /// The network of this process, when packets can be lost in it.
    pub(super) fn network(&self) -> &Network {
        self.network.as_ref().expect("such a fault is only drawn in a network of its own")
    }

    /// The ports at which the daemons, and nobody else, reach a server.
    pub(super) fn ports(&self, server: Server) -> Vec<u16> {
        let of_sites = |port: fn(&super::world::Site) -> u16| self.sites.iter().map(port).collect();
        match server {
            Server::Api(one) => vec![self.ways[one].road.address.port()],
            Server::Etcd => of_sites(|site| site.etcd.address.port()),
            Server::Bind => of_sites(|site| site.bind.address.port()),
            Server::Azure => {
                let port = self.stores.azure.origin.rsplit(':').next().unwrap();
                vec![port.parse().unwrap()]
            }
            Server::Endpoints => vec![super::world::PORT],
            Server::Resolver => vec![self.stores.resolver.address().port()],
        }
    }
}

/// A connection whose packets were all lost sends again after a pause that has doubled a few times.
const RIGHT: Duration = Duration::from_secs(60);
/// A dead connection is given up after 5 s, and what was lost on it is written again.
const RIGHT_ON_ANOTHER: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_are_lost_or_late_leave_nothing_wrong() {
    let test = "chaos::packets::packets_that_are_lost_or_late_leave_nothing_wrong";
    if run_again(test, "loss and reordering of packets, with tests/it/chaos").await {
        return;
    }
    let Some(network) = Network::own() else { return };
    assert_eq!((network.forgotten(), network.mend()), (0, 0), "nothing was lost yet");
    let lost = |server, way, percent| Fault::Lost(Loss { server, way, percent });
    let faults = [
        lost(Server::Api(0), Way::Both, MANY),
        lost(Server::Api(1), Way::Back, 100),
        lost(Server::Etcd, Way::There, 100),
        lost(Server::Etcd, Way::Both, MANY),
        lost(Server::Bind, Way::Back, 100),
        lost(Server::Azure, Way::Back, MANY),
        lost(Server::Endpoints, Way::Both, FEW),
        lost(Server::Endpoints, Way::Back, 100),
        lost(Server::Resolver, Way::There, 100),
        Fault::Late(Server::Etcd),
        Fault::Late(Server::Endpoints),
    ];
    let mut world = World::start_with(1, None, 1, 16).await;
    world.network = Some(network);
    each_once(&mut world, &faults, RIGHT).await;
    // A watch on such a connection is given up after 75 s, which is left to the long form.
    let forgotten = [Server::Etcd, Server::Azure].map(Fault::Forgotten);
    each_once(&mut world, &forgotten, RIGHT_ON_ANOTHER).await;
    world.end();
}
