//! A member that refuses, hangs or is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleetdns_core::{Inventory, MemberName, Snapshot};
use fleetdns_watch::{Turn, run_until};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::fake::{Fake, How, service};
use crate::{BUDGET, Fleet, fault, kubeconfig, name};

#[tokio::test]
async fn a_member_that_hangs_does_not_delay_another() {
    let (east, west) = (Fake::start(), Fake::start());
    east.put(service("a", "203.0.113.1"));
    west.put(service("a", "203.0.113.2"));
    east.cluster().list = How::Hang;
    let mut fleet = Fleet::new(&[("east", &east), ("west", &west)]).run();
    let view = fleet.until_live("west").await;
    assert!(view.listed);
    assert_ne!(fleet.snapshot.borrow().members[&name("east")].inventory, Inventory::Live);
    let view = fleet.until_stale("east").await;
    assert!(!view.listed && view.services.is_empty());
    let view = fleet.until("why", "east", |view| view.fault.is_some()).await;
    assert!(
        fault(&view).contains("no answer within 0.7 s to the request to list services"),
        "{}",
        fault(&view)
    );
    west.put(service("b", "203.0.113.3"));
    fleet.until_services("west", "a=203.0.113.2 b=203.0.113.3").await;
    east.cluster().list = How::Well;
    let view = fleet.until_services("east", "a=203.0.113.1").await;
    assert_eq!((view.inventory, view.fault), (Inventory::Live, None));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_not_taken_for_the_api_server() {
    let mut proxy = Fake::start();
    let fleet = Fleet::new(&[("east", &proxy)]);
    let cluster = format!("server: 'https://api.test:6443', proxy-url: '{}'", proxy.url());
    let text = format!(
        "clusters: [{{name: a, cluster: {{{cluster}}}}}]\ncontexts: [{{name: a, context: {{cluster: a}}}}]\n\
         current-context: a\n"
    );
    std::fs::write(fleet.folder.path().join("east"), text).unwrap();
    proxy.kill();
    let mut fleet = fleet.run();
    let view = fleet.until("why", "east", |view| view.fault.is_some()).await;
    let said = fault(&view);
    assert!(said.contains("the connection is refused; is the proxy running"), "{said}");
}

#[tokio::test]
async fn a_frozen_api_is_noticed_and_its_watch_goes_on_after_it() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_live("east").await;
    east.asked("watch", 1).await;
    east.freeze(true);
    let view = fleet.until_stale("east").await;
    assert_eq!((view.listed, view.services.len()), (true, 1));
    assert!(fault(&view).contains("whether the inventory is fresh"), "{}", fault(&view));
    east.put(service("b", "203.0.113.2"));
    east.freeze(false);
    fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2").await;
    assert_eq!(fleet.until_live("east").await.fault, None);
    assert_eq!((east.count("watch"), east.count("/api/v1/services")), (1, 1));
}

#[tokio::test]
async fn a_plugin_that_gives_a_certificate_is_run_again_before_it_expires() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    let fleet = Fleet::new(&[("east", &east)]);
    let pair = rcgen::generate_simple_self_signed(["east".to_owned()]).unwrap();
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let printed = json!({"status": {
        "token": "top-secret", "clientCertificateData": certificate, "clientKeyData": key,
        "expirationTimestamp": "EXPIRES",
    }});
    let script = "sed s/EXPIRES/$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)/ \"$0\"";
    let printed_at = fleet.folder.path().join("printed");
    std::fs::write(&printed_at, printed.to_string()).unwrap();
    let path = kubeconfig(&fleet.folder, "east", &east.url(), "none");
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script, printed_at]});
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("token: none", &format!("exec: {exec}"))).unwrap();
    let mut fleet = fleet.run();
    fleet.until_live("east").await;
    for watches in 2..5 {
        east.asked("watch", watches).await;
        let view = fleet.snapshot.borrow().members[&name("east")].clone();
        assert_eq!((view.inventory, &view.fault), (Inventory::Live, &None));
    }
}

