//! Sessions that were found a moment ago.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::sessions::StoredSession;
use moka::future::Cache;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;

/// What was found of sessions, for as long as a use need not be marked again: of many requests within a second, one asks the database.
/// Another process that changes a session is noticed after that second; for changes by this process, [`Remembered::forget`] is told.
///
/// What concerns one session is done one after the other: who finds it and who forgets it do not overlap, so that nothing is remembered
/// that was found before a change and is put here after it. Of those who look for it at once, the first asks, and the others wait.
#[derive(Clone)]
pub(super) struct Remembered {
    clock: Arc<dyn Clock>,
    by_handle: Cache<String, Remembrance>,
}

/// A session that was found, and for how long that need not be done again.
pub(super) struct Found {
    pub(super) session: StoredSession,
    pub(super) lasts: Duration,
}

#[derive(Clone)]
struct Remembrance {
    tenant: Tenant,
    owner: Principal,
    version: u64,
    value: Bytes,
    /// By the clock that never goes back.
    until: Duration,
}

/// How many bytes there are at the most. Those go first that were not asked for the longest.
const BYTES: u64 = 4 * 1024 * 1024;

/// What an entry costs beside its texts.
const OVERHEAD: usize = 256;

impl Remembered {
    /// Nothing yet.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let by_handle = Cache::builder()
            .max_capacity(BYTES)
            .weigher(|handle: &String, known: &Remembrance| {
                let names = known.tenant.as_str().len() + known.owner.as_str().len() + handle.len();
                u32::try_from(names + known.value.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { clock, by_handle }
    }

    /// The owner's session, which `find` finds where it is not known well enough.
    pub(super) async fn load(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        handle: &str,
        find: impl Future<Output = Result<Option<Found>, StoreError>>,
    ) -> Result<Option<StoredSession>, StoreError> {
        let known = |remembrance: Remembrance| {
            let Remembrance { version, value, until, .. } = remembrance;
            let is_theirs = remembrance.tenant == *tenant && remembrance.owner == *owner;
            let session = StoredSession { handle: handle.to_owned(), version, value };
            (is_theirs && self.clock.monotonic() < until).then_some(session)
        };
        if let Some(session) = self.by_handle.get(handle).await.and_then(known) {
            return Ok(Some(session));
        }
        let mut session = None;
        let look = self.by_handle.entry_by_ref(handle).and_try_compute_with(async |entry| {
            session = entry.and_then(|entry| known(entry.into_value()));
            if session.is_some() {
                return Ok(Op::Nop);
            }
            let asked = self.clock.monotonic();
            let Some(Found { session: found, lasts }) = find.await? else { return Ok(Op::Nop) };
            let (version, value) = (found.version, found.value.clone());
            session = Some(found);
            let (tenant, owner, until) = (tenant.clone(), owner.clone(), asked.saturating_add(lasts));
            Ok(Op::Put(Remembrance { tenant, owner, version, value, until }))
        });
        look.await?;
        Ok(session)
    }

    /// Knows nothing any more of a session that was changed or removed. What was found before that is not remembered after this.
    pub(super) async fn forget(&self, handle: &str) {
        self.by_handle.entry_by_ref(handle).and_compute_with(async |_| Op::Remove).await;
    }
}

#[cfg(test)]
mod tests;
