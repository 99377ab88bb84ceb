//! What goes wrong, and how it is mended.

use std::time::Duration;

use etcd_client::{AlarmAction, CompactionOptions};
use fleetdns_fakes::azure::{Answer, Call, Limits, Mishap};
use fleetdns_tests::preload::Disk;

use super::packets::{Loss, Server};
use super::points::Point;
use super::stores::etcd_of;
use super::world::{SOON, Site, World};
use super::{Dice, number};

/// Something that goes wrong; the number is that of a cluster or of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    ApiKilled(usize),
    ApiFrozen(usize),
    ApiCut(usize),
    /// Requests arrive, and answers do not.
    ApiMute(usize),
    ApiSlow(usize),
    /// Its connections end, and then each request is answered 429 with a time to wait.
    ApiThrottles(usize),
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
    /// Each call is answered that there are too many.
    EtcdThrottles,
    /// It takes nothing new, and deletes.
    EtcdFull,
    BindKilled,
    BindFrozen,
    BindMute,
    AzureSilent,
    /// Too many requests: 429 with a time to wait.
    AzureThrottles,
    /// 503 with a time to wait.
    AzureUnavailable,
    /// No zone can be read or written, for `CHAOS_OUTAGE` seconds.
    Outage,
    /// One daemon alone reaches no zone and no lease; the other one does.
    DaemonCut(usize),
    DaemonKilled(usize),
    /// Killed when its requests have arrived and the answers have not.
    DaemonKilledInWrite(usize),
    /// Killed at one write.
    DaemonKilledAt(Point, usize),
    /// Killed before a step of writing its state file.
    DaemonKilledInStateFile(usize),
    DaemonEnded(usize),
    DaemonFrozen(usize),
    /// The clock jumps an hour ahead, and later back.
    ClockAhead(usize),
    /// The clock jumps an hour back, and later ahead.
    ClockBack(usize),
    StateDiskFull(usize),
    StateDiskReadOnly(usize),
    Lost(Loss),
    /// Packets to and from a server arrive late, each by a time of its own.
    Late(Server),
    /// The connections to a server that are open are dead, and neither end hears of it.
    Forgotten(Server),
}

/// What faults happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Api,
    /// The servers of the zones, and the ways to them.
    Zones,
    Daemon,
    /// A daemon's clock and disk.
    Inside,
    /// The ways to the endpoints, and to the resolver of host names.
    Endpoints,
}

const HOUR: i64 = 3600;
/// In which Azure takes a few calls.
const WINDOW: Duration = Duration::from_secs(3);
/// The last faults of the list need a network of our own.
const OF_PACKETS: usize = 5;
/// Of the faults that name a daemon that is killed at a step: the file is made, written twice and written to disk.
const STEPS: usize = 5;

impl Fault {
    fn all(dice: &mut Dice) -> [Self; 34 + OF_PACKETS] {
        let one = dice.below(2);
        [
            Self::ApiKilled(one),
            Self::ApiFrozen(one),
            Self::ApiCut(one),
            Self::ApiMute(one),
            Self::ApiSlow(one),
            Self::ApiThrottles(one),
            Self::ApiRebuilt,
            Self::ApiCompacted(one),
            Self::EtcdKilled,
            Self::EtcdFrozen,
            Self::EtcdCut,
            Self::EtcdMute,
            Self::EtcdSlow,
            Self::EtcdCompacted,
            Self::EtcdThrottles,
            Self::EtcdFull,
            Self::BindKilled,
            Self::BindFrozen,
            Self::BindMute,
            Self::AzureSilent,
            Self::AzureThrottles,
            Self::AzureUnavailable,
            Self::Outage,
            Self::DaemonCut(one),
            Self::DaemonKilled(one),
            Self::DaemonKilledInWrite(one),
            Self::DaemonKilledAt(Point::draw(dice), one),
            Self::DaemonKilledInStateFile(one),
            Self::DaemonEnded(one),
            Self::DaemonFrozen(one),
            Self::ClockAhead(one),
            Self::ClockBack(one),
            Self::StateDiskFull(one),
            Self::StateDiskReadOnly(one),
            Self::Lost(Loss::draw(dice, &[Server::Api(one)])),
            Self::Lost(Loss::draw(dice, &[Server::Etcd, Server::Bind, Server::Azure])),
            Self::Lost(Loss::draw(dice, &[Server::Endpoints, Server::Resolver])),
            Self::Late([Server::Api(one), Server::Etcd, Server::Bind, Server::Azure][dice.below(4)]),
            Self::Forgotten([Server::Api(one), Server::Etcd, Server::Azure][dice.below(3)]),
        ]
    }

