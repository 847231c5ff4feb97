//! Tokens whose signature was checked a short while ago.

use std::sync::Mutex;

use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::caller::lately::Lately;
use crate::clock::Timestamp;
use crate::memory::lock;

/// Remembers who has brought which token, by its digest, so that a call does not cost a signature. It holds no token.
pub(super) struct Verified(Mutex<Lately<(Caller, Timestamp)>>);

impl Verified {
    /// One that holds so many tokens at the most.
    pub(super) fn of(most: usize) -> Self {
        Self(Mutex::new(Lately::new(most / 2)))
    }

    /// By what a token is remembered.
    pub(super) fn digest(token: &str) -> [u8; 32] {
        Sha256::digest(token).into()
    }

    /// Who brought that token, where that may still be believed.
    pub(super) fn find(&self, digest: &[u8; 32], now: Timestamp) -> Option<Caller> {
        let verified = lock(&self.0);
        let (caller, until) = verified.find(digest)?;
        (now < *until).then(|| caller.clone())
    }

    /// Believes a token until then.
    pub(super) fn keep(&self, digest: [u8; 32], caller: Caller, until: Timestamp) {
        lock(&self.0).keep(digest, (caller, until));
    }
}

#[cfg(test)]
mod tests {
    use super::Verified;
    use crate::caller::Caller;
    use crate::clock::Timestamp;

    #[test]
    fn no_more_tokens_are_remembered_than_the_cap() {
        let (verified, later) = (Verified::of(10), Timestamp::from_micros(1));
        let now = Timestamp::default();
        let found = |n: u32| verified.find(&Verified::digest(&n.to_string()), now);
        for n in 0..1000_u32 {
            verified.keep(Verified::digest(&n.to_string()), Caller::new("house", n.to_string()), later);
            assert_eq!(found(n), Some(Caller::new("house", n.to_string())));
            assert!((0..=n).filter(|n| found(*n).is_some()).count() <= 10);
        }
        assert!(verified.find(&Verified::digest("999"), later).is_none(), "it is believed until then, and no longer");
    }
}
