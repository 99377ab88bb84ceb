//! Which zone and set a call is about, and what it does there. Ids compare without case.

use serde_json::{Value, json};

use super::sets::{Kind, Set};
use super::{Answer, Call, SUBSCRIPTION, World, rules};

type Served = Result<Answer, Answer>;

/// A zone, and the parts of the path below it.
pub(super) struct Target {
    pub zone: usize,
    pub rest: Vec<String>,
}

pub(super) fn percent_decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
        decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
    }
    String::from_utf8(decoded).unwrap()
}

pub(super) fn serve(world: &mut World, call: &Call) -> Served {
    let token = call.headers.get("authorization").and_then(|text| text.strip_prefix("Bearer "));
    if !token.is_some_and(|token| world.tokens.iter().any(|known| known == token)) {
        return Err(Answer::arm(401, "AuthenticationFailed", "Authentication failed."));
    }
    if let Some(refusal) = world.role.as_ref().and_then(|role| role.refuse(call)) {
        return Err(refusal);
    }
    let parts = parts(call);
    let is = |index: usize, text: &str| parts.get(index).is_some_and(|part| part.eq_ignore_ascii_case(text));
    // All zones of the subscription, or of a resource group.
    let of_group = parts.len() == 7 && is(2, "resourceGroups") && is(4, "providers");
    if (parts.len() == 5 && is(2, "providers")) || of_group {
        let of = |zone: &&super::Zone| {
            is(parts.len() - 1, zone.kind.segment()) && (!of_group || is(3, &zone.group))
        };
        let list: Vec<Value> = world.zones.iter().filter(of).map(super::Zone::resource).collect();
        return Ok(Answer::of(200, json!({ "value": list })));
    }
    let Target { zone, rest } = target(world, call)?;
    version(world.zones[zone].kind, call)?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (call.method.as_str(), &rest[..]) {
        ("GET", []) => Ok(Answer::of(200, world.zones[zone].resource())),
        ("GET", [all]) if all.eq_ignore_ascii_case("all") => list(world, zone, call),
        ("GET", ["recordsets"]) if world.zones[zone].kind == Kind::Public => list(world, zone, call),
        (_, [record_type, relative]) => {
            let key = (record_type.to_ascii_uppercase(), relative.to_ascii_lowercase());
            match call.method.as_str() {
                "GET" => get(world, zone, &key),
                "PUT" => put(world, zone, &key, relative, call),
                "DELETE" => delete(world, zone, &key, call),
                _ => Err(Answer::arm(405, "MethodNotAllowed", "This method is not allowed.")),
            }
        }
        _ => Err(Answer::arm(404, "InvalidResourceType", "The resource type could not be found.")),
    }
}

fn parts(call: &Call) -> Vec<String> {
    call.path.trim_matches('/').split('/').map(percent_decode).collect()
}

pub(super) fn target(world: &World, call: &Call) -> Result<Target, Answer> {
    let parts = parts(call);
    let [one, subscription, two, group, three, four, kind, name, rest @ ..] = &parts[..] else {
        return Err(Answer::arm(404, "InvalidResourceType", "The resource type could not be found."));
    };
    let fixed =
        [(one, "subscriptions"), (two, "resourceGroups"), (three, "providers"), (four, "Microsoft.Network")];
    if fixed.iter().any(|(part, expected)| !part.eq_ignore_ascii_case(expected)) {
        return Err(Answer::arm(404, "InvalidResourceType", "The resource type could not be found."));
    }
    if subscription != SUBSCRIPTION {
        let message = format!("The subscription '{subscription}' could not be found.");
        return Err(Answer::arm(404, "SubscriptionNotFound", &message));
    }
    if !world.zones.iter().any(|zone| zone.group.eq_ignore_ascii_case(group)) {
        let message = format!("Resource group '{group}' could not be found.");
        return Err(Answer::arm(404, "ResourceGroupNotFound", &message));
    }
    let found = world.zones.iter().position(|zone| {
        zone.name.eq_ignore_ascii_case(name)
            && zone.group.eq_ignore_ascii_case(group)
            && zone.kind.segment().eq_ignore_ascii_case(kind)
    });
    let message = format!(
        "The Resource 'Microsoft.Network/{kind}/{name}' under resource group '{group}' was not found."
    );
    let code = if call.method == "GET" { "ResourceNotFound" } else { "ParentResourceNotFound" };
    let zone = found.ok_or_else(|| Answer::arm(404, code, &message))?;
    Ok(Target { zone, rest: rest.to_vec() })
}

fn version(kind: Kind, call: &Call) -> Result<(), Answer> {
    let known: &[&str] = match kind {
        Kind::Public => &["2018-05-01"],
        Kind::Private => &["2018-09-01", "2020-06-01", "2024-06-01"],
    };
    match call.query.get("api-version") {
        Some(version) if known.contains(&version.as_str()) => {}
        Some(_) => {
            return Err(Answer::arm(400, "NoRegisteredProviderFound", "No registered provider found."));
        }
        None => {
            return Err(Answer::arm(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter is required.",
            ));
        }
    }
    let allowed = ["api-version", "$top", "$skipToken", "$recordsetnamesuffix"];
    match call.query.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => {
            Err(Answer::arm(400, "InvalidQuery", &format!("The query parameter '{key}' is not known.")))
        }
        None => Ok(()),
    }
}

