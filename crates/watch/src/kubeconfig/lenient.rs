//! A kubeconfig as Go reads it: null is as good as missing, and what is missing is empty. The types of kube-rs ask for more,
//! of entries too that nobody uses.

use kube::config::Kubeconfig;
use serde_json::{Map, Value, json};
use serde_saphyr::DuplicateKeyPolicy;

/// Reads a kubeconfig that the types of kube-rs refused.
pub(super) fn read(text: &str) -> Option<Kubeconfig> {
    // Of two keys of one name kubectl takes the last.
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).ok()?;
    // kubectl reads the first one alone.
    let mut file = documents.into_iter().find(|document| !document.is_null())?;
    drop_nulls(&mut file);
    let entries = file.as_object_mut()?;
    // Colours of kubectl.
    entries.remove("preferences");
    for (list, part) in [("clusters", "cluster"), ("users", "user"), ("contexts", "context")] {
        for entry in items(entries, list) {
            entry.entry("name").or_insert_with(|| json!(""));
            if let Some(part) = entry.get_mut(part).and_then(Value::as_object_mut) {
                complete(part);
            }
        }
    }
    for entry in items(entries, "contexts") {
        if let Some(context) = entry.get_mut("context").and_then(Value::as_object_mut) {
            context.entry("cluster").or_insert_with(|| json!(""));
        }
    }
    for extension in items(entries, "extensions") {
        complete_extension(extension);
    }
    serde_json::from_value(file).ok()
}

/// A cluster, a user or a context.
fn complete(part: &mut Map<String, Value>) {
    for extension in items(part, "extensions") {
        complete_extension(extension);
    }
    if let Some(provider) = part.get_mut("auth-provider").and_then(Value::as_object_mut) {
        provider.entry("name").or_insert_with(|| json!(""));
    }
    if let Some(exec) = part.get_mut("exec").and_then(Value::as_object_mut)
        && exec.get("interactiveMode").and_then(Value::as_str) == Some("")
    {
        exec.remove("interactiveMode");
    }
}

fn complete_extension(extension: &mut Map<String, Value>) {
    extension.entry("name").or_insert_with(|| json!(""));
    extension.entry("extension").or_insert(Value::Null);
}

fn items<'a>(of: &'a mut Map<String, Value>, list: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    of.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse::parse;

    /// Beside a context that is complete, each of these in an entry that nobody uses.
    #[test]
    fn null_and_missing_are_empty_in_entries_that_nobody_uses() {
        for other in [
            "users: [{name: u, user: {token: t}}, {name: x, user: {auth-provider: {name: gcp, config: null}}}]",
            "users: [{name: u, user: {token: t}}, {name: x, user: {exec: {command: x, provideClusterInfo: null}}}]",
            "users: [{name: u, user: {token: t}}, {name: x, user: {exec: {command: x, interactiveMode: ''}}}]",
            "users: [{name: u, user: {token: t}}, {name: x, user: {exec: {command: x, env: [{name: A, value: null}]}}}]",
            "users: [{name: u, user: {token: t}}, {name: x, user: {as-user-extra: {a: null}}}]",
            "users: [{name: u, user: {token: t}}, {user: {token: x}}]",
            "users: [{name: u, user: {token: t}}, null]",
            "users: [{name: u, user: {token: t}}]\nextensions: [{name: minikube}]",
            "users: [{name: u, user: {token: t}}]\npreferences: []",
            "users: [{name: u, user: {token: x, token: t}}]",
            "users: [{name: u, user: {token: t}}]\nkind: Config\nkind: Config",
        ] {
            let text = format!(
                "clusters: [{{name: c, cluster: {{server: 'https://c'}}}}, {{name: d, cluster: {{extensions: [{{name: minikube}}]}}}}]\n\
                 contexts: [{{name: a, context: {{cluster: c, user: u}}}}, {{name: b, context: {{user: u}}}}, {{context: {{}}}}]\n\
                 current-context: a\n{other}\n"
            );
            let file = parse(Path::new("/k/config"), text.as_bytes())
                .unwrap_or_else(|error| panic!("{other}: {error}"));
            let context = file.contexts[0].context.as_ref().unwrap();
            assert_eq!((context.cluster.as_str(), context.user.as_deref()), ("c", Some("u")), "{other}");
            assert!(file.auth_infos[0].auth_info.as_ref().unwrap().token.is_some(), "{other}");
        }
    }

    #[test]
    fn what_has_another_type_is_still_refused() {
        for text in ["clusters: 5", "users: [{name: u, user: {token: [a]}}]", "a: ["] {
            assert!(parse(Path::new("/k/config"), text.as_bytes()).is_err(), "{text}");
        }
    }
}
