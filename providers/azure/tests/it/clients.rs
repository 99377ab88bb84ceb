//! Who checks the server that checks us? Microsoft's own clients.

use std::path::Path;
use std::process::Command;

use fleetdns_fakes::azure::{CLIENT, Fake, GROUP, SECRET, SUBSCRIPTION, TENANT};
use fleetdns_fakes::python::python;

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_of_microsoft_understand_the_server() {
    let fake = Fake::start().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python());
    command.arg(root.join("tests/it/clients.py"));
    command.env("ORIGIN", &fake.origin).env("CA_FILE", fake.ca_file());
    command.env("GROUP", GROUP).env("SUBSCRIPTION", SUBSCRIPTION);
    command.env("TENANT", TENANT).env("CLIENT", CLIENT).env("SECRET", SECRET);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
