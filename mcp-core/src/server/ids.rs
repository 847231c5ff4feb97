//! Ids of calls, unique among replicas, made without asking anyone.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;
use crate::store::ledger::CallId;

/// Makes UUIDs of version 7 (RFC 9562, section 5.7): the millisecond, then a counter, then what tells this process from others.
pub(super) struct CallIds {
    process: u64,
    /// The milliseconds and the counter of the last id, so that a clock that is set back does not set ids back.
    last: AtomicU64,
}

const PROCESS_BITS: u32 = 62;
const COUNTER_BITS: u32 = 12;
const VERSION: u128 = 7;
const VARIANT: u128 = 0b10;

impl CallIds {
    pub(super) fn new() -> Self {
        // The keys of a `RandomState` come from the system's source of randomness.
        let process = RandomState::new().hash_one(0_u8) >> (64 - PROCESS_BITS);
        Self { process, last: AtomicU64::new(0) }
    }

    pub(super) fn next(&self, now: Timestamp) -> CallId {
        let millis = u64::try_from(now.as_micros() / 1000).unwrap_or(0) << COUNTER_BITS;
        let next = |last: u64| millis.max(last + 1);
        let update = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        let stamp = u128::from(update.map_or_else(next, next));
        let (millis, counter) = (stamp >> COUNTER_BITS, stamp & ((1 << COUNTER_BITS) - 1));
        CallId::from_u128(millis << 80 | VERSION << 76 | counter << 64 | VARIANT << 62 | u128::from(self.process))
    }
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
    fn an_id_is_a_uuid_of_version_7_and_reads_back() {
        let id = CallIds::new().next(Timestamp::from_micros(1_785_240_000_000_000));
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "7"));
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        assert_eq!(text.parse(), Ok(id));
    }
}
