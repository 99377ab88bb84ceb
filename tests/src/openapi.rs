//! `config/openapi.yaml`, and whether answers are as it says.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

const FILE: &str = include_str!("../../config/openapi.yaml");
const URL: &str = "http://fleetdns/openapi.json";

/// The description.
///
/// # Panics
/// When it is not YAML.
pub fn document() -> Value {
    serde_saphyr::from_str(FILE).unwrap()
}

/// Every schema of the description, ready to use: compiling one takes longer than most answers.
fn compiled() -> &'static (Schemas, BTreeMap<String, SchemaIndex>) {
    static COMPILED: OnceLock<(Schemas, BTreeMap<String, SchemaIndex>)> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let (document, mut schemas, mut compiler) = (document(), Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        compiler.add_resource(URL, document.clone()).unwrap();
        let names = document["components"]["schemas"].as_object().unwrap().keys();
        let compile = |name: &String| {
            let place = format!("{URL}#/components/schemas/{name}");
            (name.clone(), compiler.compile(&place, &mut schemas).unwrap())
        };
        let all = names.map(compile).collect();
        (schemas, all)
    })
}

/// Fails unless an answer is as a schema says, down to each field.
///
/// # Panics
/// With what differs.
pub fn assert_is(schema: &str, answer: &Value) {
    let (schemas, all) = compiled();
    if let Err(error) = schemas.validate(answer, all[schema]) {
        panic!("not a {schema} of config/openapi.yaml: {error:#}\n{answer:#}");
    }
}

/// The schema of what a command prints as JSON, where that is an answer of the API.
pub(crate) fn schema_of(command: &str) -> Option<&'static str> {
    Some(match command {
        "status" => "Status",
        "records" => "Records",
        "overrides" => "Overrides",
        "drain" | "undrain" | "force-in" | "force-out" => "OrderAnswer",
        "confirm-outage" => "Confirmed",
        "reload" => "Reloaded",
        "snapshot" => "Scenario",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_paths_are_those_that_the_daemon_serves() {
        let served = [
            include_str!("../../crates/daemon/src/admin.rs"),
            include_str!("../../crates/daemon/src/control.rs"),
        ];
        let routes = served.iter().flat_map(|text| text.split(".route(\"").skip(1));
        let routes: BTreeSet<&str> = routes.filter_map(|text| text.split('"').next()).collect();
        let document = document();
        let mut described: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        // An older name of /livez.
        described.insert("/healthz");
        assert_eq!(described, routes);
    }

    #[test]
    fn every_schema_can_be_compiled() {
        for name in document()["components"]["schemas"].as_object().unwrap().keys() {
            let found = std::panic::catch_unwind(|| assert_is(name, &json!({"nosuch": 1})));
            let text = *found.unwrap_err().downcast::<String>().unwrap();
            assert!(text.starts_with(&format!("not a {name}")), "{text}");
        }
    }
}
