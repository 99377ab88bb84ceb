//! What happened, the latest first.

use std::sync::Arc;

use serde::Deserialize;

use super::text::{Level, Text};
use crate::journal::{Event, Kind};

/// Events of one page.
const PAGE: usize = 50;

/// Which events are asked for. What is empty is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) cluster: String,
    /// Part of a DNS name, or an address.
    #[serde(default)]
    pub(super) name: String,
    /// Only older ones than this one.
    #[serde(default)]
    pub(super) before: Option<u64>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventRow {
    pub(super) level: Level,
    pub(super) seq: u64,
    pub(super) time: Text,
    pub(super) kind: Kind,
    /// Name, or zone.
    pub(super) at: Text,
    pub(super) address: Text,
    pub(super) clusters: Text,
    pub(super) cause: Text,
}

/// One page of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    pub(super) rows: Vec<EventRow>,
    /// `before` of the next page.
    pub(super) older: Option<u64>,
}

impl Filter {
    /// The events that match, of all that are kept, oldest first.
    pub(super) fn timeline(&self, events: &[Arc<Event>]) -> Timeline {
        let name = self.name.trim().to_ascii_lowercase();
        let matching = events.iter().rev().filter(|event| self.matches(event, &name));
        let mut rows: Vec<EventRow> = matching.take(PAGE + 1).map(|event| row(event)).collect();
        let more = rows.len() > PAGE;
        rows.truncate(PAGE);
        Timeline { older: rows.last().filter(|_| more).map(|row| row.seq), rows }
    }

    fn matches(&self, event: &Event, name: &str) -> bool {
        let what = &event.what;
        let named = || {
            let has = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(name));
            has(&what.name) || has(&what.zone) || what.address.as_deref() == Some(name)
        };
        self.before.is_none_or(|before| event.seq < before)
            && (self.kind.is_empty() || what.kind.as_str() == self.kind)
            && (self.cluster.is_empty() || what.clusters.contains(&self.cluster))
            && (name.is_empty() || named())
    }
}

fn row(event: &Event) -> EventRow {
    let what = &event.what;
    let text = |text: &Option<String>| text.as_ref().map(Text::of).unwrap_or_default();
    let mut cause = what.cause.clone();
    if let Some(evidence) = &what.evidence {
        cause.push_str(&format!(", {evidence}"));
    }
    if let Some(answer) = &what.answer {
        cause.push_str(&format!("; {answer}"));
    }
    let level = match what.kind {
        Kind::SelfCheckFailed | Kind::ZoneFault | Kind::Lost => Level::Problem,
        Kind::Out | Kind::Refused | Kind::Held => Level::Warning,
        Kind::In | Kind::Released | Kind::SelfCheckPassed | Kind::ZoneMended => Level::Good,
        Kind::Started | Kind::Override | Kind::OverrideOver | Kind::Cluster => Level::Note,
    };
    EventRow {
        level,
        seq: event.seq,
        time: Text::of(&event.time),
        kind: what.kind,
        at: if what.name.is_some() { text(&what.name) } else { text(&what.zone) },
        address: text(&what.address),
        clusters: Text::of(what.clusters.join(", ")),
        cause: Text::of(cause),
    }
}
