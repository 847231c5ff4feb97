//! The stage that lets only so many calls of a tool run at a time, and so many wait for it in their order.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::context::Context;
use crate::tool::error::ToolError;
use crate::tool::limited::{Limited, LimitedBy};
use crate::tool::spec::Concurrency;
use crate::waiting::WaitingRoom;

/// The places of one tool in this process. Who waits is let in by order of arrival, and who leaves gives up their place, in the
/// queue as well.
pub(crate) struct Places {
    free: Semaphore,
    room: WaitingRoom,
}

/// When it is worth asking again: nobody knows when a place is free.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Places {
    pub(super) fn new(of: Concurrency) -> Self {
        let free = Semaphore::new(of.most.min(Semaphore::MAX_PERMITS));
        Self { free, room: WaitingRoom::new(of.waiting) }
    }

    /// A place, which is free again when it is dropped. Waits for one where there is room to wait, and until the call should end.
    pub(super) async fn take(&self, cx: &Context) -> Result<SemaphorePermit<'_>, ToolError> {
        // What is given back goes to those who wait: nobody overtakes them here.
        if let Ok(place) = self.free.try_acquire() {
            return Ok(place);
        }
        let limited = || ToolError::Limited(Box::new(Limited::by_state(LimitedBy::Concurrency, RETRY_AFTER)));
        let _waits = self.room.enter().ok_or_else(limited)?;
        match cx.wait(select(pin!(cx.cancelled()), pin!(self.free.acquire()))).await {
            Either::Left(_) => Err(ToolError::Cancelled),
            // It is never closed.
            Either::Right((place, _)) => place.map_err(|_| limited()),
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.room.waiting() as u64
    }
}
