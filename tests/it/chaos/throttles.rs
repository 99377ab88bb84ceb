//! Servers that take no more requests for a while.

use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType};

use super::each_once;
use super::faults::Fault;
use super::stores::etcd_of;
use super::world::World;

impl World {
    /// Connections end, and then each request is refused, or none is.
    pub(super) fn throttle_api(&mut self, one: usize, throttles: bool) {
        let real = self.member(one).url().trim_start_matches("https://").parse().unwrap();
        let busy = &self.busy_apis[one];
        self.ways[one].road.lead_to(if throttles { busy.address() } else { real });
        self.met += busy.take_refused();
    }

    /// As when its quota is used up: writes are refused, and deletions and reads are not.
    pub(super) async fn fill_etcd(&mut self, action: AlarmAction) {
        let mut client = etcd_of(&self.fleet.dns).await;
        client.alarm(action, AlarmType::Nospace, None).await.unwrap();
        if action == AlarmAction::Activate {
            let refused = client.put("/anything", "", None).await.is_err();
            self.met += u64::from(refused);
        }
    }
}

/// A throttled client waits for longer each time.
const RIGHT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_throttle_leave_nothing_wrong() {
    let mut world = World::start_with(1, None, 1, 16).await;
    let faults = [Fault::ApiThrottles(0), Fault::EtcdThrottles, Fault::EtcdFull];
    each_once(&mut world, &faults, RIGHT).await;
    world.end();
}
