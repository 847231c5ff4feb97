//! Telling other processes of a run that is held here, while somebody watches it there.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use super::afar::AGAIN;
use super::watching::Watcher;
use super::workers::Floor;
use crate::memory::lock;
use crate::store::runs::{Hold, RunId};

/// Which runs are watched elsewhere, whether they are held here or may be yet.
#[derive(Default)]
pub(super) struct Wanted(Mutex<HashMap<RunId, Wish>>);

struct Wish {
    /// Until when, by the monotonic clock, unless it is said again.
    until: Duration,
    /// Whether a task sees to it.
    is_seen_to: bool,
}

/// Whoever has not said that they watch a run for so long watches it no more.
const FRESH: Duration = AGAIN.saturating_mul(3);

/// Of how many runs it is known that they are watched elsewhere.
const MOST: usize = 4_096;

/// For so long it is gathered what is told together.
const GATHERED: Duration = Duration::from_millis(40);

impl Wanted {
    /// It was said again. Where too many are watched, those of which nobody has heard are not told of.
    fn renew(&self, run: RunId, now: Duration) {
        let mut wishes = lock(&self.0);
        if wishes.len() >= MOST && !wishes.contains_key(&run) {
            wishes.retain(|_, wish| wish.is_seen_to || wish.until > now);
            if wishes.len() >= MOST {
                return;
            }
        }
        wishes.entry(run).or_insert(Wish { until: now, is_seen_to: false }).until = now + FRESH;
    }

    /// Whether a run is watched, and nobody sees to it: then the caller does from now on.
    fn see_to(&self, run: RunId, now: Duration) -> bool {
        let mut wishes = lock(&self.0);
        let wish = wishes.get_mut(&run).filter(|wish| wish.until > now);
        wish.is_some_and(|wish| !std::mem::replace(&mut wish.is_seen_to, true))
    }

    /// How long a run is watched from now on; where it is not, nobody sees to it any more.
    fn left(&self, run: RunId, now: Duration) -> Option<Duration> {
        let mut wishes = lock(&self.0);
        let left = wishes.get(&run)?.until.saturating_sub(now);
        if left.is_zero() {
            wishes.remove(&run);
            return None;
        }
        Some(left)
    }
}

impl Floor {
    /// Hears which runs are watched elsewhere, until the workers have stopped.
    pub(super) async fn hear_for_ever(self: &Arc<Self>) {
        let watched = |run| {
            self.wanted.renew(run, self.clock.monotonic());
            if let Some(hold) = self.hold_of(run) {
                self.forward(&hold);
            }
        };
        let hear = self.hints.afar().hear(&*self.clock, self.config.poll, watched);
        select(pin!(hear), pin!(self.stopped())).await;
    }

    /// Begins to tell other processes of a run that is held here, if it is watched there.
    pub(super) fn forward(self: &Arc<Self>, hold: &Hold) {
        if self.wanted.see_to(hold.run, self.clock.monotonic()) {
            let watcher = self.hints.watched().watch(hold.run);
            self.spawner.spawn(forward(self.clone(), hold.clone(), watcher).boxed());
        }
    }
}

/// Tells other processes of a run, as long as it is watched there.
async fn forward(floor: Arc<Floor>, hold: Hold, mut watcher: Watcher) {
    let (clock, afar) = (&floor.clock, floor.hints.afar());
    while let Some(left) = floor.wanted.left(hold.run, clock.monotonic()) {
        let Either::Left(_) = select(pin!(watcher.is_told()), clock.sleep(left)).await else { continue };
        clock.sleep(GATHERED).await;
        while let Some(news) = watcher.take() {
            afar.tell(&hold.tenant, hold.run, &news).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_seen_to_by_one_for_as_long_as_it_is_said_that_it_is_watched() {
        let (wanted, run) = (Wanted::default(), RunId::from_u128(1));
        assert!(!wanted.see_to(run, Duration::ZERO));
        wanted.renew(run, Duration::ZERO);
        assert!(wanted.see_to(run, Duration::ZERO) && !wanted.see_to(run, Duration::ZERO));
        wanted.renew(run, AGAIN);
        assert_eq!(wanted.left(run, FRESH), Some(AGAIN));
        assert_eq!(wanted.left(run, FRESH + AGAIN), None);
        assert!(lock(&wanted.0).is_empty());
        wanted.renew(run, Duration::ZERO);
        assert!(!wanted.see_to(run, FRESH), "it is too late");
    }

    #[test]
    fn so_many_are_known_to_be_watched_and_the_stale_make_room() {
        let wanted = Wanted::default();
        let run = |n: usize| RunId::from_u128(n as u128);
        (0..=MOST).for_each(|n| wanted.renew(run(n), Duration::ZERO));
        assert_eq!(lock(&wanted.0).len(), MOST);
        assert!(!wanted.see_to(run(MOST), Duration::ZERO) && wanted.see_to(run(0), Duration::ZERO));
        wanted.renew(run(MOST), FRESH);
        assert!(wanted.see_to(run(MOST), FRESH));
        assert_eq!(lock(&wanted.0).len(), 2);
    }
}
