//! How often more a caller may call, as a head of HTTP tells it.

use super::limited::{LimitedBy, seconds};
use crate::store::limits::{Decision, Rate};

/// How a call stands with each limit on how often something is done that it was counted by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas(Vec<Quota>);

/// How a call stands with one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quota {
    by: LimitedBy,
    rate: Rate,
    decision: Decision,
}

impl Quotas {
    pub(crate) fn push(&mut self, by: LimitedBy, rate: Rate, decision: Decision) {
        self.0.push(Quota { by, rate, decision });
    }

    /// Name and value of each header, the names in lower case: `ratelimit-policy` and `ratelimit` for all limits
    /// (draft-ietf-httpapi-ratelimit-headers-10), and for the one that is used up first the three of its sixth draft, which most
    /// clients read. None, where nothing is counted.
    ///
    /// Time is that until a call is allowed again; where it was allowed, until all of them are.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let Some(first) = self.0.iter().min_by_key(|quota| (quota.decision.allowed, quota.decision.remaining)) else {
            return Vec::new();
        };
        let list = |item: fn(&Quota) -> String| self.0.iter().map(item).collect::<Vec<_>>().join(", ");
        vec![
            ("ratelimit-policy", list(Quota::policy)),
            ("ratelimit", list(Quota::standing)),
            ("ratelimit-limit", first.rate.burst.to_string()),
            ("ratelimit-remaining", first.remaining().to_string()),
            ("ratelimit-reset", first.reset().to_string()),
        ]
    }
}

impl Quota {
    fn policy(&self) -> String {
        let Self { by, rate, .. } = self;
        // The window has whole seconds, and may be left out.
        let window = if rate.per.subsec_nanos() == 0 { format!(";w={}", rate.per.as_secs()) } else { String::new() };
        format!("\"{}\";q={}{window}", by.as_str(), rate.burst)
    }

    fn standing(&self) -> String {
        format!("\"{}\";r={};t={}", self.by.as_str(), self.remaining(), self.reset())
    }

    fn remaining(&self) -> u32 {
        if self.decision.allowed { self.decision.remaining } else { 0 }
    }

    fn reset(&self) -> u64 {
        let Decision { allowed, retry_after, reset, .. } = self.decision;
        // No later than `Retry-After`, which goes with a refusal.
        if allowed { seconds(reset) } else { seconds(retry_after).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn quotas(of: &[(LimitedBy, u32, u64, Decision)]) -> String {
        let mut quotas = Quotas::default();
        for (by, burst, millis, decision) in of {
            quotas.push(*by, Rate { burst: *burst, per: Duration::from_millis(*millis) }, *decision);
        }
        let headers = quotas.headers().into_iter();
        headers.map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    fn allowed(remaining: u32, reset: u64) -> Decision {
        Decision { allowed: true, remaining, retry_after: Duration::ZERO, reset: Duration::from_millis(reset) }
    }

    #[test]
    fn what_is_counted_is_told_in_both_forms_and_nothing_else_is() {
        assert_eq!(quotas(&[]), "");
        assert_eq!(
            quotas(&[(LimitedBy::Caller, 100, 60_000, allowed(99, 600))]),
            "ratelimit-policy: \"caller\";q=100;w=60\nratelimit: \"caller\";r=99;t=1\n\
             ratelimit-limit: 100\nratelimit-remaining: 99\nratelimit-reset: 1\n"
        );
    }

    #[test]
    fn the_limit_that_is_used_up_first_is_the_one_of_the_older_form() {
        let refused = Decision {
            allowed: false,
            remaining: 0,
            retry_after: Duration::from_millis(1_001),
            reset: Duration::from_secs(60),
        };
        assert_eq!(
            quotas(&[(LimitedBy::Tool, 5, 500, allowed(0, 500)), (LimitedBy::Caller, 60, 60_000, refused)]),
            "ratelimit-policy: \"tool\";q=5, \"caller\";q=60;w=60\nratelimit: \"tool\";r=0;t=1, \"caller\";r=0;t=2\n\
             ratelimit-limit: 60\nratelimit-remaining: 0\nratelimit-reset: 2\n"
        );
    }
}
