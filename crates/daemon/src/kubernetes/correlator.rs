//! Which Events are made, which are counted again, and which are left out: as client-go's correlator has it.
//!
//! - The same Event again is counted, and not made again.
//! - Ten different ones of one reason within ten minutes are one from then on, which is counted.
//! - Each Service has 25 of them at once, and one in five minutes after that.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use fleetdns_core::ServiceKey;
use fleetdns_watch::Note;

/// Different messages of one reason that are made by themselves, less one.
const SIMILAR: usize = 10;
/// After so long without one they are counted from the start.
const WINDOW: Duration = Duration::from_secs(600);
/// Events of one Service at once.
const BURST: u32 = 25;
/// From one to the next after that.
const REFILL: Duration = Duration::from_secs(300);
/// Services that are remembered.
const MOST: usize = 4096;

/// What becomes of an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It is made.
    Create(Note),
    /// One that was made is counted again.
    Repeat {
        /// Its name.
        name: String,
        /// As it is now.
        note: Note,
        /// How often it happened.
        count: u64,
    },
    /// It is left out.
    Nothing,
}

/// What is remembered of a Service.
#[derive(Debug, Default)]
struct Source {
    /// When all of its burst is there again; before, a part is missing.
    full_at: Duration,
    similar: HashMap<&'static str, Similar>,
    made: HashMap<(&'static str, String), Made>,
}

#[derive(Debug, Default)]
struct Similar {
    messages: BTreeSet<String>,
    last: Duration,
}

#[derive(Debug)]
struct Made {
    name: Option<String>,
    count: u64,
    last: Duration,
}

/// Remembers the Events of one cluster. Times count from any moment that stays the same.
#[derive(Debug, Default)]
pub(super) struct Correlator(HashMap<ServiceKey, Source>);

impl Correlator {
    pub(super) fn take(&mut self, service: &ServiceKey, note: Note, now: Duration) -> Said {
        if !self.0.contains_key(service) && self.0.len() >= MOST {
            self.make_room();
        }
        self.0.entry(service.clone()).or_default().take(note, now)
    }

    /// An Event was made, under a name.
    pub(super) fn created(&mut self, service: &ServiceKey, note: &Note, name: String) {
        self.set_name(service, note, Some(name));
    }

    /// An Event that is to be counted again is no longer there.
    pub(super) fn gone(&mut self, service: &ServiceKey, note: &Note) {
        self.set_name(service, note, None);
    }

    fn set_name(&mut self, service: &ServiceKey, note: &Note, name: Option<String>) {
        let made = self.0.get_mut(service).and_then(|source| source.made.get_mut(&key_of(note)));
        if let Some(made) = made {
            made.name = name;
        }
    }

    /// Forgets the quarter that had nothing to say for the longest time.
    fn make_room(&mut self) {
        let mut times: Vec<Duration> = self.0.values().map(|source| source.full_at).collect();
        times.sort_unstable();
        let oldest = times.get(MOST / 4).copied().unwrap_or_default();
        self.0.retain(|_, source| source.full_at > oldest);
    }
}

impl Source {
    fn take(&mut self, note: Note, now: Duration) -> Said {
        let note = self.aggregate(note, now);
        self.made.retain(|_, made| now.saturating_sub(made.last) <= WINDOW);
        let made = self.made.entry(key_of(&note)).or_insert(Made { name: None, count: 0, last: now });
        (made.count, made.last) = (made.count + 1, now);
        let (name, count) = (made.name.clone(), made.count);
        if !self.spend(now) {
            return Said::Nothing;
        }
        match name {
            Some(name) => Said::Repeat { name, note, count },
            None => Said::Create(note),
        }
    }

    /// Too many different ones of one reason become one.
    fn aggregate(&mut self, note: Note, now: Duration) -> Note {
        let similar = self.similar.entry(note.reason).or_default();
        if now.saturating_sub(similar.last) > WINDOW {
            similar.messages.clear();
        }
        similar.last = now;
        similar.messages.insert(note.message.clone());
        if similar.messages.len() < SIMILAR {
            return note;
        }
        // So that it does not grow.
        similar.messages.pop_first();
        Note { message: format!("{COMBINED}{}", note.message), ..note }
    }

    fn spend(&mut self, now: Duration) -> bool {
        let next = self.full_at.max(now) + REFILL;
        let allowed = next <= now + REFILL * BURST;
        if allowed {
            self.full_at = next;
        }
        allowed
    }
}

const COMBINED: &str = "(combined from similar events): ";

/// What makes two Events one: those that are combined differ in their messages.
fn key_of(note: &Note) -> (&'static str, String) {
    let combined = note.message.starts_with(COMBINED);
    (note.reason, if combined { COMBINED.to_owned() } else { note.message.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> ServiceKey {
        ServiceKey::new("default", name).unwrap()
    }

    fn note(message: &str) -> Note {
        Note { warning: false, reason: "Published", message: message.to_owned() }
    }

    /// Takes one, and makes it where it has to be made.
    fn said(all: &mut Correlator, service: &str, message: &str, now: Duration) -> String {
        match all.take(&key(service), note(message), now) {
            Said::Create(note) => {
                all.created(&key(service), &note, format!("name-of-{message}"));
                note.message
            }
            Said::Repeat { name, count, .. } => format!("{name} x{count}"),
            Said::Nothing => "-".to_owned(),
        }
    }

    #[test]
    fn the_same_event_is_counted_and_not_made_again() {
        let mut all = Correlator::default();
        assert_eq!(said(&mut all, "web", "a", SECOND), "a");
        assert_eq!(said(&mut all, "web", "a", SECOND * 2), "name-of-a x2");
        assert_eq!(said(&mut all, "web", "b", SECOND * 2), "b");
        assert_eq!(said(&mut all, "web", "a", SECOND * 3), "name-of-a x3");
        // One that was deleted is made again.
        all.gone(&key("web"), &note("a"));
        assert_eq!(said(&mut all, "web", "a", SECOND * 4), "a");
        assert_eq!(
            said(&mut all, "web", "a", SECOND * 5 + WINDOW),
            "a",
            "a long time after, it is a new one"
        );
    }

    #[test]
    fn ten_that_are_alike_become_one() {
        let mut all = Correlator::default();
        for number in 0..9 {
            assert_eq!(said(&mut all, "web", &number.to_string(), SECOND), number.to_string());
        }
        assert_eq!(said(&mut all, "web", "9", SECOND), "(combined from similar events): 9");
        assert_eq!(said(&mut all, "web", "10", SECOND), "name-of-9 x2");
        // Long after they stand for themselves again.
        assert_eq!(said(&mut all, "web", "11", SECOND * 2 + WINDOW), "11");
    }

    #[test]
    fn a_service_that_says_too_much_is_left_out_and_no_other() {
        let mut all = Correlator::default();
        let mut count = |service: &str, from: Duration, times: u32| {
            let each = (0..times).map(|number| said(&mut all, service, "a", from + SECOND * number / 1000));
            each.filter(|said| said != "-").count()
        };
        assert_eq!(count("web", SECOND, 100), 25);
        assert_eq!(count("shop", SECOND, 10), 10);
        assert_eq!(count("web", SECOND + REFILL * 2, 100), 2);
        assert_eq!(count("web", SECOND + REFILL * 100, 100), 25);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut all = Correlator::default();
        for number in 0..10_000_u32 {
            said(&mut all, &format!("web-{number}"), "a", SECOND * number);
        }
        assert!(all.0.len() <= MOST, "{}", all.0.len());
        assert_eq!(said(&mut all, "web-9999", "a", SECOND * 10_000), "name-of-a x2");
    }
}
