//! Requests and answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::rules::{Refusal, Set, change, escaped, labels, plain};
use super::xml::{parse, tag};
use super::{ACCESS_KEY, Fault, State, Zone};

type Server = Arc<Mutex<State>>;
type Parameters = Query<HashMap<String, String>>;
const NS: &str = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";

pub(super) fn router(state: Server) -> Router {
    Router::new()
        .route("/2013-04-01/hostedzone", get(zones))
        .route("/2013-04-01/hostedzonesbyname", get(zones_by_name))
        .route("/2013-04-01/hostedzone/{id}", get(zone))
        .route("/2013-04-01/hostedzone/{id}/rrset", get(list).post(write))
        .route("/2013-04-01/hostedzone/{id}/rrset/", post(write))
        .route("/2013-04-01/change/{id}", get(get_change))
        .with_state(state)
}

fn xml(status: u16, body: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let body = format!("<?xml version=\"1.0\"?>\n{body}");
    (status, [("content-type", "text/xml"), ("x-amzn-requestid", "fake")], body).into_response()
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let said = tag("Code", code) + &tag("Message", message);
    xml(
        status,
        &format!(
            "<ErrorResponse {NS}><Error><Type>Sender</Type>{said}</Error><RequestId>fake</RequestId></ErrorResponse>"
        ),
    )
}

fn no_zone(id: &str) -> Response {
    error(404, "NoSuchHostedZone", &format!("No hosted zone found with ID: {id}"))
}

fn endless() -> Response {
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let chunks =
        futures::stream::iter(std::iter::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())));
    Response::builder().header("content-type", "text/xml").body(Body::from_stream(chunks)).unwrap()
}

fn forbidden(action: &str) -> Response {
    let who = "User: arn:aws:iam::123456789012:user/dns is not authorized to perform";
    error(403, "AccessDenied", &format!("{who}: route53:{action}"))
}

/// Names that a batch touches.
fn names(body: &str) -> impl Iterator<Item = &str> {
    body.split("<Name>").skip(1).filter_map(|rest| Some(rest.split_once(".</Name>")?.0))
}

fn cut() -> Response {
    let end = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
    Response::builder().header("content-length", "1000").body(Body::from_stream(end)).unwrap()
}

/// Whether the call may be made at all, and what goes wrong with it.
async fn admit(
    server: &Server,
    action: &'static str,
    resource: &str,
    headers: &HeaderMap,
) -> Result<Option<Fault>, Response> {
    let fault = {
        let mut state = server.lock().unwrap();
        if state.take(action) {
            return Err(error(400, "Throttling", "Rate exceeded"));
        }
        let authorization =
            headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !authorization.contains("/us-east-1/route53/aws4_request") {
            return Err(error(
                403,
                "SignatureDoesNotMatch",
                "Credential should be scoped to a valid region.",
            ));
        }
        if !authorization.contains(&format!("Credential={ACCESS_KEY}/")) {
            return Err(error(
                403,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            ));
        }
        if state.denied.contains(action)
            || state.policy.as_ref().is_some_and(|it| !it.grants(action, resource))
        {
            return Err(forbidden(action));
        }
        state.faults.get_mut(action).and_then(std::collections::VecDeque::pop_front)
    };
    match fault {
        Some(Fault::CutBefore) => Err(cut()),
        Some(Fault::Endless) => Err(endless()),
        Some(Fault::Answer(status, body)) => Err(xml(status, &body)),
        Some(Fault::Slow(pause)) => {
            tokio::time::sleep(pause).await;
            Ok(None)
        }
        other => Ok(other),
    }
}

fn hosted(id: &str, zone: &Zone) -> String {
    format!(
        "<HostedZone>{}{}<CallerReference>r</CallerReference><Config><PrivateZone>{}</PrivateZone></Config>{}</HostedZone>",
        tag("Id", &format!("/hostedzone/{id}")),
        tag("Name", &escaped(&zone.name)),
        zone.private,
        tag("ResourceRecordSetCount", &zone.sets.len().to_string()),
    )
}

async fn zone(Shared(server): Shared<Server>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(answer) = admit(&server, "GetHostedZone", &format!("hostedzone/{id}"), &headers).await {
        return answer;
    }
    let state = server.lock().unwrap();
    match state.zones.get(&id) {
        Some(zone) => {
            xml(200, &format!("<GetHostedZoneResponse {NS}>{}</GetHostedZoneResponse>", hosted(&id, zone)))
        }
        None => no_zone(&id),
    }
}

