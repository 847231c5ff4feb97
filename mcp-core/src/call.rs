//! A call under way: polled in place as long as it is quick, and moved to the [`Spawner`](crate::spawn::Spawner) when it is not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::Span;
use tracing::level_filters::LevelFilter;

use crate::context::Context;
use crate::protocol::encoding::Outcome;
use crate::server::{RunningGuard, operations};
use crate::spans;
use crate::tool::arguments::Arguments;
use crate::tool::pipeline::{self, Finished};
use crate::tool::registry::OfferedTool;

/// A call under way. A call that is pending at its first poll moves to the spawner, so that neither a client that leaves nor
/// one that does not read can stop it between two awaits; a read-only call stays as long as its client does. One that is known to hold
/// the thread that polls it is not polled here at all: whoever reads requests must go on reading.
pub(crate) struct Call<T: Send + 'static> {
    stage: Stage<T>,
    cx: Context,
    read_only: bool,
    on_leave: OnLeave,
    /// For how many nanoseconds it is expected to hold a thread, if that is long.
    cost: u64,
    /// Where it stays here, and takes longer than one poll.
    under_way: Option<RunningGuard>,
}

/// What becomes of a call whose client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnLeave {
    /// It is told to end.
    Cancel,
    /// It runs to its end, and is recorded.
    Finish,
}

enum Stage<T> {
    Here(BoxFuture<'static, T>),
    There(oneshot::Receiver<T>),
    Over,
}

impl Call<Finished> {
    /// Prepares a call of a tool; nothing happens before it is polled.
    pub(crate) fn new(tool: Arc<OfferedTool>, arguments: Arguments, cx: Context, on_leave: OnLeave) -> Self {
        tell_span(&tool, &cx);
        let read_only = tool.spec().policy.read_only;
        // What is sent again must find an answer.
        let on_leave = if cx.inner().key.is_some() { OnLeave::Finish } else { on_leave };
        let cost = tool.cost.if_heavy();
        let stage = Stage::Here(pipeline::run(tool, arguments, cx.clone()));
        Self { stage, cx, read_only, on_leave, cost, under_way: None }
    }
}

impl<T: Outcome> Call<T> {
    /// The context that it runs in.
    pub(crate) fn context(&self) -> &Context {
        &self.cx
    }

    /// The same, done in this span, which is told how it ends.
    pub(crate) fn within(mut self, span: Span) -> Self {
        if !span.is_disabled()
            && let Stage::Here(run) = std::mem::replace(&mut self.stage, Stage::Over)
        {
            self.stage = Stage::Here(spans::within(span, run).boxed());
        }
        self
    }

    /// Prepares what only reads, and answers a request of the protocol.
    pub(crate) fn read(read: impl Future<Output = T> + Send + 'static, cx: Context) -> Self {
        Self::following(operations::counted(read, cx.clone()), cx)
    }

    /// Prepares what only waits for another call of this context.
    pub(crate) fn following(read: impl Future<Output = T> + Send + 'static, cx: Context) -> Self {
        Self {
            stage: Stage::Here(read.boxed()),
            cx,
            read_only: true,
            on_leave: OnLeave::Cancel,
            cost: 0,
            under_way: None,
        }
    }
}

impl<T: Send + 'static> Call<T> {
    /// Moves the call to the spawner, if it is not there: from here on it goes forward without being polled.
    pub(crate) fn move_out(&mut self) {
        let Stage::Here(_) = &self.stage else { return };
        let (done, finished) = oneshot::channel();
        let Stage::Here(run) = std::mem::replace(&mut self.stage, Stage::There(finished)) else { return };
        let server = &self.cx.inner().server;
        let running = self.under_way.take().unwrap_or_else(|| server.count_running());
        if self.cost > 0 {
            let (waiting, cx) = (server.load().queue(self.cost), self.cx.clone());
            server.spawn(async move {
                if let Some(finished) = waiting.run(run, cx.cancelled()).await {
                    let _ = done.send(finished);
                }
                drop(running);
            });
            return;
        }
        server.spawn(async move {
            // Nobody waits for the call of a client that has left.
            let _ = done.send(run.await);
            drop(running);
        });
    }
}

/// Fills the fields `tool` and `call` of the span that the host is in, where it has such: then each line that is logged on the way
/// tells to which call it belongs.
fn tell_span(tool: &OfferedTool, cx: &Context) {
    // Nobody logs where no level is on.
    if LevelFilter::current() != LevelFilter::OFF {
        let span = tracing::Span::current();
        tracing::record_all!(span, tool = tool.spec().name(), call = %cx.call_id());
    }
}

impl<T: Outcome + Unpin> Future for Call<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<T> {
        if self.cost > 0 {
            self.move_out();
        }
        if let Stage::Here(run) = &mut self.stage {
            if let Poll::Ready(finished) = run.as_mut().poll(task) {
                self.stage = Stage::Over;
                return Poll::Ready(finished);
            }
            if self.read_only {
                if self.under_way.is_none() {
                    self.under_way = Some(self.cx.inner().server.count_running());
                }
                return Poll::Pending;
            }
            self.move_out();
        }
        let Stage::There(finished) = &mut self.stage else { return Poll::Pending };
        let finished = std::task::ready!(finished.poll_unpin(task));
        self.stage = Stage::Over;
        // The spawner may have dropped the task.
        Poll::Ready(finished.unwrap_or_else(|_| T::cancelled(&self.cx)))
    }
}

impl<T: Send + 'static> Drop for Call<T> {
    fn drop(&mut self) {
        match (&self.stage, self.on_leave) {
            (Stage::Over, _) => {}
            (_, OnLeave::Cancel) => self.cx.inner().cancellation.cancel(),
            (_, OnLeave::Finish) => {
                if let Some(key) = &self.cx.inner().key {
                    key.left.cancel();
                }
                self.move_out();
            }
        }
    }
}
