//! Runs in threads: what was said before, and one run after the other.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::desk::AgentRefusal;
use super::runner::post;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;
use crate::server::Server;
use crate::server::threads::OwnThreads;
use crate::store::StoreError;
use crate::store::id::derived;
use crate::store::runs::{InputKind, RunId};
use crate::store::settings::{Key, written};
use crate::store::threads::{Message, MessageId, Place, Placed, ThreadId};

/// What becomes of a run in a thread in which earlier ones have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Busy {
    /// It begins when they have ended, in the order in which the runs were started.
    #[default]
    Queue,
    /// It is not started.
    Refuse,
    /// They are cancelled, and it begins when they have ended.
    Interrupt,
}

/// Something that was said in a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Said {
    /// Who said it: `user` or `assistant`; in threads that others write to as well, whatever they say.
    pub role: String,
    /// What.
    pub text: String,
}

/// The role of whoever starts a run.
const USER: &str = "user";
/// That of an agent.
pub(super) const ASSISTANT: &str = "assistant";

/// In which thread a run is.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct InThread {
    pub(super) thread: ThreadId,
    /// Where it is part of another run, it says nothing there and waits for nobody: it hears what was said before this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Place>,
}

/// What a run has heard in its thread.
#[derive(Serialize, Deserialize)]
pub(super) struct Heard {
    /// What was said before this place.
    pub(super) before: Place,
    /// The newest last.
    pub(super) said: Vec<Said>,
}

/// A thread of somebody's, and the runs in it.
pub(super) struct Threading<'s> {
    server: &'s Server,
    tenant: &'s Tenant,
    owner: &'s Principal,
    thread: ThreadId,
}

/// The runs that are in a thread or wait to be, in their order. It is kept as a setting, and gone when it is empty.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    runs: Vec<InLine>,
}

#[derive(Clone, Serialize, Deserialize)]
struct InLine {
    run: RunId,
    at: Timestamp,
}

/// How many runs are in a line at the most.
const LONGEST_LINE: usize = 64;
/// How often a change is tried again that others have come before: more often than there can be others.
const TRIES: usize = 2 * LONGEST_LINE;
/// After so long a run that is in the line and not in the store was never begun.
const NEVER_BEGUN: Duration = Duration::from_secs(60);
/// How many messages a run hears at the most, and of how many bytes together: the newest.
const HEARD: u16 = 100;
const HEARD_BYTES: usize = 128 * 1024;

impl<'s> Threading<'s> {
    pub(super) fn new(server: &'s Server, tenant: &'s Tenant, owner: &'s Principal, thread: ThreadId) -> Self {
        Self { server, tenant, owner, thread }
    }

    /// Begins the thread, where it is not there, and puts a run at the end of its line, where it is not in it.
    pub(super) async fn join(&self, run: RunId, busy: Busy, first: &str) -> Result<(), AgentRefusal> {
        OwnThreads::new(self.server, self.tenant, self.owner).begin(first, Some(self.thread)).await?;
        let earlier = self.line_up(run, busy).await?;
        if busy == Busy::Interrupt {
            for earlier in earlier {
                if let Some(earlier) = self.server.run_store().run(self.tenant, earlier).await? {
                    post(self.server, &earlier, earlier.id, InputKind::Cancel, bytes::Bytes::new()).await?;
                }
            }
        }
        Ok(())
    }

    /// Puts a run at the end of the line, and gives those before it.
    async fn line_up(&self, run: RunId, busy: Busy) -> Result<Vec<RunId>, AgentRefusal> {
        for _ in 0..TRIES {
            let (mut line, version) = self.load().await?;
            if let Some(place) = line.place_of(run) {
                return Ok(line.runs[..place].iter().map(|earlier| earlier.run).collect());
            }
            self.clear(&mut line).await?;
            match line.runs.first() {
                Some(first) if busy == Busy::Refuse => return Err(AgentRefusal::ThreadBusy(first.run)),
                _ if line.runs.len() >= LONGEST_LINE => {
                    return Err(AgentRefusal::TooMany(format!("{LONGEST_LINE} runs wait in this thread already")));
                }
                _ => {}
            }
            let earlier = line.runs.iter().map(|earlier| earlier.run).collect();
            line.runs.push(InLine { run, at: self.server.clock().now() });
            if self.store(&line, version).await? {
                return Ok(earlier);
            }
        }
        Err(changed_too_often().into())
    }

    /// The run for which this one waits: the last one before it that has not ended. Nothing, where it is its turn.
    pub(super) async fn before(&self, run: RunId) -> Result<Option<RunId>, AgentRefusal> {
        for _ in 0..TRIES {
            let (mut line, version) = self.load().await?;
            let known = line.runs.len();
            self.clear(&mut line).await?;
            let is_changed = line.runs.len() != known;
            let Some(place) = line.place_of(run) else {
                // Whoever has started it could not do that.
                self.line_up(run, Busy::Queue).await?;
                continue;
            };
            if !is_changed || self.store(&line, version).await? {
                return Ok(place.checked_sub(1).map(|before| line.runs[before].run));
            }
        }
        Err(changed_too_often().into())
    }