/// In the order of their ids, from a marker on.
async fn zones(Shared(server): Shared<Server>, Query(asked): Parameters, headers: HeaderMap) -> Response {
    if let Err(answer) = admit(&server, "ListHostedZones", "", &headers).await {
        return answer;
    }
    let state = server.lock().unwrap();
    let marker = asked.get("marker").cloned().unwrap_or_default();
    let most = asked.get("maxitems").and_then(|text| text.parse().ok()).unwrap_or(100).min(100);
    let mut rest = state.zones.range(marker..);
    let page: String = rest.by_ref().take(most).map(|(id, zone)| hosted(id, zone)).collect();
    let next = rest.next().map(|(id, _)| tag("NextMarker", id));
    let body = format!(
        "<HostedZones>{page}</HostedZones><IsTruncated>{}</IsTruncated>{}<MaxItems>{most}</MaxItems>",
        next.is_some(),
        next.unwrap_or_default()
    );
    xml(200, &format!("<ListHostedZonesResponse {NS}>{body}</ListHostedZonesResponse>"))
}

/// From a name on, through all zones, in the order of names from the top.
async fn zones_by_name(
    Shared(server): Shared<Server>,
    Query(asked): Parameters,
    headers: HeaderMap,
) -> Response {
    if let Err(answer) = admit(&server, "ListHostedZonesByName", "", &headers).await {
        return answer;
    }
    let state = server.lock().unwrap();
    let mut all: Vec<(Vec<String>, &String, &Zone)> =
        state.zones.iter().map(|(id, zone)| (labels(&zone.name), id, zone)).collect();
    all.sort_by(|one, two| (&one.0, one.1).cmp(&(&two.0, two.1)));
    let start = asked.get("dnsname").map(|name| labels(name)).unwrap_or_default();
    let id = asked.get("hostedzoneid").cloned().unwrap_or_default();
    let most = asked.get("maxitems").and_then(|text| text.parse().ok()).unwrap_or(100).min(100);
    let mut rest = all.into_iter().filter(|(name, zone_id, _)| (name, *zone_id) >= (&start, &id));
    let page: Vec<String> = rest.by_ref().take(most).map(|(_, id, zone)| hosted(id, zone)).collect();
    let next = rest
        .next()
        .map(|(_, id, zone)| tag("NextDNSName", &escaped(&zone.name)) + &tag("NextHostedZoneId", id));
    let more = next.is_some();
    xml(
        200,
        &format!(
            "<ListHostedZonesByNameResponse {NS}><HostedZones>{}</HostedZones><IsTruncated>{more}</IsTruncated>{}\
             <MaxItems>{most}</MaxItems></ListHostedZonesByNameResponse>",
            page.join(""),
            next.unwrap_or_default()
        ),
    )
}

fn set_xml(set: &Set) -> String {
    let mut text = tag("Name", &escaped(&set.name)) + &tag("Type", &set.record_type);
    text += &set.identifier.as_ref().map(|id| tag("SetIdentifier", id)).unwrap_or_default();
    text += &set.weight.map(|weight| tag("Weight", &weight.to_string())).unwrap_or_default();
    if let Some(alias) = &set.alias {
        text += &alias.xml();
    } else {
        text += &set.ttl.map(|ttl| tag("TTL", &ttl.to_string())).unwrap_or_default();
        let records = set
            .values
            .iter()
            .map(|value| format!("<ResourceRecord>{}</ResourceRecord>", tag("Value", value)));
        text += &format!("<ResourceRecords>{}</ResourceRecords>", records.collect::<String>());
    }
    text += &set.health_check.as_ref().map(|id| tag("HealthCheckId", id)).unwrap_or_default();
    format!("<ResourceRecordSet>{text}</ResourceRecordSet>")
}

