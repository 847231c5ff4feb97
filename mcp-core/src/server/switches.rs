//! What is switched off for now, on every replica.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CallError, Server};
use crate::act::Act;
use crate::caller::Caller;
use crate::catalog::Offered;
use crate::store::StoreError;
use crate::store::events::Topic;
use crate::store::settings::{Key, Settings, written};

/// Where it is kept.
pub(super) struct Switches {
    settings: Arc<dyn Settings>,
}

/// What is kept. What a later version adds, this one would forget: it leaves alone what it does not know.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// The names of the tools that are off.
    tools: BTreeSet<String>,
}

/// How often a change is tried again that others have come before.
const TRIES: usize = 8;

impl Switches {
    pub(super) fn new(settings: Arc<dyn Settings>) -> Self {
        Self { settings }
    }

    pub(super) fn settings(&self) -> &dyn Settings {
        &*self.settings
    }

    fn key() -> Key {
        Key::of_the_house("switches")
    }

    fn topic() -> Topic {
        Topic::of_the_house("switches")
    }

    /// The tools that are off, and the version of what says so.
    async fn load(&self) -> Result<(BTreeSet<String>, Option<u64>), StoreError> {
        let Some(setting) = self.settings.load(&Self::key()).await? else { return Ok((BTreeSet::new(), None)) };
        let stored: Stored = setting.read()?;
        Ok((stored.tools, Some(setting.version)))
    }
}

impl Server {
    /// Looks which tools are switched off, and from then on follows what [`Server::switch_tool`] does on any replica, as long as the server lives.
    /// Call it before the server serves.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be known what is switched off.
    pub async fn follow_switches(&self) -> Result<(), StoreError> {
        self.follow("switches", Switches::topic(), |server| server.look_at_switches().boxed()).await
    }

    async fn look_at_switches(&self) -> Result<(), StoreError> {
        let (off, _) = self.0.switches.load().await?;
        self.0.tools.switch_off(off).await;
        Ok(())
    }

    /// Switches a tool off, or on again, on every replica that [follows](Server::follow_switches), also after they were started again. A tool that is
    /// off is neither listed nor found; calls that have begun go on.
    ///
    /// Not cancel safe: a dropped future may or may not have switched.
    ///
    /// # Errors
    /// [`SwitchError`].
    pub async fn switch_tool(&self, caller: &Caller, name: &str, on: bool) -> Result<(), SwitchError> {
        let act = Act { what: "switch_tool", details: json!({"tool": name, "on": on}) };
        self.act(caller, act, self.switch(caller, name, on)).await
    }

    async fn switch(&self, caller: &Caller, name: &str, on: bool) -> Result<(), SwitchError> {
        if !caller.has_role(Caller::OPERATOR) {
            return Err(SwitchError::Forbidden);
        }
        // Whether or not they may use it. One that is off already is none that can be found.
        let tools = &self.0.tools;
        if tools.find(name).is_none() && !tools.list_off().iter().any(|tool| tool.key() == name) {
            self.see_tool(caller, name)?;
        }
        let Switches { settings } = &self.0.switches;
        for _ in 0..TRIES {
            let (mut tools, version) = self.0.switches.load().await?;
            let changed = if on { tools.remove(name) } else { tools.insert(name.to_owned()) };
            if changed {
                let value = written(&Stored { tools: tools.clone() })?;
                match settings.store(&Switches::key(), value, version).await {
                    Err(StoreError::Conflict { .. }) => continue,
                    stored => stored?,
                };
            }
            self.0.tools.switch_off(tools).await;
            self.tell_followers("switches", &Switches::topic()).await;
            return Ok(());
        }
        Err(StoreError::Unavailable { store: "settings", source: None }.into())
    }
}

/// Why a tool is not switched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// The caller may not.
    #[error("switching tools takes the role `operator`, which the caller does not have")]
    Forbidden,
    /// There is no such tool.
    #[error(transparent)]
    Unknown(#[from] CallError),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}