#[tokio::test]
async fn a_watch_that_died_silently_is_renewed() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    east.cluster().watch = How::Silent;
    let mut fleet = Fleet::new(&[("east", &east)]);
    fleet.settings.watch_time = Duration::from_secs(1);
    let mut fleet = fleet.run();
    fleet.until_live("east").await;
    east.asked("watch", 1).await;
    east.cluster().watch = How::Well;
    east.put(service("b", "203.0.113.2"));
    fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2").await;
    assert_eq!(east.count("/api/v1/services"), 1);
}

#[tokio::test]
async fn a_killed_api_leaves_the_last_inventory_and_comes_back() {
    let mut east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_live("east").await;
    east.kill();
    let view = fleet.until_stale("east").await;
    assert_eq!(view.services.len(), 1);
    let view = fleet.until("refused", "east", |view| fault(view).contains("refused")).await;
    assert!(fault(&view).contains("is the API server running"), "{}", fault(&view));
    east.put(service("b", "203.0.113.2"));
    east.serve();
    fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2").await;
    fleet.until_live("east").await;
}

#[tokio::test]
async fn credentials_are_read_again_when_they_are_refused() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    east.cluster().token = "renewed".into();
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    let view = fleet.until("refused", "east", |view| view.fault.is_some()).await;
    let text = fault(&view);
    assert!(text.contains("(401)") && text.contains("context 'east' of"), "{text}");
    assert!(!text.contains("top-secret"), "{text}");
    kubeconfig(&fleet.folder, "east", &east.url(), "renewed");
    assert_eq!(fleet.until_live("east").await.fault, None);
}

#[tokio::test]
async fn credentials_that_are_refused_while_a_watch_is_open_are_read_again_at_once() {
    let east = Fake::start();
    east.put(service("a", "203.0.113.1"));
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    fleet.until_live("east").await;
    east.asked("watch", 1).await;
    // The watch that is open goes on; only the pulse is refused.
    kubeconfig(&fleet.folder, "east", &east.url(), "renewed");
    east.cluster().token = "renewed".into();
    east.asked("watch", 2).await;
    east.put(service("b", "203.0.113.2"));
    fleet.until_services("east", "a=203.0.113.1 b=203.0.113.2").await;
    assert_eq!(fleet.until_live("east").await.fault, None);
}

#[tokio::test]
async fn a_token_that_a_server_echoes_is_not_shown() {
    let east = Fake::start();
    let mut fleet = Fleet::new(&[("east", &east)]);
    for code in [403, 500] {
        east.cluster().list = How::Status(code);
        let mut fleet = Fleet::new(&[("east", &east)]).run();
        let view = fleet.until("a fault", "east", |view| view.fault.is_some()).await;
        let text = fault(&view);
        assert!(text.contains("as it was told by Bearer ...") && !text.contains("top-secret"), "{text}");
    }
    east.cluster().pulse = How::Status(500);
    east.cluster().review = How::Status(500);
    fleet.settings.request_timeout = Duration::from_secs(5);
    for finding in fleetdns_watch::check(&fleet.members[0], &fleet.settings, &[]).await {
        assert!(!finding.to_string().contains("top-secret"), "{finding}");
    }
}

#[tokio::test]
async fn a_kubeconfig_that_is_mended_is_read_again() {
    let east = Fake::start();
    let mut fleet = Fleet::new(&[("east", &east)]);
    std::fs::write(fleet.folder.path().join("east"), "contexts: {").unwrap();
    fleet = fleet.run();
    let view = fleet.until("unreadable", "east", |view| view.fault.is_some()).await;
    assert!(fault(&view).contains("is not valid YAML"), "{}", fault(&view));
    kubeconfig(&fleet.folder, "east", &east.url(), "top-secret");
    assert_eq!(fleet.until_live("east").await.fault, None);
}

#[tokio::test]
async fn what_is_not_a_complete_list_is_not_an_empty_one() {
    let cases = [
        (How::Status(403), "kubectl create clusterrole"),
        (How::Status(500), "answers 500"),
        (How::Truncated, "cannot be used to list services"),
        (How::Garbage, "cannot be used to list services"),
    ];
    for (how, part) in cases {
        let east = Fake::start();
        east.put(service("a", "203.0.113.1"));
        east.cluster().lists = [how, how].into();
        let mut fleet = Fleet::new(&[("east", &east)]).run();
        let view = fleet.until("a fault", "east", |view| view.fault.is_some()).await;
        assert!(fault(&view).contains(part), "{how:?}: {}", fault(&view));
        assert!(!view.listed, "{how:?}");
        let view = fleet.until_live("east").await;
        assert_eq!((view.services.len(), view.fault), (1, None), "{how:?}");
    }
}

