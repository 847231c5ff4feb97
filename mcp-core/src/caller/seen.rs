//! Which keys were seen lately.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Caller;
use super::lately::Lately;
use crate::clock::Timestamp;
use crate::memory::lock;
use crate::store::api_keys::{KeyHash, KeyHolder, NOTED_EVERY};

/// What the store said of keys a moment ago, so that not each request asks it.
pub(super) struct Seen(Mutex<State>);

/// What was said, and when.
type Said<T> = (Duration, T);

struct State {
    /// How often something was forgotten: what was asked before that is not kept after it.
    forgotten: u64,
    found: Lately<Said<Arc<Holder>>>,
    /// Apart from those that were found, so that strangers do not put them out.
    unknown: Lately<Said<()>>,
}

/// Whoever has a key, as far as it matters to let them in.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) caller: Caller,
    /// From when on the key lets nobody in.
    ends: Timestamp,
    /// When its use was last noted.
    noted: AtomicI64,
}

/// How long the store is not asked again.
pub(super) const LIFETIME: Duration = Duration::from_secs(5);

/// How many keys are kept, and how many that are none: twice as many at the most.
const FOUND: usize = 10_000;
const UNKNOWN: usize = 1_000;

impl Default for Seen {
    /// Nothing yet.
    fn default() -> Self {
        Self(Mutex::new(State { forgotten: 0, found: Lately::new(FOUND), unknown: Lately::new(UNKNOWN) }))
    }
}

impl Seen {
    /// What was said of this key, if that was less than [`LIFETIME`] ago: who has it, or that nobody does.
    pub(super) fn find(&self, hash: &KeyHash, now: Duration) -> Option<Option<Arc<Holder>>> {
        let state = lock(&self.0);
        let holds = |said: Duration| now.saturating_sub(said) < LIFETIME;
        match state.found.find(&hash.0) {
            Some((said, holder)) if holds(*said) => Some(Some(holder.clone())),
            _ => state.unknown.find(&hash.0).filter(|(said, ())| holds(*said)).map(|_| None),
        }
    }

    /// To be asked before the store is: what [`Seen::keep`] needs to know.
    pub(super) fn forgotten(&self) -> u64 {
        lock(&self.0).forgotten
    }

    /// Keeps what the store said, unless something was forgotten since it was asked.
    pub(super) fn keep(&self, hash: KeyHash, holder: Option<Arc<Holder>>, forgotten: u64, now: Duration) {
        let mut state = lock(&self.0);
        if state.forgotten == forgotten {
            match holder {
                Some(holder) => state.found.keep(hash.0, (now, holder)),
                None => state.unknown.keep(hash.0, (now, ())),
            }
        }
    }

    /// Forgets the keys of whoever passes `test`.
    pub(super) fn forget(&self, test: impl Fn(&Caller) -> bool) {
        let mut state = lock(&self.0);
        state.forgotten += 1;
        state.found.forget(|(_, holder)| test(&holder.caller));
    }

    /// Forgets all.
    pub(super) fn forget_all(&self) {
        let mut state = lock(&self.0);
        state.forgotten += 1;
        state.found.clear();
        state.unknown.clear();
    }
}

impl Holder {
    pub(super) fn new(holder: &KeyHolder) -> Self {
        let KeyHolder { tenant, user, key } = holder;
        let caller = Caller::new(tenant.clone(), user.principal.clone());
        let caller = user.roles.intersection(&key.roles).fold(caller, |caller, role| caller.with_role(role.as_str()));
        let caller = key.scopes.iter().fold(caller, |caller, scope| caller.with_scope(scope.as_str()));
        let never = Timestamp::from_micros(if user.disabled { i64::MIN } else { i64::MAX });
        let ends = [key.expires, key.revoked].into_iter().flatten().fold(never, Timestamp::min);
        let noted = AtomicI64::new(key.used.map_or(i64::MIN, Timestamp::as_micros));
        Self { caller: caller.by_key(Some(key.id)), ends, noted }
    }

    pub(super) fn is_let_in(&self, now: Timestamp) -> bool {
        now < self.ends
    }

    /// Whether the use at `now` is to be noted; of several at once it is said of one alone.
    pub(super) fn is_worth_noting(&self, now: Timestamp) -> bool {
        let noted = self.noted.load(Ordering::Relaxed);
        noted <= now.before(NOTED_EVERY).as_micros()
            && self.noted.compare_exchange(noted, now.as_micros(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_put_out_no_key_and_nothing_grows_without_end() {
        let (seen, now) = (Seen::default(), Duration::from_secs(1));
        let hash = |n: u64| KeyHash(std::array::from_fn(|at| n.to_le_bytes()[at % 8]));
        let holder = Arc::new(Holder {
            caller: Caller::new("t", "p"),
            ends: Timestamp::from_micros(i64::MAX),
            noted: AtomicI64::new(0),
        });
        seen.keep(hash(0), Some(holder.clone()), 0, now);
        for n in 1..10_000 {
            seen.keep(hash(n), None, 0, now);
        }
        assert!(matches!(seen.find(&hash(0), now), Some(Some(_))));
        assert!(matches!(seen.find(&hash(9_999), now), Some(None)));
        for n in 10_000..40_000 {
            seen.keep(hash(n), Some(holder.clone()), 0, now);
        }
        let state = lock(&seen.0);
        assert!(state.unknown.len() <= 2 * UNKNOWN);
        assert!(state.found.len() <= 2 * FOUND);
    }

    #[test]
    fn what_was_asked_before_something_was_forgotten_is_not_kept_after_it() {
        let (seen, now) = (Seen::default(), Duration::from_secs(1));
        let asked = seen.forgotten();
        seen.forget(|_| false);
        seen.keep(KeyHash([1; 32]), None, asked, now);
        assert!(seen.find(&KeyHash([1; 32]), now).is_none());
        seen.keep(KeyHash([1; 32]), None, seen.forgotten(), now);
        assert!(seen.find(&KeyHash([1; 32]), now).is_some());
        assert!(seen.find(&KeyHash([1; 32]), now + LIFETIME).is_none());
    }
}
