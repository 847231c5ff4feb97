//! What is known of an issuer's keys, and since when. Times are those of a clock that never goes back.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use mcp_core::oauth::{KeySet, PublicKey};

/// The keys that an issuer had when it answered last.
#[derive(Default)]
pub(super) struct Kept(RwLock<State>);

#[derive(Default)]
struct State {
    keys: KeySet,
    answered: Option<Duration>,
    asked: Option<Duration>,
    /// Whether it answered when it was asked last.
    complete: bool,
}

/// After so long they are asked for again.
const OLD: Duration = Duration::from_secs(300);
/// So long an issuer is not asked twice.
const PAUSE: Duration = Duration::from_secs(10);
/// So long the keys of an issuer are used that does not answer: one that was withdrawn must not be good for ever.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl Kept {
    pub(super) fn find(&self, id: Option<&str>, now: Duration) -> Option<PublicKey> {
        let state = self.read();
        state.answered.filter(|answered| now.saturating_sub(*answered) < KEPT)?;
        state.keys.find(id).cloned()
    }

    pub(super) fn is_old(&self, now: Duration) -> bool {
        self.read().answered.is_none_or(|answered| now.saturating_sub(answered) >= OLD)
    }

    pub(super) fn may_ask(&self, now: Duration) -> bool {
        self.read().asked.is_none_or(|asked| now.saturating_sub(asked) >= PAUSE)
    }

    /// Whether a key that is not among them is none of the issuer.
    pub(super) fn is_complete(&self) -> bool {
        self.read().complete
    }

    pub(super) fn asked(&self, now: Duration) {
        self.write().asked = Some(now);
    }

    /// The issuer has answered, or has not.
    pub(super) fn answered(&self, keys: Option<KeySet>, now: Duration) {
        let mut state = self.write();
        state.complete = keys.is_some();
        if let Some(keys) = keys {
            (state.keys, state.answered) = (keys, Some(now));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
