//! The example provider as a backend of the conformance suite.

use std::path::PathBuf;

use fleetdns_core::Provider;
use fleetdns_fakes::conformance::{Backend, Marked, OTHER, OWNER, Theirs, Vanish, ZONE};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::keys;

/// The file of a zone.
pub(crate) struct Example {
    file: PathBuf,
    directory: TempDir,
}

impl Example {
    fn rewrite(&self, change: impl FnOnce(&mut Value)) {
        let old = std::fs::read_to_string(&self.file).unwrap();
        let mut zone = serde_json::from_str(&old).unwrap();
        change(&mut zone);
        let new = zone.to_string();
        assert_ne!(old, new, "nothing to change");
        std::fs::write(&self.file, new).unwrap();
    }

    /// Changes each set of a name.
    fn each(&self, name: &str, change: impl Fn(&mut Value)) {
        self.rewrite(|zone| zone[name].as_array_mut().unwrap().iter_mut().for_each(change));
    }
}

impl Backend for Example {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(format!("{ZONE}.json"));
        std::fs::write(&file, "{}").unwrap();
        Self { file, directory }
    }

    fn provider(&self, owner: &str) -> Box<dyn Provider> {
        let keys = keys(&[("directory", self.directory.path().to_str().unwrap())]);
        fleetdns_example::connect(&ZONE.parse().unwrap(), &owner.parse().unwrap(), &keys).unwrap()
    }

    async fn put(&self, name: &str, record_type: &str, value: &str) {
        self.rewrite(|zone| {
            let sets = zone.as_object_mut().unwrap().entry(name).or_insert(json!([])).as_array_mut().unwrap();
            match sets.iter_mut().find(|set| set["type"] == record_type) {
                Some(set) => set["values"].as_array_mut().unwrap().push(json!(value)),
                None => sets.push(json!({ "type": record_type, "ttl": 30, "values": [value] })),
            }
        });
    }

    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str) {
        self.each(name, |set| {
            let is_meant = set["type"] == record_type;
            let values = set["values"].as_array_mut().unwrap();
            for value in values.iter_mut().filter(|value| is_meant && *value == from) {
                *value = json!(to);
            }
        });
    }
}

impl Marked for Example {
    async fn unmark(&self, name: &str) {
        self.each(name, |set| drop(set.as_object_mut().unwrap().remove("ownership")));
    }

    async fn hand_over(&self, name: &str) {
        self.each(name, |set| {
            let text = set["ownership"].as_str().unwrap();
            set["ownership"] = json!(text.replace(&format!("owner={OWNER}"), &format!("owner={OTHER}")));
        });
    }

    async fn damage(&self, name: &str) {
        let text = format!("v=1 owner={OWNER} service=default/web member=;;");
        self.each(name, |set| set["ownership"] = json!(text));
    }
}

impl Theirs for Example {
    async fn put_text(&self, name: &str, text: &str) {
        self.put(name, "TXT", text).await;
    }
}

impl Vanish for Example {
    async fn vanish(&self) {
        std::fs::remove_file(&self.file).unwrap();
    }
}
