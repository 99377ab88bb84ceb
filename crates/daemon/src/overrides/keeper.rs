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
pub enum Keeper {
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
}

impl Keeper {
    /// In an engine.
    pub const fn shared(engine: Engine) -> Self {
        Self::Shared(Shared { engine, version: None })
    }

    /// Changes what is kept; returns it with what the change says of itself. `known`: what counts where nothing is kept.
    ///
    /// # Errors
    /// When it cannot be kept: nothing has changed then.
    pub(super) async fn change<T>(
        &mut self,
        known: &Overrides,
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
            Self::Shared(shared) => {
                let changed = shared.change(known, change).await;
                if changed.is_err() {
                    // What was read on the way is not in force yet: it is news at the next look.
                    shared.version = None;
                }
                changed
            }
        }
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
        let same = self.version == before && before.is_some() && kept.damage.is_none();
        Ok((!same).then_some(kept))
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
        change: impl Fn(&Overrides) -> (Overrides, T),
    ) -> Result<(Overrides, T), StoreError> {
        for _ in 0..TRIES {
            let kept = self.read().await?;
            if let Some(damage) = kept.damage {
                return Err(damage);
            }
            let changed = change(&kept.overrides.unwrap_or_else(|| known.clone()));
            let text = text(&changed.0).map_err(|error| self.fault(error.to_string()))?;
            match self.engine.write(Document::Overrides, text, self.version.clone()).await {
                Ok(Some(version)) => {
                    self.version = Some(version);
                    return Ok(changed);
                }
                Ok(None) => {}
                Err(problem) => {
                    // It may have been written, and only the answer lost.
                    let found = self.read().await.ok().and_then(|kept| kept.overrides);
                    return if found.as_ref() == Some(&changed.0) {
                        Ok(changed)
                    } else {
                        Err(self.fault(problem))
                    };
                }
            }
        }
        Err(self.fault(format!("other replicas changed it {TRIES} times meanwhile; try again")))
    }
}
