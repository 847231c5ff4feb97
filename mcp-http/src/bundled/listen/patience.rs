//! One timer for all that a connection waits for, which is hardly ever set: it wakes its task too early rather than being set again.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// See above.
#[derive(Default)]
pub(super) struct Patience(Option<Pin<Box<Sleep>>>);

impl Patience {
    /// Whether it is `end`, or later; if not, the task is woken by then, and perhaps before.
    pub(super) fn is_over(&mut self, task: &mut Context<'_>, end: Instant) -> bool {
        let end = end.into();
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if end < timer.deadline() {
            timer.as_mut().reset(end);
        }
        while timer.as_mut().poll(task).is_ready() {
            if tokio::time::Instant::now() >= end {
                return true;
            }
            timer.as_mut().reset(end);
        }
        false
    }
}
