//! A run that is held: its work is polled, as long as it may be, and then let go.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::select;

use super::Work;
use super::context::RunContext;
use super::error::RunError;
use super::flow::Wait;
use super::tie::{Pace, Tie};
use super::watching::News;
use super::workers::Floor;
use crate::clock::Clock;
use crate::memory::lock;
use crate::panicked::words;
use crate::store::StoreError;
use crate::store::ledger::Entry;
use crate::store::runs::{Ending, LARGEST, RunRecord, Turn};

/// Does the work of a run until it ends, waits, or is lost; and writes how it goes on.
pub(super) async fn carry(floor: Arc<Floor>, run: RunRecord, tie: Arc<Tie>, work: Arc<dyn Work>) {
    let _leaving = Leaving { floor: floor.clone(), tie: tie.clone() };
    let (id, kind) = (run.id, run.kind.clone());
    let turn = turn(&floor, run.clone(), &tie, &*work).await;
    floor.count(turn.as_ref());
    let Some(turn) = turn else {
        tracing::warn!(run = %id, kind, "the run is another's now, and nothing here goes on with it");
        return;
    };
    let time = match &turn {
        Turn::Wait { time, .. } => *time,
        Turn::Retry { after } => Some(*after),
        _ => None,
    };
    let is_released = turn == Turn::Release;
    let let_go = turn.ended().unwrap_or_else(|| RunRecord { state: turn.state(), ..run });
    match floor.ledger.commit(vec![Entry::Turn { hold: tie.hold.clone(), turn }]).await {
        Ok(()) => {
            floor.hints.watched().tell(id, &News::Recorded);
            if let Some(time) = time {
                floor.is_due_in(time);
            }
            // What it was told after it had looked makes it due at once, and whoever said so has found it still held.
            if is_released || !tie.is_followed() {
                floor.tell(id, &kind).await;
            }
            if !is_released {
                work.let_go(&let_go).await;
            }
        }
        Err(StoreError::Conflict { .. }) => tracing::warn!(run = %id, kind, "the run is another's now"),
        // It is claimed again when its lease is over, and finds all that it did.
        Err(error) => tracing::warn!(run = %id, kind, %error, "how the run goes on could not be written"),
    }
}

/// Takes a run off the floor, however its task ends.
struct Leaving {
    floor: Arc<Floor>,
    tie: Arc<Tie>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.floor.leave(&self.tie.hold);
    }
}

/// How the run goes on; nothing where it is lost.
async fn turn(floor: &Floor, run: RunRecord, tie: &Arc<Tie>, work: &dyn Work) -> Option<Turn> {
    let (id, kind, attempts) = (run.id, run.kind.clone(), run.attempts);
    if attempts > floor.config.attempts {
        let times = attempts - 1;
        let error = RunError::Failed(format!("the run was begun {times} times without getting on"));
        return Some(floor.end(&run, Ending::Failed, error.result(id)));
    }
    let (clock, ledger, runs) = (floor.clock.clone(), floor.ledger.clone(), floor.runs.clone());
    let watched = floor.hints.watched().clone();
    let loaded = RunContext::load(run.clone(), tie.clone(), clock, ledger, runs, watched);
    let (position, mut next) = (tie.position, tie.position);
    let ended = match loaded.await {
        Err(error) => Ended::Finished(Err(RunError::Unavailable(Box::new(error)))),
        Ok(cx) => {
            let ended = drive(&cx, floor, work).await;
            next = lock(&cx.inner().journal).next_number();
            match ended {
                // It had not begun, or does nothing but wait.
                Ended::Rest(Wait::Until(moment)) => {
                    let time = moment.map(|moment| floor.clock.now().until(moment));
                    return Some(Turn::Wait { seen: cx.fetched(), time });
                }
                ended => ended,
            }
        }
    };
    let error = match ended {
        Ended::Lost => return None,
        Ended::Release | Ended::Rest(_) => return Some(Turn::Release),
        Ended::Finished(Ok(result)) if result.len() <= LARGEST => {
            return Some(floor.end(&run, Ending::Completed, result));
        }
        Ended::Finished(Ok(result)) => {
            RunError::Failed(format!("the result has {} bytes, and may have {LARGEST}", result.len()))
        }
        Ended::Finished(Err(error)) => error,
        Ended::Panicked(message) => RunError::Internal(format!("its work panicked: {message}").into()),
    };
    if let RunError::Cancelled = error {
        return Some(floor.end(&run, Ending::Cancelled, error.result(id)));
    }
    // What it has recorded since it was claimed makes this try the first one again.
    let tries = if next > position { 0 } else { attempts };
    let again = error.is_worth_another_try() && tries < floor.config.attempts;
    tracing::warn!(run = %id, kind, attempts, again, cause = error.cause(), "the work of a run failed");
    Some(if again { Turn::Retry { after: backoff(tries) } } else { floor.end(&run, Ending::Failed, error.result(id)) })
}

