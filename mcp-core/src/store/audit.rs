//! Proof of what was written: chains of links, each of which binds a record to all that came before it.

mod anchors;
mod chain;
mod digest;
mod entry;
mod export;
mod finding;
mod link;

use async_trait::async_trait;

use super::StoreError;
use crate::caller::Tenant;
use crate::clock::Timestamp;

pub use anchors::keep_anchored;
pub use chain::{Chain, ChainKey};
pub use digest::RecordDigest;
pub use entry::{Head, Removal, RemovalCause};
pub use export::{Export, ExportKey, export};
pub use finding::{Finding, Record, Verification};
pub use link::{ChainId, Kind, Link, Mark, Place};

/// Reads and verifies the links of what the [`Ledger`](super::ledger::Ledger) wrote.
///
/// Each process that writes has a chain of its own, so that none waits for another: docs/audit.md has the format, and what it
/// proves. A link is written together with what it is about.
///
/// # Promises
/// - **each entry has its link**: whoever asks for the links of a record finds one with the digest of what was written.
/// - **what is removed is gone and told**: a removal takes its records away, and leaves a link for each.
/// - **pages neither repeat nor skip**: asking on with `before` set to the last place shows each link that was there from the
///   beginning once, whatever is written meanwhile.
/// - **every filter holds**: a link that is shown satisfies all that are set; one that does is not left out.
/// - **tenants are apart**: no query shows a link of another tenant.
/// - **a walk passes each link once**: those of all tenants, and of none, chain by chain, in the order in which they were made.
/// - **what was written verifies**: also what was committed twice, what was removed, and what is anchored.
/// - **what is old and gone is trimmed**: the links of records that were removed go by their age, and those of others stay; what is
///   left verifies.
#[async_trait]
pub trait Audit: Send + Sync + 'static {
    /// The links of `tenant` that satisfy `query`, those of the newest subjects first, at most `query.limit`.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached; [`StoreError::Refused`] when it holds what this version
    /// cannot read.
    async fn links(&self, tenant: &Tenant, query: &LinkQuery) -> Result<Vec<Link>, StoreError>;

    /// The links of all chains after `after`, a chain and the place of a link in it, or from the first, at most `limit`; without the
    /// [pin](Kind::PIN), which stands beside the chains. It is the house's own: no caller sees what it gives.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// As [`Audit::links`].
    async fn walk(&self, after: Option<(ChainId, u64)>, limit: u16) -> Result<Vec<Link>, StoreError>;

    /// Whether a link holds the digest of this record, or, where the store encrypts what it keeps, the code of it.
    fn is_linked(&self, link: &Link, record: [u8; 32]) -> bool {
        link.digest == record
    }

    /// Walks over all chains and all records that have links, of all tenants, as they were when it began. Others may write
    /// meanwhile.
    ///
    /// Cancel safe: it only reads.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the store cannot be reached; [`StoreError::Refused`] where there is no chain, since nobody
    /// gave its key.
    async fn verify(&self) -> Result<Verification, StoreError>;

    /// Writes down how far each chain has come, so that it cannot be cut off before there without being found. It is for one
    /// replica to do, each minute and when it stops; it writes nothing where nothing has been written, and where there is no chain.
    ///
    /// Cancel safe: what is committed is committed.
    ///
    /// # Errors
    /// As those of [`Ledger::commit`](super::ledger::Ledger::commit).
    async fn anchor(&self) -> Result<(), StoreError>;

    /// Removes the links from before `before`, as far as they are the first of their chain and what they are about has been
    /// removed. It writes down where each chain begins by now. What has to be removed may be more than it removes at once: it
    /// tells whether there is more.
    ///
    /// Cancel safe: what is committed is committed.
    ///
    /// # Errors
    /// As those of [`Ledger::commit`](super::ledger::Ledger::commit).
    async fn trim(&self, before: Timestamp) -> Result<bool, StoreError>;
}

/// Which links to show; what is `None` is not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkQuery {
    /// Only those about the record with these 128 bits as its id.
    pub subject: Option<u128>,
    /// Only those that say this.
    pub kind: Option<Kind>,
    /// Only those that were made then or later.
    pub from: Option<Timestamp>,
    /// Only those that were made before then.
    pub to: Option<Timestamp>,
    /// Only those that come after this one: where the page before ended.
    pub before: Option<Place>,
    /// How many at the most.
    pub limit: u16,
}

impl Default for LinkQuery {
    fn default() -> Self {
        Self { subject: None, kind: None, from: None, to: None, before: None, limit: 100 }
    }
}

impl LinkQuery {
    /// Whether `link` of the right tenant is one of those asked for.
    pub fn matches(&self, link: &Link) -> bool {
        self.subject.is_none_or(|subject| subject == link.subject)
            && self.kind.as_ref().is_none_or(|kind| *kind == link.kind)
            && self.from.is_none_or(|from| from <= link.at)
            && self.to.is_none_or(|to| link.at < to)
            && self.before.is_none_or(|before| link.place() < before)
    }
}
