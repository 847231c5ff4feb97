//! Limits that break their promises.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::caller::Tenant;
use crate::clock::Clock;
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::lock;
use crate::store::limits::{Decision, Limits, Rate};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    OneTooMany,
    OneTooFew,
    EveryCostIsOne,
    LooksFirst,
    TellsWhatWasLeftBefore,
    TellsNotWhenToAskAgain,
    TellsNotWhenAllAreBack,
    RefusesInsteadOfAnError,
    NothingIsNotAllowed,
    AllComeBackTogether,
    ComeBackTooEarly,
    ComeBackTooLate,
    NeverComeBack,
    PileUp,
    ToAskAgainIsTooEarly,
    RefusalsTake,
    RefusalsTakeTheRest,
    RefusalsTakeTime,
    SharedTenants,
    SharedKeys,
    FoldsKeys,
    JoinsTheNames,
    Endless,
}

/// Limits that count tokens; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    clock: SimulatedClock,
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// How much time there was to take at a moment: a token costs an interval.
#[derive(Clone, Copy)]
struct Bucket {
    saved: Duration,
    at: Duration,
}

const CAPACITY: usize = 5_000;

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    stores.limits = Arc::new(Broken { flaw, clock: clock.clone(), buckets: Mutex::default() });
    Fresh::new(stores, clock)
}

impl Broken {
    fn key(&self, tenant: &Tenant, key: &str) -> String {
        match self.flaw {
            Flaw::SharedTenants => key.to_owned(),
            Flaw::SharedKeys => tenant.to_string(),
            Flaw::FoldsKeys => format!("{tenant:?} {}", key.to_lowercase()),
            Flaw::JoinsTheNames => format!("{tenant}{key}"),
            _ => format!("{tenant:?} {key}"),
        }
    }

    /// What a bucket has by now.
    fn saved(&self, bucket: Bucket, interval: Duration, full: Duration) -> Duration {
        let passed = self.clock.monotonic() - bucket.at;
        match self.flaw {
            Flaw::AllComeBackTogether if passed >= full => full,
            Flaw::AllComeBackTogether | Flaw::NeverComeBack => bucket.saved,
            Flaw::ComeBackTooEarly => (bucket.saved + passed * 2).min(full),
            Flaw::ComeBackTooLate => (bucket.saved + passed.saturating_sub(interval / 2)).min(full),
            Flaw::PileUp => bucket.saved + passed,
            _ => (bucket.saved + passed).min(full),
        }
    }
}

#[async_trait]
impl Limits for Broken {
    async fn take(&self, tenant: &Tenant, key: &str, rate: Rate, cost: u32) -> Result<Decision, StoreError> {
        if cost > rate.burst && self.flaw != Flaw::RefusesInsteadOfAnError {
            return Err(StoreError::Refused { store: "limits", source: None });
        }
        let burst = match self.flaw {
            Flaw::OneTooMany => rate.burst + 1,
            Flaw::OneTooFew => rate.burst - 1,
            _ => rate.burst,
        };
        let (interval, key, now) = (rate.interval(), self.key(tenant, key), self.clock.monotonic());
        let full = interval * burst;
        let new = Bucket { saved: full, at: now };
        let mut bucket = lock(&self.buckets).get(&key).copied().unwrap_or(new);
        if self.flaw == Flaw::LooksFirst {
            // Others look as well, before this one takes.
            tokio::task::yield_now().await;
        } else if let Some(latest) = lock(&self.buckets).get(&key) {
            bucket = *latest;
        }
        let price = interval * if self.flaw == Flaw::EveryCostIsOne { cost.min(1) } else { cost };
        let before = self.saved(bucket, interval, full);
        let allowed = price <= before && !(self.flaw == Flaw::NothingIsNotAllowed && before < interval);
        let mut saved = if allowed { before - price } else { before };
        let decision = Decision {
            allowed,
            remaining: match self.flaw {
                Flaw::TellsWhatWasLeftBefore => before,
                _ => saved,
            }
            .as_nanos()
            .checked_div(interval.as_nanos())
            .map_or(rate.burst, |left| left as u32),
            retry_after: match self.flaw {
                Flaw::TellsNotWhenToAskAgain => Duration::ZERO,
                Flaw::ToAskAgainIsTooEarly => price.saturating_sub(before).saturating_sub(Duration::from_secs(1)),
                _ => price.saturating_sub(before),
            },
            reset: match self.flaw {
                Flaw::TellsNotWhenAllAreBack => Duration::ZERO,
                _ => full.saturating_sub(saved),
            },
        };
        if !allowed {
            match self.flaw {
                Flaw::RefusalsTake => saved = saved.saturating_sub(interval),
                Flaw::RefusalsTakeTheRest => saved = Duration::ZERO,
                Flaw::RefusalsTakeTime => saved = interval * (saved.as_nanos() / interval.as_nanos()) as u32,
                _ => {}
            }
        }
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= CAPACITY && self.flaw != Flaw::Endless {
            buckets.clear();
        }
        let at = match self.flaw {
            // A window that began with the first.
            Flaw::AllComeBackTogether if now - bucket.at < full => bucket.at,
            _ => now,
        };
        buckets.insert(key, Bucket { saved, at });
        Ok(decision)
    }
}

super::each_case_fails! {
    limits, broken,
    a_burst_is_allowed_and_no_more: [
        Flaw::OneTooMany,
        Flaw::OneTooFew,
        Flaw::EveryCostIsOne,
        Flaw::LooksFirst,
        Flaw::TellsWhatWasLeftBefore,
        Flaw::TellsNotWhenToAskAgain,
        Flaw::TellsNotWhenAllAreBack,
        Flaw::RefusesInsteadOfAnError,
        Flaw::NothingIsNotAllowed,
    ],
    tokens_come_back_evenly: [
        Flaw::AllComeBackTogether,
        Flaw::ComeBackTooEarly,
        Flaw::ComeBackTooLate,
        Flaw::NeverComeBack,
        Flaw::PileUp,
        Flaw::ToAskAgainIsTooEarly,
    ],
    a_refusal_takes_nothing: [Flaw::RefusalsTake, Flaw::RefusalsTakeTheRest, Flaw::RefusalsTakeTime],
    callers_are_apart: [Flaw::SharedTenants, Flaw::SharedKeys, Flaw::FoldsKeys, Flaw::JoinsTheNames],
    the_limits_are_bounded: [Flaw::Endless],
}
