//! What is committed beside the records.

use super::link::{ChainId, Kind};
use crate::caller::Tenant;
use crate::store::ledger::CallId;
use crate::store::runs::RunId;

/// Records that are taken away for good. It takes away what was committed before it; of one that is not there, nothing but the
/// link remains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Whose they are.
    pub tenant: Tenant,
    /// Why.
    pub cause: RemovalCause,
    /// Which calls.
    pub calls: Vec<CallId>,
    /// Which runs, each with its steps and inputs, whether it has ended or not: who holds one has lost it.
    pub runs: Vec<RunId>,
}

impl Removal {
    /// How many calls and runs one removal may take away; more of them are refused.
    pub const MOST: usize = 1_000;

    /// How many it takes away.
    pub fn count(&self) -> usize {
        self.calls.len() + self.runs.len()
    }
}

/// Why records are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// They are older than they are to become, or too many.
    Expired,
    /// Somebody had them forgotten.
    Erased,
}

impl RemovalCause {
    /// What the link of such a record says.
    pub fn kind(self) -> Kind {
        match self {
            Self::Expired => Kind::EXPIRED,
            Self::Erased => Kind::ERASED,
        }
    }
}

/// One link of a chain, by its place and its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The chain.
    pub chain: ChainId,
    /// Which link of it.
    pub sequence: u64,
    /// The code of that link.
    pub mac: [u8; 32],
}
