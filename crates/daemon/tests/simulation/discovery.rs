//! Members that a directory names come and go, while a process runs and while none does, and the directory fails, empties
//! and is read by half as chance has it. Real beside the zone and the prober is who is a member (`Config::settle`).
//!
//! Law: an address that stands in DNS stays as long as the kubeconfig of its cluster does, whatever a look at the directory
//! says. In the end, when an operator confirms it, DNS has the clusters of the directory and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use fleetdns_core::{Inventory, MemberName};
use fleetdns_daemon::config::{Config, DirectoryFile, Flags, Outside};
use fleetdns_watch::{Access, Completeness};

use crate::drive::{Do, Driver};
use crate::fleet::STARTUP;
use crate::rng::Rng;
use crate::scenarios::clusters;

const SECOND: Duration = Duration::from_secs(1);
const TEXT: &str =
    "[fleet]\nname = fed\n[zone \"example.com\"]\nprovider = embedded\n[discovery]\ndirectory = /clusters\n";

/// What a look at the directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Whole,
    Fails,
    Empty,
    /// Some files are cut short.
    CutShort,
    /// Most files of those that are members are missing.
    Most,
}

/// The letters of the clusters whose kubeconfig is there, as the look shows them, and whether each can be used. `known` are
/// members already.
fn shown(
    files: &BTreeSet<char>,
    known: &BTreeSet<MemberName>,
    look: Look,
    rng: &mut Rng,
) -> BTreeMap<String, bool> {
    let name = |letter: &char| letter.to_ascii_uppercase().to_string();
    // Less than half of those that are known are left, and two or more are not.
    let left: BTreeSet<&str> =
        known.iter().take(known.len().saturating_sub(1) / 2).map(MemberName::as_str).collect();
    let stays = |letter: &&char| left.contains(name(letter).as_str());
    match look {
        Look::Fails | Look::Empty => BTreeMap::new(),
        Look::Whole => files.iter().map(|letter| (name(letter), true)).collect(),
        Look::CutShort => files.iter().map(|letter| (name(letter), rng.chance(50))).collect(),
        Look::Most => files.iter().filter(stays).map(|letter| (name(letter), true)).collect(),
    }
}

/// What the product reads then.
fn read(shown: &BTreeMap<String, bool>, look: Look) -> Config {
    let list = |_: &Path| match look {
        Look::Fails => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        _ => Ok(shown.keys().map(|name| DirectoryFile { name: name.clone(), size: 1 }).collect()),
    };
    let endpoint = |access: &Access| {
        let Access::Kubeconfig { paths, .. } = access else { return Err("none".to_owned()) };
        let name = paths[0].file_name().unwrap().to_str().unwrap();
        let number = name.bytes().next().map(u64::from);
        number.filter(|_| shown[name]).ok_or_else(|| "cut short".to_owned())
    };
    let contexts = |_: &[std::path::PathBuf]| Ok(vec!["c".to_owned()]);
    let outside =
        Outside { list: &list, endpoint: &endpoint, contexts: &contexts, ..Outside::system(&contexts) };
    Config::parse("dns.conf", TEXT.as_bytes(), &Flags::default(), &outside).unwrap()
}

fn members(config: &Config) -> BTreeSet<MemberName> {
    config.members.iter().map(|member| member.name.clone()).collect()
}

struct World {
    driver: Driver,
    rng: Rng,
    files: BTreeSet<char>,
    running: Config,
    /// Letters that stood in DNS since their file is there.
    owed: BTreeSet<char>,
    /// Broken on purpose: everything that a look says is believed.
    believes: bool,
}

impl World {
    async fn new(seed: u64, believes: bool) -> Self {
        let files: BTreeSet<char> = ('a'..='e').collect();
        let mut rng = Rng::new(seed);
        let running = read(&shown(&files, &BTreeSet::new(), Look::Whole, &mut rng), Look::Whole);
        let driver = clusters('e', |_| {}).await;
        Self { driver, rng, owed: files.clone(), files, running, believes }
    }

    /// A cluster comes or goes; one always stays.
    fn change(&mut self) {
        let letter = char::from(b'a' + self.rng.below(5) as u8);
        if self.files.len() > 1 && self.files.remove(&letter) {
            self.owed.remove(&letter);
        } else {
            self.files.insert(letter);
        }
    }

    fn look(&mut self, look: Look, confirmed: bool) {
        let known = members(&self.running);
        let look = if look == Look::Most && known.len() < 2 { Look::Fails } else { look };
        let shown = shown(&self.files, &known, look, &mut self.rng);
        let mut next = read(&shown, look);
        next.settle(Some(&self.running), confirmed || self.believes);
        self.driver
            .with(|sim| sim.say(format!("{look:?} {confirmed}: {shown:?}, members {:?}", members(&next))));
        self.driver.follow(&next);
        self.running = next;
    }

