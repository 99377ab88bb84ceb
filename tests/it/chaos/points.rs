//! Kills between a daemon and what it writes: before the server has the request, or after it has answered and before the
//! daemon knows.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fleetdns_fakes::azure::{Call, Mishap};
use fleetdns_fakes::conformance::Moment;
use fleetdns_tests::eventually;
use fleetdns_tests::kill_point::{is_transaction, is_update};
use rustix::process::Pid;

use super::world::{AT_LAST, SOON, World};
use super::{Dice, converged};

/// What is written. Where records stand, their ownership record is in the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// Records in etcd.
    Etcd,
    /// Records in BIND.
    Bind,
    /// A record set in Azure.
    Azure,
    /// The lease by which replicas elect a leader, in etcd.
    Lease,
    /// What is forced out, which replicas share in etcd.
    Overrides,
}

const RECORDS: [Write; 3] = [Write::Etcd, Write::Bind, Write::Azure];
const SHARED: [Write; 2] = [Write::Lease, Write::Overrides];

/// Where a daemon is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    write: Write,
    moment: Moment,
    /// At which of these writes, from 1.
    hit: usize,
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{:?}#{}", self.moment, self.write, self.hit)
    }
}

impl Point {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let moment = [Moment::Before, Moment::After][dice.below(2)];
        let all = [&RECORDS[..], &SHARED].concat();
        Self { write: all[dice.below(all.len())], moment, hit: 1 + dice.below(8) }
    }

    /// Kills this daemon there, from now on.
    pub(super) fn arm(self, world: &mut World, daemon: usize) {
        let Self { write, moment, hit } = self;
        let pid = world.daemon(daemon).pid();
        let site = world.site(daemon);
        match write {
            Write::Etcd => {
                site.etcd.kill_at(|body| is_transaction(body, "/skydns/"), moment, hit, pid);
            }
            Write::Lease => site.etcd.kill_at(|body| is_transaction(body, "/lease"), moment, hit, pid),
            Write::Overrides => {
                site.etcd.kill_at(|body| is_transaction(body, "/overrides.json"), moment, hit, pid);
            }
            Write::Bind => site.bind.kill_at(is_update, moment, hit, pid),
            Write::Azure => {
                let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                let seen = AtomicUsize::new(0);
                let which =
                    move |call: &Call| call.is_write() && seen.fetch_add(1, Ordering::SeqCst) + 1 == hit;
                world.stores.azure.trap(1, Mishap::Kill(moment, pid), which);
            }
        }
    }
}

/// For a daemon to write so often; its lease is renewed every second.
const STRUCK: Duration = Duration::from_secs(20);
/// A start, the lease of the daemon that was killed, and the removal of what died meanwhile.
const RIGHT: Duration = Duration::from_secs(30);
/// Services that may be there at once.
const MOST: usize = 100;
/// Hits at which each point kills once; the first one is the write of a new Service.
const HITS: [usize; 3] = [1, 2, 5];

impl World {
    /// Nothing is killed any more, and what was killed is started again.
    pub(super) fn disarm(&mut self) {
        for site in &self.sites {
            site.etcd.disarm();
            site.bind.disarm();
            site.preload.kill_at(0);
        }
        self.stores.azure.world().traps.clear();
        for daemon in &mut self.daemons {
            if daemon.has_ended() {
                daemon.start_again();
            }
        }
    }

    /// Changes things until the daemon is killed; whether it was.
    async fn struck(&mut self, point: Point) -> bool {
        let start = Instant::now();
        while start.elapsed() < STRUCK {
            if self.daemons[0].has_ended() {
                return true;
            }
            match point.write {
                Write::Overrides => self.toggle(SOON).await,
                // A name that is new has no ownership record yet: a half write of one that is there mends itself.
                _ if point.hit == 1 && self.services.len() < MOST => self.create().await,
                _ => self.change().await,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }
}

/// Kills at each of these points, once at each hit, and waits until all zones are right again.
async fn kill_at_each(world: &mut World, writes: &[Write]) {
    converged(world, RIGHT, "DNS to be right after the start").await;
    let watcher = world.watch_steady();
    for write in writes {
        for moment in [Moment::Before, Moment::After] {
            let hits: &[usize] = if *write == Write::Overrides { &HITS[..1] } else { &HITS };
            for hit in hits.iter().copied() {
                let point = Point { write: *write, moment, hit };
                point.arm(world, 0);
                assert!(world.struck(point).await, "{point:?}: no such write");
                world.daemons[0].start_again();
                let what = format!("DNS to be right after a kill at {point:?}");
                let took = converged(world, RIGHT, &what).await;
                eprintln!("{point:?}: right after {took:.1?}");
                assert!(!watcher.is_finished(), "{point:?}: {}", watcher.await.unwrap());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_before_or_after_any_write_of_records_leaves_nothing_wrong() {
    let mut world = World::start_with(1, None, 1, 16).await;
    kill_at_each(&mut world, &RECORDS).await;
    world.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_before_or_after_any_write_of_what_replicas_share_leaves_nothing_wrong() {
    let mut world = World::start_with(1, Some("5s"), 1, 16).await;
    kill_at_each(&mut world, &SHARED).await;
    world.end();
}

/// Between any two steps of replacing the file: it is the old one or the new one, and what was taken is in force.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_step_of_its_state_file_keeps_what_it_took() {
    let mut world = World::start_with(1, None, 1, 8).await;
    converged(&mut world, RIGHT, "DNS to be right after the start").await;
    let mut steps = 0;
    loop {
        world.site(0).preload.kill_at(steps + 1);
        world.toggle(AT_LAST).await;
        if world.forced_out.is_some() {
            break;
        }
        let ended = async || if world.daemons[0].has_ended() { Ok(()) } else { Err("it refused a command") };
        eventually("the daemon to be killed", SOON, Duration::from_millis(5), ended).await;
        steps += 1;
        world.daemons[0].start_again();
        let took = converged(&mut world, RIGHT, &format!("DNS to be right after step {steps}")).await;
        eprintln!("killed before step {steps} of the state file: right after {took:.1?}");
    }
    assert!(steps >= 4, "it is made, written, written to disk and replaced: {steps} steps");
    let files = fs::read_dir(world.site(0).preload.state_dir()).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["overrides.json"], "what a kill left half written is gone");
    world.end();
}
