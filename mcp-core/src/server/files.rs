//! The files of one caller.

use std::sync::Arc;

use crate::caller::{Caller, Principal, Tenant};
use crate::store::StoreError;
use crate::store::blobs::ByteStream;
use crate::store::files::{Caps, File, FileError, Files, OpenFile, Span};

/// The files of one caller: [`Files`], for whom they are.
pub struct OwnFiles {
    files: Arc<dyn Files>,
    tenant: Tenant,
    owner: Principal,
}

impl OwnFiles {
    pub(super) fn new(files: Arc<dyn Files>, caller: &Caller) -> Self {
        Self { files, tenant: caller.tenant().clone(), owner: caller.principal().clone() }
    }

    /// As [`Files::caps`].
    pub fn caps(&self) -> Caps {
        self.files.caps()
    }

    /// As [`Files::write`].
    ///
    /// # Errors
    /// As there.
    pub async fn write(&self, name: &str, content_type: &str, bytes: ByteStream) -> Result<File, FileError> {
        self.files.write(&self.tenant, &self.owner, name, content_type, bytes).await
    }

    /// As [`Files::read`].
    ///
    /// # Errors
    /// As there.
    pub async fn read(&self, name: &str, span: Option<Span>) -> Result<Option<OpenFile>, FileError> {
        self.files.read(&self.tenant, &self.owner, name, span).await
    }

    /// As [`Files::find`].
    ///
    /// # Errors
    /// As there.
    pub async fn find(&self, name: &str) -> Result<Option<File>, StoreError> {
        self.files.find(&self.tenant, &self.owner, name).await
    }

    /// As [`Files::remove`].
    ///
    /// # Errors
    /// As there.
    pub async fn remove(&self, name: &str) -> Result<bool, StoreError> {
        self.files.remove(&self.tenant, &self.owner, name).await
    }

    /// As [`Files::list`].
    ///
    /// # Errors
    /// As there.
    pub async fn list(&self, prefix: &str, after: Option<&str>, limit: u16) -> Result<Vec<File>, StoreError> {
        self.files.list(&self.tenant, &self.owner, prefix, after, limit).await
    }
}
