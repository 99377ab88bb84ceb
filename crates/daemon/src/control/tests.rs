//! The real socket, asked by the real client.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use fleetdns_core::{Brakes, Health, Inventory, MemberView, SelfCheckFailure, Snapshot};
use fleetdns_planner::Protocol;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::inputs::Inputs;
use crate::overrides::{Clock, OverrideSender, OverrideStore};
use crate::test_fleet::{member, unread_zone, written};
use crate::view::View;
use crate::zone::ZoneStatus;

/// A socket with an operator behind it, for a zone in which two clusters publish `default/web` and one `default/api`.
struct Rig {
    folder: tempfile::TempDir,
    overrides: OverrideSender,
    health: watch::Sender<Health>,
    confirmed: watch::Receiver<u64>,
    zone: watch::Sender<ZoneStatus>,
    snapshots: watch::Sender<Snapshot>,
    stop: CancellationToken,
}

impl Rig {
    async fn start(keeps: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = Snapshot {
            members: [
                member("east", Protocol::None, &[("web", "203.0.113.2"), ("api", "203.0.113.3")]),
                member("west", Protocol::None, &[("web", "203.0.113.1")]),
            ]
            .into_iter()
            .collect(),
        };
        let mut status = unread_zone();
        status.observed = Some(written(&snapshot, &Health::default()));
        let (zone, zone_in) = watch::channel(status);
        let (snapshots, snapshots_in) = watch::channel(snapshot);
        let (health, health_in) = watch::channel(Health::default());
        let (store_task, overrides) = OverrideStore::new(crate::overrides::Storage::Marks, Clock::system());
        let (confirm_outage, confirmed) = watch::channel(0);
        let view = View {
            inputs: Inputs::new(snapshots_in, health_in, overrides.receiver()),
            state: overrides.state(),
            zones: vec![zone_in],
            ..View::empty()
        };
        let configured: BTreeSet<_> =
            ["east", "west", "service/a/b"].map(|name| name.parse().unwrap()).into();
        let operator = Operator {
            view,
            overrides: overrides.clone(),
            configured,
            brakes: Brakes::default(),
            keeps,
            confirm_outage,
        };
        let stop = CancellationToken::new();
        tokio::spawn(store_task.run(stop.clone()));
        let rig = Self { folder, overrides, health, confirmed, zone, snapshots, stop };
        let bound = Bound::new(&rig.path()).await.unwrap();
        let control =
            Control { operators: watch::channel(Arc::new(operator)).1, reload: ReloadSender::new().0 };
        tokio::spawn(serve(bound, control, rig.stop.clone()));
        rig
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run/fleetdns.sock")
    }

    async fn post(&self, path: &str, body: String) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().unix_socket(self.path()).build().unwrap();
        let answer = client.post(format!("http://localhost{path}")).body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// An order, and more of it.
    async fn order(&self, kind: impl Into<Option<&str>>, subject: &str, more: Value) -> (u16, Value) {
        let mut order = json!({"kind": kind.into(), "subjects": [subject]});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v1/overrides", order.to_string()).await
    }
}

fn said(answer: &Value) -> &str {
    answer["error"].as_str().unwrap_or_else(|| panic!("no error: {answer}"))
}

#[tokio::test]
async fn a_drain_says_what_changes_and_what_keeps_its_last_address() {
    let mut rig = Rig::start(true).await;
    let more = json!({"seconds": 7200, "reason": "kernel", "sudo_user": "alice"});
    let (status, answer) = rig.order("drain", "east", more).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["names"], 1, "{answer}");
    assert_eq!(answer["held"][0]["name"], "api.default.fed.svc.example.com", "{answer}");
    assert_eq!(answer["emptied"], json!([]));
    assert_eq!(
        (&answer["subjects"][0]["subject"], &answer["subjects"][0]["after"]["kind"]),
        (&json!("cluster/east"), &json!("drain"))
    );
    let overrides = rig.overrides.latest();
    let entry = overrides.get(&"cluster/east".parse().unwrap()).unwrap();
    assert_eq!(entry.until, Some(entry.since + 7200));
    assert!(entry.by.starts_with("alice as ") && &*entry.reason == "kernel", "{entry:?}");
    let (status, answer) = rig.order(None, "cluster/east", json!({})).await;
    assert_eq!((status, &answer["subjects"][0]["before"]["kind"]), (200, &json!("drain")), "{answer}");
    assert!(rig.overrides.latest().is_empty());
}

