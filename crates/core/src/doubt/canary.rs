//! Canaries: what should be heard as long as we can hear anything.

use super::key::{KeyId, Sound};

/// One canary, by the probe keys of its addresses.
#[derive(Debug, Default)]
pub(super) struct Canary {
    keys: Vec<KeyId>,
    /// It is a host name that does not resolve.
    unresolved: bool,
}

impl Canary {
    /// Gives whether that is news.
    pub(super) fn set(&mut self, key: KeyId, is: bool) -> bool {
        let was = self.keys.contains(&key);
        self.keys.retain(|known| *known != key);
        if is {
            self.keys.push(key);
            self.unresolved = false;
        }
        was != is
    }

    pub(super) const fn set_unresolved(&mut self, is: bool) {
        self.unresolved = is;
    }

    /// Whether it was asked and not heard, at any of its addresses.
    pub(super) fn is_silent(&self, sound: impl Fn(KeyId) -> Option<Sound>) -> bool {
        let mut asked = self.keys.is_empty() && self.unresolved;
        for key in &self.keys {
            match sound(*key) {
                Some(Sound::Heard) => return false,
                Some(Sound::Silent | Sound::Unclear) => asked = true,
                None => {}
            }
        }
        asked
    }
}
