use std::time::Duration;

use super::*;

fn who() -> Who {
    Who {
        endpoint: "management.azure.com".to_owned(),
        client: Some("app".to_owned()),
        scope: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/dnsZones/example.com"
            .to_owned(),
        role: "DNS Zone Contributor",
        command: "dns",
    }
}

fn answer(status: u16, code: &str, message: &str) -> Fault {
    let body = serde_json::json!({ "code": code, "message": message }).to_string();
    Fault::of_answer(status, None, body.as_bytes())
}

#[test]
fn the_meanings_of_409_are_told_apart() {
    for message in [
        "The record could not be created because a CNAME record with the same name already exists in this zone.",
        "The CNAME record could not be created because another record with the same name already exists in this zone.",
    ] {
        assert_eq!(answer(409, "Conflict", message).kind, Kind::Exclusive);
    }
    let queued = "Another operation is pending for requested object. Operation group x already has 1 operations queued.";
    assert_eq!(answer(409, "Conflict", queued).kind, Kind::Queued);
    assert_eq!(answer(409, "Conflict", "something new").kind, Kind::Queued);
    let locked = "The scope '/x' cannot perform write operation because following scope(s) are locked: '/x'.";
    assert!(matches!(answer(409, "ScopeLocked", locked).kind, Kind::Locked));
}

#[test]
fn a_wait_is_found_wherever_it_is_said() {
    let pause = |millis| Some(Pause::new(Duration::from_millis(millis)));
    let header = Fault::of_answer(429, pause(9_000), b"");
    assert_eq!(header.kind, Kind::Throttled(pause(9_000)));
    let message = answer(429, "ResourceRequestsThrottled", "Please try again after '307' seconds.");
    assert_eq!(message.kind, Kind::Throttled(pause(307_000)));
    assert_eq!(Fault::of_answer(503, None, b"").kind, Kind::Broken);
    assert_eq!(Fault::of_answer(503, pause(2_000), b"").kind, Kind::Throttled(pause(2_000)));
    let error = Fault { kind: Kind::Throttled(pause(1_500)), problem: String::new() };
    assert_eq!(error.into_error(&who(), "write").to_string(), "management.azure.com asks to wait 2 s");
}

#[track_caller]
fn remedy(fault: Fault, expected: &str) {
    let text = fault.into_error(&who(), "write the zone").to_string();
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_missing_right_or_zone_names_the_command_that_mends_it() {
    let scope = who().scope;
    remedy(
        answer(403, "AuthorizationFailed", "The client 'x' with object id 'o-1' does not have authorization"),
        &format!("--assignee o-1 --role \"DNS Zone Contributor\" --scope {scope}`"),
    );
    remedy(answer(403, "AuthorizationFailed", "no"), "--assignee app");
    remedy(
        answer(404, "ResourceNotFound", "no"),
        "az network dns zone create --subscription s --resource-group g --name example.com",
    );
    remedy(answer(404, "ResourceGroupNotFound", "no"), "look at resource-group (g)");
    remedy(answer(404, "SubscriptionNotFound", "no"), "look at subscription-id (s)");
    remedy(
        answer(400, "BadRequest", "The domain name 'x' is invalid."),
        "cannot be written: HTTP 400 BadRequest",
    );
}

#[test]
fn a_chain_is_told_once_and_without_what_says_nothing() {
    let inner = std::io::Error::other("connection refused");
    let middle = azure_core::Error::with_error(ErrorKind::Io, inner, "failed to execute `reqwest` request");
    let outer = azure_core::Error::with_error(
        ErrorKind::Io,
        middle,
        "retry policy expired and the request will no longer be retried",
    );
    assert_eq!(chain(&outer), "connection refused");
}
