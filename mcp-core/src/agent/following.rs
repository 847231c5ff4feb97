//! Following a run: what is told of it, as it comes.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::event::{Cursor, RunEvent};
use super::telling::Telling;
use crate::caller::Caller;
use crate::run::watching::Watcher;
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
            for step in page {
                self.next = step.number.saturating_add(1);
                events.extend(self.telling.tell(&step));
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

/// A run that is followed: its events as they come, up to its end.
///
/// What is recorded in this process is told at once. What is recorded elsewhere is found by looking: a quarter of a second after the last
/// event, and then half as often each time, down to once in a second. So a run that nobody follows costs nothing, wherever it is done.
pub struct Following {
    events: Events,
    watcher: Watcher,
    pause: Duration,
    _counted: ListenerGuard,
}

/// How soon it looks again after an event, and how late at the latest.
const SOONEST: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_secs(1);

impl Following {
    pub(super) fn new(events: Events, watcher: Watcher, counted: ListenerGuard) -> Self {
        Self { events, watcher, pause: SOONEST, _counted: counted }
    }

    /// The next event; nothing, where there will be none: the run has ended, or is gone, or this server stops, and another one tells the rest.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<RunEvent> {
        let server = self.events.server.clone();
        let closing = server.closing();
        loop {
            let news = pin!(self.watcher.news());
            match self.events.next().await {
                Ok(Some(event)) => {
                    self.pause = SOONEST;
                    return Some(event);
                }
                Ok(None) if self.events.is_over() => return None,
                Ok(None) => {}
                Err(error) => tracing::debug!(run = %self.events.run, %error, "a run cannot be read; trying again"),
            }
            let told = select(news, server.clock().sleep(self.pause));
            match select(told, pin!(closing.cancelled())).await {
                Either::Left((Either::Left(_), _)) => {}
                Either::Left((Either::Right(_), _)) => self.pause = self.pause.saturating_mul(2).min(LATEST),
                Either::Right(_) => return None,
            }
        }
    }
}
