//! What is offered under a name: tools, resources, prompts. It may change while the server serves.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use crate::nearest::nearest;
use crate::protocol::encoding::Encoding;

/// What a catalog holds, worked out once, when it is offered.
pub trait Offered: Send + Sync + 'static {
    /// What it is found by: a name, a URI, a template of URIs.
    fn key(&self) -> &str;

    /// What clients are shown of it, as JSON.
    fn json(&self) -> &Bytes;

    /// The same for clients of the older era.
    fn legacy_json(&self) -> &Bytes {
        self.json()
    }
}

/// Where some of it comes from. A source that reads a database keeps its own picture of it: finding must not wait.
pub trait Source<T>: Send + Sync + 'static {
    /// What has this key.
    fn find(&self, key: &str) -> Option<Arc<T>>;

    /// All of it, in an order that does not change by itself.
    fn list(&self) -> Vec<Arc<T>>;
}

/// All that is offered of one kind: what was given one by one, in that order, and behind it what sources have. Where two have the
/// same key, the first is right.
pub struct Catalog<T> {
    own: RwLock<Own<T>>,
    sources: Vec<Arc<dyn Source<T>>>,
}

struct Own<T> {
    order: Vec<Arc<T>>,
    by_key: BTreeMap<String, Arc<T>>,
}

impl<T> Default for Catalog<T> {
    fn default() -> Self {
        Self { own: RwLock::new(Own { order: Vec::new(), by_key: BTreeMap::new() }), sources: Vec::new() }
    }
}

impl<T: Offered> Catalog<T> {
    pub(crate) fn with_sources(sources: Vec<Arc<dyn Source<T>>>) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Offers one more.
    ///
    /// # Errors
    /// It is given back where something else has its key.
    pub(crate) fn add(&self, offered: T) -> Result<(), T> {
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        if own.by_key.contains_key(offered.key()) {
            return Err(offered);
        }
        let offered = Arc::new(offered);
        own.by_key.insert(offered.key().to_owned(), offered.clone());
        own.order.push(offered);
        Ok(())
    }

    fn own(&self) -> RwLockReadGuard<'_, Own<T>> {
        self.own.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has this key.
    pub fn find(&self, key: &str) -> Option<Arc<T>> {
        let found = self.own().by_key.get(key).cloned();
        found.or_else(|| self.sources.iter().find_map(|source| source.find(key)))
    }

    /// All of it.
    pub fn list(&self) -> Vec<Arc<T>> {
        let own = self.own();
        let mut all = own.order.clone();
        for (n, source) in self.sources.iter().enumerate() {
            let is_taken = |key: &str| {
                own.by_key.contains_key(key) || self.sources[..n].iter().any(|before| before.find(key).is_some())
            };
            all.extend(source.list().into_iter().filter(|offered| !is_taken(offered.key())));
        }
        all
    }

    /// Whether nothing is offered, and nothing can be.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.own().order.is_empty()
    }

    /// At most `limit`, beginning behind the one with the key `after`; and whether more follow. `None` where `after` is no key.
    pub fn page(&self, after: Option<&str>, limit: usize) -> Option<(Vec<Arc<T>>, bool)> {
        let all = self.list();
        let start = match after {
            None => 0,
            Some(key) => all.iter().position(|offered| offered.key() == key)? + 1,
        };
        let more = all.len() - start > limit;
        Some((all.into_iter().skip(start).take(limit).collect(), more))
    }

    /// The key that `key` may have been meant for.
    pub fn nearest(&self, key: &str) -> Option<String> {
        let all = self.list();
        nearest(key, all.iter().map(|offered| offered.key())).map(str::to_owned)
    }
}

/// What a client of an era is shown of it.
pub(crate) fn shown<T: Offered>(offered: &T, encoding: Encoding) -> &Bytes {
    match encoding {
        Encoding::Modern => offered.json(),
        Encoding::Legacy => offered.legacy_json(),
    }
}
