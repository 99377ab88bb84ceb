//! The override store in paused time.

use fleetdns_core::ownership::{Owner, Ownership};
use fleetdns_core::{Content, NonEmpty, Observed, ObservedSet, OverrideKind, RecordData, Ttl, Version};
use tokio::time::Instant;

use super::*;

const START: u64 = 1_700_000_000;

/// A clock that goes with the paused time.
fn clock() -> Clock {
    let start = Instant::now();
    Clock::new(move || START + start.elapsed().as_secs())
}

fn start(store: Option<StateFile>) -> (OverrideSender, CancellationToken) {
    let (store_task, overrides) = OverrideStore::new(store.map_or(Storage::Marks, Storage::File), clock());
    let shutdown = CancellationToken::new();
    tokio::spawn(store_task.run(shutdown.clone()));
    (overrides, shutdown)
}

fn request(subject: &str, kind: Option<OverrideKind>, seconds: Option<u64>) -> OverrideRequest {
    OverrideRequest {
        subjects: vec![subject.parse().unwrap()],
        kind,
        by: "root".into(),
        reason: "kernel".into(),
        span: seconds.map(Duration::from_secs),
    }
}

/// A zone with one name, whose mark has these lines.
fn zone(lines: &[&str]) -> Observed {
    let ownership = Ownership {
        owner: "fed".parse().unwrap(),
        service: "default/web".parse().unwrap(),
        routing: None,
        members: BTreeMap::new(),
        unattributed: std::collections::BTreeSet::new(),
        overrides: lines.iter().map(|line| Override::from_line(line).unwrap()).collect(),
    };
    let set = ObservedSet {
        ttl: Ttl::DEFAULT,
        content: Content::Known(RecordData::A(NonEmpty::new(["203.0.113.1".parse().unwrap()]).unwrap())),
        claim: Owner::of(&fleetdns_core::OwnershipRecord::from(&ownership)),
        version: Version::default(),
    };
    [("web.example.com".parse().unwrap(), set)].into_iter().collect()
}

async fn adopt(overrides: &OverrideSender, lines: &[&str]) {
    overrides.adopt(&"example.com".parse().unwrap(), &zone(lines)).await;
}

