//! The journal in paused time, and the audit file in a folder of its own.

use std::fs;
use std::path::Path;

use fleetdns_core::hold::Hold;
use fleetdns_core::plan::HeldChange;
use fleetdns_core::{Applied, DnsName, Outcome, ProviderError};
use fleetdns_planner::planner::{Move, MoveCause, Way};
use fleetdns_probe::Reports;
use tokio_util::sync::CancellationToken;

use super::*;

fn events(count: u64) -> impl Iterator<Item = What> {
    (0..count).map(|number| What::new(Kind::In, number.to_string()).name(format!("n{number}.example.com")))
}

fn seqs(page: &Page) -> Vec<u64> {
    page.events.iter().map(|event| event.seq).collect()
}

fn after(after: u64) -> Query {
    Query { after, ..Query::default() }
}

#[test]
fn the_ring_keeps_the_newest_and_says_what_is_lost() {
    let journal = Journal::default();
    journal.record(events(25_000));
    let page = journal.read(&after(0));
    assert_eq!((page.lost, page.last, page.events.len()), (15_000, 16_000, 1000));
    assert_eq!(page.events[0].seq, 15_001);
    let (mut seen, mut at) = (0, 0);
    loop {
        let page = journal.read(&after(at));
        if page.events.is_empty() {
            break;
        }
        seen += page.events.len();
        at = page.last;
    }
    assert_eq!((seen, at), (KEPT, 25_000));
    assert_eq!(journal.state().ring.len(), KEPT);
    assert_eq!(journal.state().backlog.len(), 0, "nothing waits for a file that nobody asked for");
}

#[test]
fn a_noisy_namespace_pushes_out_its_own_events_and_no_others() {
    let journal = Journal::default();
    let of = |namespace: &str, count: u64| {
        let namespace = namespace.to_owned();
        events(count).map(move |what| what.namespace(Some(&namespace)))
    };
    journal.record(of("victim", 100));
    journal.record([What::new(Kind::Cluster, "stale")]);
    journal.record(of("noisy", 25_000));
    let all: Vec<Arc<Event>> = journal.state().ring.after(0).cloned().collect();
    let kept = |namespace: Option<&str>| {
        all.iter().filter(|event| event.what.namespace.as_deref() == namespace).count()
    };
    assert_eq!((kept(Some("victim")), kept(None), kept(Some("noisy"))), (100, 1, KEPT - 101));
    // Whoever follows is told how many are missing, and sees the others once.
    let first = journal.read(&after(0));
    assert_eq!((first.events.len(), first.events[0].seq), (1000, 1));
    let missing = 25_101 - KEPT as u64;
    assert_eq!((first.lost, first.last), (missing, missing + 1000));
    assert_eq!(journal.read(&after(first.last)).lost, 0);
}