fn list(world: &World, zone: usize, call: &Call) -> Served {
    let (most, usual) = world.page;
    let top = match call.query.get("$top").map(|text| text.parse::<usize>()) {
        None => usual,
        Some(Ok(top)) if (1..=most).contains(&top) => top,
        Some(_) => return Err(Answer::dns(400, "BadRequest", "The value of $top is out of range.")),
    };
    let from: usize = call.query.get("$skipToken").map_or(0, |text| text.parse().unwrap());
    let zone = &world.zones[zone];
    let page = zone.sets.iter().skip(from).take(top);
    let value: Vec<Value> = page.map(|((kind, _), set)| zone.set_resource(kind, set)).collect();
    let mut body = json!({ "value": value });
    if from + top < zone.sets.len() {
        let version = &call.query["api-version"];
        let (origin, path) = (&world.origin, &call.path);
        body["nextLink"] =
            json!(format!("{origin}{path}?api-version={version}&%24top={top}&%24skipToken={}", from + top));
    }
    Ok(Answer::of(200, body))
}

fn get(world: &World, zone: usize, key: &(String, String)) -> Served {
    let zone = &world.zones[zone];
    match zone.sets.get(key) {
        Some(set) => Ok(Answer::of(200, zone.set_resource(&key.0, set))),
        None => Err(Answer::dns(404, "NotFound", "The resource record was not found.")),
    }
}

/// `If-Match` and `If-None-Match` (dns.json, `RecordSets_CreateOrUpdate`).
fn condition(call: &Call, there: Option<&Set>) -> Result<(), Answer> {
    let header = |name: &str| call.headers.get(name).map(|text| text.trim_matches('"'));
    let holds = match (header("if-match"), there) {
        (Some("*"), set) => set.is_some(),
        (Some(etag), Some(set)) => etag == set.etag,
        (Some(_), None) => false,
        (None, set) => header("if-none-match") != Some("*") || set.is_none(),
    };
    if holds {
        return Ok(());
    }
    Err(Answer::dns(
        412,
        "PreconditionFailed",
        "The condition in the If-Match or If-None-Match header was not satisfied.",
    ))
}

fn put(world: &mut World, zone: usize, key: &(String, String), relative: &str, call: &Call) -> Served {
    let etag = world.etag();
    let zone = &mut world.zones[zone];
    if relative != "@" && !rules::is_domain(&format!("{relative}.{}", zone.name)) {
        return Err(Answer::dns(400, "BadRequest", &format!("The relative name '{relative}' is invalid.")));
    }
    let json = call.headers.get("content-type").is_some_and(|text| text.starts_with("application/json"));
    if !json {
        return Err(Answer::arm(415, "UnsupportedMediaType", "The content type is not supported."));
    }
    let properties = rules::properties(zone, &key.0, &call.body)?;
    let there = zone.sets.get(key);
    condition(call, there)?;
    rules::exclusive(zone, &key.0, &key.1)?;
    let status = if there.is_some() { 200 } else { 201 };
    if there.is_none() && zone.sets.len() >= zone.most {
        return Err(Answer::dns(
            400,
            "BadRequest",
            "The maximum number of record sets in the zone is reached.",
        ));
    }
    let set = Set { name: relative.to_owned(), etag, properties };
    let resource = zone.set_resource(&key.0, &set);
    zone.sets.insert(key.clone(), set);
    Ok(Answer::of(status, resource))
}

fn delete(world: &mut World, zone: usize, key: &(String, String), call: &Call) -> Served {
    let zone = &mut world.zones[zone];
    if key.1 == "@" && matches!(key.0.as_str(), "SOA" | "NS") {
        return Err(Answer::dns(400, "BadRequest", "The record set of the zone itself cannot be deleted."));
    }
    let Some(set) = zone.sets.get(key) else {
        return Ok(Answer::of(204, Value::Null));
    };
    condition(call, Some(set))?;
    zone.sets.remove(key);
    Ok(Answer::of(200, Value::Null))
}

/// Takes the metadata out of what was just written, and out of the answer.
pub(super) fn forget(world: &mut World, call: &Call, mut answer: Answer) -> Answer {
    let Ok(Target { zone, rest }) = target(world, call) else { return answer };
    let key = (rest[0].to_ascii_uppercase(), rest[1].to_ascii_lowercase());
    if let Some(set) = world.zones[zone].sets.get_mut(&key) {
        set.properties.as_object_mut().unwrap().remove("metadata");
    }
    answer.body["properties"].as_object_mut().unwrap().remove("metadata");
    answer
}