fn subjects(overrides: &mut OverrideSender) -> Vec<String> {
    overrides.latest().iter().map(|entry| format!("{} {}", entry.subject, entry.kind)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_override_is_published_and_ends_at_its_time() {
    let (mut overrides, _shutdown) = start(None);
    let change =
        overrides.request(request("cluster/east", Some(OverrideKind::Drain), Some(7200))).await.unwrap();
    let entry = change[0].after.clone().unwrap();
    assert_eq!((entry.since, entry.until, &*entry.by), (START, Some(START + 7200), "root"));
    overrides.request(request("cluster/west", Some(OverrideKind::ForceIn), None)).await.unwrap();
    assert_eq!(subjects(&mut overrides), ["cluster/east drain", "cluster/west force-in"]);
    tokio::time::sleep(Duration::from_secs(7199)).await;
    assert_eq!(subjects(&mut overrides).len(), 2);
    let before = Instant::now();
    overrides.changed().await.unwrap();
    assert!(before.elapsed() <= Duration::from_secs(2), "{:?}", before.elapsed());
    assert_eq!(subjects(&mut overrides), ["cluster/west force-in"]);
}

#[tokio::test(start_paused = true)]
async fn an_override_is_taken_back_and_another_takes_its_place() {
    let (mut overrides, _shutdown) = start(None);
    let set = overrides.request(request("cluster/east", Some(OverrideKind::Drain), None)).await.unwrap();
    let other = overrides.request(request("cluster/east", Some(OverrideKind::ForceOut), None)).await.unwrap();
    assert_eq!(other[0].before, set[0].after);
    let back = overrides.request(request("cluster/east", None, None)).await.unwrap();
    assert_eq!((&back[0].before, &back[0].after), (&other[0].after, &None));
    let nothing = overrides.request(request("cluster/east", None, None)).await.unwrap();
    assert_eq!((&nothing[0].before, &nothing[0].after), (&None, &None));
    assert!(subjects(&mut overrides).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_zone_says_counts_when_it_is_acknowledged_unless_it_is_over() {
    let (mut overrides, _shutdown) = start(None);
    adopt(
        &overrides,
        &[
            "cluster/east;drain;2020-09-13T12:26:40Z;;root;",
            "cluster/west;drain;2020-09-13T12:26:40Z;2023-11-14T22:13:19Z;root;",
        ],
    )
    .await;
    assert_eq!(subjects(&mut overrides), ["cluster/east drain"]);
    // What was said last counts, whichever zone comes first.
    adopt(&overrides, &["cluster/east;force-in;2020-09-13T12:26:49Z;;root;"]).await;
    adopt(&overrides, &["cluster/east;drain;2020-09-13T12:26:41Z;;root;"]).await;
    assert_eq!(subjects(&mut overrides), ["cluster/east force-in"]);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_comes_late_does_not_bring_back_what_was_taken_back_or_has_ended() {
    let (mut overrides, _shutdown) = start(None);
    let marks = [
        "cluster/east;drain;2020-09-13T12:26:40Z;;root;",
        "cluster/west;drain;2020-09-13T12:26:40Z;2023-11-14T22:14:20Z;root;",
    ];
    adopt(&overrides, &marks).await;
    assert_eq!(subjects(&mut overrides).len(), 2);
    overrides.request(request("cluster/east", None, None)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(62)).await;
    adopt(&overrides, &marks).await;
    assert!(subjects(&mut overrides).is_empty());
    // Said again, it counts.
    overrides.request(request("cluster/east", Some(OverrideKind::Drain), None)).await.unwrap();
    assert_eq!(subjects(&mut overrides), ["cluster/east drain"]);
}

#[tokio::test(start_paused = true)]
async fn a_state_directory_keeps_overrides_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = StateFile::at(folder.path());
    let (overrides, shutdown) = start(Some(store.clone()));
    overrides.request(request("cluster/east", Some(OverrideKind::Drain), None)).await.unwrap();
    overrides.request(request("cluster/west", Some(OverrideKind::Drain), Some(60))).await.unwrap();
    shutdown.cancel();
    tokio::time::sleep(Duration::from_secs(90)).await;

    // The time of the other one was over while nobody looked.
    let over = Clock::new(|| START + 90);
    let (store_task, mut overrides) = OverrideStore::new(Storage::File(store.clone()), over);
    assert_eq!(subjects(&mut overrides).len(), 2);
    tokio::spawn(store_task.run(CancellationToken::new()));
    overrides.changed().await.unwrap();
    assert_eq!(subjects(&mut overrides), ["cluster/east drain"]);
    assert_eq!(store.read().overrides, Some(overrides.latest()));
    // There is a file: what a zone says is older than what it says.
    adopt(&overrides, &["cluster/south;drain;2020-09-13T12:26:40Z;;root;"]).await;
    overrides.request(request("cluster/east", None, None)).await.unwrap();
    assert!(subjects(&mut overrides).is_empty());
    assert_eq!(store.read().overrides, Some(Overrides::default()));
}

#[test]
fn who_has_no_keeper_reads_the_file_or_else_the_marks() {
    let folder = tempfile::tempdir().unwrap();
    let zones = [zone(&[
        "cluster/east;drain;2020-09-13T12:26:40Z;;root;",
        "cluster/west;drain;2020-09-13T12:26:40Z;2020-09-13T12:27:40Z;root;",
    ])];
    let read = |directory| {
        let overrides = crate::overrides::standing(directory, &zones, START).unwrap();
        overrides.iter().map(|entry| entry.subject.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (read(None), read(Some(folder.path()))),
        (vec!["cluster/east".into()], vec!["cluster/east".into()])
    );
    StateFile::at(folder.path()).write(&Overrides::default()).unwrap();
    assert!(read(Some(folder.path())).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_state_directory_takes_over_what_the_marks_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = StateFile::at(folder.path());
    let (mut overrides, _shutdown) = start(Some(store.clone()));
    adopt(&overrides, &["cluster/east;drain;2020-09-13T12:26:40Z;;root;"]).await;
    assert_eq!(subjects(&mut overrides), ["cluster/east drain"]);
    assert_eq!(store.read().overrides, Some(overrides.latest()));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_refused_with_the_reason_and_what_is_kept_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let store = StateFile::at(folder.path());
    let (overrides, shutdown) = start(Some(store.clone()));
    overrides.request(request("cluster/east", Some(OverrideKind::Drain), None)).await.unwrap();
    assert_eq!(*overrides.state().borrow(), None);
    shutdown.cancel();
    // The file can be read, and nothing beside it can be made: what stands in the way is no matter of rights, root has all.
    let broken = store.unwritable();
    let (mut overrides, _shutdown) = start(Some(broken));
    assert_eq!(subjects(&mut overrides), ["cluster/east drain"]);
    let fault = || overrides.state().borrow().clone().unwrap();
    assert!(fault().contains("state-dir names another one"), "{}", fault());
    let refused =
        overrides.request(request("cluster/west", Some(OverrideKind::Drain), None)).await.unwrap_err();
    assert!(chain(&refused).contains("overrides.json cannot be written"), "{}", chain(&refused));
    assert!(fault().contains("overrides.json cannot be written"), "{}", fault());
    assert_eq!(subjects(&mut overrides), ["cluster/east drain"]);
}
