//! Connections of which some may lead nowhere.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sea_orm::{ConnAcquireErr, DatabaseConnection, DbBackend, DbErr, RuntimeErr};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::error::late;

/// A pool that is given up, and replaced by another one, as soon as it may have a connection that leads nowhere, or one in the
/// middle of something. The driver's own pool asks each connection that comes back whether it is well, waits for the answer
/// for as long as TCP hopes for one, which is a quarter of an hour, and has that connection no more.
pub(super) struct Pool {
    current: Mutex<DatabaseConnection>,
    /// Makes the next one; nothing, where connections lead into a file.
    next: Option<Box<dyn Fn() -> DatabaseConnection + Send + Sync>>,
    /// Lets in as many as there are connections: whoever is inside and is given none knows that it is lost, and not in use.
    gate: Semaphore,
    connections: usize,
    waiting: AtomicUsize,
}

/// How it is with the connections at this moment.
pub(super) struct Usage {
    /// On which somebody does something.
    pub(super) used: usize,
    /// Which are there, and nobody uses.
    pub(super) idle: usize,
    /// Who waits for one.
    pub(super) waiting: usize,
}

/// Somebody who waits, as long as it lives: who waits may leave.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long to wait for those who use all connections.
const WAIT: Duration = Duration::from_secs(3);
/// How long what was given up may take to close well.
const CLOSING: Duration = Duration::from_secs(60);

impl Pool {
    /// A pool with so many connections.
    pub(super) fn new(connections: u32, current: DatabaseConnection) -> Self {
        let (connections, waiting) = (connections as usize, AtomicUsize::new(0));
        Self { current: Mutex::new(current), next: None, gate: Semaphore::new(connections), connections, waiting }
    }

    /// How it is with its connections.
    pub(super) fn usage(&self) -> Usage {
        let used = self.connections.saturating_sub(self.gate.available_permits());
        let current = self.current();
        let open = match current.get_database_backend() {
            DbBackend::Postgres => current.get_postgres_connection_pool().size(),
            _ => current.get_sqlite_connection_pool().size(),
        };
        let idle = usize::try_from(open).unwrap_or(usize::MAX).saturating_sub(used);
        Usage { used, idle, waiting: self.waiting.load(Ordering::Relaxed) }
    }

    /// One that `next` makes as often as it is given up.
    pub(super) fn renewed(connections: u32, next: impl Fn() -> DatabaseConnection + Send + Sync + 'static) -> Self {
        let first = Self::new(connections, next());
        Self { next: Some(Box::new(next)), ..first }
    }

    /// The one that is in use now.
    pub(super) fn current(&self) -> DatabaseConnection {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does `work`, which uses one connection at a time, until `deadline`.
    pub(super) async fn until<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let waits = Waits::begin(&self.waiting);
        let inside = timeout(WAIT, self.gate.acquire()).await;
        drop(waits);
        let Ok(_inside) = inside else {
            return Err(DbErr::Conn(RuntimeErr::Internal("all connections are in use".to_owned())));
        };
        let mut work = pin!(work);
        let done = timeout(deadline, work.as_mut()).await;
        if let Err(_) | Ok(Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))) = done {
            // Before the work is dropped, so that its connection does not come back to one who gives it to others.
            self.give_up();
        }
        done.unwrap_or_else(|_| Err(late()))
    }

    /// From now on another one is in use. What is under way on this one goes on, and closes its connection.
    fn give_up(&self) {
        let Some(next) = &self.next else { return };
        let old = std::mem::replace(&mut *self.current.lock().unwrap_or_else(PoisonError::into_inner), next());
        let pool = old.get_postgres_connection_pool().clone();
        // It is closed from here on, and not only when somebody waits for it.
        drop(pool.close());
        tokio::spawn(async move { timeout(CLOSING, pool.close()).await });
    }
}
