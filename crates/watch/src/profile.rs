//! ClusterProfiles of the Cluster Inventory API (KEP-4322), whose credentials come from plugins of the configuration
//! (KEP-5339).
//!
//! Invariant: an object says where a cluster is, and never which command is run.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::secret::{Meta, Named, kubeconfig};

/// Credential plugins by the name of their provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers(BTreeMap<String, Value>);

#[derive(Deserialize)]
struct File {
    providers: Vec<Provider>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provider {
    name: String,
    exec_config: Exec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exec {
    command: String,
    api_version: Option<String>,
    args: Option<Vec<String>>,
    env: Option<Vec<Value>>,
    #[serde(default)]
    provide_cluster_info: bool,
}

impl Providers {
    /// Reads the file that the other users of ClusterProfiles take too (`--clusterprofile-provider-file`). A command with
    /// a relative path begins at `folder`.
    ///
    /// # Errors
    /// Says where it is no such file; nothing of its content.
    pub fn parse(text: &[u8], folder: &Path) -> Result<Self, String> {
        let file: File = serde_json::from_slice(text)
            .map_err(|error| format!("is not {{\"providers\": [...]}} at line {}", error.line()))?;
        let plugin = |Provider { name, exec_config: exec }: Provider| {
            let path = Path::new(&exec.command);
            let relative = path.is_relative() && exec.command.contains('/');
            let command = if relative { folder.join(path).display().to_string() } else { exec.command };
            let version = exec.api_version.unwrap_or_else(|| "client.authentication.k8s.io/v1".to_owned());
            let plugin = json!({
                "apiVersion": version,
                "command": command,
                "args": exec.args.unwrap_or_default(),
                "env": exec.env.unwrap_or_default(),
                "interactiveMode": "Never",
                "provideClusterInfo": exec.provide_cluster_info,
            });
            (name, plugin)
        };
        Ok(Self(file.providers.into_iter().map(plugin).collect()))
    }

    /// Names of the providers, for people.
    fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Deserialize)]
struct Profile {
    metadata: Meta,
    #[serde(default)]
    status: Value,
}

/// What can be read of a list in a status: one bad entry does not stop the rest.
fn entries<T: for<'a> Deserialize<'a>>(status: &mut Value, key: &str) -> Vec<T> {
    let list = status.get_mut(key).and_then(Value::as_array_mut).map(std::mem::take);
    list.into_iter().flatten().filter_map(|entry| serde_json::from_value(entry).ok()).collect()
}

#[derive(Deserialize)]
struct Property {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Access {
    name: String,
    #[serde(default)]
    cluster: Value,
}

impl Named {
    /// Reads a ClusterProfile as the API returns it. One that does not say how its cluster is reached names none yet. Its
    /// properties count as labels.
    ///
    /// # Errors
    /// When it is no ClusterProfile.
    pub fn in_profile(raw: &[u8], providers: &Providers) -> Result<Option<Self>, String> {
        let Profile { metadata, mut status } =
            serde_json::from_slice(raw).map_err(|_| "an item is no ClusterProfile".to_owned())?;
        // The second one is its name of before.
        let keys = ["accessProviders", "credentialProviders"];
        if keys.iter().all(|key| status.get(key).and_then(Value::as_array).is_none_or(Vec::is_empty)) {
            return Ok(None);
        }
        let accesses: Vec<Access> = keys.iter().flat_map(|key| entries(&mut status, key)).collect();
        let found = accesses.iter().find_map(|access| Some((access, providers.0.get(&access.name)?)));
        let text = match found {
            Some((access, plugin)) => Ok(kubeconfig(&access.cluster, &json!({"exec": plugin}))),
            None => Err(format!("none of its access providers is one of {}", providers.names())),
        };
        let mut named = Self::new(metadata, None, text);
        for Property { name, value } in entries(&mut status, "properties") {
            named.labels.entry(name).or_insert(value);
        }
        Ok(Some(named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, endpoint};
    use crate::given::{Allowed, Given};

    const FILE: &str = r#"{"providers": [{"name": "p", "execConfig": {"command": "./bin/plugin", "args": null,
        "env": null, "provideClusterInfo": true}}]}"#;

    fn providers() -> Providers {
        Providers::parse(FILE.as_bytes(), Path::new("/etc/fleetdns")).unwrap()
    }

    fn profile(status: &Value) -> Result<Option<Named>, String> {
        let metadata = json!({"name": "east", "namespace": "a", "labels": {"x": "1"}});
        Named::in_profile(
            json!({"metadata": metadata, "status": status}).to_string().as_bytes(),
            &providers(),
        )
    }

    #[test]
    fn a_profile_is_reached_by_the_plugin_of_the_configuration() {
        for key in ["accessProviders", "credentialProviders"] {
            let cluster = json!({"server": "https://east.example", "certificate-authority-data": ""});
            let named = profile(&json!({
                key: [{"name": "other"}, {"cluster": 1}, {"name": "p", "cluster": cluster}],
                "properties": [{"name": "y", "value": 1}, {"name": "region", "value": "eu"}, {"name": "x", "value": "2"}],
            }));
            let named = named.unwrap().unwrap();
            assert_eq!((named.labels["region"].as_str(), named.labels["x"].as_str()), ("eu", "1"));
            let given = Given::new(
                "clusterprofile a/east",
                named.kubeconfig.unwrap(),
                Allowed { exec: true, files: false },
            );
            assert!(given.text().contains("/etc/fleetdns/./bin/plugin"), "{}", given.text());
            assert!(endpoint(&Access::Given(given)).is_ok());
        }
        // A file that it names is not read, whatever its plugin may do.
        let named = profile(&json!({"accessProviders": [{"name": "p", "cluster": {
            "server": "https://e", "certificate-authority": "/etc/shadow",
        }}]}));
        let text = named.unwrap().unwrap().kubeconfig.unwrap();
        let given = Given::new("clusterprofile a/east", text, Allowed { exec: true, files: false });
        assert!(endpoint(&Access::Given(given)).unwrap_err().to_string().contains("names files"));
    }

    #[test]
    fn a_profile_that_is_not_ready_names_no_cluster_and_one_of_others_says_so() {
        let null = json!({"accessProviders": null, "properties": null});
        for status in [json!(null), json!({}), json!("x"), null, json!({"accessProviders": []})] {
            assert_eq!(profile(&status).unwrap(), None);
        }
        for providers in [json!([{"name": "q", "cluster": {"server": "x"}}]), json!([1, null, {"name": 2}])] {
            let named = profile(&json!({"accessProviders": providers})).unwrap().unwrap();
            assert_eq!(named.kubeconfig.unwrap_err(), "none of its access providers is one of p");
        }
        assert_eq!(Named::in_profile(b"[]", &providers()).unwrap_err(), "an item is no ClusterProfile");
        for bad in ["", "[]", r#"{"providers": [{"name": "secret"}]}"#] {
            let problem = Providers::parse(bad.as_bytes(), Path::new("/")).unwrap_err();
            assert!(problem.starts_with("is not {\"providers\"") && !problem.contains("secret"), "{problem}");
        }
    }
}
