//! What goes wrong, and how it is mended.

use std::time::Duration;

use etcd_client::CompactionOptions;

use super::{Dice, World, fleet_etcd};

/// Something that goes wrong; the number is that of a cluster or of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    ApiKilled(usize),
    ApiFrozen(usize),
    ApiCut(usize),
    /// Requests arrive, and answers do not.
    ApiMute(usize),
    ApiSlow(usize),
    /// It has no objects any more, and gets them again.
    ApiRebuilt,
    /// What was watched from is gone.
    ApiCompacted(usize),
    EtcdKilled,
    EtcdFrozen,
    EtcdCut,
    /// Writes take place, and nobody hears of them.
    EtcdMute,
    EtcdSlow,
    EtcdCompacted,
    DaemonKilled(usize),
    /// Killed when its requests have arrived and the answers have not.
    DaemonKilledInWrite(usize),
    DaemonEnded(usize),
    DaemonFrozen(usize),
}

impl Fault {
    const fn all(one: usize) -> [Self; 17] {
        [
            Self::ApiKilled(one),
            Self::ApiFrozen(one),
            Self::ApiCut(one),
            Self::ApiMute(one),
            Self::ApiSlow(one),
            Self::ApiRebuilt,
            Self::ApiCompacted(one),
            Self::EtcdKilled,
            Self::EtcdFrozen,
            Self::EtcdCut,
            Self::EtcdMute,
            Self::EtcdSlow,
            Self::EtcdCompacted,
            Self::DaemonKilled(one),
            Self::DaemonKilledInWrite(one),
            Self::DaemonEnded(one),
            Self::DaemonFrozen(one),
        ]
    }

    /// What it happens to: of two faults each has another.
    const fn place(self) -> u8 {
        match self {
            Self::ApiKilled(_)
            | Self::ApiFrozen(_)
            | Self::ApiCut(_)
            | Self::ApiMute(_)
            | Self::ApiSlow(_)
            | Self::ApiRebuilt
            | Self::ApiCompacted(_) => 0,
            Self::EtcdKilled
            | Self::EtcdFrozen
            | Self::EtcdCut
            | Self::EtcdMute
            | Self::EtcdSlow
            | Self::EtcdCompacted => 1,
            Self::DaemonKilled(_) | Self::DaemonEnded(_) | Self::DaemonFrozen(_) => 2,
            // It uses the way to etcd.
            Self::DaemonKilledInWrite(_) => 1,
        }
    }

    /// One, or two that have to do with different servers.
    pub(super) fn draw(dice: &mut Dice) -> Vec<Self> {
        let mut one = || {
            let number = dice.below(2);
            Self::all(number)[dice.below(17)]
        };
        let (first, second) = (one(), one());
        if first.place() == second.place() { vec![first] } else { vec![first, second] }
    }

    pub(super) async fn begin(self, world: &mut World) {
        match self {
            Self::ApiKilled(one) => {
                world.away[one] = true;
                world.member_mut(one).kill_api();
            }
            Self::ApiFrozen(one) => {
                world.away[one] = true;
                world.member_mut(one).stop_api();
            }
            Self::ApiCut(one) => world.ways[one].road.cut(),
            Self::ApiMute(one) => world.ways[one].road.cut_answers(),
            Self::ApiSlow(one) => world.ways[one].road.delay(Duration::from_millis(300)),
            Self::ApiRebuilt => {
                world.fleet.east.rebuild().await;
                world.fleet.east.create_node("node-1", "eastus", "1").await;
                world.publish_all(1).await;
            }
            Self::ApiCompacted(one) => {
                let mut client = world.member_mut(one).etcd().client().await;
                compact(&mut client).await;
            }
            Self::EtcdKilled => world.fleet.dns.kill_etcd(),
            Self::EtcdFrozen => world.fleet.dns.stop_etcd(),
            Self::EtcdCut => world.etcd.cut(),
            Self::EtcdMute => world.etcd.cut_answers(),
            Self::EtcdSlow => world.etcd.delay(Duration::from_millis(200)),
            Self::EtcdCompacted => compact(&mut fleet_etcd(&world.fleet).await).await,
            Self::DaemonKilled(one) => world.daemon(one).kill(),
            Self::DaemonKilledInWrite(one) => {
                world.etcd.cut_answers();
                for _ in 0..10 {
                    world.change().await;
                }
                let pause = world.dice.millis(1, 400);
                tokio::time::sleep(pause).await;
                world.daemon(one).kill();
                world.etcd.mend();
            }
            Self::DaemonEnded(one) => drop(world.daemon(one).terminate().await),
            Self::DaemonFrozen(one) => world.daemon(one).freeze(),
        }
    }

    pub(super) async fn end(self, world: &mut World) {
        match self {
            Self::ApiKilled(one) => {
                world.member_mut(one).restart_api().await;
                world.away[one] = false;
            }
            Self::ApiFrozen(one) => {
                world.member_mut(one).cont_api();
                world.away[one] = false;
            }
            Self::ApiCut(one) | Self::ApiMute(one) | Self::ApiSlow(one) => world.ways[one].road.mend(),
            Self::ApiRebuilt | Self::ApiCompacted(_) | Self::EtcdCompacted => {}
            Self::EtcdKilled => world.fleet.dns.restart_etcd().await,
            Self::EtcdFrozen => world.fleet.dns.cont_etcd(),
            Self::EtcdCut | Self::EtcdMute | Self::EtcdSlow => world.etcd.mend(),
            Self::DaemonKilled(one) | Self::DaemonKilledInWrite(one) | Self::DaemonEnded(one) => {
                world.daemon(one).start_again();
            }
            Self::DaemonFrozen(one) => world.daemon(one).thaw(),
        }
    }
}

/// Forgets all old versions, and gives the space back.
async fn compact(client: &mut etcd_client::Client) {
    let newest = client.get("x", None).await.unwrap().header().unwrap().revision();
    client.compact(newest, Some(CompactionOptions::new().with_physical())).await.unwrap();
    client.defragment().await.unwrap();
}
