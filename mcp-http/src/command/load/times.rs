//! How long requests took, in a bounded number of counts.

use std::time::Duration;

/// Times, each told to within 1.6 % and a microsecond, however many there are.
#[derive(Clone, Default)]
pub(super) struct Times {
    /// By bucket, as far as any was counted.
    counts: Vec<u32>,
    count: u64,
    longest: Duration,
}

/// Into how many buckets the times between a power of two and the next are divided, as a power of two.
const PARTS: u32 = 6;

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        let bucket = bucket(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.count += 1;
        self.longest = self.longest.max(time);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The longest of all.
    pub(super) fn longest(&self) -> Option<Duration> {
        (self.count > 0).then_some(self.longest)
    }

    /// How many took longer than this, to within 1.6 % of it.
    pub(super) fn beyond(&self, time: Duration) -> u64 {
        let bucket = bucket(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.counts.iter().skip(bucket + 1).map(|count| u64::from(*count)).sum()
    }

    /// Within what time this part of them was over; nothing, where there are none.
    pub(super) fn within(&self, part: f64) -> Option<Duration> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are far below 2^52"
        )]
        let rank = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(Duration::from_micros(end(bucket)).min(self.longest))
    }
}

/// Small times have a bucket each; above, each power of two has as many as there are small ones.
fn bucket(micros: u64) -> usize {
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(PARTS + 1);
    ((u64::from(shift) << PARTS) + (micros >> shift)) as usize
}

/// The longest time that a bucket counts, in microseconds.
fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> PARTS).saturating_sub(1);
    (((bucket - (shift << PARTS)) + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_a_bucket_that_ends_behind_it_and_near() {
        for micros in (0..5_000).chain((1..40).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 1])) {
            let end = end(bucket(micros));
            assert!(end >= micros && (end - micros) as f64 <= micros as f64 * 0.016, "{micros}: {end}");
            assert!([0, 1].contains(&(bucket(micros + 1) - bucket(micros))), "{micros}: none is left out");
        }
    }

    #[test]
    fn parts_are_those_of_the_sorted_times_and_none_have_none() {
        let mut times = Times::default();
        assert_eq!((times.within(0.99), times.longest()), (None, None));
        for n in 1..=1_000 {
            times.add(Duration::from_millis(n));
        }
        for (part, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let found = times.within(part).unwrap().as_secs_f64() * 1e3;
            assert!(found >= expected && found < expected * 1.017, "{part}: {found}");
        }
        assert_eq!([0, 500, 2_000].map(|n| times.beyond(Duration::from_millis(n)).div_ceil(10)), [100, 50, 0]);
        assert_eq!(times.within(1.0), Some(Duration::from_secs(1)), "no time is told that none took");
        assert_eq!(times.count(), 1_000);
    }
}
