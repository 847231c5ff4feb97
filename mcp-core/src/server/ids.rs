//! Ids of calls, unique among replicas, made without asking anyone.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::store::id::{millis, version_7};
use crate::store::ledger::CallId;

/// Makes UUIDs of version 7 (RFC 9562, section 5.7): the millisecond, then a counter, then what tells this process from others.
///
/// A clock that is set back does not set ids back, as long as they are not further ahead of it than [`CallId::AHEAD`]. Then they
/// follow it, under another name of the process, so that none comes twice.
pub(super) struct CallIds {
    process: u64,
    /// The stamp of the last id: how often ids were set back, the milliseconds, and the counter.
    last: AtomicU64,
}

const COUNTER_BITS: u32 = 12;
/// Of the milliseconds and the counter.
const TIME_BITS: u32 = 60;

impl CallIds {
    pub(super) fn new() -> Self {
        // The keys of a `RandomState` come from the system's source of randomness.
        Self { process: RandomState::new().hash_one(0_u8), last: AtomicU64::new(0) }
    }

    pub(super) fn next(&self, now: Timestamp) -> CallId {
        let next = |last: u64| next(last, millis(now));
        let update = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        let stamp = update.map_or_else(next, next);
        let (turns, time) = (stamp >> TIME_BITS, stamp & ((1 << TIME_BITS) - 1));
        CallId::from_u128(version_7(time >> COUNTER_BITS, time, self.process ^ turns))
    }
}

/// The stamp after `last`.
fn next(last: u64, now: u64) -> u64 {
    let (turns, last) = (last >> TIME_BITS << TIME_BITS, last & ((1 << TIME_BITS) - 1));
    let now = now << COUNTER_BITS & ((1 << TIME_BITS) - 1);
    let ahead = u64::try_from(CallId::AHEAD.as_millis()).unwrap_or(u64::MAX);
    if last >> COUNTER_BITS >= (now >> COUNTER_BITS) + ahead {
        return turns.wrapping_add(1 << TIME_BITS) | now;
    }
    turns | now.max(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_even_if_the_clock_goes_back() {
        let ids = CallIds::new();
        let moments = [5_000_000, 5_000_000, 4_000_000, 6_000_000].map(Timestamp::from_micros);
        let made = moments.map(|at| ids.next(at));
        assert!(made.is_sorted_by(|a, b| a < b), "{made:?}");
    }

    #[test]
    fn ids_follow_a_clock_that_is_set_back_far_and_none_comes_twice() {
        let ids = CallIds::new();
        let mut made = std::collections::BTreeSet::new();
        for hour in [9, 8, 7, 9, 8, 7] {
            let at = Timestamp::from_micros(hour * 3_600_000_000);
            for _ in 0..5_000 {
                let id = ids.next(at);
                let ahead = id.as_u128() >> 80;
                let ahead = ahead.checked_sub(u128::from(millis(at))).expect("an id is not before its time");
                assert!(ahead <= CallId::AHEAD.as_millis(), "{hour}: {ahead}");
                assert!(made.insert(id), "{hour}: {id}");
            }
        }
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7_and_reads_back() {
        let id = CallIds::new().next(Timestamp::from_micros(1_785_240_000_000_000));
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "7"));
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        assert_eq!(text.parse(), Ok(id));
    }
}