#[tokio::test]
async fn a_drain_says_what_keeps_it_from_being_in_force() {
    const WEB: &str = "web.default.fed.svc.example.com";
    let rig = Rig::start(true).await;
    let drain = async || {
        let (status, answer) = rig.order("drain", "address/203.0.113.2", json!({})).await;
        assert_eq!(status, 200, "{answer}");
        rig.order(None, "address/203.0.113.2", json!({})).await;
        answer
    };
    let held = |answer: &Value| {
        format!("{}: {}", answer["held"][0]["name"], answer["held"][0]["reason"]).replace('"', "")
    };
    let north = |change: &dyn Fn(&mut MemberView)| {
        let mut north = MemberView::pending("north".parse().unwrap());
        change(&mut north);
        rig.snapshots.send_modify(|all| drop(all.members.insert(north.name.clone(), Arc::new(north))));
    };
    north(&|_| {});
    let answer = drain().await;
    assert_eq!(answer["names"], 0, "{answer}");
    assert_eq!(
        held(&answer),
        format!(
            "{WEB}: start-up: waiting for the first list of north; until each cluster is listed or timed out"
        )
    );
    north(&|north| (north.inventory, north.listed) = (Inventory::Live, true));
    assert_eq!(drain().await["names"], 1);
    rig.zone.send_modify(|zone| {
        let reason = fleetdns_core::plan::Refusal::Backend("a lock".into());
        zone.refused.insert(WEB.into(), vec![fleetdns_core::plan::Refused { name: WEB.into(), reason }]);
    });
    let answer = drain().await;
    assert_eq!(answer["names"], 0, "{answer}");
    assert_eq!(held(&answer), format!("{WEB}: backend: a lock"));
    rig.zone.send_modify(|zone| {
        zone.refused.clear();
        zone.write_fault = Some("10.0.0.5 does not answer".into());
    });
    let answer = drain().await;
    assert_eq!((&answer["names"], answer["held"].as_array().map(Vec::len)), (&json!(0), Some(0)), "{answer}");
    let reason = answer["unwritable"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "1 name changed when the zone can be written again: 10.0.0.5 does not answer");
}

