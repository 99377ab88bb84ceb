//! The keeper in paused time.

use fleetdns_core::evidence::{Claim, Evidence};
use fleetdns_core::intent::from_line;
use fleetdns_core::{Content, NonEmpty, ObservedSet, RecordData, Ttl, Version};
use tokio::time::Instant;

use super::*;

const START: u64 = 1_700_000_000;

/// A clock that goes with the paused time.
fn clock() -> Clock {
    let start = Instant::now();
    Clock::new(move || START + start.elapsed().as_secs())
}

fn start(store: Option<Store>) -> (Wishes, CancellationToken) {
    let (keeper, wishes) = Keeper::new(store, clock());
    let shutdown = CancellationToken::new();
    tokio::spawn(keeper.run(shutdown.clone()));
    (wishes, shutdown)
}

fn saying(subject: &str, wish: Option<Wish>, seconds: Option<u64>) -> Saying {
    Saying {
        subjects: vec![subject.parse().unwrap()],
        wish,
        by: "root".into(),
        reason: "kernel".into(),
        span: seconds.map(Duration::from_secs),
    }
}

/// A zone with one name, whose mark has these lines.
fn zone(lines: &[&str]) -> Observed {
    let evidence = Evidence {
        owner: "fed".parse().unwrap(),
        service: "default/web".parse().unwrap(),
        members: BTreeMap::new(),
        orphans: std::collections::BTreeSet::new(),
        intents: lines.iter().map(|line| from_line(line).unwrap()).collect(),
    };
    let set = ObservedSet {
        ttl: Ttl::DEFAULT,
        content: Content::Known(RecordData::A(NonEmpty::new(["203.0.113.1".parse().unwrap()]).unwrap())),
        claim: Claim::of(&fleetdns_core::Mark::from(&evidence)),
        version: Version::default(),
    };
    [("web.example.com".parse().unwrap(), set)].into_iter().collect()
}

async fn adopt(wishes: &Wishes, lines: &[&str]) {
    wishes.adopt(&"example.com".parse().unwrap(), &zone(lines)).await;
}

