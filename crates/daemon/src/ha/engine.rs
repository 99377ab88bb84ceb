//! Where the replicas keep what they share: two small documents that are replaced whole, if they still are as they were
//! read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_election::Found;
use futures::future::BoxFuture;
use tokio::time::timeout;

/// What is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Document {
    /// Who leads: a [`Record`](fleetdns_election::Record) as JSON.
    Lease,
    /// What is drained and forced: the text of `overrides.json`.
    Overrides,
}

/// A document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its text.
    pub text: String,
    /// Changes with every write.
    pub version: Arc<str>,
}

impl TryFrom<Stored> for Found {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let record = serde_json::from_str(&stored.text).map_err(|error| {
            format!("the lease is not one of ours: {error}; delete it if it is not in use")
        })?;
        Ok(Self { record, version: stored.version })
    }
}

/// Bytes of a document: with what an API server adds, less than is read of one of its answers.
const LARGEST: usize = 200_000;
/// A request that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(3);

type Read = dyn Fn(Document) -> BoxFuture<'static, Result<Option<Stored>, String>> + Send + Sync;
type Write = dyn Fn(Document, String, Option<Arc<str>>) -> BoxFuture<'static, Result<Option<Arc<str>>, String>>
    + Send
    + Sync;

/// The two documents in one of the engines.
#[derive(Clone)]
pub struct Engine {
    name: Arc<str>,
    read: Arc<Read>,
    write: Arc<Write>,
}

impl Engine {
    /// Of a function that reads, and one that writes a text over a version, or where there is nothing yet: it returns the
    /// new version, or `None` when the document is another one by now. Both say in words why they fail.
    pub fn new(
        name: &str,
        read: impl Fn(Document) -> BoxFuture<'static, Result<Option<Stored>, String>> + Send + Sync + 'static,
        write: impl Fn(Document, String, Option<Arc<str>>) -> BoxFuture<'static, Result<Option<Arc<str>>, String>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { name: name.into(), read: Arc::new(read), write: Arc::new(write) }
    }

    /// What it is, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A document; `None` when there is none.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub async fn read(&self, document: Document) -> Result<Option<Stored>, String> {
        timeout(DEADLINE, (self.read)(document)).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// Replaces a document of that version, or makes it where there is none; `None`: it is another one by now.
    ///
    /// # Errors
    /// Why it cannot be written, in words; it may have been written all the same.
    pub async fn write(
        &self,
        document: Document,
        text: String,
        over: Option<Arc<str>>,
    ) -> Result<Option<Arc<str>>, String> {
        if text.len() > LARGEST {
            return Err(format!("{} bytes are more than the {LARGEST} that are possible", text.len()));
        }
        timeout(DEADLINE, (self.write)(document, text, over)).await.unwrap_or_else(|_| Err(self.silent()))
    }

    fn silent(&self) -> String {
        format!("{} does not answer within {} s", self.name, DEADLINE.as_secs())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engine").field(&self.name).finish()
    }
}