#[tokio::test]
async fn a_force_out_of_a_last_address_has_to_be_meant() {
    for keeps in [true, false] {
        let mut rig = Rig::start(keeps).await;
        let (status, answer) = rig.order("force-out", "east", json!({})).await;
        assert_eq!(status, 409, "{answer}");
        assert!(
            said(&answer).contains("api.default.fed.svc.example.com") && said(&answer).contains("--yes"),
            "{answer}"
        );
        let (status, answer) = rig.order("force-out", "east", json!({"yes": true})).await;
        if !keeps {
            assert_eq!(status, 409, "{answer}");
            assert!(said(&answer).contains("state-dir") && said(&answer).contains("--anyway"), "{answer}");
            assert!(rig.overrides.latest().is_empty(), "what is refused changes nothing");
        }
        let (status, answer) = if keeps {
            (status, answer)
        } else {
            rig.order("force-out", "east", json!({"yes": true, "anyway": true})).await
        };
        assert_eq!(
            (status, &answer["emptied"]),
            (200, &json!(["api.default.fed.svc.example.com"])),
            "{answer}"
        );
        assert_eq!(answer["names"], 2);
        // Where something is left nobody has to confirm.
        let (status, answer) = rig.order("force-out", "address/203.0.113.1", json!({})).await;
        assert_eq!(status, 409, "{answer}");
        rig.order(None, "east", json!({})).await;
        let (status, answer) = rig.order("force-out", "address/203.0.113.1", json!({})).await;
        assert_eq!(status, 200, "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_known_or_cannot_be_understood_is_refused() {
    let mut rig = Rig::start(true).await;
    for (subject, status, part) in [
        ("cluster/north", 404, "the config has east, service/a/b, west"),
        ("service/default/shop", 404, "no cluster has this Service"),
        ("service/default/api@west", 404, "this cluster does not have"),
        ("address/203.0.113.9", 404, "no Service of a cluster has this address"),
        ("north", 404, "no cluster 'north'; the config has east, service/a/b, west"),
        ("service/a/b", 400, "write cluster/service/a/b"),
        ("", 404, "no cluster ''; the config has east"),
        ("pod/a", 400, "expected one of cluster/NAME"),
    ] {
        let (got, answer) = rig.order("drain", subject, json!({})).await;
        assert_eq!(got, status, "{subject}: {answer}");
        assert!(said(&answer).contains(part), "{subject}: {answer}");
    }
    for (body, part) in [
        ("", "invalid request"),
        ("{", "invalid request"),
        (r#"{"kind":"drain"}"#, "subjects"),
        (r#"{"subjects":["east"]}"#, "kind"),
        (r#"{"kind":"drain","subjects":["east"],"force":true}"#, "force"),
        (r#"{"kind":"drain","subjects":[]}"#, "no subject"),
        (r#"{"kind":"stop","subjects":["east"]}"#, "unknown 'stop'; expected one of"),
        (r#"{"kind":"drain","subjects":["east"],"seconds":0}"#, "1 second"),
        (r#"{"kind":"drain","subjects":["east"],"seconds":18446744073709551615}"#, "366 days"),
    ] {
        let (status, answer) = rig.post("/v1/overrides", body.to_owned()).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(said(&answer).contains(part), "{body}: {answer}");
    }
    let long = json!({"reason": "x".repeat(201)});
    assert_eq!(rig.order("drain", "east", long).await.0, 400);
    assert!(rig.overrides.latest().is_empty());
    // Said all the same; and what is set can be taken back, though nobody knows it.
    assert_eq!(rig.order("drain", "cluster/north", json!({"anyway": true})).await.0, 200);
    assert_eq!(rig.order(None, "cluster/north", json!({})).await.0, 200);
    assert_eq!(rig.order(None, "cluster/north", json!({})).await.0, 404);
}

#[tokio::test]
async fn only_a_correlation_can_be_released() {
    let rig = Rig::start(true).await;
    let (status, answer) = rig.post("/v1/confirm-outage", String::new()).await;
    assert_eq!(status, 409, "{answer}");
    let members = ["east", "west"].map(|name| name.parse().unwrap());
    rig.health.send_modify(|health| {
        health.self_check = Some(SelfCheckFailure::Correlation { keys: 4, bad: 3, members: members.into() });
    });
    let (status, answer) = rig.post("/v1/confirm-outage", String::new()).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["confirmed"].as_str().unwrap().contains("correlation"), "{answer}");
    assert_eq!(*rig.confirmed.borrow(), 1);
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_daemon() {
    let rig = Rig::start(true).await;
    let path = rig.path();
    let socket = std::fs::symlink_metadata(&path).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let directory = path.parent().unwrap();
    assert_eq!(std::fs::metadata(directory).unwrap().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 1, "nothing is left of how it was made");
    // A second daemon does not take it away.
    let live = Bound::new(&path).await.unwrap_err();
    assert!(matches!(live, BindError::Live { .. }) && live.to_string().contains("fleetdns.sock"), "{live}");
    rig.stop.cancel();
    while path.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_replaced_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fleetdns.sock");
    // What a daemon leaves that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let bound = Bound::new(&path).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
    drop(bound);
    assert!(!path.exists());
    std::fs::write(&path, "a file").unwrap();
    assert!(matches!(Bound::new(&path).await, Err(BindError::NoSocket { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Bound::new(&open.join("s")).await.unwrap_err();
    assert!(matches!(refused, BindError::OpenDirectory { .. }), "{refused}");
    let long = folder.path().join("x".repeat(120));
    assert!(matches!(Bound::new(&long).await, Err(BindError::Io { .. })));
}

#[tokio::test]
async fn only_the_owner_and_root_are_listened_to() {
    assert!(may_order(1000, 1000) && may_order(0, 1000));
    assert!(!may_order(1001, 1000) && !may_order(1001, 0));
    assert_eq!((user(0).await, user(4_123_456_789).await), ("root".to_owned(), "uid 4123456789".to_owned()));
    assert_eq!(on_behalf(Some("alice"), "root"), "alice as root");
    for odd in [None, Some(""), Some("root"), Some("a b"), Some("x\ny")] {
        assert_eq!(on_behalf(odd, "root"), "root");
    }
}
