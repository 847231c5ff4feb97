//! Following a run: what is told of it, as it comes.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::BoxStream;
use serde::Serialize;

use super::event::{Cursor, Happened, RunEvent};
use super::runner::number_of_turn;
use super::telling::Telling;
use crate::caller::Caller;
use crate::run::afar::AGAIN;
use crate::run::delta::{Attempt, ModelDelta};
use crate::run::watching::{News, Watcher};
use crate::server::{ListenerGuard, Server};
use crate::store::StoreError;
use crate::store::runs::RunId;

/// The events of a run that a caller may see, behind the one that they know.
pub(super) struct Events {
    server: Server,
    caller: Caller,
    run: RunId,
    /// Behind which event those are that the caller does not know.
    after: Option<Cursor>,
    telling: Telling,
    /// The number of the step that is read next.
    next: u32,
    /// What is to be told.
    told: VecDeque<RunEvent>,
    is_over: bool,
}

/// How many steps are read at a time.
const PAGE: u16 = 50;

impl Events {
    pub(super) fn of(server: &Server, caller: &Caller, run: RunId, after: Option<Cursor>) -> Self {
        Self {
            server: server.clone(),
            caller: caller.clone(),
            run,
            after,
            telling: Telling::of(run),
            next: 0,
            told: VecDeque::new(),
            is_over: after.is_some_and(Cursor::is_end),
        }
    }

    /// The next event, where it is on record by now.
    ///
    /// Cancel safe: what is read is kept before the next await.
    pub(super) async fn next(&mut self) -> Result<Option<RunEvent>, StoreError> {
        loop {
            if let Some(event) = self.told.pop_front() {
                return Ok(Some(event));
            }
            if self.is_over {
                return Ok(None);
            }
            // In this order: of a run that had ended before, all steps are there. Each step is seen after those before it, since they are
            // written in their order.
            let Some(run) = self.server.runs().find(&self.caller, self.run).await? else {
                self.is_over = true;
                continue;
            };
            let page = self.server.run_store().steps(&run.tenant, run.id, self.next, PAGE).await?;
            let is_last = page.len() < usize::from(PAGE);
            let mut events = Vec::new();
            if self.after.is_none() {
                events.push(Telling::started(&run));
            }
            for record in page {
                self.next = record.step.number.saturating_add(1);
                events.extend(self.telling.tell(&record));
            }
            if is_last && run.state.is_end() {
                events.push(Telling::ended(&run));
                self.is_over = true;
            }
            for event in events {
                if self.after.is_none_or(|after| event.id > after) {
                    self.after = Some(event.id);
                    self.told.push_back(event);
                }
            }
            if is_last && self.told.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Whether all is told, and nothing more will be.
    pub(super) fn is_over(&self) -> bool {
        self.is_over && self.told.is_empty()
    }
}

/// A run that is followed: its events as they come, up to its end, and what a language model says meanwhile for a step that is not decided.
///
/// What is recorded and said in this process is told at once. Who follows a run that is done elsewhere says so every few seconds
/// ([`crate::store::events::Events`]), and is told by whoever holds it, as far as those messages come; what is recorded is found by looking as
/// well: a quarter of a second after the last event, and then half as often each time, down to once in a second. So a run that nobody follows
/// costs nothing, wherever it is done.
///
/// What a model says comes before the event of its step, and behind those of the steps before. Who is slow to read misses some of it, and
/// holds nobody up.
pub struct Following {
    events: Events,
    near: Watcher,
    far: BoxStream<'static, News>,
    /// When it says again to other processes that it follows the run, by the monotonic clock.
    again: Duration,
    /// Whether there may be events that were not read.
    is_behind: bool,
    /// When it looks for events of which nobody has told it.
    look: Duration,
    /// How long it waits then.
    pause: Duration,
    /// The number of the last decision that was told.
    decided: Option<u32>,
    /// The last attempt of which was heard.
    heard: Option<Attempt>,
    _counted: ListenerGuard,
}

/// What who follows a run is told.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Told {
    /// Something has happened, and is on record.
    Event(RunEvent),
    /// A language model says something.
    Delta(ModelDelta),
}

/// How soon it looks again after an event, and how late at the latest.
const SOONEST: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_secs(1);

impl Following {
    pub(super) fn new(events: Events, near: Watcher, far: BoxStream<'static, News>, counted: ListenerGuard) -> Self {
        let (again, look, pause) = (Duration::ZERO, Duration::ZERO, SOONEST);
        Self { events, near, far, again, is_behind: true, look, pause, decided: None, heard: None, _counted: counted }
    }

    /// What is told next; nothing, where nothing will be: the run has ended, or is gone, or this server stops, and another one tells the rest.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Told> {
        let server = self.events.server.clone();
        loop {
            self.announce();
            if self.is_behind {
                match self.events.next().await {
                    Ok(Some(event)) => {
                        self.pause = SOONEST;
                        if let Happened::Step { step, .. } = &event.what {
                            self.decided = number_of_turn(step);
                        }
                        return Some(Told::Event(event));
                    }
                    Ok(None) if self.events.is_over() => return None,
                    Ok(None) => {}
                    Err(error) => tracing::debug!(run = %self.events.run, %error, "a run cannot be read; trying again"),
                }
                self.is_behind = false;
                self.look = server.clock().monotonic() + self.pause;
                self.pause = self.pause.saturating_mul(2).min(LATEST);
            }
            match self.news(&server).await? {
                News::Recorded => self.is_behind = true,
                News::Said(delta) if self.is_new(&delta) => return Some(Told::Delta(delta)),
                News::Said(_) => {}
            }
        }
    }

    /// What is told next, or that it is time to look; nothing, where this server stops.
    async fn news(&mut self, server: &Server) -> Option<News> {
        let clock = server.clock();
        let pause = clock.sleep(self.look.saturating_sub(clock.monotonic()));
        let (closed, near) = (pin!(server.closing().cancelled()), pin!(self.near.news()));
        // In this order: what was said is told before it is looked whether its step is recorded.
        match select(closed, select(select(near, self.far.next()), pause)).await {
            Either::Left(_) => None,
            Either::Right((Either::Left((told, _)), _)) => match told {
                Either::Left((news, _)) => Some(news),
                Either::Right((news, _)) => news,
            },
            Either::Right((Either::Right(_), _)) => Some(News::Recorded),
        }
    }

    /// Says to other processes that the run is followed here, if it is time for that. Nobody waits for it.
    fn announce(&mut self) {
        let server = &self.events.server;
        let now = server.clock().monotonic();
        if now >= self.again {
            self.again = now + AGAIN;
            let (afar, run) = (server.hints().afar().clone(), self.events.run);
            server.spawn(async move { afar.announce(run).await });
        }
    }

    /// Whether what a model says is of a step that was not told, and of no attempt before the last one.
    fn is_new(&mut self, delta: &ModelDelta) -> bool {
        let is_decided = number_of_turn(&delta.step) <= self.decided;
        let is_new = !is_decided && self.heard.is_none_or(|heard| heard <= delta.attempt);
        if is_new {
            self.heard = Some(delta.attempt);
        }
        is_new
    }
}
