//! Where calls wait that hold a thread while they are polled: begun all at once they would keep each other, and everything else, from
//! their ends.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, poll_fn, select};
use tokio::sync::Semaphore;

/// As many calls begin at once as there are threads; the others wait in the order in which they came.
pub(super) struct Lane {
    turns: Semaphore,
    waiting: AtomicUsize,
    /// What those that wait will cost, in nanoseconds.
    backlog: AtomicU64,
    most_waiting: usize,
    most_backlog: u64,
}

/// So many may wait for each thread, however long they take.
const AT_LEAST: usize = 4;

impl Lane {
    pub(super) fn new(threads: usize, wait: Duration) -> Self {
        let threads = threads.clamp(1, Semaphore::MAX_PERMITS);
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        Self {
            turns: Semaphore::new(threads),
            waiting: AtomicUsize::new(0),
            backlog: AtomicU64::new(0),
            most_waiting: threads.saturating_mul(AT_LEAST),
            most_backlog: wait.saturating_mul(threads as u64),
        }
    }

    /// Whether one more would wait for too long.
    pub(super) fn is_full(&self) -> bool {
        self.backlog.load(Ordering::Relaxed) >= self.most_backlog && self.waiting() >= self.most_waiting
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn backlog(&self) -> Duration {
        Duration::from_nanos(self.backlog.load(Ordering::Relaxed))
    }
}

/// A call that waits, as long as this lives.
pub(crate) struct Waiting {
    lane: Arc<Lane>,
    cost: u64,
}

impl Waiting {
    pub(super) fn new(lane: Arc<Lane>, cost: u64) -> Self {
        lane.waiting.fetch_add(1, Ordering::Relaxed);
        lane.backlog.fetch_add(cost, Ordering::Relaxed);
        Self { lane, cost }
    }

    /// Runs the call once it is its turn, which it has until it is pending for the first time; gives none where nobody waits for it any
    /// more before it has begun.
    pub(crate) async fn run<T>(self, mut call: BoxFuture<'static, T>, given_up: impl Future<Output = ()>) -> Option<T> {
        let lane = self.lane.clone();
        let turn = match select(pin!(given_up), pin!(lane.turns.acquire())).await {
            Either::Left(_) => return None,
            Either::Right((turn, _)) => turn,
        };
        drop(self);
        let mut turn = Some(turn);
        Some(
            poll_fn(|task| {
                let polled: Poll<T> = call.as_mut().poll(task);
                turn.take();
                polled
            })
            .await,
        )
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.lane.waiting.fetch_sub(1, Ordering::Relaxed);
        self.lane.backlog.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn lane(threads: usize) -> Arc<Lane> {
        Arc::new(Lane::new(threads, Duration::from_millis(50)))
    }

    #[tokio::test]
    async fn as_many_begin_as_there_are_threads_and_in_their_order() {
        let (lane, begun) = (lane(2), Arc::new(AtomicUsize::new(0)));
        let mut calls: Vec<_> = (0..4)
            .map(|n| {
                let begun = begun.clone();
                let call = async move { assert_eq!(begun.fetch_add(1, Ordering::Relaxed), n) };
                Box::pin(Waiting::new(lane.clone(), 7).run(call.boxed(), std::future::pending()))
            })
            .collect();
        let held = lane.turns.try_acquire_many(2).unwrap();
        for call in &mut calls {
            assert!(call.now_or_never().is_none());
        }
        assert_eq!((lane.waiting(), lane.backlog()), (4, Duration::from_nanos(28)));
        drop(held);
        for call in &mut calls {
            assert!(call.await.is_some());
        }
        assert_eq!((lane.waiting(), lane.backlog(), lane.turns.available_permits()), (0, Duration::ZERO, 2));
    }

    #[tokio::test]
    async fn a_call_that_waits_for_something_else_gives_its_turn_away() {
        let lane = lane(1);
        let mut pending =
            pin!(Waiting::new(lane.clone(), 1).run(std::future::pending::<()>().boxed(), std::future::pending()));
        assert!(pending.as_mut().now_or_never().is_none());
        let other = Waiting::new(lane.clone(), 1).run(async { 5 }.boxed(), std::future::pending());
        assert_eq!(other.now_or_never(), Some(Some(5)));
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_does_not_begin() {
        let lane = lane(1);
        let _held = lane.turns.try_acquire().unwrap();
        let call = async { panic!("it has begun") };
        let ended = Waiting::new(lane.clone(), 1).run(call.boxed(), std::future::ready(()));
        assert_eq!(ended.now_or_never(), Some(None::<()>));
        assert_eq!(lane.waiting(), 0);
    }

    #[test]
    fn it_is_full_by_the_time_that_waits_and_not_by_a_few_that_are_long() {
        let millis = |n: u64| n * 1_000_000;
        let lane = lane(2);
        let queue = |cost, n: usize| -> Vec<_> { (0..n).map(|_| Waiting::new(lane.clone(), cost)).collect() };
        let short = queue(millis(2), 49);
        assert!(!lane.is_full());
        let one_more = queue(millis(2), 1);
        assert!(lane.is_full());
        drop((short, one_more));
        let long = queue(millis(1_000), 7);
        assert!(!lane.is_full());
        let one_more = queue(millis(1_000), 1);
        assert!(lane.is_full());
        drop((long, one_more));
        assert!(!lane.is_full());
    }
}
