//! Whether what a server stands on is there.

use std::time::Duration;

use async_trait::async_trait;

use super::{Cause, StoreError};

/// Finds out whether something that the server needs is there: a database, a cache, a service of your own. A shell asks every few
/// seconds, drops what does not answer in time, and shows what it was told last.
///
/// # Promises
/// - **it tries what calls need**: what it says is what a call would meet.
/// - **it is small**: it may be asked every second without being noticed.
#[async_trait]
pub trait Check: Send + Sync + 'static {
    /// What is checked, in one word, such as `database`. No other check of the server has the same.
    fn name(&self) -> &str;

    /// Whether calls fail without it; otherwise they only go slower.
    fn is_needed(&self) -> bool {
        true
    }

    /// Whether a server is worse off without it; otherwise it is only told how it is, such as of a disk that is nearly full.
    fn is_counted(&self) -> bool {
        true
    }

    /// How long it took, where the check asks nobody by itself and tells of what others met; otherwise it is measured.
    fn took(&self) -> Option<Duration> {
        None
    }

    /// Tries it.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`CheckError`], when it is not there.
    async fn check(&self) -> Result<(), CheckError>;
}

/// Why a check failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{shown}")]
pub struct CheckError {
    shown: String,
    #[source]
    source: Option<Cause>,
}

impl CheckError {
    /// What went wrong, as anybody may read it: without names of machines or users, and without what a driver said.
    pub fn new(shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), source: None }
    }

    /// The cause, for the log alone.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        self.source = Some(cause);
        self
    }
}

impl From<StoreError> for CheckError {
    fn from(error: StoreError) -> Self {
        let shown = error.to_string();
        let source = match error {
            StoreError::Unavailable { source, .. } | StoreError::Refused { source, .. } => source,
            StoreError::Conflict { .. } => None,
        };
        Self { shown, source }
    }
}
