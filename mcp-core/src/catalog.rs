//! What is offered under a name: tools, resources, prompts. It may change while the server serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::caller::Caller;
use crate::changes::{Change, Changes};
use crate::nearest::nearest;
use crate::policy::{InsufficientScope, Requirement, Rules, Standing};
use crate::protocol::encoding::Encoding;

/// What a catalog holds, worked out once, when it is offered.
pub trait Offered: Send + Sync + 'static {
    /// What it is found by: a name, a URI, a template of URIs.
    fn key(&self) -> &str;

    /// What it takes to use it.
    fn requirement(&self) -> &Requirement;

    /// What clients are shown of it, as JSON.
    fn json(&self) -> &Bytes;

    /// The same for clients of the older era.
    fn legacy_json(&self) -> &Bytes {
        self.json()
    }
}

/// Says what a name must be that is none of so many characters at the most.
pub(crate) fn check_name(name: &str, most: usize) -> Result<(), String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > most || !name.bytes().all(sound) {
        return Err(format!("a name has 1 to {most} characters of A-Z, a-z, 0-9, _, - and ."));
    }
    Ok(())
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
///
/// What is added and removed here is so in this process; what is switched off ([`Server::switch_tool`]) is so on every replica.
/// Clients that listen are told of both.
///
/// [`Server::switch_tool`]: crate::Server::switch_tool
pub struct Catalog<T> {
    own: RwLock<Own<T>>,
    sources: Vec<Arc<dyn Source<T>>>,
    rules: Rules,
    changes: Changes,
    change: Change,
    /// What each of it is called.
    noun: &'static str,
}

/// What a caller sees of a catalog, and finds in it: what they may not know of is not there.
#[derive(Clone, Copy)]
pub struct Seen<'c, T> {
    catalog: &'c Catalog<T>,
    caller: &'c Caller,
}

struct Own<T> {
    order: Vec<Arc<T>>,
    by_key: BTreeMap<String, Arc<T>>,
    /// The keys, also of sources, that are not offered for now.
    off: BTreeSet<String>,
}

impl<T: Offered> Catalog<T> {
    /// An empty one, whose changes are told as `change`; each of it is called `noun`.
    pub(crate) fn new(
        noun: &'static str,
        sources: Vec<Arc<dyn Source<T>>>,
        rules: Rules,
        changes: Changes,
        change: Change,
    ) -> Self {
        let own = Own { order: Vec::new(), by_key: BTreeMap::new(), off: BTreeSet::new() };
        Self { own: RwLock::new(own), sources, rules, changes, change, noun }
    }

    /// What this caller sees of it.
    pub fn seen_by<'c>(&'c self, caller: &'c Caller) -> Seen<'c, T> {
        Seen { catalog: self, caller }
    }

    /// Offers one more, before anybody looks.
    ///
    /// # Errors
    /// It is given back where something else has its key.
    pub(crate) fn insert(&self, offered: T) -> Result<(), T> {
        let mut own = self.own_mut();
        if own.by_key.contains_key(offered.key()) {
            return Err(offered);
        }
        let offered = Arc::new(offered);
        own.by_key.insert(offered.key().to_owned(), offered.clone());
        own.order.push(offered);
        Ok(())
    }

    /// Offers one more from now on, in this process, and tells the clients of every replica that the list has changed.
    ///
    /// Cancel safe: it is offered at the first poll; a dropped future may not have told anybody.
    ///
    /// # Errors
    /// It is given back where something else has its key; remove that first.
    pub async fn add(&self, offered: T) -> Result<(), T> {
        self.insert(offered)?;
        self.tell().await;
        Ok(())
    }

    /// Offers what has this key no more, in this process, and tells the clients of every replica; calls that have begun go on.
    /// What a source has stays. `None` where nothing of this key was given by itself.
    ///
    /// Cancel safe, as [`Catalog::add`].
    pub async fn remove(&self, key: &str) -> Option<Arc<T>> {
        let removed = {
            let mut own = self.own_mut();
            let removed = own.by_key.remove(key)?;
            own.order.retain(|offered| offered.key() != key);
            removed
        };
        self.tell().await;
        Some(removed)
    }

    /// Offers all but what has one of these keys.
    pub(crate) async fn switch_off(&self, off: BTreeSet<String>) {
        let is_news = {
            let mut own = self.own_mut();
            let is_news = own.off != off;
            own.off = off;
            is_news
        };
        if is_news {
            self.tell().await;
        }
    }

    async fn tell(&self) {
        if let Err(error) = self.changes.tell(None, &self.change).await {
            tracing::warn!(%error, "clients are not told that a list has changed");
        }
    }

