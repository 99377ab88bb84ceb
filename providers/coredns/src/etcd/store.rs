//! Small texts in etcd that several replicas share, each replaced only if it still is as it was read.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnResponse};
use fleetdns_core::keys::{KeyFault, Keys};

use super::client::Link;
use super::error::Fault;
use super::kv;
use crate::settings;

const READ: &str = "read what the replicas share";
const WRITE: &str = "write what the replicas share";

/// The texts below one prefix.
#[derive(Debug)]
pub struct Store {
    link: Link,
    prefix: String,
}

impl Store {
    /// From the keys of a zone that say how etcd is reached, and `etcd-prefix`. Makes no connection yet.
    ///
    /// # Errors
    /// All keys that are wrong or missing, each with what would be right.
    pub fn new(usual_prefix: &str, keys: &Keys) -> Result<Self, Vec<KeyFault>> {
        let settings = settings::read_store(usual_prefix, keys)?;
        let prefix = settings.path.clone();
        Ok(Self { link: Link::new(settings, prefix.clone()), prefix })
    }

    /// Where its texts are.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// A text with its version; `None` when there is none.
    ///
    /// # Errors
    /// Why it cannot be read, and what to do, in words.
    pub async fn read(&self, name: &str) -> Result<Option<(String, Arc<str>)>, String> {
        let key = self.key(name);
        let call = |client| {
            let (mut kv, key) = (kv(&client), key.clone());
            async move { kv.get(key, None).await }
        };
        let found = self.link.call(call).await.map_err(|fault| words(fault, READ))?;
        let Some(pair) = found.kvs().first() else { return Ok(None) };
        let text = String::from_utf8_lossy(pair.value()).into_owned();
        Ok(Some((text, pair.mod_revision().to_string().into())))
    }

    /// Writes a text over a version, or where there is none; `None`: it is another one by now.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn write(
        &self,
        name: &str,
        text: &str,
        over: Option<&str>,
    ) -> Result<Option<Arc<str>>, String> {
        let key = self.key(name);
        let revision: i64 =
            over.map_or(Ok(0), str::parse).map_err(|_| format!("{key} has no such revision"))?;
        let same = Compare::mod_revision(key.as_str(), CompareOp::Equal, revision);
        let done = self.put_if(same, &key, text).await?;
        let revision = done.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok(done.succeeded().then(|| revision.to_string().into()))
    }

    /// Asks for a write on a condition that is never true: etcd looks at the right first.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn may_write(&self, name: &str) -> Result<(), String> {
        let key = self.key(name);
        let never = Compare::create_revision(key.as_str(), CompareOp::Less, 0);
        self.put_if(never, &key, "").await.map(drop)
    }

    async fn put_if(&self, condition: Compare, key: &str, text: &str) -> Result<TxnResponse, String> {
        let transaction = Txn::new().when([condition]).and_then([TxnOp::put(key, text, None)]);
        let call = |client| {
            let (mut kv, transaction) = (kv(&client), transaction.clone());
            async move { kv.txn(transaction).await }
        };
        self.link.call(call).await.map_err(|fault| words(fault, WRITE))
    }
}

/// An error and its cause.
fn words(fault: Fault, action: &'static str) -> String {
    let reason = fault.reason.to_string();
    let error = fault.into_error(action).to_string();
    if error.contains(&reason) { error } else { format!("{error}: {reason}") }
}
