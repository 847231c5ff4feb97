//! Words as an index holds them, of notes and of messages alike.

use std::collections::BTreeSet;

use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::words::words;
use sea_orm::Value;
use sea_orm::sea_query::ArrayType;
use sha2::{Digest, Sha256};

use mcp_core::store::hex::hex;

/// The words of one caller as an index holds them: behind a mark of the caller, so that a search walks over no one else's.
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

    /// Each word of `texts` once, in the order of their bytes.
    pub(super) fn all(&self, texts: &[&str]) -> Vec<String> {
        let token = |word: String| {
            if word.len() <= LONGEST {
                format!("{}{word}", self.mark)
            } else {
                // No word holds an ellipsis, so that none is taken for the digest of another.
                format!("{}…{}", self.mark, hex(&Sha256::digest(word)))
            }
        };
        texts.iter().flat_map(|text| words(text)).collect::<BTreeSet<_>>().into_iter().map(token).collect()
    }
}

/// As PostgreSQL holds them, and is asked for them, in an array under a GIN index.
pub(super) fn array(tokens: Vec<String>) -> Value {
    Value::Array(ArrayType::String, Some(Box::new(tokens.into_iter().map(Value::from).collect())))
}

/// As SQLite holds them in an FTS5 table.
pub(super) fn line(tokens: &[String]) -> String {
    tokens.join(" ")
}

/// As FTS5 is asked for all of them. Quoted, each is a word and no part of its language; no word holds a quote.
pub(super) fn all_of(tokens: &[String]) -> String {
    tokens.iter().map(|token| format!("\"{token}\"")).collect::<Vec<_>>().join(" AND ")
}
