//! Who checks the server that checks us? Microsoft's own clients, where they are installed.

use std::path::Path;
use std::process::Command;

use crate::fake::{CLIENT, Fake, GROUP, SECRET, SUBSCRIPTION, TENANT};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs azure-mgmt-dns and azure-mgmt-privatedns in a Python environment at target/azure-clients"]
async fn the_clients_of_microsoft_understand_the_server() {
    let fake = Fake::start().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/azure-clients/bin/python");
    assert!(
        python.is_file(),
        "no {}: make it with python3 -m venv, and install both packages",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(root.join("tests/it/clients.py"));
    command.env("ORIGIN", &fake.origin).env("CA_FILE", fake.ca_file());
    command.env("GROUP", GROUP).env("SUBSCRIPTION", SUBSCRIPTION);
    command.env("TENANT", TENANT).env("CLIENT", CLIENT).env("SECRET", SECRET);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