#[tokio::test]
async fn a_malformed_object_is_skipped_by_name() {
    let east = Fake::start();
    let mut bad = service("bad", "203.0.113.9");
    bad["spec"]["ports"] = json!("many");
    east.put(bad);
    east.put(service("good", "203.0.113.1"));
    let mut fleet = Fleet::new(&[("east", &east)]).run();
    let view = fleet.until_live("east").await;
    assert_eq!(crate::services(&view), "good=203.0.113.1");
    assert!(fault(&view).contains("service default/bad cannot be read"), "{}", fault(&view));

    let mut worse = service("good", "203.0.113.1");
    worse["status"]["loadBalancer"]["ingress"] = json!("x");
    east.put(worse);
    let view = fleet.until("both", "east", |view| fault(view).contains("default/good")).await;
    assert_eq!(crate::services(&view), "good=203.0.113.1");
    east.put(service("bad", "203.0.113.9"));
    east.put(service("good", "203.0.113.2"));
    let view = fleet.until_services("east", "bad=203.0.113.9 good=203.0.113.2").await;
    assert_eq!(view.fault, None);
}

#[tokio::test]
async fn a_watch_that_never_works_is_tried_ever_less_often() {
    for how in [How::End, How::Gone, How::Status(403), How::Status(410), How::Garbage] {
        let east = Fake::start();
        east.put(service("a", "203.0.113.1"));
        east.cluster().watch = how;
        let mut fleet = Fleet::new(&[("east", &east)]).run();
        let start = Instant::now();
        let view = fleet.until("a fault", "east", |view| view.listed && view.fault.is_some()).await;
        assert_eq!(view.services.len(), 1, "{how:?}");
        east.asked("watch", 4).await;
        // Pauses of at least 0.25 s, 0.5 s and so on lie between all but the first two.
        assert!(start.elapsed() >= Duration::from_millis(700), "{how:?}: {:?}", start.elapsed());
    }
}

/// The turns of a member come from its watch: while a request hangs there are none, and others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_a_watch_that_hangs() {
    let tick = Duration::from_millis(20);
    let (well, stuck) = (Fake::start(), Fake::start());
    let mut fleet = Fleet::new(&[("well", &well), ("stuck", &stuck)]);
    fleet.settings.request_timeout = Duration::from_secs(3600);
    stuck.cluster().list = How::Hang;
    let turns: Arc<Mutex<BTreeMap<MemberName, Instant>>> = Arc::default();
    let listed: Arc<Mutex<BTreeSet<MemberName>>> = Arc::default();
    let (told, told_lists) = (Arc::clone(&turns), Arc::clone(&listed));
    let beat = move |member: &MemberName, turn| {
        told.lock().unwrap().insert(member.clone(), Instant::now());
        if turn == Turn::Listed {
            told_lists.lock().unwrap().insert(member.clone());
        }
    };
    let (out, _snapshot) = watch::channel(Snapshot::default());
    let (_adopted, views) = mpsc::channel(1);
    let (_unchanged, members) = watch::channel(fleet.all());
    let running = run_until(members, views, out, (tick, Arc::new(beat)), fleet.shutdown.clone());
    let task = tokio::spawn(running);
    let silent = |member: &str| turns.lock().unwrap().get(&name(member)).map(Instant::elapsed);
    let seen = async {
        loop {
            let (well, stuck) = (silent("well"), silent("stuck"));
            if well.is_some_and(|silent| silent < tick * 5) && stuck.is_some_and(|silent| silent > tick * 50)
            {
                return;
            }
            tokio::time::sleep(tick).await;
        }
    };
    tokio::time::timeout(BUDGET, seen).await.unwrap();
    assert_eq!(*listed.lock().unwrap(), BTreeSet::from([name("well")]));
    fleet.shutdown.cancel();
    task.await.unwrap().unwrap();
}