fn subjects(wishes: &mut Wishes) -> Vec<String> {
    wishes.latest().iter().map(|(subject, intent)| format!("{subject} {}", intent.wish)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_published_and_ends_at_its_time() {
    let (mut wishes, _shutdown) = start(None);
    let told = wishes.say(saying("cluster/east", Some(Wish::Drain), Some(7200))).await.unwrap();
    let intent = told[0].after.clone().unwrap();
    assert_eq!((intent.since, intent.until, &*intent.by), (START, Some(START + 7200), "root"));
    wishes.say(saying("cluster/west", Some(Wish::ForceIn), None)).await.unwrap();
    assert_eq!(subjects(&mut wishes), ["cluster/east drain", "cluster/west force-in"]);
    tokio::time::sleep(Duration::from_secs(7199)).await;
    assert_eq!(subjects(&mut wishes).len(), 2);
    let before = Instant::now();
    wishes.changed().await.unwrap();
    assert!(before.elapsed() <= Duration::from_secs(2), "{:?}", before.elapsed());
    assert_eq!(subjects(&mut wishes), ["cluster/west force-in"]);
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_taken_back_and_another_takes_its_place() {
    let (mut wishes, _shutdown) = start(None);
    let set = wishes.say(saying("cluster/east", Some(Wish::Drain), None)).await.unwrap();
    let other = wishes.say(saying("cluster/east", Some(Wish::ForceOut), None)).await.unwrap();
    assert_eq!(other[0].before, set[0].after);
    let back = wishes.say(saying("cluster/east", None, None)).await.unwrap();
    assert_eq!((&back[0].before, &back[0].after), (&other[0].after, &None));
    let nothing = wishes.say(saying("cluster/east", None, None)).await.unwrap();
    assert_eq!((&nothing[0].before, &nothing[0].after), (&None, &None));
    assert!(subjects(&mut wishes).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_zone_says_counts_when_it_is_acknowledged_unless_it_is_over() {
    let (mut wishes, _shutdown) = start(None);
    adopt(
        &wishes,
        &["cluster/east;drain;1600000000;;root;", "cluster/west;drain;1600000000;1699999999;root;"],
    )
    .await;
    assert_eq!(subjects(&mut wishes), ["cluster/east drain"]);
    // What was said last counts, whichever zone comes first.
    adopt(&wishes, &["cluster/east;force-in;1600000009;;root;"]).await;
    adopt(&wishes, &["cluster/east;drain;1600000001;;root;"]).await;
    assert_eq!(subjects(&mut wishes), ["cluster/east force-in"]);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_comes_late_does_not_bring_back_what_was_taken_back_or_has_ended() {
    let (mut wishes, _shutdown) = start(None);
    let marks = ["cluster/east;drain;1600000000;;root;", "cluster/west;drain;1600000000;1700000060;root;"];
    adopt(&wishes, &marks).await;
    assert_eq!(subjects(&mut wishes).len(), 2);
    wishes.say(saying("cluster/east", None, None)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(62)).await;
    adopt(&wishes, &marks).await;
    assert!(subjects(&mut wishes).is_empty());
    // Said anew, it counts.
    wishes.say(saying("cluster/east", Some(Wish::Drain), None)).await.unwrap();
    assert_eq!(subjects(&mut wishes), ["cluster/east drain"]);
}

#[tokio::test(start_paused = true)]
async fn a_state_directory_keeps_wishes_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let (wishes, shutdown) = start(Some(store.clone()));
    wishes.say(saying("cluster/east", Some(Wish::Drain), None)).await.unwrap();
    wishes.say(saying("cluster/west", Some(Wish::Drain), Some(60))).await.unwrap();
    shutdown.cancel();
    tokio::time::sleep(Duration::from_secs(90)).await;

    // The time of the other one was over while nobody looked.
    let over = Clock::new(|| START + 90);
    let (keeper, mut wishes) = Keeper::new(Some(store.clone()), over);
    assert_eq!(subjects(&mut wishes).len(), 2);
    tokio::spawn(keeper.run(CancellationToken::new()));
    wishes.changed().await.unwrap();
    assert_eq!(subjects(&mut wishes), ["cluster/east drain"]);
    assert_eq!(store.read().intents, Some(wishes.latest()));
    // There is a file: what a zone says is older than what it says.
    adopt(&wishes, &["cluster/south;drain;1600000000;;root;"]).await;
    wishes.say(saying("cluster/east", None, None)).await.unwrap();
    assert!(subjects(&mut wishes).is_empty());
    assert_eq!(store.read().intents, Some(Intents::default()));
}

#[test]
fn who_has_no_keeper_reads_the_file_or_else_the_marks() {
    let folder = tempfile::tempdir().unwrap();
    let zones =
        [zone(&["cluster/east;drain;1600000000;;root;", "cluster/west;drain;1600000000;1600000060;root;"])];
    let read = |directory| {
        let intents = crate::intents::standing(directory, &zones, START).unwrap();
        intents.iter().map(|(subject, _)| subject.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (read(None), read(Some(folder.path()))),
        (vec!["cluster/east".into()], vec!["cluster/east".into()])
    );
    Store::at(folder.path()).write(&Intents::default()).unwrap();
    assert!(read(Some(folder.path())).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_state_directory_takes_over_what_the_marks_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let (mut wishes, _shutdown) = start(Some(store.clone()));
    adopt(&wishes, &["cluster/east;drain;1600000000;;root;"]).await;
    assert_eq!(subjects(&mut wishes), ["cluster/east drain"]);
    assert_eq!(store.read().intents, Some(wishes.latest()));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_refused_with_the_reason_and_what_is_kept_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    let (wishes, shutdown) = start(Some(store.clone()));
    wishes.say(saying("cluster/east", Some(Wish::Drain), None)).await.unwrap();
    assert_eq!(*wishes.state().borrow(), None);
    shutdown.cancel();
    // The file can be read, and nothing beside it can be made: what stands in the way is no matter of rights, root has all.
    let broken = store.unwritable();
    let (mut wishes, _shutdown) = start(Some(broken));
    assert_eq!(subjects(&mut wishes), ["cluster/east drain"]);
    let fault = || wishes.state().borrow().clone().unwrap();
    assert!(fault().contains("state-dir names another one"), "{}", fault());
    let refused = wishes.say(saying("cluster/west", Some(Wish::Drain), None)).await.unwrap_err();
    assert!(chain(&refused).contains("intents.json cannot be written"), "{}", chain(&refused));
    assert!(fault().contains("intents.json cannot be written"), "{}", fault());
    assert_eq!(subjects(&mut wishes), ["cluster/east drain"]);
}
