//! What is kept, as far as it has to go again.

mod files;
mod keys;
mod links;
mod runs;
mod sessions;

use async_trait::async_trait;

use super::StoreError;
use crate::caller::{Principal, Tenant};
use crate::clock::Timestamp;

pub use files::FileRecords;
pub use keys::KeyRecords;
pub use links::LinkRecords;
pub use runs::RunRecords;
pub use sessions::SessionRecords;

/// One kind of what is kept: how it is removed when it is old, and when somebody is to be forgotten. There is one for each kind in
/// [`Stores::records`](super::Stores::records); [`keep_tidy`](crate::retention::keep_tidy) and [`forget`](crate::retention::forget) ask
/// all of them. Removing what is old is the house's own work, and crosses tenants.
///
/// # Promises
/// - **what is old goes**: all that was made before [`Keep::since`], of all tenants, and nothing younger.
/// - **what is too many goes**: the oldest first, until each tenant has [`Keep::most`].
/// - **a batch is small**: no more records go at once than were asked for, and none only where none is left.
/// - **somebody is forgotten**: all that is theirs goes, however young; what others have stays, also those of the same name in another
///   tenant.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// Which kind, in one word, such as `calls`. No other of the server has the same.
    fn kind(&self) -> &'static str;

    /// Removes what is older or more than is to be kept, at most `batch` records, and tells how many. A kind of which each record
    /// ends by itself removes those that have ended.
    ///
    /// Cancel safe: a dropped future has removed whole records.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: some may have been removed.
    async fn expire(&self, keep: Keep, batch: u16) -> Result<u64, StoreError>;

    /// Removes what somebody has, at most `batch` records, and tells how many.
    ///
    /// Cancel safe: a dropped future has removed whole records.
    ///
    /// # Errors
    /// As [`Records::expire`].
    async fn forget(&self, tenant: &Tenant, principal: &Principal, batch: u16) -> Result<u64, StoreError>;
}

/// What is to be kept of a kind; what is `None` bounds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// What was made then or later.
    pub since: Option<Timestamp>,
    /// So many of each tenant, the youngest.
    pub most: Option<u64>,
}
