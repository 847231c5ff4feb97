//! Who looks on, in this process, while a run is under way.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::delta::ModelDelta;
use crate::memory::lock;
use crate::store::runs::RunId;

/// Tells those who watch a run what is recorded of it in this process, and what a model says for it. Of a run that nobody watches it costs one
/// look at a number.
#[derive(Clone, Default)]
pub(crate) struct Watched(Arc<Inner>);

#[derive(Default)]
struct Inner {
    watchers: AtomicUsize,
    /// Those of each run.
    of: Mutex<HashMap<RunId, Vec<Arc<Mailbox>>>>,
}

/// Somebody who watches a run, until it is dropped.
pub(crate) struct Watcher {
    watched: Watched,
    run: RunId,
    mailbox: Arc<Mailbox>,
}

/// Something that a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Something new can be read.
    Recorded,
    /// A model says something.
    Said(ModelDelta),
}

/// What waits for one watcher.
#[derive(Default)]
struct Mailbox {
    news: Mutex<VecDeque<News>>,
    /// There is some.
    came: Notify,
}

/// How much waits for a watcher, at the most: what a model says beyond that is not told. Each is a kilobyte of text at the most.
const MOST: usize = 64;

impl Watched {
    /// Watches a run from now on.
    pub(crate) fn watch(&self, run: RunId) -> Watcher {
        let mailbox = Arc::<Mailbox>::default();
        lock(&self.0.of).entry(run).or_default().push(mailbox.clone());
        self.0.watchers.fetch_add(1, Ordering::SeqCst);
        Watcher { watched: self.clone(), run, mailbox }
    }

    /// Whether anybody watches this run.
    pub(crate) fn is_watched(&self, run: RunId) -> bool {
        self.0.watchers.load(Ordering::SeqCst) > 0 && lock(&self.0.of).contains_key(&run)
    }

    /// Tells who watches a run.
    pub(crate) fn tell(&self, run: RunId, news: &News) {
        // Who has begun to watch since will look by themselves: what is told was written before.
        if self.0.watchers.load(Ordering::SeqCst) == 0 {
            return;
        }
        for mailbox in lock(&self.0.of).get(&run).into_iter().flatten() {
            mailbox.put(news);
        }
    }
}

impl Mailbox {
    /// Nothing is put in twice, and nothing before what came before it. That something was recorded always finds room.
    fn put(&self, more: &News) {
        let mut news = lock(&self.news);
        let is_in_it = match (news.back_mut(), more) {
            (Some(News::Said(last)), News::Said(more)) => last.join(more),
            (last, more) => last.is_some_and(|last| last == more),
        };
        let is_full = news.len() >= MOST;
        if is_in_it || (is_full && *more != News::Recorded) {
            return;
        }
        if is_full {
            news.pop_back();
        }
        news.push_back(more.clone());
        drop(news);
        self.came.notify_one();
    }
}

impl Watcher {
    /// The next news since it watches.
    ///
    /// Cancel safe.
    pub(crate) async fn news(&mut self) -> News {
        loop {
            if let Some(news) = self.take() {
                return news;
            }
            self.is_told().await;
        }
    }

    /// Completes when there are news.
    ///
    /// Cancel safe.
    pub(super) async fn is_told(&self) {
        while lock(&self.mailbox.news).is_empty() {
            self.mailbox.came.notified().await;
        }
    }

    /// The same, where there are any by now.
    pub(crate) fn take(&mut self) -> Option<News> {
        lock(&self.mailbox.news).pop_front()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut of = lock(&self.watched.0.of);
        if let Entry::Occupied(mut entry) = of.entry(self.run) {
            entry.get_mut().retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
        self.watched.0.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::delta::Attempt;
    use super::*;

    fn said(number: u32, from: usize, text: &str) -> News {
        let (step, agent) = ("turn.0".to_owned(), "writer".to_owned());
        let attempt = Attempt::of(1, number);
        News::Said(ModelDelta { step, agent, attempt, from: from as u64, text: text.to_owned(), tool: None })
    }

    fn all(watcher: &mut Watcher) -> Vec<News> {
        std::iter::from_fn(|| watcher.take()).collect()
    }

    #[test]
    fn who_watches_a_run_is_told_of_it_and_nothing_is_left_of_who_does_not() {
        let watched = Watched::default();
        let (run, other) = (RunId::from_u128(1), RunId::from_u128(2));
        watched.tell(run, &News::Recorded);
        let mut watchers = [watched.watch(run), watched.watch(run)];
        assert!(watched.is_watched(run) && !watched.is_watched(other));
        watched.tell(other, &News::Recorded);
        for watcher in &mut watchers {
            assert!(watcher.news().now_or_never().is_none());
        }
        watched.tell(run, &News::Recorded);
        for watcher in &mut watchers {
            assert_eq!(watcher.news().now_or_never(), Some(News::Recorded));
            assert!(watcher.news().now_or_never().is_none(), "what was told is not told again");
        }
        let [one, two] = watchers;
        drop(one);
        assert!(watched.is_watched(run));
        drop(two);
        assert_eq!((lock(&watched.0.of).len(), watched.0.watchers.load(Ordering::SeqCst)), (0, 0));
    }

    #[test]
    fn what_waits_is_put_together_in_its_order() {
        let watched = Watched::default();
        let run = RunId::from_u128(1);
        let mut watcher = watched.watch(run);
        for news in [
            said(0, 0, "Hel"),
            said(0, 3, "lo"),
            said(1, 0, "Good"),
            said(1, 9, "day"),
            News::Recorded,
            News::Recorded,
            said(1, 12, "!"),
        ] {
            watched.tell(run, &news);
        }
        let told = [said(0, 0, "Hello"), said(1, 0, "Good"), said(1, 9, "day"), News::Recorded, said(1, 12, "!")];
        assert_eq!(all(&mut watcher), told);
    }

    #[test]
    fn who_does_not_listen_misses_what_is_said_and_no_more() {
        let watched = Watched::default();
        let run = RunId::from_u128(1);
        let mut watcher = watched.watch(run);
        let piece = "a".repeat(ModelDelta::LARGEST);
        for n in 0..10 * MOST {
            watched.tell(run, &said(0, n * piece.len(), &piece));
        }
        watched.tell(run, &News::Recorded);
        let told = all(&mut watcher);
        assert_eq!((told.len(), told.last()), (MOST, Some(&News::Recorded)));
        assert_eq!(told[0], said(0, 0, &piece));
        watched.tell(run, &said(0, 0, "b"));
        assert_eq!(all(&mut watcher), [said(0, 0, "b")], "there is room again");
    }
}