    /// A new process; its first look may fail or find nothing.
    async fn restart(&mut self) {
        self.driver.stop(self.rng.chance(50)).await;
        let look = match self.rng.below(4) {
            0 => Look::Fails,
            1 => Look::Empty,
            2 => Look::CutShort,
            _ => Look::Whole,
        };
        self.running = read(&shown(&self.files, &BTreeSet::new(), look, &mut self.rng), look);
        let members = members(&self.running);
        let completeness = if self.believes { Completeness::Confirmed } else { self.running.completeness };
        self.driver.with(|sim| {
            sim.say(format!("restart, {look:?}: members {members:?}"));
            sim.fleet.completeness = completeness;
            sim.fleet.members.iter_mut().for_each(|one| one.configured = members.contains(&one.name));
        });
        self.driver.start();
    }

    /// Lets time pass; says what the law does.
    async fn pass(&mut self, seconds: u64) -> Result<(), String> {
        for _ in 0..seconds {
            self.driver.pass(SECOND).await;
            let letters: BTreeSet<char> = self.driver.letters().chars().collect();
            if let Some(gone) = self.owed.difference(&letters).next() {
                return Err(format!(
                    "{gone} left DNS and its file is there: {letters:?} of {:?}",
                    self.files
                ));
            }
            self.owed.extend(letters.intersection(&self.files));
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.between(5, 15) {
            for _ in 0..self.rng.below(3) {
                self.change();
            }
            let confirmed = self.rng.chance(30);
            match self.rng.below(10) {
                0..2 => self.restart().await,
                2..4 => self.look(Look::Fails, confirmed),
                4 => self.look(Look::Empty, false),
                5..7 => self.look(Look::CutShort, confirmed),
                7 => self.look(Look::Most, false),
                _ => self.look(Look::Whole, confirmed),
            }
            let seconds = self.rng.between(1, 90);
            self.pass(seconds).await?;
        }
        self.look(Look::Whole, true);
        self.pass(120).await?;
        let letters: String = self.files.iter().collect();
        let seen = self.driver.letters();
        if seen == letters { Ok(()) } else { Err(format!("DNS has {seen} and the directory {letters}")) }
    }
}

impl Driver {
    /// Does what `fleetdns_watch` does with other members while a process runs.
    fn follow(&mut self, config: &Config) {
        let (members, now, publish) = (members(config), self.now(), Self::publish_settings());
        let mut again = Vec::new();
        self.with(|sim| {
            for (place, one) in sim.fleet.members.iter_mut().enumerate() {
                match (one.configured, members.contains(&one.name)) {
                    (true, false) => {
                        one.configured = false;
                        let mut view = one.view();
                        view.inventory = Inventory::Removed;
                        sim.fleet.removed.insert(one.name.clone(), view);
                    }
                    (false, true) => {
                        one.configured = true;
                        one.start(&publish);
                        let known = sim.fleet.removed.remove(&one.name);
                        let due = known.and_then(|view| one.adopt(&view, now));
                        again.push((place, due));
                    }
                    _ => {}
                }
            }
            sim.fleet.completeness = config.completeness;
            sim.fleet.resolve();
        });
        for (place, due) in again {
            let pause = Duration::from_millis(self.rng.between(20, 3000));
            self.after(pause, Do::List(place, self.epoch));
            self.after(STARTUP, Do::GiveUp(self.epoch));
            if let Some(due) = due {
                self.at(due, Do::List(place, self.epoch));
            }
        }
        self.reconfigure(members);
        self.publish();
    }
}

async fn broken(seed: u64, believes: bool) -> Option<String> {
    let mut world = World::new(seed, believes).await;
    let wrong = world.run().await.err();
    world.driver.stop(false).await;
    let laws = world.driver.with(|sim| sim.wrong.first().cloned());
    let wrong = wrong.or(laws)?;
    let log = world.driver.with(|sim| sim.log.join("\n"));
    Some(format!("seed {seed}: {wrong}\n{log}"))
}

#[tokio::test(start_paused = true)]
async fn nobody_leaves_whose_kubeconfig_is_there() {
    for seed in 1..=crate::number("SEEDS").unwrap_or(40) {
        let wrong = broken(seed, false).await;
        assert!(wrong.is_none(), "{}", wrong.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_believed_at_once_is_seen() {
    for seed in 1..=20 {
        if broken(seed, true).await.is_some_and(|wrong| wrong.contains("left DNS and its file is there")) {
            return;
        }
    }
    panic!("everything was believed, and no cluster was removed wrongly");
}
