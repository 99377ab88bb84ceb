//! The objects of one member, with a version that every change raises, and the changes since.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::objects::Kind;

/// So many changes are remembered; a watch from before them is told to list again.
const REMEMBERED: usize = 256;

/// Namespace (empty where there is none) and name.
type Key = (Kind, String, String);

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Added,
    Modified,
    Deleted,
}

impl Verb {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change: what happened, and the object after it (before it, where it was deleted).
pub(super) type Change = (Verb, Arc<Value>);

#[derive(Debug)]
struct Past {
    version: u64,
    kind: Kind,
    verb: Verb,
    object: Arc<Value>,
}

/// A version from before what is remembered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone {
    /// The oldest version from which a watch can start.
    pub(super) oldest: u64,
}

/// Everything of one member.
#[derive(Debug)]
pub(super) struct Store {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    past: VecDeque<Past>,
    oldest: u64,
}

impl Default for Store {
    fn default() -> Self {
        // A version of 0 means "any" to clients.
        Self { version: 1, objects: BTreeMap::new(), past: VecDeque::new(), oldest: 1 }
    }
}

impl Store {
    /// The version of the last change.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// All objects of a kind.
    pub(super) fn list(&self, kind: Kind) -> impl Iterator<Item = &Arc<Value>> {
        self.objects.iter().filter(move |(key, _)| key.0 == kind).map(|(_, object)| object)
    }

    /// Changes after a version.
    pub(super) fn since(&self, kind: Kind, version: u64) -> Result<Vec<Change>, Gone> {
        if version < self.oldest {
            return Err(Gone { oldest: self.oldest });
        }
        let later = self.past.iter().filter(|past| past.kind == kind && past.version > version);
        Ok(later.map(|past| (past.verb, Arc::clone(&past.object))).collect())
    }

    /// Creates or replaces an object.
    pub(super) fn put(&mut self, kind: Kind, object: Value) {
        let key = key(kind, &object);
        let verb = if self.objects.contains_key(&key) { Verb::Modified } else { Verb::Added };
        let object = self.remember(kind, verb, object);
        self.objects.insert(key, object);
    }

    /// Replaces the status of an object; `false` when there is no such object.
    pub(super) fn patch_status(&mut self, kind: Kind, namespace: &str, name: &str, status: Value) -> bool {
        let key = (kind, namespace.to_owned(), name.to_owned());
        let Some(mut object) = self.objects.get(&key).map(|object| Value::clone(object)) else {
            return false;
        };
        if let Some(fields) = object.as_object_mut() {
            fields.insert("status".to_owned(), status);
        }
        self.put(kind, object);
        true
    }

    /// Removes an object; `false` when there is no such object.
    pub(super) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> bool {
        let Some(object) = self.objects.remove(&(kind, namespace.to_owned(), name.to_owned())) else {
            return false;
        };
        self.remember(kind, Verb::Deleted, Value::clone(&object));
        true
    }

    fn remember(&mut self, kind: Kind, verb: Verb, mut object: Value) -> Arc<Value> {
        self.version += 1;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), json!(self.version.to_string()));
        }
        let object = Arc::new(object);
        self.past.push_back(Past { version: self.version, kind, verb, object: Arc::clone(&object) });
        while self.past.len() > REMEMBERED {
            if let Some(forgotten) = self.past.pop_front() {
                self.oldest = forgotten.version;
            }
        }
        object
    }
}

fn key(kind: Kind, object: &Value) -> Key {
    let field = |name| object.pointer(&format!("/metadata/{name}")).and_then(Value::as_str);
    (kind, field("namespace").unwrap_or_default().to_owned(), field("name").unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::objects;
    use super::*;

    fn verbs(store: &Store, kind: Kind, since: u64) -> Vec<Verb> {
        store.since(kind, since).unwrap().into_iter().map(|(verb, _)| verb).collect()
    }

    #[test]
    fn every_change_raises_the_version_and_is_remembered_under_its_kind() {
        let mut store = Store::default();
        let start = store.version();
        store.put(Kind::Node, objects::node("n", "r", "z"));
        store.put(Kind::Service, objects::service("default", "a", 80));
        let created = store.version();
        assert!(store.patch_status(Kind::Service, "default", "a", objects::status([127, 0, 0, 1].into())));
        assert!(store.delete(Kind::Service, "default", "a"));
        assert_eq!(store.version(), start + 4);
        assert_eq!(verbs(&store, Kind::Service, start), [Verb::Added, Verb::Modified, Verb::Deleted]);
        assert_eq!(verbs(&store, Kind::Service, created), [Verb::Modified, Verb::Deleted]);
        assert_eq!(verbs(&store, Kind::Node, start), [Verb::Added]);
        assert_eq!((store.list(Kind::Service).count(), store.list(Kind::Node).count()), (0, 1));
        assert!(!store.delete(Kind::Service, "default", "a"));
        assert!(!store.patch_status(Kind::Service, "default", "a", Value::Null));
    }

    #[test]
    fn a_version_from_before_what_is_remembered_is_gone() {
        let mut store = Store::default();
        let start = store.version();
        for _ in 0..REMEMBERED {
            store.put(Kind::Service, objects::service("default", "a", 80));
        }
        assert_eq!(verbs(&store, Kind::Service, start).len(), REMEMBERED);
        store.put(Kind::Service, objects::service("default", "a", 80));
        assert_eq!(store.since(Kind::Service, start), Err(Gone { oldest: start + 1 }));
        assert_eq!(verbs(&store, Kind::Service, start + 1).len(), REMEMBERED);
    }
}
