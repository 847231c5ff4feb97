//! Who looks on, in this process, while a run is under way.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::memory::lock;
use crate::store::runs::RunId;

/// Wakes those who watch a run whenever something is recorded of it in this process. Of a run that nobody watches it costs one look at a
/// number.
#[derive(Clone, Default)]
pub(crate) struct Watched(Arc<Inner>);

#[derive(Default)]
struct Inner {
    watchers: AtomicUsize,
    /// Those of each run, and how many they are.
    of: Mutex<HashMap<RunId, (Arc<Notify>, usize)>>,
}

/// Somebody who watches a run, until it is dropped.
pub(crate) struct Watcher {
    watched: Watched,
    run: RunId,
    news: Arc<Notify>,
}

impl Watched {
    /// Watches a run from now on.
    pub(crate) fn watch(&self, run: RunId) -> Watcher {
        let mut of = lock(&self.0.of);
        let (news, watchers) = of.entry(run).or_default();
        *watchers += 1;
        self.0.watchers.fetch_add(1, Ordering::SeqCst);
        Watcher { watched: self.clone(), run, news: news.clone() }
    }

    /// Says that something new of a run can be read.
    pub(super) fn tell(&self, run: RunId) {
        // Who has begun to watch since will look by themselves: what is told was written before.
        if self.0.watchers.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some((news, _)) = lock(&self.0.of).get(&run) {
            news.notify_waiters();
        }
    }
}

impl Watcher {
    /// Completes when something new is told after this was called.
    pub(crate) fn news(&self) -> Notified<'_> {
        self.news.notified()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut of = lock(&self.watched.0.of);
        if let Entry::Occupied(mut entry) = of.entry(self.run) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
        self.watched.0.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_watches_a_run_is_told_of_it_and_nothing_is_left_of_who_does_not() {
        let watched = Watched::default();
        let (run, other) = (RunId::from_u128(1), RunId::from_u128(2));
        watched.tell(run);
        let watchers = [watched.watch(run), watched.watch(run)];
        let news = watchers.each_ref().map(Watcher::news);
        watched.tell(other);
        assert!(news.each_ref().iter().all(|_| lock(&watched.0.of).len() == 1));
        watched.tell(run);
        assert!(news.into_iter().all(|news| news.now_or_never().is_some()));
        assert!(watchers[0].news().now_or_never().is_none(), "what was told is not told again");
        drop(watchers);
        assert_eq!((lock(&watched.0.of).len(), watched.0.watchers.load(Ordering::SeqCst)), (0, 0));
    }
}
