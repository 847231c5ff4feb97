//! The threads of one caller.

use super::Server;
use crate::caller::{Principal, Tenant};
use crate::store::StoreError;
use crate::store::threads::{Place, Placed, Thread, ThreadId, Threads};

/// The threads of one caller: [`Threads`], for whom they are.
pub struct OwnThreads<'s> {
    server: &'s Server,
    threads: &'s dyn Threads,
    tenant: &'s Tenant,
    owner: &'s Principal,
}

/// How many characters a title has at the most.
pub const LONGEST_TITLE: usize = 80;

impl<'s> OwnThreads<'s> {
    pub(crate) fn new(server: &'s Server, tenant: &'s Tenant, owner: &'s Principal) -> Self {
        Self { server, threads: server.caller_books().threads(), tenant, owner }
    }

    /// Begins a thread, under an id of the caller's own or a new one; its title has no more than [`LONGEST_TITLE`] characters of the given one.
    /// One that is there stays as it is.
    ///
    /// # Errors
    /// As [`Threads::create`].
    pub async fn begin(&self, title: &str, id: Option<ThreadId>) -> Result<Thread, StoreError> {
        let id = id.unwrap_or_else(|| ThreadId::from_u128(self.server.new_call_id().as_u128()));
        if let Some(known) = self.find(id).await? {
            return Ok(known);
        }
        let title = title.trim().chars().take(LONGEST_TITLE).collect();
        let thread = Thread { id, title, created: self.server.clock().now() };
        self.threads.create(self.tenant, self.owner, &thread).await?;
        Ok(thread)
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`Threads::list`].
    pub async fn find(&self, id: ThreadId) -> Result<Option<Thread>, StoreError> {
        let before = id.as_u128().checked_add(1).map(ThreadId::from_u128);
        let found = self.list(before, 1).await?.pop();
        Ok(found.filter(|thread| thread.id == id))
    }

    /// As [`Threads::list`].
    ///
    /// # Errors
    /// As there.
    pub async fn list(&self, before: Option<ThreadId>, limit: u16) -> Result<Vec<Thread>, StoreError> {
        self.threads.list(self.tenant, self.owner, before, limit).await
    }

    /// As [`Threads::latest`].
    ///
    /// # Errors
    /// As there.
    pub async fn latest(&self, thread: ThreadId, before: Option<Place>, limit: u16) -> Result<Vec<Placed>, StoreError> {
        self.threads.latest(self.tenant, self.owner, thread, before, limit).await
    }

    /// As [`Threads::remove`]. A run that waits in the thread fails when it is its turn.
    ///
    /// # Errors
    /// As there.
    pub async fn remove(&self, thread: ThreadId) -> Result<bool, StoreError> {
        self.threads.remove(self.tenant, self.owner, thread).await
    }
}
