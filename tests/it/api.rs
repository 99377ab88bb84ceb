//! The admin API answers as `config/openapi.yaml` says. The harness looks at what commands print in every other test; these are
//! the answers that no command prints as they are.

use std::time::Duration;

use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::openapi::assert_is;
use fleetdns_tests::race::Race;
use serde_json::Value;

use crate::e2e_endpoint::{BACK, REFUSED, both, without_east};
use crate::e2e_others::key_of;

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_the_description_says() {
    let mut fleet = Fleet::start().await;
    let server = fleet.server();
    let [in_west, mut in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    // A name that somebody else has is refused.
    let mut etcd = fleet.dns.etcd().client().await;
    etcd.put(key_of("theirs.syncweek.com"), r#"{"host":"192.0.2.80"}"#, None).await.unwrap();
    let hostnames = "web.syncweek.com, theirs.syncweek.com";
    let service = NewService::new("default", "web").port(5001).annotation("fleetdns.io/hostname", hostnames);
    fleet.publish(&service, &west, &east).await;
    let daemon = Daemon::start(&fleet.conf()).await;
    both(&Race::start("published", BACK), server, "web", &west, &east).await;
    let follows = daemon.get("/v1/consequences?down=westus&down=address/203.0.113.1");
    assert_is("Consequences", &follows);
    assert!(follows["problem"].is_string(), "{follows:#}");
    let follows = daemon.get(&format!("/v1/consequences?down=eastus&down=address/{east}"));
    assert_is("Consequences", &follows);
    assert!(!follows["report"]["plan"].as_array().unwrap().is_empty(), "{follows:#}");
    tokio::task::block_in_place(|| in_east.set(Mode::Refuse));
    without_east(&Race::start("a death", REFUSED), server, "web", &west).await;
    let drained =
        daemon.command(&["drain", "cluster/westus", "--for", "1h", "--reason", "test", "--anyway"]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    let held = |status: &Value| !status["zones"][0]["held"].as_array().unwrap().is_empty();
    daemon.status_shows("what is held", Duration::from_secs(10), held).await;

    for path in [
        "/v1/why?name=web.syncweek.com",
        "/v1/why?name=default/web",
        "/v1/why?name=theirs.syncweek.com",
        "/v1/why?name=a..b",
    ] {
        assert_is("Why", &daemon.get(path));
    }
    assert!(daemon.get("/v1/why?name=a..b")["problem"].is_string());
    let unknown = daemon.get("/v1/consequences?down=nosuch");
    assert_is("Consequences", &unknown);
    assert_eq!(unknown["problem"], "--down: no cluster 'nosuch'; the fleet has eastus, westus");
    let explained = &daemon.get(&format!("/v1/why?name={}", name("web", "")))["explanation"];
    assert!(explained["addresses"][0]["entry"].is_object() || explained["addresses"][1]["entry"].is_object());
    for (path, schema) in [
        ("/v1/status", "Status"),
        ("/v1/records?all=true", "Records"),
        ("/v1/overrides", "Overrides"),
        ("/v1/snapshot", "Scenario"),
        ("/v1/events", "Events"),
    ] {
        let answer = daemon.get(path);
        assert_is(schema, &answer);
        assert!(!answer.as_array().is_some_and(Vec::is_empty), "{path}: {answer}");
    }
    let events = daemon.get("/v1/events");
    assert!(
        events["events"].as_array().unwrap().iter().any(|event| event["evidence"].is_object()),
        "{events:#}"
    );
    tokio::task::block_in_place(|| drop((in_west, in_east)));
}
