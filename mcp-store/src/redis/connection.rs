//! The connections of the pool.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bb8_redis::RedisConnectionManager;
use mcp_core::store::Cause;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{Client, ConnectionInfo, ErrorKind, RedisError};

use super::{CONNECT, Late};

/// Makes connections by bb8-redis, and knows of each whether it broke: a command that failed has said so, and no command needs
/// another one before it to find out.
pub(super) struct Connections {
    manager: RedisConnectionManager,
    failure: Arc<Failure>,
}

/// A connection. Clones are the same one, which several may use at once.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) wire: MultiplexedConnection,
    /// Which run of the server is at its other end.
    pub(super) incarnation: u64,
    broken: Arc<AtomicBool>,
}

/// Makes connections that only listen.
pub(super) struct Listening(Client);

/// Why the last connection that was tried could not be made.
#[derive(Default)]
pub(super) struct Failure(Mutex<Option<Cause>>);

/// Who waits has a deadline that is shorter; this ends what nobody waits for.
const RESPONSE: Duration = Duration::from_secs(60);

impl Connections {
    pub(super) fn new(info: ConnectionInfo) -> Result<(Self, Arc<Failure>), RedisError> {
        let failure = Arc::<Failure>::default();
        Ok((Self { manager: RedisConnectionManager::new(info)?, failure: failure.clone() }, failure))
    }

    async fn make(&self) -> Result<Connection, RedisError> {
        let mut wire = bb8::ManageConnection::connect(&self.manager).await?;
        wire.set_response_timeout(RESPONSE);
        let about: String = redis::cmd("INFO").arg("server").query_async(&mut wire).await?;
        let run = about.lines().find_map(|line| line.strip_prefix("run_id:"));
        let incarnation = run.and_then(|run| u64::from_str_radix(run.get(..16)?, 16).ok());
        let incarnation = incarnation.ok_or((ErrorKind::Client, "the server does not tell its run_id"))?;
        Ok(Connection { wire, incarnation, broken: Arc::default() })
    }
}

impl bb8::ManageConnection for Connections {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        let made = tokio::time::timeout(CONNECT, self.make()).await;
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
    pub(super) fn new(info: ConnectionInfo) -> Result<Self, RedisError> {
        Client::open(info).map(Self)
    }

    /// A connection that listens to all channels whose names match.
    pub(super) async fn connect(&self, channels: &str) -> Result<PubSub, RedisError> {
        let mut connection = self.0.get_async_pubsub().await?;
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
