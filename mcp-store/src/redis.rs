//! What replicas share for a short while, on one Redis.
//!
//! Every command goes through [`Redis::run`]: a connection of the pool, a deadline around all of it, and a breaker that is open
//! while Redis does not answer, so that nobody waits for what will not come. A beat in the background opens and closes it. Only
//! what listens for events has a connection of its own.
//!
//! Redis may be stopped, frozen, restarted, emptied or replaced at any time, and everything heals by itself. Replicas share one
//! server: of a cluster's nodes only one would be asked, and of what a primary acknowledged and its successor never had, nothing
//! is trusted, since a successor is another server.
//!
//! Its memory is bounded by its operator: `maxmemory` with a policy `volatile-*` (or `allkeys-*`). Every key that is written here
//! begins with `mcp:`, and ends by itself after a while. A Redis that is full puts out sessions as well, those first that its policy
//! says.

mod address;
mod breaker;
mod cache;
mod check;
mod connection;
mod counts;
mod events;
mod key;
mod limits;
mod sessions;
mod tls;
mod versions;

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mcp_core::Stores;
use mcp_core::clock::Clock;
use mcp_core::store::sessions::SessionRoom;
use mcp_core::store::{Cause, StoreError};
use redis::{FromRedisValue, Pipeline, RedisError};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use address::Address;
use breaker::Breaker;
use connection::{Connection, Connections, Failure, Listening};
use counts::Counts;
use events::RedisEvents;
use limits::SharedLimits;

use cache::SharedCache;
use check::RedisCheck;
use sessions::RedisSessions;

use crate::cache::LocalCache;
use crate::error::OpenError;
use crate::spans;
use crate::sql::content::Content;

/// A Redis, through a pool of connections that several commands use at once. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Redis(Arc<Inner>);

struct Inner {
    pool: bb8::Pool<Connections>,
    /// Its number.
    database: i64,
    connecting: Arc<Failure>,
    breaker: Breaker,
    counts: Counts,
    clock: Arc<dyn Clock>,
    deadline: Duration,
}

/// Puts the Redis behind `url`, for which the authority in a file may vouch, behind the cache, in front of which `local` answers, the
/// events and the limits, and keeps sessions in it. It need not be there yet.
pub(crate) async fn share(
    stores: &mut Stores,
    (url, authority): (&str, Option<&Path>),
    deadline: Duration,
    local: Arc<LocalCache>,
    protocol_sessions: SessionRoom,
    clock: &Arc<dyn Clock>,
    content: &Content,
) -> Result<(), OpenError> {
    let address = Address::parse(url, authority)?;
    let listening = Listening::new(address.clone()).map_err(unusable)?;
    let redis = Redis::open(address, deadline, clock.clone()).await?;
    let events = RedisEvents::start(redis.clone(), listening).await;
    let cache = SharedCache::start(local, redis.clone(), content.clone(), &events, clock.clone());
    stores.limits = Arc::new(SharedLimits::new(redis.clone(), clock.clone()));
    let sessions = |room| Arc::new(RedisSessions::new(redis.clone(), clock.clone(), room).sealing(content.clone()));
    stores.sessions = sessions(SessionRoom::APPLICATION);
    stores.protocol_sessions = sessions(protocol_sessions);
    stores.checks.push(Arc::new(RedisCheck::new(redis)));
    stores.collectors.push(Arc::new(cache.measures()));
    stores.cache = Arc::new(cache);
    stores.events = Arc::new(events);
    Ok(())
}

/// Whether the Redis behind `url` takes writes.
pub(crate) async fn answers(
    (url, authority): (&str, Option<&Path>),
    deadline: Duration,
    clock: &Arc<dyn Clock>,
) -> Result<bool, OpenError> {
    let redis = Redis::open(Address::parse(url, authority)?, deadline, clock.clone()).await?;
    Ok(!redis.0.breaker.is_open())
}

/// How many connections there are. What comes after a large value on one of them is overtaken on another.
const CONNECTIONS: u32 = 2;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_millis(500);
/// How long after a beat the next one begins.
const BEAT: Duration = Duration::from_millis(200);
/// How much longer than a command a beat may take, so that a moment's delay is no outage.
const BEAT_GRACE: Duration = Duration::from_millis(100);

/// What Redis replied.
struct Reply<T> {
    value: T,
    /// Which run of the server it was: another one after each restart.
    incarnation: u64,
}

/// Why there is no reply that can be used.
enum Fault {
    /// Redis answered that it will not do this; it does other things.
    Refused(Cause),
    /// It did not answer, or answered that it does nothing at the moment.
    Missed(Cause),
}

