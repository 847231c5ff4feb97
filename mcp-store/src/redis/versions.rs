//! Which version each tag has, agreed between replicas.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, Shared};
use futures_util::{FutureExt, StreamExt};
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::events::{Event, Listener, Topic};
use redis::Pipeline;

use super::breaker::Contact;
use super::cache::STORE;
use super::events;
use super::{Redis, key};
use crate::random::random;

/// The versions of tags. Redis has them; each replica uses what it read for [`LEASE`], counted from before it asked.
///
/// A version is made of random numbers, and so never comes back: the tag's own, that of the epoch, and that of the run of the
/// server that told it, which is another one after a restart, whatever data the server came back with.
///
/// An invalidation is told to the others, who read again at once; the lease is for those who do not hear it.
///
/// It is owed from its first moment until Redis has acknowledged it. What is owed has no version here. It is delivered again with
/// each beat; when more is owed than can be remembered, everything is, and a new epoch pays for it.
///
/// A replica that cannot ask has no versions as soon as its leases are over, and none for a while after that, until all others
/// have had the time to deliver what they owe. What is lost is what a replica owes when it ends while Redis is away; a lifetime
/// bounds the harm.
pub(super) struct Versions {
    redis: Redis,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was read of each tag, or is being read.
    reads: HashMap<String, Read>,
    /// The number of the last invalidation of each tag that Redis has not acknowledged.
    owed: HashMap<String, u64>,
    /// The number of the last invalidation for which there was no room.
    owes_all: Option<u64>,
    last: u64,
}

type Read = Shared<BoxFuture<'static, Result<Lease, StoreError>>>;

/// A version that may be used without asking.
#[derive(Clone, Copy)]
struct Lease {
    version: u64,
    until: Duration,
}

/// How long a version may be used after Redis was asked for it.
const LEASE: Duration = Duration::from_millis(300);
/// How many tags are leased, and how many invalidations are owed, at the most.
const TAGS: usize = 10_000;
/// How many invalidations are delivered at once.
const BATCH: usize = 500;
/// For how many milliseconds Redis keeps a version that nobody invalidates. The next one only makes results be computed again.
const KEPT: u64 = 7 * 24 * 60 * 60 * 1_000;

impl Versions {
    /// Nothing is known yet. [`Versions::deliver`] and [`Versions::listen`] must run beside.
    pub(super) fn new(redis: Redis, clock: Arc<dyn Clock>) -> Self {
        Self { redis, clock, state: Mutex::default() }
    }

    /// Delivers what is owed with each beat.
    pub(super) async fn deliver(self: Arc<Self>) {
        let mut beats = self.redis.0.breaker.watch();
        while beats.changed().await.is_ok() {
            let is_there = *beats.borrow_and_update() != Contact::Lost;
            if is_there {
                self.pay_all().await;
            }
        }
    }

    /// Forgets what others have invalidated, long before its lease is over.
    pub(super) async fn listen(self: Arc<Self>, mut invalidations: Listener) {
        while let Some(event) = invalidations.next().await {
            let mut state = self.state();
            match event {
                Event::Told(key) if key != key::EPOCH => {
                    if let Ok(key) = std::str::from_utf8(&key) {
                        state.reads.remove(key);
                    }
                }
                Event::Told(_) | Event::Missed => state.reads.clear(),
            }
        }
    }

    /// The version of the tag under `key`.
    pub(super) async fn version(&self, key: String) -> Result<u64, StoreError> {
        let read = self.read(key)?;
        let lease = read.await?;
        if self.clock.monotonic() < lease.until { Ok(lease.version) } else { Err(unavailable()) }
    }

    /// A lease, or the one read that all who need it wait for.
    fn read(&self, key: String) -> Result<Read, StoreError> {
        let mut state = self.state();
        if state.owes_all.is_some() || state.owed.contains_key(&key) {
            return Err(unavailable());
        }
        let now = self.clock.monotonic();
        if let Some(read) = state.reads.get(&key) {
            let is_good = match read.peek() {
                None => true,
                Some(Ok(lease)) => now < lease.until,
                Some(Err(_)) => false,
            };
            if is_good {
                return Ok(read.clone());
            }
        }
        if !self.is_trusted(now) {
            return Err(unavailable());
        }
        let read = lease(self.redis.clone(), self.clock.clone(), key.clone()).boxed().shared();
        if state.reads.len() >= TAGS {
            state.reads.clear();
        }
        state.reads.insert(key, read.clone());
        Ok(read)
    }

    /// Whether every replica has had the time to deliver what it owed when contact was lost.
    fn is_trusted(&self, now: Duration) -> bool {
        match self.redis.0.breaker.contact() {
            Contact::Lost => false,
            Contact::Since(since) => now.saturating_sub(since) >= self.redis.settling(),
        }
    }

