//! What operators may do with stored agents.

use serde_json::json;

use super::mentions::faults;
use super::stored::{Head, KEPT, MOST, StoredAgents, Version};
use super::{AgentDefinition, BadDefinition};
use crate::act::Act;
use crate::agent::{BadAgent, check_name};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::server::Server;
use crate::store::StoreError;

/// What operators may do with agents that are kept in the server's stores: the same for every tenant, on every replica that
/// [follows](Server::follow_agents), and recorded as acts. Each change of a definition is a version of its own; the last 50 are kept.
pub struct DefinitionDesk<'s> {
    server: &'s Server,
}

/// A stored agent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredAgent {
    /// Its name.
    pub name: String,
    /// Which of its definitions this is.
    pub version: u32,
    /// The greatest that there ever was.
    pub latest: u32,
    /// Which of them is in force.
    pub current: u32,
    /// Whether it is on offer.
    pub on: bool,
    /// The definition.
    pub definition: AgentDefinition,
    /// Which agents and tools it names that are not there now: they may come later, in any order.
    pub warnings: Vec<String>,
    /// When it was written.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// Why nothing becomes of a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The caller may not.
    #[error("what agents are is for those with the role `operator`, which the caller does not have")]
    Forbidden,
    /// The server keeps no agents.
    #[error("this server keeps no agents")]
    NotKept,
    /// There is no such agent, or no such version.
    #[error("there is no stored agent {0:?}, or no such version of it")]
    Missing(String),
    /// An agent that is not stored has the name.
    #[error("the agent {0:?} is part of the server; take another name")]
    Taken(String),
    /// There are as many as there may be.
    #[error("{MOST} agents are stored, as many as there may be; remove one")]
    TooMany,
    /// The definition cannot be used.
    #[error(transparent)]
    Bad(#[from] BadDefinition),
    /// The agent cannot be offered.
    #[error(transparent)]
    Offered(#[from] BadAgent),
    /// It cannot be kept, or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The names of the agents and of the tools that there are, on offer or switched off.
type Known = (Vec<String>, Vec<String>);

/// How often a change is tried again that others have come before.
const TRIES: usize = 8;

impl<'s> DefinitionDesk<'s> {
    pub(crate) fn new(server: &'s Server) -> Self {
        Self { server }
    }

    fn stored(&self, caller: &Caller) -> Result<&'s StoredAgents, DefinitionError> {
        if !caller.has_role(Caller::OPERATOR) {
            return Err(DefinitionError::Forbidden);
        }
        self.server.stored_agents().ok_or(DefinitionError::NotKept)
    }

    /// All of them, by their names, each with the definition in force.
    ///
    /// # Errors
    /// [`DefinitionError`].
    pub async fn list(&self, caller: &Caller) -> Result<Vec<StoredAgent>, DefinitionError> {
        let stored = self.stored(caller)?;
        let (mut agents, known) = (Vec::new(), self.known());
        for (name, (head, _)) in stored.heads().await? {
            if let Some(version) = stored.version(&name, head.version).await? {
                agents.push(shown(&name, head, head.version, version, &known));
            }
        }
        Ok(agents)
    }

    /// One of them: the definition in force, or an earlier one.
    ///
    /// # Errors
    /// [`DefinitionError`].
    pub async fn show(
        &self,
        caller: &Caller,
        name: &str,
        version: Option<u32>,
    ) -> Result<StoredAgent, DefinitionError> {
        let stored = self.stored(caller)?;
        let (head, _) = self.head(stored, name).await?;
        let number = version.unwrap_or(head.version);
        let version = stored.version(name, number).await?.ok_or_else(|| missing(name))?;
        Ok(shown(name, head, number, version, &self.known()))
    }

    /// Keeps a definition, which is in force from now on, and gives its version. Runs that have begun go on with it.
    ///
    /// Not cancel safe: a dropped future may or may not have changed it.
    ///
    /// # Errors
    /// [`DefinitionError`].
    pub async fn define(
        &self,
        caller: &Caller,
        name: &str,
        definition: &AgentDefinition,
    ) -> Result<u32, DefinitionError> {
        let act = Act { what: "define_agent", details: json!({"agent": name, "definition": definition}) };
        self.server.act(caller, act, self.do_define(caller, name, definition)).await
    }

    async fn do_define(
        &self,
        caller: &Caller,
        name: &str,
        definition: &AgentDefinition,
    ) -> Result<u32, DefinitionError> {
        let stored = self.stored(caller)?;
        check_name(name)?;
        drop(definition.build(name, &stored.models)?);
        if !stored.has(name) && self.server.agents().find(name).is_some() {
            return Err(DefinitionError::Taken(name.to_owned()));
        }
        let version = Version {
            definition: definition.clone(),
            at: self.server.clock().now(),
            by: caller.principal().to_string(),
        };
        let mut number = 0;
        for _ in 0..TRIES {
            let seen = stored.head(name).await?;
            if seen.is_none() && stored.heads().await?.len() >= MOST {
                return Err(DefinitionError::TooMany);
            }
            let latest = seen.map_or(0, |(head, _)| head.latest);
            // What somebody has left behind who was gone before it was in force, or will be in a moment, is passed over.
            number = number.max(latest) + 1;
            match stored.store_version(name, number, &version).await {
                Err(StoreError::Conflict { .. }) => continue,
                kept => kept?,
            }
            let on = seen.is_none_or(|(head, _)| head.on);
            let head = Head { version: number, latest: number, on };
            match stored.store_head(name, head, seen.map(|(_, seen)| seen)).await {
                Err(StoreError::Conflict { .. }) => stored.remove_version(name, number).await?,
                kept => {
                    kept?;
                    if let Some(old) = number.checked_sub(KEPT).filter(|old| *old > 0) {
                        stored.remove_version(name, old).await?;
                    }
                    self.tell().await?;
                    return Ok(number);
                }
            }
        }
        Err(busy())
    }

    /// Puts an earlier definition in force again.
    ///
    /// Not cancel safe, as [`DefinitionDesk::define`].
    ///
    /// # Errors
    /// [`DefinitionError`].
    pub async fn roll_back(&self, caller: &Caller, name: &str, version: u32) -> Result<(), DefinitionError> {
        let act = Act { what: "roll_back_agent", details: json!({"agent": name, "version": version}) };
        let work = async {
            let stored = self.stored(caller)?;
            self.head(stored, name).await?;
            let found = stored.version(name, version).await?.ok_or_else(|| missing(name))?;
            drop(found.definition.build(name, &stored.models)?);
            self.change(stored, name, |head| Head { version, ..head }).await
        };
        self.server.act(caller, act, work).await
    }

    /// Offers it no more, or again. Runs that have begun wait until it is on again.
    ///
    /// Not cancel safe, as [`DefinitionDesk::define`].
    ///
    /// # Errors
    /// [`DefinitionError`].
    pub async fn switch(&self, caller: &Caller, name: &str, on: bool) -> Result<(), DefinitionError> {
        let act = Act { what: "switch_agent", details: json!({"agent": name, "on": on}) };
        let work = async {
            let stored = self.stored(caller)?;
            self.change(stored, name, |head| Head { on, ..head }).await
        };
        self.server.act(caller, act, work).await
    }

    /// Removes it, with all of its definitions.
    ///
    /// Not cancel safe, as [`DefinitionDesk::define`].
    ///
    /// # Errors
    /// [`DefinitionError`].
    pub async fn remove(&self, caller: &Caller, name: &str) -> Result<(), DefinitionError> {
        let act = Act { what: "remove_agent", details: json!({"agent": name}) };
        let work = async {
            let stored = self.stored(caller)?;
            let (head, seen) = self.head(stored, name).await?;
            stored.remove_head(name, seen).await?;
            for version in head.latest.saturating_sub(KEPT)..=head.latest {
                stored.remove_version(name, version).await?;
            }
            self.tell().await
        };
        self.server.act(caller, act, work).await
    }

    fn known(&self) -> Known {
        let mut agents = self.server.agents().keys();
        agents.extend(self.server.stored_agents().into_iter().flat_map(StoredAgents::names));
        (agents, self.server.tools().keys())
    }

    /// Which definition of an agent that is there is in force. What can be no name is none of one.
    async fn head(&self, stored: &StoredAgents, name: &str) -> Result<(Head, u64), DefinitionError> {
        check_name(name).map_err(|_| missing(name))?;
        stored.head(name).await?.ok_or_else(|| missing(name))
    }

    async fn change(
        &self,
        stored: &StoredAgents,
        name: &str,
        change: impl Fn(Head) -> Head,
    ) -> Result<(), DefinitionError> {
        for _ in 0..TRIES {
            let (head, seen) = self.head(stored, name).await?;
            match stored.store_head(name, change(head), Some(seen)).await {
                Err(StoreError::Conflict { .. }) => {}
                kept => {
                    kept?;
                    return self.tell().await;
                }
            }
        }
        Err(busy())
    }

    /// Looks at what was changed, and tells the other replicas that they may.
    async fn tell(&self) -> Result<(), DefinitionError> {
        self.server.look_at_agents().await?;
        self.server.tell_followers("agents", &StoredAgents::topic()).await;
        Ok(())
    }
}

fn missing(name: &str) -> DefinitionError {
    DefinitionError::Missing(name.chars().take(64).collect())
}

fn busy() -> DefinitionError {
    StoreError::Unavailable { store: "settings", source: None }.into()
}

fn shown(name: &str, head: Head, number: u32, version: Version, (agents, tools): &Known) -> StoredAgent {
    let Version { definition, at, by } = version;
    let Head { version: current, latest, on } = head;
    let warnings = faults(&definition.mentions(), agents, tools);
    StoredAgent { name: name.to_owned(), version: number, latest, current, on, definition, warnings, at, by }
}
