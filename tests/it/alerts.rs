//! The alert rules of `config/prometheus`, by Prometheus's own promtool.

use std::process::Command;

use fleetdns_tests::servers::Server;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/prometheus");

fn promtool(words: &[&str]) {
    let output = Command::new(Server::Promtool.path()).args(words).current_dir(FOLDER).output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "promtool {words:?}: {text}");
}

#[test]
fn alert_rules_are_valid() {
    promtool(&["check", "rules", "alerts.yaml"]);
}

#[test]
fn alert_rules_fire_when_they_should() {
    promtool(&["test", "rules", "alerts_test.yaml"]);
}
