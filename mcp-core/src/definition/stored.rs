//! Agents that are kept in the settings, and change while the server serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use serde::{Deserialize, Serialize};

use super::{AgentDefinition, Models};
use crate::agent::OfferedAgent;
use crate::catalog::Source;
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::events::Topic;
use crate::store::settings::{Key, Setting, Settings, written};

/// The stored agents that this process knows of.
pub(crate) struct StoredAgents {
    settings: Arc<dyn Settings>,
    pub(crate) models: Models,
    known: RwLock<BTreeMap<String, Known>>,
}

/// An agent, as it was when it was looked at last.
struct Known {
    /// The version of the setting that says which definition is in force.
    seen: u64,
    /// Nothing, where it is off, or cannot be built here.
    agent: Option<Arc<OfferedAgent>>,
}

/// Which definition of an agent is in force. What a later version of this format adds, this one would forget: it leaves alone what it
/// does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) version: u32,
    /// The greatest that there ever was.
    pub(super) latest: u32,
    pub(super) on: bool,
}

/// One definition of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) definition: AgentDefinition,
    /// When it was written.
    pub(super) at: Timestamp,
    /// By whom.
    pub(super) by: String,
}

/// How many agents are stored at the most.
pub(super) const MOST: usize = 1_000;

/// How many of an agent's definitions are kept: the last ones.
pub(super) const KEPT: u32 = 50;

/// How many rows are read at a time.
const PAGE: u16 = 200;

impl StoredAgents {
    pub(crate) fn new(settings: Arc<dyn Settings>, models: Models) -> Self {
        Self { settings, models, known: RwLock::default() }
    }

    /// By what others are told to look again.
    pub(crate) fn topic() -> Topic {
        Topic::of_the_house("agents")
    }

    fn head_key(name: &str) -> Key {
        Key::of_the_house(format!("agents/{name}"))
    }

    fn version_key(name: &str, version: u32) -> Key {
        Key::of_the_house(format!("agent-versions/{name}/{version:010}"))
    }

    /// Whether there is one of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.known().contains_key(name)
    }

    /// The names of all, also of those that are off.
    pub(super) fn names(&self) -> Vec<String> {
        self.known().keys().cloned().collect()
    }

    /// Which definition is in force, and the version of what says so.
    pub(super) async fn head(&self, name: &str) -> Result<Option<(Head, u64)>, StoreError> {
        let setting = self.settings.load(&Self::head_key(name)).await?;
        setting.map(|setting| Ok((setting.read()?, setting.version))).transpose()
    }

    /// Says which definition is in force, in the place of what was seen.
    pub(super) async fn store_head(&self, name: &str, head: Head, seen: Option<u64>) -> Result<(), StoreError> {
        self.settings.store(&Self::head_key(name), written(&head)?, seen).await.map(drop)
    }

    pub(super) async fn remove_head(&self, name: &str, seen: u64) -> Result<(), StoreError> {
        self.settings.remove(&Self::head_key(name), seen).await
    }

    /// One definition, if it is kept.
    pub(super) async fn version(&self, name: &str, version: u32) -> Result<Option<Version>, StoreError> {
        let setting = self.settings.load(&Self::version_key(name, version)).await?;
        setting.as_ref().map(Setting::read).transpose()
    }

    /// Keeps a definition that is not there yet.
    pub(super) async fn store_version(&self, name: &str, number: u32, version: &Version) -> Result<(), StoreError> {
        self.settings.store(&Self::version_key(name, number), written(version)?, None).await.map(drop)
    }

    pub(super) async fn remove_version(&self, name: &str, version: u32) -> Result<(), StoreError> {
        let key = Self::version_key(name, version);
        match self.settings.load(&key).await? {
            Some(setting) => self.settings.remove(&key, setting.version).await,
            None => Ok(()),
        }
    }

    /// All agents, by their names: which definition is in force, and the version of what says so.
    pub(super) async fn heads(&self) -> Result<BTreeMap<String, (Head, u64)>, StoreError> {
        const PREFIX: &str = "agents/";
        let (mut heads, mut after) = (BTreeMap::new(), None::<String>);
        loop {
            let page = self.settings.list(&Key::of_the_house(PREFIX), after.as_deref(), PAGE).await?;
            let is_last = page.len() < usize::from(PAGE);
            after = page.last().map(|(name, _)| name.clone());
            for (key, setting) in page {
                if let Some(name) = key.strip_prefix(PREFIX) {
                    heads.insert(name.to_owned(), (setting.read()?, setting.version));
                }
            }
            if is_last {
                return Ok(heads);
            }
        }
    }

    /// Looks what has changed, and says whether anything has.
    pub(crate) async fn look(&self) -> Result<bool, StoreError> {
        let heads = self.heads().await?;
        let names: BTreeSet<_> = heads.keys().cloned().collect();
        let mut is_news = self.change(|known| {
            let before = known.len();
            known.retain(|name, _| names.contains(name));
            known.len() != before
        });
        for (name, (head, seen)) in heads {
            if self.known().get(&name).is_some_and(|it| it.seen == seen) {
                continue;
            }
            let agent = if head.on { self.build(&name, head.version).await? } else { None };
            self.change(|known| known.insert(name, Known { seen, agent }));
            is_news = true;
        }
        Ok(is_news)
    }

    async fn build(&self, name: &str, version: u32) -> Result<Option<Arc<OfferedAgent>>, StoreError> {
        let Some(Version { definition, .. }) = self.version(name, version).await? else { return Ok(None) };
        let built = definition.build(name, &self.models).map_err(|bad| bad.to_string());
        match built.and_then(|agent| OfferedAgent::new(Arc::new(agent)).map_err(|bad| bad.to_string())) {
            Ok(agent) => Ok(Some(Arc::new(agent))),
            Err(fault) => {
                // Another replica may have models that this one has not.
                tracing::warn!(agent = name, version, fault, "a stored agent is not offered");
                Ok(None)
            }
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Known>) -> T) -> T {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Source<OfferedAgent> for StoredAgents {
    fn find(&self, key: &str) -> Option<Arc<OfferedAgent>> {
        self.known().get(key)?.agent.clone()
    }

    fn list(&self) -> Vec<Arc<OfferedAgent>> {
        self.known().values().filter_map(|known| known.agent.clone()).collect()
    }
}
