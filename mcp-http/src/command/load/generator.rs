//! Requests by the clock, whatever the answers take.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::request::Asker;
use super::tally::Tally;
use super::watched::Seen;
use crate::command::progress::Progress;

/// How a server is loaded.
pub(super) struct Plan {
    pub(super) asker: Asker,
    /// Where it tells its figures.
    pub(super) metrics: String,
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) extent: Duration,
    /// How many are under way at the most; one more is not sent, and counted.
    pub(super) most: usize,
    pub(super) patience: Duration,
}

/// What requests share.
struct Shared {
    asker: Asker,
    begun: Instant,
    under_way: AtomicUsize,
    ended: AtomicU64,
    over: AtomicBool,
    tally: Mutex<Tally>,
}

/// How often it is looked what is due: the timer of the runtime is no finer.
const TICK: Duration = Duration::from_millis(1);

impl Plan {
    /// Sends all, and waits for what was sent: what came of it, for how long was sent, and whether somebody interrupted it.
    ///
    /// Each request is late from the moment at which it was due, and not from that at which it could be sent.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers are far below 2^52"
    )]
    pub(super) async fn carry_out(self, mut progress: Progress) -> (Tally, Duration, bool) {
        let shared = Arc::new(Shared {
            asker: self.asker,
            begun: Instant::now(),
            under_way: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            over: AtomicBool::new(false),
            tally: Mutex::default(),
        });
        let watching = tokio::spawn(shared.clone().watch(self.metrics, self.patience));
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let (mut handed, all) = (0, (self.rate * self.extent.as_secs_f64()).round() as u64);
        let mut was_interrupted = false;
        while handed < all {
            let due = ((shared.begun.elapsed().as_secs_f64() * self.rate) as u64 + 1).min(all);
            for number in handed..due {
                shared.hand_out(Duration::from_secs_f64(number as f64 / self.rate), self.most);
            }
            handed = due;
            progress.at(shared.ended.load(Ordering::Relaxed), Some(all));
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                Ok(()) = &mut interrupted => { was_interrupted = true; break }
            }
        }
        let sent_for = shared.begun.elapsed().min(self.extent);
        // Each ends within its patience.
        while shared.under_way.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(TICK).await;
        }
        // The last second is looked at as well.
        shared.over.store(true, Ordering::Release);
        let _ = watching.await;
        let mut tally = std::mem::take(&mut *shared.tally());
        tally.close_before(usize::MAX);
        (tally, sent_for, was_interrupted)
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the request that is due by now, unless too many are under way.
    fn hand_out(self: &Arc<Self>, due: Duration, most: usize) {
        let second = usize::try_from(due.as_secs()).unwrap_or(usize::MAX);
        let late = move |begun: Instant| begun.elapsed().saturating_sub(due);
        self.tally().due(second, late(self.begun));
        if self.under_way.load(Ordering::Acquire) >= most {
            return self.end(second, &Err("dropped".to_owned()), Duration::ZERO);
        }
        self.under_way.fetch_add(1, Ordering::AcqRel);
        let shared = self.clone();
        tokio::spawn(async move {
            let ended = shared.asker.call().await;
            shared.end(second, &ended, late(shared.begun));
            shared.under_way.fetch_sub(1, Ordering::AcqRel);
        });
    }

    fn end(&self, second: usize, ended: &Result<(), String>, took: Duration) {
        self.tally().end(second, ended, took);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Once a second asks the server for its figures, and closes the seconds to which nothing is added any more.
    async fn watch(self: Arc<Self>, metrics: String, patience: Duration) {
        let mut each = tokio::time::interval(Duration::from_secs(1));
        each.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let settled = usize::try_from(patience.as_secs()).unwrap_or(usize::MAX).saturating_add(2);
        loop {
            let over = self.over.load(Ordering::Acquire);
            if !over {
                tokio::select! {
                    _ = each.tick() => {}
                    () = self.ends() => continue,
                }
            }
            let second = usize::try_from(self.begun.elapsed().as_secs()).unwrap_or(usize::MAX);
            let seen = Seen::ask(&self.asker, &metrics).await;
            let mut tally = self.tally();
            if let Some(seen) = seen {
                let last = tally.seconds.len().saturating_sub(1);
                tally.saw(second.min(last), seen);
            }
            tally.close_before(second.saturating_sub(settled));
            if over {
                return;
            }
        }
    }

    async fn ends(&self) {
        while !self.over.load(Ordering::Acquire) {
            tokio::time::sleep(10 * TICK).await;
        }
    }
}