    fn own(&self) -> RwLockReadGuard<'_, Own<T>> {
        self.own.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn own_mut(&self) -> RwLockWriteGuard<'_, Own<T>> {
        self.own.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has this key, whoever may use it.
    pub fn find(&self, key: &str) -> Option<Arc<T>> {
        let found = {
            let own = self.own();
            if own.off.contains(key) {
                return None;
            }
            own.by_key.get(key).cloned()
        };
        // Sources are asked once nothing is held here: they may look into this catalog.
        found.or_else(|| Self::find_in(&self.sources, key))
    }

    fn find_in(sources: &[Arc<dyn Source<T>>], key: &str) -> Option<Arc<T>> {
        sources.iter().find_map(|source| source.find(key))
    }

    /// All of it, whoever may use it.
    pub fn list(&self) -> Vec<Arc<T>> {
        let own = self.own();
        let mut all = self.with_what_is_off(&own);
        if !own.off.is_empty() {
            all.retain(|offered| !own.off.contains(offered.key()));
        }
        all
    }

    /// What would be offered, and is switched off.
    pub fn list_off(&self) -> Vec<Arc<T>> {
        let own = self.own();
        let mut all = self.with_what_is_off(&own);
        all.retain(|offered| own.off.contains(offered.key()));
        all
    }

    fn with_what_is_off(&self, own: &Own<T>) -> Vec<Arc<T>> {
        let mut all = own.order.clone();
        for (n, source) in self.sources.iter().enumerate() {
            let is_taken = |key: &str| own.by_key.contains_key(key) || Self::find_in(&self.sources[..n], key).is_some();
            all.extend(source.list().into_iter().filter(|offered| !is_taken(offered.key())));
        }
        all
    }

    /// The keys of all of it, on offer or switched off.
    pub(crate) fn keys(&self) -> Vec<String> {
        let own = self.own();
        self.with_what_is_off(&own).iter().map(|offered| offered.key().to_owned()).collect()
    }

    /// The patterns of rules that fit nothing of what there is, on offer or switched off.
    pub(crate) fn rules_without_use(&self) -> Vec<String> {
        let own = self.own();
        let all = self.with_what_is_off(&own);
        self.rules.without_use(all.iter().map(|offered| offered.key())).collect()
    }

    /// Whether something is offered, or switched off.
    pub(crate) fn has_any(&self) -> bool {
        !self.own().order.is_empty() || self.sources.iter().any(|source| !source.list().is_empty())
    }

    /// All scopes that the use of something takes.
    pub(crate) fn scopes_of(&self, offered: &T) -> Vec<Arc<str>> {
        self.rules.scopes(offered.key(), offered.requirement())
    }

    /// Whether nothing is offered, and nothing can be.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.own().order.is_empty()
    }
}

impl<T: Offered> Seen<'_, T> {
    /// What has this key, also where the caller lacks scopes for it.
    pub fn see(&self, key: &str) -> Option<Arc<T>> {
        self.catalog.find(key).filter(|found| self.standing(found) != Standing::Hidden)
    }

    /// What has this key, and the caller may use.
    ///
    /// # Errors
    /// [`Unseen`]: there is no such thing, as far as this caller may know; or they lack scopes for it.
    pub fn find(&self, key: &str) -> Result<Arc<T>, Unseen> {
        let found = self.catalog.find(key).ok_or(Unseen::Unknown)?;
        self.check(&found)?;
        Ok(found)
    }

    /// Whether the caller may use it.
    pub(crate) fn check(&self, offered: &T) -> Result<(), Unseen> {
        match self.standing(offered) {
            Standing::Met => Ok(()),
            Standing::Hidden => Err(Unseen::Unknown),
            Standing::LacksScopes => {
                let scopes = self.catalog.scopes_of(offered);
                Err(Unseen::Lacking(InsufficientScope {
                    what: format!("the {} {:?}", self.catalog.noun, offered.key()),
                    scopes,
                }))
            }
        }
    }

    fn standing(&self, offered: &T) -> Standing {
        self.catalog.rules.standing(offered.key(), offered.requirement(), self.caller)
    }

    /// All that the caller is shown.
    pub fn list(&self) -> Vec<Arc<T>> {
        self.shown(self.catalog.list())
    }

    /// What the caller would be shown, and is switched off.
    pub fn list_off(&self) -> Vec<Arc<T>> {
        self.shown(self.catalog.list_off())
    }

    fn shown(&self, mut all: Vec<Arc<T>>) -> Vec<Arc<T>> {
        all.retain(|offered| self.standing(offered) != Standing::Hidden);
        all
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

/// Why a caller does not find something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// There is no such thing, as far as they may know.
    #[error("there is no such thing")]
    Unknown,
    /// They see it, and lack scopes to use it.
    #[error(transparent)]
    Lacking(#[from] InsufficientScope),
}

/// What a client of an era is shown of it.
pub(crate) fn shown<T: Offered>(offered: &T, encoding: Encoding) -> &Bytes {
    match encoding {
        Encoding::Modern => offered.json(),
        Encoding::Legacy => offered.legacy_json(),
    }
}
