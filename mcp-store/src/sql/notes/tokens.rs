//! Words as an index holds them.

use std::collections::BTreeSet;

use mcp_core::caller::{Principal, Tenant};
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// The words of one caller as an index holds them: behind a mark of the caller, so that a search walks over no one else's notes.
/// That a mark is a digest costs nothing: what is found is the caller's own by its row.
pub(super) struct Tokens {
    mark: String,
}

/// FTS5 cuts longer tokens (at 32,768 bytes), and would find what only begins alike; PostgreSQL refuses some that are shorter.
const LONGEST: usize = 1_024;

impl Tokens {
    pub(super) fn of(tenant: &Tenant, owner: &Principal) -> Self {
        let names = format!("{} {tenant}{owner}", tenant.as_str().len());
        Self { mark: hex(&Sha256::digest(names)[..8]) }
    }

    /// Each of `words` once, in the order of their bytes.
    pub(super) fn all(&self, words: impl Iterator<Item = String>) -> Vec<String> {
        let token = |word: String| {
            if word.len() <= LONGEST {
                format!("{}{word}", self.mark)
            } else {
                // No word holds an ellipsis, so that none is taken for the digest of another.
                format!("{}…{}", self.mark, hex(&Sha256::digest(word)))
            }
        };
        words.collect::<BTreeSet<_>>().into_iter().map(token).collect()
    }
}
