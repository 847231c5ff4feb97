//! The connections of the pool.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bb8_redis::RedisConnectionManager;
use mcp_core::store::Cause;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::{CONNECT, Late};

/// Makes connections by bb8-redis, or over TLS, and knows of each whether it broke: a command that failed has said so, and no
/// command needs another one before it to find out.
pub(super) struct Connections {
    manager: RedisConnectionManager,
    address: Address,
    failure: Arc<Failure>,
}

/// A connection. Clones are the same one, which several may use at once.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) wire: MultiplexedConnection,
    /// Which run of the server is at its other end.
    pub(super) incarnation: u64,
    broken: Arc<AtomicBool>,
    /// What reads and writes, where that is ours to do. It ends with the last clone.
    _driver: Arc<JoinSet<()>>,
}

/// Makes connections that only listen.
pub(super) struct Listening {
    client: Client,
    address: Address,
}

/// Why the last connection that was tried could not be made.
#[derive(Default)]
pub(super) struct Failure(Mutex<Option<Cause>>);

/// Who waits has a deadline that is shorter; this ends what nobody waits for.
const RESPONSE: Duration = Duration::from_secs(60);

impl Connections {
    pub(super) fn new(address: Address) -> Result<(Self, Arc<Failure>), RedisError> {
        let (manager, failure) = (RedisConnectionManager::new(address.info.clone())?, Arc::<Failure>::default());
        Ok((Self { manager, address, failure: failure.clone() }, failure))
    }

    async fn make(&self, until: Instant) -> Result<Connection, RedisError> {
        let mut driver = JoinSet::new();
        let mut wire = match &self.address.tls {
            None => bb8::ManageConnection::connect(&self.manager).await.map_err(|error| self.address.judge(error))?,
            Some(tls) => {
                let (settings, stream) = (self.address.info.redis_settings(), tls.connect(until).await?);
                let config = AsyncConnectionConfig::new();
                let (wire, drive) = MultiplexedConnection::new_with_config(settings, stream, config).await?;
                driver.spawn(drive);
                wire
            }
        };
        wire.set_response_timeout(RESPONSE);
        let about: String = redis::cmd("INFO").arg("server").query_async(&mut wire).await?;
        let run = about.lines().find_map(|line| line.strip_prefix("run_id:"));
        let incarnation = run.and_then(|run| u64::from_str_radix(run.get(..16)?, 16).ok());
        let incarnation = incarnation.ok_or((ErrorKind::Client, "the server does not tell its run_id"))?;
        Ok(Connection { wire, incarnation, broken: Arc::default(), _driver: Arc::new(driver) })
    }
}

impl bb8::ManageConnection for Connections {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        let until = Instant::now() + CONNECT;
        let made = timeout_at(until, self.make(until)).await;
        let made = made.unwrap_or_else(|_| Err(RedisError::from(std::io::Error::other(Late))));
        self.failure.set(made.as_ref().err());
        made
    }

    /// Never asked: see `test_on_check_out`.
    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        bb8::ManageConnection::is_valid(&self.manager, &mut connection.wire).await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.is_broken()
    }
}

impl Connection {
    /// Whether a command on it has failed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// A command on it has failed: the pool replaces it.
    pub(super) fn set_broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }
}

impl Listening {
    pub(super) fn new(address: Address) -> Result<Self, RedisError> {
        Ok(Self { client: Client::open(address.info.clone())?, address })
    }

    /// A connection that listens to all channels whose names match.
    pub(super) async fn connect(&self, channels: &str) -> Result<PubSub, RedisError> {
        let mut connection = match &self.address.tls {
            None => self.client.get_async_pubsub().await?,
            Some(tls) => {
                let stream = tls.connect(Instant::now() + CONNECT).await?;
                PubSub::new(self.address.info.redis_settings(), stream).await?
            }
        };
        connection.psubscribe(channels).await?;
        Ok(connection)
    }
}

impl Failure {
    pub(super) fn last(&self) -> Option<Cause> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, error: Option<&RedisError>) {
        let cause = error.map(|error| Arc::new(error.clone()) as Cause);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cause;
    }
}
