//! A server that somebody else wrote: moto, which thousands of test suites take for Route 53. What it does not check, and
//! Route 53 does, is tried at the server in `fake`: it takes deletes of values that are no longer there, for example.

use std::process::Stdio;

use fleetdns_core::{Observed, Provider};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::insync::{gauge, until};
use crate::{all_done, pass, planned, words};
use fleetdns_fakes::conformance::{Fleet, OWNER};
use fleetdns_fakes::python::python;
use fleetdns_fakes::route53::{ACCESS_KEY, connect};

/// The server; it ends with its standard input.
struct Moto {
    url: String,
    credentials: tempfile::TempDir,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Moto {
    async fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/moto_server.py");
        let mut command = Command::new(python());
        command
            .args(["-I", script, ACCESS_KEY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let stdin = process.stdin.take().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = stdout.next_line().await.unwrap().expect("moto starts; see above");
        let credentials = tempfile::tempdir().unwrap();
        let text = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = geheim\n");
        std::fs::write(credentials.path().join("credentials"), text).unwrap();
        Self { url, credentials, stdin, stdout, _process: process }
    }

    fn connect(&self, more: &[(&str, &str)]) -> Box<dyn Provider> {
        connect(&self.url, self.credentials.path().join("credentials").to_str().unwrap(), OWNER, more)
    }

    /// Somebody else makes a record.
    async fn put(&mut self, line: &str) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        assert_eq!(self.stdout.next_line().await.unwrap().as_deref(), Some("done"));
    }
}

/// What is ours, and how much else there is.
fn summary(observed: &Observed) -> (Vec<String>, usize) {
    let all = || observed.iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)));
    let ours = all().filter(|(_, set)| set.claim.is_ours()).map(|(name, set)| format!("{name} {set}"));
    (ours.collect(), all().filter(|(_, set)| !set.claim.is_ours()).count())
}

#[tokio::test]
async fn moto_understands_what_we_send_and_we_what_it_says() {
    let mut moto = Moto::start().await;
    let provider = moto.connect(&[]);
    let (ours, others) = summary(&provider.list().await.unwrap().observed);
    assert_eq!((ours.len(), others), (0, 2), "SOA and NS");
    moto.put("theirs.example.com A 198.51.100.1").await;

    let lb = "lb-1.us-east-1.elb.amazonaws.com";
    let steps: [(&[&str], &[&str], &[&str]); 3] = [
        (&["203.0.113.1", "2001:db8::1"], &["lb.example.net"], &[lb]),
        (&["203.0.113.2"], &[lb], &["203.0.113.3"]),
        (&["lb.example.net"], &["2001:db8::2"], &["203.0.113.4", "203.0.113.5"]),
    ];
    for (web, any, apex) in steps {
        let names = [("web.example.com", web), ("*.example.com", any), ("example.com", apex)];
        let mut fleet = Fleet::of(&names);
        fleet.publish("theirs.example.com", &["203.0.113.9"]);
        all_done(&pass(&*provider, &fleet).await, 3);
        for provider in [moto.connect(&[]), moto.connect(&[])] {
            let plan = planned(&*provider, &fleet).await;
            assert!(plan.plan().is_empty(), "{}", plan.plan());
            assert_eq!(plan.plan().refused.len(), 1, "theirs");
            let listing = provider.list().await.unwrap();
            assert_eq!(listing.unreadable, Vec::<String>::new());
            let (ours, _) = summary(&listing.observed);
            assert_eq!(ours.len(), if web.len() == 2 { 4 } else { 3 }, "{ours:#?}");
        }
    }
    all_done(&pass(&*provider, &Fleet::new()).await, 3);
    assert_eq!(summary(&provider.list().await.unwrap().observed), (vec![], 3));
}

#[tokio::test]
async fn who_comes_second_to_moto_has_a_conflict() {
    let moto = Moto::start().await;
    let fleet = Fleet::of(&[("web.example.com", &["203.0.113.1"])]);
    let (one, two) = (moto.connect(&[]), moto.connect(&[]));
    let (first, second) = (planned(&*one, &fleet).await, planned(&*two, &fleet).await);
    all_done(&words(&one.apply(&first).await), 1);
    assert_eq!(words(&two.apply(&second).await)["web.example.com"], "conflict");
    assert!(planned(&*two, &fleet).await.plan().is_empty(), "the same is there already");
}

#[tokio::test]
async fn moto_is_asked_when_a_batch_is_everywhere() {
    let moto = Moto::start().await;
    let provider = moto.connect(&[("wait-insync", "yes")]);
    all_done(&pass(&*provider, &Fleet::of(&[("web.example.com", &["203.0.113.1"])])).await, 1);
    until(|| gauge(&*provider, "insync_waiting") == Some(0.0)).await;
    assert!(gauge(&*provider, "insync_seconds").is_some());
}