impl Redis {
    /// The Redis at `address`, whose commands may take `deadline`. It is asked for the first time before this returns, on the current
    /// tokio runtime, and need not be there.
    ///
    /// # Errors
    /// An address that cannot be used, in words that do not show it.
    async fn open(address: Address, deadline: Duration, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let database = address.info.redis_settings().db();
        let (manager, connecting) = Connections::new(address).map_err(unusable)?;
        let pool = bb8::Pool::builder()
            .max_size(CONNECTIONS)
            .min_idle(CONNECTIONS)
            .test_on_check_out(false)
            .retry_connection(false)
            .max_lifetime(None)
            .idle_timeout(None)
            .connection_timeout(CONNECT)
            .build_unchecked(manager);
        let (breaker, counts) = (Breaker::new(), Counts::default());
        let redis = Self(Arc::new(Inner { pool, database, connecting, breaker, counts, clock, deadline }));
        // Long enough to learn why no connection can be made.
        redis.beat(CONNECT + BEAT_GRACE).await;
        tokio::spawn(beat(Arc::downgrade(&redis.0)));
        Ok(redis)
    }

    /// Runs commands of `store` in one round trip. They are made anew for each connection on which they are tried, since one that broke may
    /// yet have carried them.
    ///
    /// Cancel safe, as far as the commands are.
    async fn run<T: FromRedisValue>(
        &self,
        store: &'static str,
        commands: impl Fn() -> Pipeline,
    ) -> Result<Reply<T>, StoreError> {
        if self.0.breaker.is_open() {
            self.0.counts.skipped();
            return Err(StoreError::Unavailable { store, source: None });
        }
        let span = spans::redis(store, &commands);
        let result = self.exchange(&commands, self.0.deadline).instrument(span).await;
        match &result {
            Ok(_) | Err(Fault::Refused(_)) => self.0.breaker.served(),
            Err(Fault::Missed(cause)) => self.0.breaker.missed(cause),
        }
        result.map_err(|(Fault::Refused(cause) | Fault::Missed(cause))| StoreError::Unavailable {
            store,
            source: Some(cause),
        })
    }

    /// Tries commands until `deadline`, on as many connections as turn out to be broken.
    async fn exchange<T: FromRedisValue>(
        &self,
        commands: &impl Fn() -> Pipeline,
        deadline: Duration,
    ) -> Result<Reply<T>, Fault> {
        let until = Instant::now() + deadline;
        let mut broke = None;
        let result = loop {
            let Ok(mut connection) = timeout_at(until, self.connection()).await else {
                let cause = broke.or_else(|| self.0.connecting.last()).unwrap_or_else(|| Arc::new(Late));
                break Err(Fault::Missed(cause));
            };
            let pipeline = commands();
            match timeout_at(until, pipeline.query_async(&mut connection.wire)).await {
                Ok(Ok(value)) => break Ok(Reply { value, incarnation: connection.incarnation }),
                Ok(Err(error)) if is_refusal(&error) => break Err(Fault::Refused(Arc::new(error))),
                Ok(Err(error)) => {
                    connection.set_broken();
                    let closed = error.is_unrecoverable_error();
                    let cause: Cause = Arc::new(error);
                    if !closed {
                        break Err(Fault::Missed(cause));
                    }
                    broke = Some(cause);
                }
                Err(_) => {
                    connection.set_broken();
                    break Err(Fault::Missed(Arc::new(Late)));
                }
            }
        };
        self.0.counts.ended(&result);
        result
    }

    /// A connection that nothing bad is known of. Others may use it at the same time.
    async fn connection(&self) -> Connection {
        loop {
            // The pool gives up after a while, and then it is asked again: whoever waits has a deadline.
            if let Ok(connection) = self.0.pool.get().await
                && !connection.is_broken()
            {
                return connection.clone();
            }
        }
    }

    /// Finds out whether Redis is there, for so much longer than a command may take. One that takes no writes might as well not be: no change would get through it.
    async fn beat(&self, time: Duration) {
        match self.exchange::<()>(&write, self.0.deadline + time).await {
            Ok(_) => self.0.breaker.beat(self.0.clock.monotonic()),
            Err(Fault::Refused(cause) | Fault::Missed(cause)) => self.0.breaker.open(&cause),
        }
    }

    /// How long after this replica found Redis to be back the others have found it as well, and have delivered what they owed.
    fn settling(&self) -> Duration {
        CONNECT + BEAT + (self.0.deadline + BEAT_GRACE) * 4
    }
}

/// The smallest write.
fn write() -> Pipeline {
    let mut write = redis::pipe();
    write.cmd("SET").arg(key::BEAT).arg(1).arg("PX").arg(1_000).ignore();
    write
}

/// Beats until the Redis is dropped.
async fn beat(redis: Weak<Inner>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let Some(redis) = redis.upgrade() else { return };
        Redis(redis).beat(BEAT_GRACE).await;
    }
}

/// Whether Redis did not like these commands, and would do others.
fn is_refusal(error: &RedisError) -> bool {
    /// What a server says that serves nobody, or takes no writes.
    const DOES_NOTHING: [&str; 9] =
        ["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOPERM", "NOREPLICAS", "READONLY"];
    match error.clone().into_server_errors() {
        Some(errors) => !errors.iter().any(|(_, error)| DOES_NOTHING.contains(&error.code())),
        None => matches!(error.kind(), redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType),
    }
}

fn unusable(error: RedisError) -> OpenError {
    OpenError::redis(error.category())
}

/// It took too long.
#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
struct Late;
