//! What was counted of calls, for those who may see it.

use std::time::Duration;

use super::Server;
use crate::caller::{Caller, Tenant};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::stats::{By, Counted, MINUTE, Stats, StatsQuery, Taken, begin, minute};

/// Which time is asked for; what is left out is the last hour, in sixty steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// From the minute of this time on.
    pub from: Option<Timestamp>,
    /// Up to the minute of this time, which is in it.
    pub to: Option<Timestamp>,
    /// How much of it is counted together: whole minutes.
    pub step: Option<Duration>,
}

/// Why there are no counts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// The caller may not see them.
    #[error(
        "counts take the role `admin`, or for those of all tenants `monitor` or `operator`, which the caller does not have"
    )]
    Hidden,
    /// The time that is asked for ends before it begins.
    #[error("`to` is before `from`")]
    Backwards,
    /// That would be too many steps.
    #[error("that would be {steps} steps, and there may be {}: ask for a longer `step`", Server::MOST_STEPS)]
    TooManySteps {
        /// How many.
        steps: u64,
    },
    /// They are not told apart by that.
    #[error("calls are told apart by `tool` or `outcome`, and `tokens` and `cost` by `agent` or `model`")]
    NotBy,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Server {
    /// How many steps one answer has at the most.
    pub const MOST_STEPS: u64 = 500;

    /// What was counted of calls in some time, told apart by `by`: of all tenants for who [may monitor](Caller::may_monitor), and of the
    /// own one for an administrator. Gives what was asked for in full as well.
    ///
    /// Each replica says the same, and a call is counted when it is answered.
    ///
    /// # Errors
    /// [`StatsError`].
    pub async fn stats(
        &self,
        caller: &Caller,
        period: Period,
        by: By,
    ) -> Result<(StatsQuery, Vec<Counted>), StatsError> {
        if matches!(by, By::Agent | By::Model) {
            return Err(StatsError::NotBy);
        }
        let (stats, tenant, query) = self.stats_for(caller, period, by)?;
        let counted = stats.calls(tenant, &query).await?;
        Ok((query, counted))
    }

    /// What language models took for the steps of agents, as [`Server::stats`] tells of calls: once a decision is recorded, what it took
    /// is counted.
    ///
    /// # Errors
    /// [`StatsError`].
    pub async fn model_stats(
        &self,
        caller: &Caller,
        period: Period,
        by: By,
    ) -> Result<(StatsQuery, Vec<Taken>), StatsError> {
        if matches!(by, By::Tool | By::Outcome) {
            return Err(StatsError::NotBy);
        }
        let (stats, tenant, query) = self.stats_for(caller, period, by)?;
        let taken = stats.models(tenant, &query).await?;
        Ok((query, taken))
    }

    /// The counts, of which tenant a caller may see them (of all, where of none), and what is asked for.
    fn stats_for<'c>(
        &self,
        caller: &'c Caller,
        period: Period,
        by: By,
    ) -> Result<(&dyn Stats, Option<&'c Tenant>, StatsQuery), StatsError> {
        let tenant = match () {
            () if caller.may_monitor() => None,
            () if caller.has_role(Caller::ADMIN) => Some(caller.tenant()),
            () => return Err(StatsError::Hidden),
        };
        let query = self.stats_query(period, by)?;
        let stats = self.0.stats.as_deref().ok_or(StoreError::Unavailable { store: "stats", source: None })?;
        Ok((stats, tenant, query))
    }

    fn stats_query(&self, period: Period, by: By) -> Result<StatsQuery, StatsError> {
        const HOUR: i64 = 60;
        let end = minute(period.to.unwrap_or_else(|| self.clock().now())) + 1;
        let first = period.from.map_or(end - HOUR, minute);
        let span = u64::try_from(end - first).ok().filter(|span| *span > 0).ok_or(StatsError::Backwards)?;
        let whole = |step: Duration| step.as_secs().div_ceil(MINUTE.as_secs()).max(1);
        let step = period.step.map_or_else(|| span.div_ceil(60), whole);
        let steps = span.div_ceil(step);
        if steps > Self::MOST_STEPS {
            return Err(StatsError::TooManySteps { steps });
        }
        let minutes = u32::try_from(step).unwrap_or(u32::MAX);
        Ok(StatsQuery { from: begin(first), to: begin(end), minutes, by })
    }
}
