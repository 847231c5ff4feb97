//! Who does a piece of the house's own work, where several could.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// Gives each piece of work to one holder at a time, in this process and in every replica. It concerns no caller: the names are the
/// house's own, and there are few.
///
/// A holder counts `time` from before it asked. It may be stopped for so long that its lease ends while it believes to have it: so
/// what it writes carries the epoch, and is refused where a greater one was seen.
///
/// # Promises
/// - **one holder at a time**: of each name, however many ask at once.
/// - **a lease ends by itself**: when its time is over, and not before; an ended lease is not renewed, even if nobody has another.
/// - **each holder has a greater epoch than all before**: of the same name.
/// - **only its holder renews or releases**: what an earlier holder asks changes nothing.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes the lease of `name` for `time`, if nobody has it: also not who asks.
    ///
    /// Not cancel safe: a dropped future may have taken it, and then nobody has it until it ends.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it may have been taken all the same, as above.
    async fn acquire(&self, name: &str, time: Duration) -> Result<Option<Lease>, StoreError>;

    /// Makes a lease end `time` from now. It is false once the lease was lost.
    ///
    /// Not cancel safe: a dropped future may or may not have renewed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it ends when it would have ended, or `time` from now.
    async fn renew(&self, lease: &Lease, time: Duration) -> Result<bool, StoreError>;

    /// Ends a lease, so that others need not wait for that. One that was lost stays lost.
    ///
    /// Not cancel safe: a dropped future may not have released, and then the lease ends by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it ends by itself.
    async fn release(&self, lease: Lease) -> Result<(), StoreError>;
}

/// The right to do a piece of work, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which work it is.
    pub name: String,
    /// Greater than those of all earlier holders.
    pub epoch: u64,
}