#[test]
fn a_question_is_of_a_name_a_cluster_and_a_run() {
    let journal = Journal::default();
    let east = "east".parse().unwrap();
    journal.record([
        What::new(Kind::Out, "unhealthy").name("a.example.com").clusters([&east]),
        What::new(Kind::Cluster, "stale").clusters([&east]),
        What::new(Kind::Out, "gone").name("b.example.com"),
    ]);
    let of = |name: Option<&str>, cluster: Option<&str>| {
        let (name, cluster) = (name.map(str::to_owned), cluster.map(str::to_owned));
        seqs(&journal.read(&Query { name, cluster, ..Query::default() }))
    };
    assert_eq!(of(Some("A.example.com."), None), [1]);
    assert_eq!(of(None, Some("east")), [1, 2]);
    assert_eq!(of(Some("b.example.com"), Some("east")), [0; 0]);
    assert_eq!(journal.read(&after(2)).events.len(), 1);
    let other = Query { after: 2, run: Some("1970-01-01T00:00:00.000Z".into()), ..Query::default() };
    assert_eq!(seqs(&journal.read(&other)), [1, 2, 3], "another run has other numbers");
    let same = Query { run: Some(journal.read(&after(0)).run), ..other };
    assert_eq!(seqs(&journal.read(&same)), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_for_its_event_and_no_longer_than_it_said() {
    let journal = Journal::default();
    let query = Query { wait: 20, name: Some("n1.example.com".into()), ..Query::default() };
    let started = tokio::time::Instant::now();
    assert_eq!(journal.wait(&query).await.events, []);
    assert_eq!(started.elapsed().as_secs(), 20);
    let (waiting, asked) = (journal.clone(), query.clone());
    let answer = tokio::spawn(async move { waiting.wait(&asked).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    journal.record(events(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!answer.is_finished(), "another name's event is none");
    journal.record(events(2));
    assert_eq!(seqs(&answer.await.unwrap()), [3]);
}

/// The numbers in an audit file; panics where a line is no event.
fn lines(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap().seq).collect()
}

async fn wait_for(path: &Path, expected: &[u64]) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while lines(path) != expected {
        assert!(std::time::Instant::now() < deadline, "{:?}", lines(path));
        tokio::task::yield_now().await;
    }
}

struct Auditing {
    journal: Journal,
    task: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

impl Auditing {
    fn start(path: &Path) -> Self {
        let (journal, stop) = (Journal::default(), CancellationToken::new());
        journal.start_audit();
        let task = tokio::spawn(journal.clone().audit(path.to_owned(), stop.clone()));
        Self { journal, task, stop }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn the_audit_file_takes_every_event_and_is_made_again_when_it_was_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let auditing = Auditing::start(&path);
    auditing.journal.record(events(2));
    wait_for(&path, &[1, 2]).await;
    fs::rename(&path, &old).unwrap();
    auditing.journal.record(events(1));
    wait_for(&path, &[3]).await;
    assert_eq!(lines(&old), [1, 2]);
    fs::remove_file(&path).unwrap();
    auditing.journal.reopen();
    wait_for(&path, &[]).await;
    auditing.journal.record(events(10_000));
    let journal = auditing.journal.clone();
    auditing.end().await;
    assert_eq!(lines(&path), (4..=10_003).collect::<Vec<_>>(), "what is left is written at the end");
    assert_eq!((journal.stats().lost, journal.stats().fault), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_written_is_a_fault_until_it_can_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later").join("audit.jsonl");
    let auditing = Auditing::start(&path);
    auditing.journal.record(events(3));
    while auditing.journal.stats().fault.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(auditing.journal.stats().fault.unwrap().contains("audit.jsonl"));
    assert_eq!(auditing.journal.read(&after(0)).events.len(), 3, "who asks is answered all the same");
    fs::create_dir(folder.path().join("later")).unwrap();
    while auditing.journal.stats().fault.is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(lines(&path), [1, 2, 3]);
    let Auditing { task, stop, .. } = auditing;
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn what_waits_for_the_file_is_bounded_and_its_loss_stands_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let (journal, stop) = (Journal::default(), CancellationToken::new());
    journal.start_audit();
    journal.record(events(WAITING as u64 + 7));
    assert_eq!(journal.state().backlog.len(), WAITING);
    stop.cancel();
    journal.clone().audit(path.clone(), stop).await;
    let first: Event =
        serde_json::from_str(fs::read_to_string(&path).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!((first.seq, first.what.kind), (7, Kind::Lost));
    assert!(first.what.cause.starts_with("7 events"), "{first}");
    assert_eq!(lines(&path).len(), WAITING + 1);
    assert_eq!(journal.stats().lost, 7);
}

fn moved(way: Way) -> Move {
    Move {
        name: "web.example.com".parse().unwrap(),
        address: "203.0.113.1".parse().unwrap(),
        way,
        cause: MoveCause::Unhealthy,
        members: ["east".parse().unwrap()].into(),
        service: "default/web".parse().ok(),
        probe: None,
    }
}

fn kinds(journal: &Journal) -> Vec<String> {
    let text = |event: &Event| format!("{} {}", event.what.kind, event.what.answer.as_deref().unwrap_or("-"));
    journal.read(&after(0)).events.iter().map(text).collect()
}

#[test]
fn a_move_is_said_when_it_is_written_and_each_refusal_once() {
    let journal = Journal::default();
    let mut recorder =
        EventRecorder::new(journal.clone(), Reports::default(), "example.com".parse().unwrap());
    let name: DnsName = "web.example.com".parse().unwrap();
    let failed = || {
        let error = ProviderError::Throttled { endpoint: "ns1".into(), seconds: 5 };
        Applied { names: vec![("web.example.com".parse().unwrap(), Outcome::Failed(error))] }
    };
    let conflict = || Applied { names: vec![(name.clone(), Outcome::Conflict)] };
    let done = || Applied { names: vec![(name.clone(), Outcome::Done([].into()))] };
    for applied in [failed(), failed(), conflict(), conflict(), done()] {
        recorder.moves(&[moved(Way::Out)], &applied);
    }
    recorder.moves(&[moved(Way::In)], &done());
    recorder.moves(&[moved(Way::Out)], &Applied::default());
    assert_eq!(
        kinds(&journal),
        [
            "out failed: ns1 asks to wait 5 s",
            "out conflict: record changed by another writer",
            "out written",
            "in written"
        ]
    );
    let page = journal.read(&after(2));
    assert!(
        page.events[0]
            .to_string()
            .ends_with("out          web.example.com  203.0.113.1  (east)  unhealthy; written"),
        "{}",
        page.events[0]
    );
}

#[test]
fn a_hold_is_said_once_and_so_is_its_end() {
    let journal = Journal::default();
    let recorder = EventRecorder::new(journal.clone(), Reports::default(), "example.com".parse().unwrap());
    let name: DnsName = "web.example.com".parse().unwrap();
    let held = |reason: Hold| BTreeMap::from([(name.clone(), HeldChange { name: name.clone(), reason })]);
    let steps = [
        held(Hold::StartUp("waiting for 3 endpoints".into())),
        held(Hold::Undecided),
        held(Hold::RemovalsOff),
        held(Hold::RemovalsOff),
        held(Hold::Correlation),
        BTreeMap::new(),
    ];
    let mut before = BTreeMap::new();
    for now in steps {
        recorder.holds(before.iter(), &now, |_| Some("default".into()));
        before = now;
    }
    let texts: Vec<String> = journal
        .read(&after(0))
        .events
        .iter()
        .map(|event| format!("{} {}", event.what.kind, event.what.cause.split(':').next().unwrap()))
        .collect();
    assert_eq!(texts, ["held removals-off", "held correlation", "released correlation"]);
}