    /// Gives the tag under `key` a new version.
    pub(super) async fn invalidate(&self, key: String) -> Result<(), StoreError> {
        let Some(number) = self.state().owe(key.clone()) else { return Err(unavailable()) };
        let owed = [(key, number)];
        match self.pay(&owed).await {
            // Once more, on a connection that is not broken.
            Err(_) => self.pay(&owed).await,
            paid => paid,
        }
    }

    /// Delivers what is owed, for as long as Redis takes it.
    async fn pay_all(&self) {
        loop {
            let (owes_all, owed) = self.state().owed();
            let paid = match owes_all {
                Some(number) => self.pay_with_an_epoch(number).await,
                None if owed.is_empty() => return,
                None => self.pay(&owed).await,
            };
            if paid.is_err() {
                return;
            }
        }
    }

    async fn pay(&self, owed: &[(String, u64)]) -> Result<(), StoreError> {
        self.set(owed.iter().map(|(key, _)| key.as_str())).await?;
        self.state().paid(owed);
        Ok(())
    }

    async fn pay_with_an_epoch(&self, number: u64) -> Result<(), StoreError> {
        self.set([key::EPOCH]).await?;
        let mut state = self.state();
        if state.owes_all == Some(number) {
            state.owes_all = None;
        }
        Ok(())
    }

    /// Gives each of `keys` a number that it never had.
    async fn set(&self, keys: impl IntoIterator<Item = &str> + Clone) -> Result<(), StoreError> {
        let commands = || {
            let mut pipeline = redis::pipe();
            for key in keys.clone() {
                pipeline.cmd("SET").arg(key).arg(random()).arg("PX").arg(KEPT).ignore();
                events::publish(&self.redis, &mut pipeline, &topic(), key.as_bytes());
            }
            pipeline
        };
        self.redis.run::<()>(STORE, commands).await?;
        Ok(())
    }

    /// How many invalidations Redis has not acknowledged.
    pub(super) fn owed(&self) -> usize {
        let state = self.state();
        state.owed.len() + usize::from(state.owes_all.is_some())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Owes an invalidation, and forgets what was read. Without a number when everything is owed.
    fn owe(&mut self, key: String) -> Option<u64> {
        self.last += 1;
        if self.owed.len() >= TAGS && !self.owed.contains_key(&key) || self.owes_all.is_some() {
            self.owes_all = Some(self.last);
            self.owed.clear();
            self.reads.clear();
            return None;
        }
        self.reads.remove(&key);
        self.owed.insert(key, self.last);
        Some(self.last)
    }

    /// Redis has acknowledged these; those that were invalidated again meanwhile are still owed.
    fn paid(&mut self, owed: &[(String, u64)]) {
        for (key, number) in owed {
            if self.owed.get(key) == Some(number) {
                self.owed.remove(key);
            }
        }
    }

    /// Whether everything is owed, and if not, some of what is.
    fn owed(&self) -> (Option<u64>, Vec<(String, u64)>) {
        (self.owes_all, self.owed.iter().take(BATCH).map(|(key, number)| (key.clone(), *number)).collect())
    }
}

/// Reads a version, or makes one where there is none. A server that takes no writes tells none: invalidations do not reach it.
async fn lease(redis: Redis, clock: Arc<dyn Clock>, tag: String) -> Result<Lease, StoreError> {
    let until = clock.monotonic().saturating_add(LEASE);
    let commands = || {
        let mut pipeline = redis::pipe();
        read_or_make(&mut pipeline, key::EPOCH);
        read_or_make(&mut pipeline, &tag);
        pipeline
    };
    // A server that has no room may put a new one out before it is read.
    for _ in 0..3 {
        let reply = redis.run::<(Option<u64>, Option<u64>)>(STORE, &commands).await?;
        if let (Some(epoch), Some(own)) = reply.value {
            return Ok(Lease { version: own ^ epoch ^ reply.incarnation, until });
        }
    }
    Err(unavailable())
}

fn read_or_make(pipeline: &mut Pipeline, key: &str) {
    pipeline.cmd("SET").arg(key).arg(random()).arg("NX").arg("PX").arg(KEPT).ignore();
    pipeline.cmd("GET").arg(key);
}

/// There is no version that may be used.
fn unavailable() -> StoreError {
    StoreError::Unavailable { store: STORE, source: None }
}

/// Where replicas tell each other of invalidations.
pub(super) fn topic() -> Topic {
    Topic::of_the_house("cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_invalidated_again_before_it_is_paid_is_still_owed() {
        let mut state = State::default();
        let number = |owed: Option<u64>| vec![("tag".to_owned(), owed.unwrap())];
        let first = number(state.owe("tag".to_owned()));
        let second = number(state.owe("tag".to_owned()));
        state.paid(&first);
        assert_eq!(
            state.owed(),
            (None, second.clone()),
            "what the first has set may be what was there before the second"
        );
        state.paid(&second);
        assert_eq!(state.owed(), (None, Vec::new()));
    }
}