async fn list(
    Shared(server): Shared<Server>,
    Path(id): Path<String>,
    Query(asked): Parameters,
    headers: HeaderMap,
) -> Response {
    match admit(&server, "ListResourceRecordSets", &format!("hostedzone/{id}"), &headers).await {
        Err(answer) => return answer,
        Ok(Some(_)) => return cut(),
        Ok(None) => {}
    }
    let state = server.lock().unwrap();
    let Some(zone) = state.zones.get(&id) else { return no_zone(&id) };
    let parameter = |name: &str| asked.get(name).cloned();
    if parameter("name").is_none() && parameter("type").is_some() {
        return error(400, "InvalidInput", "Must provide a name when a type is given");
    }
    let start = parameter("name").map(|name| {
        let name = plain(&name);
        (labels(&name), parameter("type").unwrap_or_default(), parameter("identifier").unwrap_or_default())
    });
    let most = parameter("maxitems").and_then(|text| text.parse().ok()).unwrap_or(300).min(300);
    let mut rest = zone.sets.iter().filter(|(key, _)| start.as_ref().is_none_or(|start| *key >= start));
    let page: String = rest.by_ref().take(most).map(|(_, set)| set_xml(set)).collect();
    let next = rest.next().map(|(_, set)| {
        let identifier =
            set.identifier.as_ref().map(|id| tag("NextRecordIdentifier", id)).unwrap_or_default();
        tag("NextRecordName", &escaped(&set.name)) + &tag("NextRecordType", &set.record_type) + &identifier
    });
    xml(
        200,
        &format!(
            "<ListResourceRecordSetsResponse {NS}><ResourceRecordSets>{page}</ResourceRecordSets><IsTruncated>{}</IsTruncated>\
             {}<MaxItems>{most}</MaxItems></ListResourceRecordSetsResponse>",
            next.is_some(),
            next.unwrap_or_default()
        ),
    )
}

async fn write(
    Shared(server): Shared<Server>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let fault = match admit(&server, "ChangeResourceRecordSets", &format!("hostedzone/{id}"), &headers).await
    {
        Err(answer) => return answer,
        Ok(fault) => fault,
    };
    let Some(request) = parse(&body) else { return error(400, "MalformedXML", "not well-formed") };
    let (allowed, broken) = {
        let state = server.lock().unwrap();
        (state.allowed, state.broken.clone())
    };
    if broken.is_some_and(|broken| names(&body).any(|name| name == broken)) {
        return error(500, "InternalError", "Oops.");
    }
    if allowed.is_some_and(|allowed| names(&body).any(|name| !allowed(name))) {
        return forbidden("ChangeResourceRecordSets");
    }
    let takes = {
        let mut state = server.lock().unwrap();
        let takes = state.change_takes;
        let Some(zone) = state.zones.get_mut(&id) else { return no_zone(&id) };
        if zone.busy {
            let message = "The request was rejected because Route 53 was still processing a prior request.";
            return error(400, "PriorRequestNotComplete", message);
        }
        zone.busy = true;
        takes
    };
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    let mut state = server.lock().unwrap();
    let (usual, poison) = (state.usual_form, state.poison.clone());
    let zone = state.zones.get_mut(&id).unwrap();
    zone.busy = false;
    let poisoned = poison.is_some_and(|name| body.contains(&format!("<Name>{name}.</Name>")));
    let done = if poisoned {
        let message =
            "Invalid Resource Record: FATAL problem: ARRDATAIllegalIPv4Address encountered with '300.1.1.1'";
        Err(Refusal::Batch(vec![message.to_owned()]))
    } else {
        change(zone, &request)
    };
    match done {
        Err(Refusal::Input(message)) => return error(400, "InvalidInput", &message),
        Err(Refusal::Batch(messages)) if usual => {
            return error(400, "InvalidChangeBatch", &format!("[{}]", messages.join(", ")));
        }
        Err(Refusal::Batch(messages)) => {
            let all: String = messages.iter().map(|message| tag("Message", message)).collect();
            let said = format!("<Messages>{all}</Messages><RequestId>fake</RequestId>");
            return xml(400, &format!("<InvalidChangeBatch {NS}>{said}</InvalidChangeBatch>"));
        }
        Ok(_) => {}
    }
    let change_id = format!("C{:08}", state.changes.len() + 1);
    state.changes.insert(change_id.clone(), Instant::now());
    if fault.is_some() {
        return cut();
    }
    let info = change_info(&change_id, "PENDING");
    xml(200, &format!("<ChangeResourceRecordSetsResponse {NS}>{info}</ChangeResourceRecordSetsResponse>"))
}

fn change_info(id: &str, status: &str) -> String {
    format!(
        "<ChangeInfo>{}{}<SubmittedAt>2026-11-22T10:00:00Z</SubmittedAt></ChangeInfo>",
        tag("Id", &format!("/change/{id}")),
        tag("Status", status)
    )
}

async fn get_change(Shared(server): Shared<Server>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(answer) = admit(&server, "GetChange", &format!("change/{id}"), &headers).await {
        return answer;
    }
    let state = server.lock().unwrap();
    match state.changes.get(&id) {
        Some(since) => {
            let status = if since.elapsed() < state.sync_takes { "PENDING" } else { "INSYNC" };
            xml(200, &format!("<GetChangeResponse {NS}>{}</GetChangeResponse>", change_info(&id, status)))
        }
        None => error(404, "NoSuchChange", &id),
    }
}
