//! Where overrides are kept: nowhere but in the ownership records, in a file, or in a document that replicas share.
//!
//! Invariant: the shared document is replaced only if it still is as it was read, and never where it could not be read as
//! a whole.

use std::path::Path;
use std::sync::Arc;

use fleetdns_core::Overrides;

use super::store::{Kept, StateFile, StoreError, text};
use crate::ha::{Document, Engine};

/// How often a write is tried again because another replica was faster.
const TRIES: u32 = 5;

/// Where overrides are kept.
#[derive(Debug)]
pub enum Storage {
    /// The ownership records of the zones have to do.
    Marks,
    /// The file of the state directory.
    File(StateFile),
    /// A document that all replicas share.
    Shared(Shared),
}

/// The document as it was last read.
#[derive(Debug)]
pub struct Shared {
    engine: Engine,
    version: Option<Arc<str>>,
    /// How often an outage was confirmed.
    confirmed: Option<u64>,
    /// How often the document had been changed that is in force here.
    changes: u64,
    /// When that was last found to be what is shared, in seconds of Unix time.
    agreed: u64,
}

impl Storage {
    /// In an engine.
    pub const fn shared(engine: Engine) -> Self {
        Self::Shared(Shared { engine, version: None, confirmed: None, changes: 0, agreed: 0 })
    }

    /// Changes what is kept; returns it with what the change returned. `known`: what counts where nothing is kept.
    ///
    /// # Errors
    /// When it cannot be kept: nothing has changed then.
    pub(super) async fn change<T>(
        &mut self,
        known: &Overrides,
        now: u64,
        change: impl Fn(&Overrides) -> (Overrides, T),
    ) -> Result<(Overrides, T), StoreError> {
        match self {
            Self::Marks => Ok(change(known)),
            Self::File(file) => {
                let changed = change(known);
                let (file, next) = (file.clone(), changed.0.clone());
                let written = tokio::task::spawn_blocking(move || file.write(&next)).await;
                // The thread ends without an answer only when the runtime does.
                written.unwrap_or(Ok(())).map(|()| changed)
            }
            Self::Shared(shared) => shared.change(known, now, change, false).await,
        }
    }

    /// How often an outage was confirmed, as far as was read.
    pub(super) const fn confirmed(&self) -> Option<u64> {
        if let Self::Shared(shared) = self { shared.confirmed } else { None }
    }

    /// Tells other replicas that an outage is confirmed; returns how often that was done, where there are any.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(super) async fn confirm(&mut self, known: &Overrides, now: u64) -> Result<Option<u64>, StoreError> {
        let Self::Shared(shared) = self else { return Ok(None) };
        shared.change(known, now, |known| (known.clone(), ()), true).await?;
        Ok(shared.confirmed)
    }
}

impl Shared {
    fn fault(&self, problem: String) -> StoreError {
        StoreError::Engine { engine: self.engine.name().into(), problem }
    }

    /// What the document says, when it is another one than it was, is damaged or is not there.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub(super) async fn news(&mut self) -> Result<Option<Kept>, StoreError> {
        let before = self.version.clone();
        let kept = self.read().await?;
        // Versions come again when a backup was put back.
        let same = self.version == before && before.is_some() && kept.changes == self.changes;
        let same = same && kept.damage.is_none();
        Ok((!same).then_some(kept))
    }

    /// What a document says is what is shared, and in force here from now on.
    pub(super) fn agree(&mut self, changes: u64, now: u64) {
        (self.changes, self.agreed) = (changes, now);
    }

    /// How often the document had been changed that is in force here.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether a document follows on what is in force here. One that does not was put back from a backup.
    pub(super) fn follows(&self, kept: &Kept, known: &Overrides) -> bool {
        kept.changes > self.changes
            || (kept.changes == self.changes && kept.overrides.as_ref() == Some(known))
    }

    /// What a change starts from. A document that was put back is as old as its backup: what is in force here counts, and what
    /// another replica was told since.
    fn base(&self, kept: &Kept, known: &Overrides) -> Overrides {
        match &kept.overrides {
            None => known.clone(),
            Some(overrides) if self.follows(kept, known) => overrides.clone(),
            Some(overrides) => {
                let mut base = known.clone();
                for entry in overrides.iter().filter(|entry| entry.since >= self.agreed) {
                    base.set_newer(entry);
                }
                base
            }
        }
    }

    async fn read(&mut self) -> Result<Kept, StoreError> {
        let stored = self.engine.read(Document::Overrides).await.map_err(|problem| self.fault(problem))?;
        self.version = stored.as_ref().map(|stored| Arc::clone(&stored.version));
        let kept = stored.map(|stored| Kept::of(stored.text.as_bytes(), Path::new(self.engine.name())));
        Ok(kept.unwrap_or_default())
    }

    async fn change<T>(
        &mut self,
        known: &Overrides,
        now: u64,
        change: impl Fn(&Overrides) -> (Overrides, T),
        confirms: bool,
    ) -> Result<(Overrides, T), StoreError> {
        let changed = self.try_change(known, now, change, confirms).await;
        if changed.is_err() {
            // What was read on the way is not in force yet: the next look takes it in.
            self.version = None;
        }
        changed
    }

    async fn try_change<T>(
        &mut self,
        known: &Overrides,
        now: u64,
        change: impl Fn(&Overrides) -> (Overrides, T),
        confirms: bool,
    ) -> Result<(Overrides, T), StoreError> {
        for _ in 0..TRIES {
            let kept = self.read().await?;
            if let Some(damage) = kept.damage {
                return Err(damage);
            }
            let changed = change(&self.base(&kept, known));
            let changes = kept.changes.max(self.changes).saturating_add(1);
            let confirmed = kept.confirmed.max(self.confirmed);
            let confirmed = if confirms { Some(confirmed.unwrap_or(0).saturating_add(1)) } else { confirmed };
            let text =
                text(&changed.0, confirmed, Some(changes)).map_err(|error| self.fault(error.to_string()))?;
            match self.engine.write(Document::Overrides, text, self.version.clone()).await {
                Ok(Some(version)) => {
                    (self.version, self.confirmed) = (Some(version), confirmed);
                    self.agree(changes, now);
                    return Ok(changed);
                }
                Ok(None) => {}
                Err(problem) => {
                    // It may have been written, and only the answer lost.
                    return match self.read().await {
                        Ok(kept) if kept.overrides.as_ref() == Some(&changed.0) => {
                            self.agree(kept.changes, now);
                            Ok(changed)
                        }
                        _ => Err(self.fault(problem)),
                    };
                }
            }
        }
        Err(self.fault(format!("other replicas changed it {TRIES} times meanwhile; try again")))
    }
}
