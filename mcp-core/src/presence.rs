//! This process among the replicas.

#[cfg(all(test, feature = "test"))]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::sync::{Mutex, MutexGuard};

use crate::clock::Clock;
use crate::spawn::Spawner;
use crate::store::StoreError;
use crate::store::replicas::{Living, Replica, ReplicaId, Replicas};

/// This process among the replicas: it says again and again that it lives, and knows when it has not been heard. Cheap to clone;
/// clones are the same.
///
/// It counts its time from before it asked, by its own monotonic clock. So it knows that it may be taken for dead before anybody
/// does so: also when it was stopped in between, and has not yet found out anything else.
#[derive(Clone)]
pub struct Presence(Arc<Inner>);

struct Inner {
    replica: Replica,
    replicas: Arc<dyn Replicas>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    /// Microseconds of the monotonic clock until which this process surely lives.
    until: AtomicU64,
    /// Whether somebody sees to it that it lives on.
    beating: Mutex<bool>,
    joined: AtomicBool,
    left: AtomicBool,
}

impl Presence {
    /// How long a replica lives without being heard, where nobody says otherwise.
    pub const LEASE: Duration = Duration::from_secs(10);

    /// A process that has not joined yet, and will live for `lease` without being heard: at least 100 ms. With [`Duration::MAX`] it
    /// need not be heard again.
    pub fn new(replica: Replica, lease: Duration, replicas: Arc<dyn Replicas>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            replica,
            replicas,
            clock,
            lease: lease.max(Duration::from_millis(100)),
            until: AtomicU64::new(0),
            beating: Mutex::new(false),
            joined: AtomicBool::new(false),
            left: AtomicBool::new(false),
        }))
    }

    /// What it says of itself.
    pub fn replica(&self) -> &Replica {
        &self.0.replica
    }

    /// Whether it surely lives: nobody takes over what it does.
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// Joins, if it has not, and from then on lives until it leaves or every clone is dropped: a task on `spawner` says so each
    /// third of its lease.
    ///
    /// Where another is in the way, it waits whether that one still lives: a process that was killed is taken for alive until its
    /// time is over.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join(&self, spawner: &dyn Spawner) -> Result<(), JoinError> {
        let beating = self.0.beating.lock().await;
        let mut seen: Option<Living> = None;
        while let Some(other) = self.0.ask().await? {
            match &seen {
                Some(before) if before.replica.id != other.replica.id || before.until < other.until => {
                    return Err(JoinError::Alone(Box::new(other.replica)));
                }
                Some(_) => {}
                None => {
                    let Replica { id, host, .. } = &other.replica;
                    tracing::info!(replica = %id, host, until = %other.until, "waiting: another replica may still live");
                    seen = Some(other);
                }
            }
            self.0.clock.sleep(self.0.lease / 20).await;
        }
        self.live(spawner, beating);
        Ok(())
    }

    /// The id under which something may be begun that others take over when this process ends: it lives. One that has not joined
    /// joins, and waits for nobody.
    ///
    /// # Errors
    /// [`JoinError`], also where it has joined and was not heard for too long.
    pub async fn alive(&self, spawner: &dyn Spawner) -> Result<ReplicaId, JoinError> {
        let id = self.0.replica.id;
        if self.is_alive() {
            return Ok(id);
        }
        let not_heard = || Err(StoreError::Unavailable { store: "replicas", source: None }.into());
        if self.0.joined.load(Ordering::Acquire) {
            // Somebody sees to it, and nobody waits for that.
            return not_heard();
        }
        let beating = self.0.beating.lock().await;
        if self.is_alive() {
            return Ok(id);
        }
        if *beating || self.0.left.load(Ordering::Acquire) {
            return not_heard();
        }
        if let Some(other) = self.0.ask().await? {
            return Err(JoinError::Alone(Box::new(other.replica)));
        }
        self.live(spawner, beating);
        Ok(id)
    }

    /// Leaves for good: others take over at once what it has not finished.
    pub(crate) async fn leave(&self) {
        self.0.left.store(true, Ordering::Release);
        // Nobody joins after this, and what was being asked has been answered.
        if !*self.0.beating.lock().await {
            return;
        }
        self.0.until.store(0, Ordering::Release);
        if let Err(error) = self.0.replicas.leave(self.0.replica.id).await {
            tracing::warn!(%error, "the replica could not say that it leaves: it is taken for alive until its time is over");
        }
    }

    fn live(&self, spawner: &dyn Spawner, mut beating: MutexGuard<'_, bool>) {
        self.0.joined.store(true, Ordering::Release);
        if !std::mem::replace(&mut *beating, true) && self.0.lease < Duration::MAX {
            spawner.spawn(beat(Arc::downgrade(&self.0), self.0.clock.clone(), self.0.lease / 3).boxed());
        }
    }
}

impl Inner {
    fn is_alive(&self) -> bool {
        micros(self.clock.monotonic()) < self.until.load(Ordering::Acquire)
    }

    /// Joins, or lives on, unless another is in the way.
    async fn ask(&self) -> Result<Option<Living>, StoreError> {
        let asked = self.clock.monotonic();
        let answer = self.replicas.join(&self.replica, self.lease);
        let in_the_way = if self.lease == Duration::MAX {
            answer.await?
        } else {
            match select(answer, self.clock.sleep(self.lease / 3)).await {
                Either::Left((answer, _)) => answer?,
                Either::Right(_) => return Err(StoreError::Unavailable { store: "replicas", source: None }),
            }
        };
        if in_the_way.is_none() && !self.left.load(Ordering::Acquire) {
            self.until.store(micros(asked.saturating_add(self.lease)), Ordering::Release);
        }
        Ok(in_the_way)
    }
}

/// Lives on, as long as somebody needs it.
async fn beat(inner: Weak<Inner>, clock: Arc<dyn Clock>, every: Duration) {
    let mut lives = true;
    loop {
        clock.sleep(if lives { every } else { every / 3 }).await;
        let Some(inner) = inner.upgrade() else { return };
        // Whoever leaves has the last word.
        let _beating = inner.beating.lock().await;
        if inner.left.load(Ordering::Acquire) {
            return;
        }
        let heard = inner.ask().await;
        let was_alive = std::mem::replace(&mut lives, inner.is_alive());
        match heard {
            Ok(Some(other)) if was_alive => {
                let Replica { id, host, .. } = other.replica;
                tracing::error!(replica = %id, host, "another replica has come, beside which this one must not work");
            }
            Err(error) if was_alive && !lives => {
                tracing::error!(%error, "the replica was not heard for too long: others take over what it has begun");
            }
            Ok(None) if !was_alive => tracing::info!("the replica is heard again"),
            _ => {}
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Why a process cannot be one of the replicas.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// This one lives, and one of the two must be alone.
    #[error("another replica serves already, on {} since {}", .0.host, .0.started)]
    Alone(Box<Replica>),
    /// It cannot be found out who lives.
    #[error(transparent)]
    Store(#[from] StoreError),
}
