//! What an event of the journal, and what a snapshot, say in a cluster.

use fleetdns_core::text::printable_within;
use fleetdns_core::{Ingress, Inventory, ServiceKey, Snapshot};
use fleetdns_watch::Note;
use serde::Serialize;

use crate::journal::{Event, Kind, What};

/// Longest message of an Event, in characters.
const LONGEST: usize = 1000;

/// The Service that an event is about.
pub(super) fn service(event: &Event) -> Option<ServiceKey> {
    let What { namespace, service, .. } = &event.what;
    ServiceKey::new(namespace.as_deref()?, service.as_deref()?).ok()
}

/// What the owner of the Service is to know of an event; nothing of one that changed nothing in DNS.
pub(super) fn note(event: &Event) -> Option<Note> {
    let What { kind, name, address, cause, evidence, answer, .. } = &event.what;
    let name = name.as_deref()?;
    let written = answer.as_deref() == Some("written");
    let evidence = evidence.as_ref().map(|evidence| format!(", {evidence}")).unwrap_or_default();
    let (reason, warning, message) = match (kind, address) {
        (Kind::In, Some(address)) if written => {
            let reason = if cause == "back" { "BackInDNS" } else { "Published" };
            (reason, false, format!("{address} added to {name}: {cause}{evidence}"))
        }
        (Kind::Out, Some(address)) if written => {
            let message = format!("{address} removed from {name}: {cause}{evidence}");
            ("OutOfDNS", cause == "unhealthy", message)
        }
        (Kind::Refused, _) => ("Refused", true, format!("{name} not written: {cause}")),
        _ => return None,
    };
    let message = printable_within(&message, LONGEST).into_owned();
    Some(Note { warning, reason, message })
}

#[derive(Serialize)]
struct All {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<OfCluster>,
}

#[derive(Serialize)]
struct OfCluster {
    cluster: String,
    items: Vec<Ingress>,
}

/// The addresses of a Service in all clusters, as kubefed's annotation has them.
pub(super) fn service_ingresses(service: &ServiceKey, fleet: &Snapshot) -> String {
    let mut items = Vec::new();
    for member in fleet.members.values().filter(|member| member.inventory != Inventory::Removed) {
        let published = member.services.get(service).and_then(|published| published.addresses.as_ref());
        let ingress = published.into_iter().flatten().map(|address| Ingress {
            ip: address.ip().map(|ip| ip.to_string()),
            hostname: address.hostname().map(ToString::to_string),
        });
        let mut of_cluster: Vec<Ingress> = ingress.collect();
        // As kubefed sorts them: what has no address first.
        of_cluster.sort_by(|one, other| (&one.ip, &one.hostname).cmp(&(&other.ip, &other.hostname)));
        if !of_cluster.is_empty() {
            items.push(OfCluster { cluster: member.name.to_string(), items: of_cluster });
        }
    }
    // Of strings alone: nothing can go wrong.
    serde_json::to_string(&All { items }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleetdns_core::{MemberView, Published, ServiceText};

    use super::*;

    fn event(kind: Kind, cause: &str, answer: Option<&str>) -> Event {
        let service = ServiceKey::new("default", "web").unwrap();
        let mut what = What::new(kind, cause).name("web.example.com").service(Some(&service));
        what.address = (kind != Kind::Refused).then(|| "203.0.113.1".to_owned());
        what.answer = answer.map(str::to_owned);
        Event { seq: 1, time: String::new(), what }
    }

    #[test]
    fn an_event_says_what_became_of_an_address_and_nothing_of_what_was_not_written() {
        let said = |kind, cause: &str, answer| {
            let event = event(kind, cause, answer);
            assert_eq!(service(&event).unwrap().to_string(), "default/web");
            note(&event).map(|note| (note.reason, note.warning, note.message))
        };
        let written = Some("written");
        for (kind, cause, answer, expected) in [
            (
                Kind::In,
                "new",
                written,
                Some(("Published", false, "203.0.113.1 added to web.example.com: new")),
            ),
            (
                Kind::In,
                "back",
                written,
                Some(("BackInDNS", false, "203.0.113.1 added to web.example.com: back")),
            ),
            (
                Kind::Out,
                "unhealthy",
                written,
                Some(("OutOfDNS", true, "203.0.113.1 removed from web.example.com: unhealthy")),
            ),
            (
                Kind::Out,
                "drained",
                written,
                Some(("OutOfDNS", false, "203.0.113.1 removed from web.example.com: drained")),
            ),
            (Kind::Out, "unhealthy", Some("failed: away"), None),
            (
                Kind::Refused,
                "foreign: A",
                None,
                Some(("Refused", true, "web.example.com not written: foreign: A")),
            ),
            (Kind::Held, "velocity", None, None),
        ] {
            let expected = expected.map(|(reason, warning, message)| (reason, warning, message.to_owned()));
            assert_eq!(said(kind, cause, answer), expected);
        }
        // And a sign that it was cut.
        let long = note(&event(Kind::Refused, &"x".repeat(5000), None)).unwrap().message;
        assert_eq!(long.chars().count(), LONGEST + 1);
    }

    #[test]
    fn the_annotation_is_as_kubefed_wrote_it() {
        let key = ServiceKey::new("default", "web").unwrap();
        let mut fleet = Snapshot::default();
        let mut member = |name: &str, inventory, addresses: &[&str]| {
            let published = Published {
                key: key.clone(),
                service: ServiceText::default(),
                addresses: Some(addresses.iter().map(|address| address.parse().unwrap()).collect()),
                hostnames: [].into(),
                shared: [].into(),
                ttl: None,
                probe: Arc::new("none".parse().unwrap()),
                routing: None,
                faults: Vec::new(),
            };
            let mut view = MemberView::pending(name.parse().unwrap());
            view.inventory = inventory;
            view.services.insert(key.clone(), Arc::new(published));
            fleet.members.insert(view.name.clone(), Arc::new(view));
            service_ingresses(&key, &fleet)
        };
        assert_eq!(member("north", Inventory::Live, &[]), "{}");
        assert_eq!(
            member("west", Inventory::Stale, &["a9.elb.example.net", "203.0.113.20", "203.0.113.10"]),
            r#"{"items":[{"cluster":"west","items":[{"hostname":"a9.elb.example.net"},{"ip":"203.0.113.10"},{"ip":"203.0.113.20"}]}]}"#
        );
        let east = r#"{"cluster":"east","items":[{"ip":"203.0.113.30"}]}"#;
        assert!(
            member("east", Inventory::Live, &["203.0.113.30"]).starts_with(&format!("{{\"items\":[{east},"))
        );
        assert!(!member("east", Inventory::Removed, &["203.0.113.30"]).contains(east));
    }
}