/// How a run came to the end of what it can do here.
enum Ended {
    Finished(Result<Bytes, RunError>),
    Panicked(String),
    Rest(Wait),
    Release,
    Lost,
}

/// Polls the work of a run. Before each poll it looks whether the lease goes on, by a clock that goes on while the process is stopped: a process
/// that was stopped for too long polls no work of a run that may be another's.
async fn drive(cx: &RunContext, floor: &Floor, work: &dyn Work) -> Ended {
    let (tie, clock) = (&cx.inner().tie, &*floor.clock);
    let mut watch = pin!(watch(tie, clock));
    let mut fetch = pin!(cx.fetch_inputs());
    let mut patience = pin!(async {
        cx.cancelled().await;
        clock.sleep(floor.config.grace).await;
    });
    // What it was told before it begins is here when it does.
    let mut known = pin!(cx.all_fetched());
    let mut is_known = false;
    let stopped = || Poll::Ready(Ended::Finished(Err(cx.stopped())));
    let mut work = AssertUnwindSafe(work.run(cx.clone())).catch_unwind();
    poll_fn(|task| {
        // These never end: they are polled so that they wake this task, and that it looks again.
        let _ = watch.as_mut().poll(task);
        let _ = fetch.as_mut().poll(task);
        if tie.is_over(clock.monotonic()) {
            return Poll::Ready(Ended::Lost);
        }
        if tie.pace() == Pace::StopNow {
            return Poll::Ready(Ended::Release);
        }
        if !is_known {
            std::task::ready!(known.as_mut().poll(task));
            is_known = true;
            if cx.is_cancelled() && cx.run().position == 0 {
                return stopped();
            }
        }
        if patience.as_mut().poll(task).is_ready() {
            return stopped();
        }
        match work.poll_unpin(task) {
            Poll::Ready(Ok(Err(RunError::Cancelled))) => stopped(),
            Poll::Ready(Ok(result)) => Poll::Ready(Ended::Finished(result)),
            Poll::Ready(Err(panic)) => Poll::Ready(Ended::Panicked(words(&*panic).unwrap_or("no words").to_owned())),
            Poll::Pending => match cx.rest() {
                None => Poll::Pending,
                Some(Wait::Until(_)) if cx.is_cancelled() => stopped(),
                Some(rest) => Poll::Ready(Ended::Rest(rest)),
            },
        }
    })
    .await
}

/// Wakes whoever polls it when something has changed, or the lease is over; for ever.
async fn watch(tie: &Tie, clock: &dyn Clock) {
    loop {
        let changed = tie.changed();
        let left = tie.left(clock.monotonic());
        if left.is_zero() {
            std::future::pending::<()>().await;
        }
        select(pin!(changed), clock.sleep(left)).await;
    }
}

/// How long a run waits before it is tried again: a second, then twice as long each time, up to a minute.
fn backoff(tries: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(60);
    Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))).min(LONGEST)
}
