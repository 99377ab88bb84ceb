//! An explanation as a page for people, 100 columns wide.

use std::fmt;

use super::explanation::{AddressLine, Explanation, Giver, HeldSet, LastProbe, ProbeLine, routing_in_words};
use crate::lines::SetLine;
use fleetdns_core::text::age;

const WIDTH: usize = 100;
/// Where the text of a line with a label begins.
const LABELS: usize = 11;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        if let Some(zone) = &self.zone {
            let provider = self.provider.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            line(f, 2, "zone", &format!("{zone}{provider}"))?;
        }
        if let Some(service) = &self.service {
            let routing = self.routing.as_deref().unwrap_or_default();
            line(f, 2, "service", &format!("{service}: {}", routing_in_words(routing)))?;
        }
        for other in &self.shared_with {
            line(f, 2, "service", &format!("{other} shares the name"))?;
        }
        for other in &self.refused_services {
            line(f, 2, "refused", &format!("{other} asks for the name too"))?;
        }
        if !self.is_unknown() || !self.holds.is_empty() {
            self.records(f)?;
        }
        for note in &self.notes {
            line(f, 2, "note", note)?;
        }
        if !self.similar.is_empty() {
            line(f, 2, "similar", &self.similar.join(", "))?;
        }
        for address in &self.addresses {
            writeln!(f)?;
            address_block(f, address)?;
        }
        Ok(())
    }
}

impl Explanation {
    fn records(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for set in &self.holds {
            line(f, 2, "in DNS", &held_set(set))?;
        }
        if self.holds.is_empty() {
            let held = if self.unread { "unknown: the zone has not been read yet" } else { "nothing" };
            line(f, 2, "in DNS", held)?;
        }
        for SetLine { ttl, record_type, values, .. } in &self.desired {
            line(f, 2, "desired", &format!("{ttl} {record_type} {}", values.join(" ")))?;
        }
        if self.desired.is_empty() {
            line(f, 2, "desired", "nothing")?;
        }
        if let Some(up) = &self.points_up {
            line(f, 2, "up", &format!("{up}: it points there when none of its addresses is in"))?;
        }
        if let Some(hold) = &self.held {
            line(f, 2, "held", &hold.to_string())?;
        }
        for refused in &self.refused {
            line(f, 2, "refused", refused)?;
        }
        if let Some(cause) = &self.goes {
            line(f, 2, "goes", cause)?;
        }
        Ok(())
    }
}

fn held_set(set: &HeldSet) -> String {
    let values = if set.values.is_empty() { "…".to_owned() } else { set.values.join(" ") };
    let foreign = if set.ours { "" } else { "  (somebody else's)" };
    format!("{} {} {values}{foreign}", set.ttl, set.record_type)
}

fn address_block(f: &mut fmt::Formatter<'_>, address: &AddressLine) -> fmt::Result {
    let place = if address.in_dns { "IN " } else { "OUT" };
    paragraph(f, &format!("{place}  {}  ", address.address), 7, &address.reason)?;
    if let Some(entry) = &address.entry {
        line(f, 5, "override", &entry.to_string())?;
    }
    if let Some(resolved) = &address.resolves_to {
        let text = if resolved.is_empty() { "nothing".to_owned() } else { resolved.join(" ") };
        line(f, 5, "resolves", &format!("to {text}"))?;
    }
    if let Some(error) = &address.resolve_error {
        line(f, 5, "resolves", &format!("not, the last time: {error}"))?;
    }
    address.sources.iter().try_for_each(|giver| giver_block(f, giver))
}

fn giver_block(f: &mut fmt::Formatter<'_>, giver: &Giver) -> fmt::Result {
    let priority = giver.priority.map(|number| format!(", priority {number}")).unwrap_or_default();
    let fault = giver.fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default();
    line(f, 5, "cluster", &format!("{}, {}{priority}{fault}", giver.cluster, giver.inventory))?;
    if let Some(service) = &giver.service {
        line(f, 5, "service", service)?;
    }
    let several = giver.probes.len() > 1;
    for ProbeLine { address, probe, verdict, last } in &giver.probes {
        let of = address.as_ref().filter(|_| several).map(|ip| format!("{ip} ")).unwrap_or_default();
        let row = last.as_ref().map(|last| format!(", {}", row(last))).unwrap_or_default();
        line(f, 5, "probe", &format!("{of}{probe}: {verdict}{row}"))?;
        if let Some(last) = last {
            line(f, 5, "last", &last_text(last))?;
        }
    }
    Ok(())
}

/// How many ended like the last one, and how many it takes.
fn row(last: &LastProbe) -> String {
    let LastProbe { failures, successes, fall, rise, .. } = last;
    let (count, word) = match (failures, successes) {
        (0, count) => (count, "success"),
        (count, _) => (count, "failure"),
    };
    let plural = match (count, word) {
        (1, _) => "",
        (_, "success") => "es",
        _ => "s",
    };
    format!("{count} {word}{plural} in a row (fall {fall}, rise {rise})")
}

fn last_text(last: &LastProbe) -> String {
    let LastProbe { error, conclusive, seconds_ago, took_ms, .. } = last;
    let when = format!("{} ago, after {took_ms} ms", age(*seconds_ago));
    match error {
        None => format!("answered {when}"),
        Some(error) if *conclusive => format!("failed {when}: {error}"),
        Some(error) => format!("said nothing {when}: {error}"),
    }
}

fn line(f: &mut fmt::Formatter<'_>, indent: usize, label: &str, text: &str) -> fmt::Result {
    let width = LABELS - 2;
    paragraph(f, &format!("{:indent$}{label:width$}", ""), indent + width, text)
}

/// Text behind a beginning, wrapped between words; further lines begin at `hang`.
fn paragraph(f: &mut fmt::Formatter<'_>, start: &str, hang: usize, text: &str) -> fmt::Result {
    let mut column = start.chars().count();
    f.write_str(start)?;
    let mut first = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !first && column + 1 + length > WIDTH {
            write!(f, "\n{:hang$}", "")?;
            column = hang;
        } else if !first {
            f.write_str(" ")?;
            column += 1;
        }
        f.write_str(word)?;
        column += length;
        first = false;
    }
    writeln!(f)
}
