//! Tokens whose signature was checked a short while ago.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::clock::Timestamp;

/// Remembers who has brought which token, by its digest, so that a call does not cost a signature. It holds no token.
///
/// It has two halves: where the newer one is full, the older one is forgotten, and they change places. So it never grows beyond both.
pub(super) struct Verified {
    halves: Mutex<[Half; 2]>,
    half: usize,
}

/// By the digest of a token: who brought it, and until when that is believed.
type Half = HashMap<[u8; 32], (Caller, Timestamp)>;

impl Verified {
    /// One that holds so many tokens at the most.
    pub(super) fn of(most: usize) -> Self {
        Self { halves: Mutex::default(), half: (most / 2).max(1) }
    }

    /// By what a token is remembered.
    pub(super) fn digest(token: &str) -> [u8; 32] {
        Sha256::digest(token).into()
    }

    /// Who brought that token, where that may still be believed.
    pub(super) fn find(&self, digest: &[u8; 32], now: Timestamp) -> Option<Caller> {
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let (caller, until) = halves.iter().find_map(|half| half.get(digest))?;
        (now < *until).then(|| caller.clone())
    }

    /// Believes a token until then.
    pub(super) fn keep(&self, digest: [u8; 32], caller: Caller, until: Timestamp) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if halves[0].len() >= self.half {
            halves.swap(0, 1);
            halves[0].clear();
        }
        halves[0].insert(digest, (caller, until));
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
