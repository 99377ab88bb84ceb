//! Who checks the server of our own: Amazon's boto3.

use tokio::process::Command;

use fleetdns_fakes::python::python;
use fleetdns_fakes::route53::{ACCESS_KEY, Fake, ZONE_ID};

#[tokio::test]
async fn boto3_works_with_the_server() {
    let fake = Fake::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients.py");
    let output =
        Command::new(python()).args([script, &fake.url, ACCESS_KEY, ZONE_ID]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