    /// Takes a run out of the line, and tells the one behind it.
    pub(super) async fn leave(&self, run: RunId) -> Result<Option<RunId>, StoreError> {
        for _ in 0..TRIES {
            let (mut line, version) = self.load().await?;
            let Some(place) = line.place_of(run) else { return Ok(None) };
            line.runs.remove(place);
            if self.store(&line, version).await? {
                return Ok(line.runs.get(place).map(|next| next.run));
            }
        }
        Err(changed_too_often())
    }

    /// Says what a run is to do, once however often it is said, and gives what was said before; nothing, where the thread is gone.
    pub(super) async fn begin(&self, run: RunId, text: String) -> Result<Option<Heard>, StoreError> {
        let id = MessageId::from_u128(derived(run.as_u128(), USER.as_bytes()));
        if !self.say(id, USER, text).await? {
            return Ok(None);
        }
        let mut latest = self.latest(None, HEARD + 1).await?.into_iter();
        // Nobody else says something there meanwhile, but for whoever writes to threads by other ways.
        let own = latest.find(|placed| placed.message.id == id);
        Ok(own.map(|own| Heard::of(own.place, latest)))
    }

    /// What was said before a place.
    pub(super) async fn hear(&self, before: Place) -> Result<Heard, StoreError> {
        Ok(Heard::of(before, self.latest(Some(before), HEARD).await?))
    }

    async fn latest(&self, before: Option<Place>, most: u16) -> Result<Vec<Placed>, StoreError> {
        self.server.caller_books().threads().latest(self.tenant, self.owner, self.thread, before, most).await
    }

    /// Says what has come of a run, once however often it is said.
    pub(super) async fn answer(&self, run: RunId, text: String) -> Result<(), StoreError> {
        let id = MessageId::from_u128(derived(run.as_u128(), ASSISTANT.as_bytes()));
        // Where the thread is gone meanwhile, nobody waits for it there.
        self.say(id, ASSISTANT, text).await.map(drop)
    }

    async fn say(&self, id: MessageId, role: &str, text: String) -> Result<bool, StoreError> {
        let message = Message { id, role: role.to_owned(), text, at: self.server.clock().now() };
        self.server.caller_books().threads().append(self.tenant, self.owner, self.thread, &message).await
    }

    fn key(&self) -> Key {
        Key::of(self.tenant, format!("agent-threads/{}/{}", self.thread, self.owner))
    }

    async fn load(&self) -> Result<(Line, Option<u64>), StoreError> {
        let Some(setting) = self.server.settings().load(&self.key()).await? else { return Ok((Line::default(), None)) };
        Ok((setting.read()?, Some(setting.version)))
    }

    /// Whether it was stored: nobody else has changed it meanwhile.
    async fn store(&self, line: &Line, seen: Option<u64>) -> Result<bool, StoreError> {
        let (settings, key) = (self.server.settings(), self.key());
        let stored = match seen {
            Some(seen) if line.runs.is_empty() => settings.remove(&key, seen).await,
            None if line.runs.is_empty() => return Ok(true),
            seen => settings.store(&key, written(line)?, seen).await.map(drop),
        };
        match stored {
            Err(StoreError::Conflict { .. }) => Ok(false),
            stored => stored.map(|()| true),
        }
    }

    /// Takes out those that have ended, or were never begun: whoever held them could not do that.
    async fn clear(&self, line: &mut Line) -> Result<(), StoreError> {
        let now = self.server.clock().now();
        let mut left = Vec::with_capacity(line.runs.len());
        for waiting in line.runs.drain(..) {
            let is_there = match self.server.run_store().run(self.tenant, waiting.run).await? {
                Some(run) => !run.state.is_end(),
                None => waiting.at.until(now) < NEVER_BEGUN,
            };
            if is_there {
                left.push(waiting);
            }
        }
        line.runs = left;
        Ok(())
    }
}

impl Heard {
    /// What was said before a place: the newest first, of which no more than fit are heard.
    fn of(before: Place, latest: impl IntoIterator<Item = Placed>) -> Self {
        let mut bytes = 0;
        let fitting = latest.into_iter().map(|placed| placed.message).take_while(|message| {
            bytes += message.text.len();
            bytes <= HEARD_BYTES
        });
        let mut said: Vec<_> = fitting.map(|message| Said { role: message.role, text: message.text }).collect();
        said.reverse();
        Self { before, said }
    }
}

impl Line {
    fn place_of(&self, run: RunId) -> Option<usize> {
        self.runs.iter().position(|waiting| waiting.run == run)
    }
}

fn changed_too_often() -> StoreError {
    StoreError::Unavailable { store: "settings", source: None }
}