    /// What it happens to: of two faults each has others.
    const fn places(self) -> &'static [Place] {
        match self {
            Self::ApiKilled(_)
            | Self::ApiFrozen(_)
            | Self::ApiCut(_)
            | Self::ApiMute(_)
            | Self::ApiSlow(_)
            | Self::ApiThrottles(_)
            | Self::ApiRebuilt
            | Self::ApiCompacted(_) => &[Place::Api],
            Self::EtcdKilled
            | Self::EtcdFrozen
            | Self::EtcdCut
            | Self::EtcdMute
            | Self::EtcdSlow
            | Self::EtcdCompacted
            | Self::EtcdThrottles
            | Self::EtcdFull
            | Self::BindKilled
            | Self::BindFrozen
            | Self::BindMute
            | Self::AzureSilent
            | Self::AzureThrottles
            | Self::AzureUnavailable
            | Self::Outage
            | Self::DaemonCut(_) => &[Place::Zones],
            Self::DaemonKilledInWrite(_) | Self::DaemonKilledAt(..) => &[Place::Zones, Place::Daemon],
            Self::DaemonKilledInStateFile(_) => &[Place::Daemon, Place::Inside],
            Self::DaemonKilled(_) | Self::DaemonEnded(_) | Self::DaemonFrozen(_) => &[Place::Daemon],
            Self::ClockAhead(_)
            | Self::ClockBack(_)
            | Self::StateDiskFull(_)
            | Self::StateDiskReadOnly(_) => &[Place::Inside],
            Self::Lost(Loss { server, .. }) | Self::Late(server) | Self::Forgotten(server) => match server {
                Server::Api(_) => &[Place::Api],
                Server::Etcd | Server::Bind | Server::Azure => &[Place::Zones],
                Server::Endpoints | Server::Resolver => &[Place::Endpoints],
            },
        }
    }

    /// One, or two that have to do with different things; `packets`: whether packets can be lost.
    pub(super) fn draw(dice: &mut Dice, packets: bool) -> Vec<Self> {
        let mut one = || {
            let all = Self::all(dice);
            let count = if packets { all.len() } else { all.len() - OF_PACKETS };
            all[dice.below(count)]
        };
        let (first, second) = (one(), one());
        let apart = first.places().iter().all(|place| !second.places().contains(place));
        if apart { vec![first, second] } else { vec![first] }
    }

    /// At least.
    pub(super) fn lasts(self) -> Duration {
        match self {
            Self::Outage => Duration::from_secs(number("CHAOS_OUTAGE", 10)),
            _ => Duration::ZERO,
        }
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
            Self::ApiThrottles(one) => world.throttle_api(one, true),
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
            Self::EtcdCut => world.sites.iter().for_each(|site| site.etcd.cut()),
            Self::EtcdMute => world.sites.iter().for_each(|site| site.etcd.cut_answers()),
            Self::EtcdSlow => {
                world.sites.iter().for_each(|site| site.etcd.delay(Duration::from_millis(200)));
            }
            Self::EtcdCompacted => compact(&mut etcd_of(&world.fleet.dns).await).await,
            Self::EtcdThrottles => {
                world.sites.iter().for_each(|site| site.etcd.lead_to(world.stores.busy.address()));
            }
            Self::EtcdFull => world.fill_etcd(AlarmAction::Activate).await,
            Self::BindKilled => world.stores.bind.process().kill(),
            Self::BindFrozen => world.stores.bind.process().stop(),
            Self::BindMute => world.sites.iter().for_each(|site| site.bind.cut_answers()),
            Self::AzureSilent => world.stores.azure.world().stalled = Some(|_| true),
            Self::AzureThrottles => {
                let few = Limits { creates_and_updates: 2, deletes: 1, lists: 1, ..Limits::public(WINDOW) };
                world.stores.azure.world().limits = Some(few);
            }
            Self::AzureUnavailable => {
                let answer = Answer::arm(503, "ServiceUnavailable", "try again").header("retry-after", 5);
                world.stores.azure.trap(usize::MAX, Mishap::Answer(answer), Call::is_arm);
            }
            Self::Outage => {
                world.sites.iter().for_each(Site::cut);
                world.stores.azure.world().stalled = Some(|_| true);
            }
            Self::DaemonCut(one) => world.site(one).cut(),
            Self::DaemonKilled(one) => world.daemon(one).kill(),
            Self::DaemonKilledInWrite(one) => {
                world.sites.iter().for_each(|site| site.etcd.cut_answers());
                for _ in 0..10 {
                    world.change().await;
                }
                let pause = world.dice.millis(1, 400);
                tokio::time::sleep(pause).await;
                world.daemon(one).kill();
                world.sites.iter().for_each(Site::mend);
            }
            Self::DaemonKilledAt(point, one) => point.arm(world, one),
            Self::DaemonKilledInStateFile(one) => {
                let step = 1 + world.dice.below(STEPS);
                world.site(one).preload.kill_at(step);
                world.toggle(SOON).await;
            }
            Self::DaemonEnded(one) => drop(world.daemon(one).terminate().await),
            Self::DaemonFrozen(one) => world.daemon(one).freeze(),
            Self::ClockAhead(one) => world.site(one).preload.set_clock(HOUR),
            Self::ClockBack(one) => world.site(one).preload.set_clock(-HOUR),
            Self::StateDiskFull(one) => world.site(one).preload.set_disk(Disk::Full),
            Self::StateDiskReadOnly(one) => world.site(one).preload.set_disk(Disk::ReadOnly),
            Self::Lost(loss) => loss.begin(world),
            Self::Late(server) => {
                world.ports(server).into_iter().for_each(|port| world.network().shuffle(port));
            }
            Self::Forgotten(server) => {
                let ports = world.ports(server).into_iter();
                let count: usize = ports.map(|port| world.network().forget(port)).sum();
                eprintln!("{self:?}: {count} connections");
            }
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
            Self::ApiThrottles(one) => world.throttle_api(one, false),
            Self::ApiRebuilt | Self::ApiCompacted(_) | Self::EtcdCompacted => {}
            Self::EtcdKilled => world.fleet.dns.restart_etcd().await,
            Self::EtcdFrozen => world.fleet.dns.cont_etcd(),
            Self::EtcdThrottles => {
                let etcd = world.etcd();
                world.sites.iter().for_each(|site| site.etcd.lead_to(etcd));
                world.met += world.stores.busy.take_refused();
            }
            Self::EtcdFull => world.fill_etcd(AlarmAction::Deactivate).await,
            Self::BindKilled => world.stores.bind.restart().await,
            Self::BindFrozen => world.stores.bind.process().cont(),
            Self::EtcdCut | Self::EtcdMute | Self::EtcdSlow | Self::BindMute | Self::DaemonCut(_) => {
                world.sites.iter().for_each(Site::mend);
            }
            Self::AzureSilent => world.stores.azure.world().stalled = None,
            Self::AzureThrottles => world.stores.azure.world().limits = None,
            Self::AzureUnavailable => world.stores.azure.world().traps.clear(),
            Self::Outage => {
                world.sites.iter().for_each(Site::mend);
                world.stores.azure.world().stalled = None;
            }
            Self::DaemonKilled(one) | Self::DaemonKilledInWrite(one) | Self::DaemonEnded(one) => {
                world.daemon(one).start_again();
            }
            Self::DaemonKilledAt(..) | Self::DaemonKilledInStateFile(_) => world.disarm(),
            Self::DaemonFrozen(one) => world.daemon(one).thaw(),
            Self::ClockAhead(one) | Self::ClockBack(one) => world.site(one).preload.set_clock(0),
            Self::StateDiskFull(one) | Self::StateDiskReadOnly(one) => {
                world.site(one).preload.set_disk(Disk::Good);
            }
            Self::Lost(_) | Self::Late(_) => world.met += world.network().mend(),
            Self::Forgotten(_) => world.met += world.network().forgotten(),
        }
    }
}

/// Forgets all old versions, and gives the space back.
async fn compact(client: &mut etcd_client::Client) {
    let newest = client.get("x", None).await.unwrap().header().unwrap().revision();
    client.compact(newest, Some(CompactionOptions::new().with_physical())).await.unwrap();
    client.defragment().await.unwrap();
}
