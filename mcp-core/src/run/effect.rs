//! What a run does to the world outside.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::context::RunContext;
use super::error::RunError;
use crate::context::withheld::Withheld;
use crate::memory::lock;
use crate::store::runs::StepKind;

/// Whether an effect may be made again when nobody knows whether it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable {
    /// To make it again does no harm: it is made at least once.
    Yes,
    /// It is made at most once.
    No,
}

/// How it is known whether an effect was begun before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It was not: it was decided here, a moment ago, with what else the run does next.
    No,
    /// It may have been: it was decided by whoever held the run before, with what else the run was to do next.
    Perhaps,
    /// By a record of its own.
    Recorded,
}

impl RunContext {
    /// Does something to the world outside: records that it is about to, does it, records what came of it, and gives that. A run that is
    /// done again, here or elsewhere, is given what was recorded.
    ///
    /// Where the process was gone between the two records, nobody knows whether it was done. If it is repeatable it is done again;
    /// otherwise it is [`RunError::OutcomeUnknown`]. `effect` is given a key that is the same each time and of this effect alone: a
    /// service that knows such keys does it exactly once.
    ///
    /// An error of an effect that is not repeatable is recorded as well, and given again. That of a repeatable one is not, so that
    /// the next try of the run tries it again.
    ///
    /// The run is not let go while it is under way. Not cancel safe: to drop the future is to not know.
    ///
    /// ```
    /// # use mcp_core::run::{Repeatable, RunContext, RunError};
    /// # async fn charge(key: String) -> Result<u64, RunError> { Ok(1) }
    /// async fn work(cx: RunContext) -> Result<u64, RunError> {
    ///     cx.effect("charge", Repeatable::No, |key| charge(key)).await
    /// }
    /// ```
    ///
    /// # Errors
    /// That of the effect; [`RunError::OutcomeUnknown`]; those of [`RunContext::record`]; [`RunError::Failed`] where the same key is under way.
    pub async fn effect<T, E, F>(
        &self,
        key: &str,
        repeatable: Repeatable,
        effect: impl FnOnce(String) -> F,
    ) -> Result<T, RunError>
    where
        T: Serialize + DeserializeOwned,
        E: Into<RunError>,
        F: Future<Output = Result<T, E>>,
    {
        self.perform(key, repeatable, Begun::Recorded, None, effect).await
    }

    /// The same, where it is known in another way whether it was begun before; with it the record of a call is committed, where the effect is one.
    pub(crate) async fn perform<T, E, F>(
        &self,
        key: &str,
        repeatable: Repeatable,
        begun: Begun,
        withheld: Option<&Withheld>,
        effect: impl FnOnce(String) -> F,
    ) -> Result<T, RunError>
    where
        T: Serialize + DeserializeOwned,
        E: Into<RunError>,
        F: Future<Output = Result<T, E>>,
    {
        if let Some(known) = self.known(key) {
            return known;
        }
        // What was decided here begins at once: who goes on with it would have to take it for begun.
        if begun != Begun::No {
            self.pass().await;
        }
        let _busy = self.inner().flow.busy();
        let _under_way = UnderWay::new(self, key)?;
        let may_have_begun = match begun {
            Begun::No => false,
            Begun::Perhaps => true,
            Begun::Recorded => lock(&self.inner().journal).find(key, StepKind::Decided).is_some(),
        };
        match (may_have_begun, repeatable) {
            (true, Repeatable::No) => return Err(RunError::OutcomeUnknown { key: key.to_owned() }),
            (false, _) if begun == Begun::Recorded => {
                self.write(StepKind::Decided, key, bytes::Bytes::new(), None).await?
            }
            _ => {}
        }
        match effect(format!("{}/{key}", self.id())).await {
            Ok(value) => {
                self.write(StepKind::Done, key, serde_json::to_vec(&value)?.into(), withheld).await?;
                Ok(value)
            }
            Err(error) => {
                let error = error.into();
                if repeatable == Repeatable::No {
                    self.write(StepKind::Failed, key, serde_json::to_vec(&error.to_string())?.into(), withheld).await?;
                }
                Err(error)
            }
        }
    }

    /// What came of an effect, where that was recorded.
    fn known<T: DeserializeOwned>(&self, key: &str) -> Option<Result<T, RunError>> {
        let journal = lock(&self.inner().journal);
        if let Some(done) = journal.find(key, StepKind::Done) {
            return Some(serde_json::from_slice(&done.body).map_err(RunError::from));
        }
        let failed = journal.find(key, StepKind::Failed)?;
        Some(Err(serde_json::from_slice(&failed.body).map_or_else(RunError::from, RunError::Failed)))
    }
}

/// An effect that is under way.
struct UnderWay<'c> {
    cx: &'c RunContext,
    key: &'c str,
}

impl<'c> UnderWay<'c> {
    fn new(cx: &'c RunContext, key: &'c str) -> Result<Self, RunError> {
        if lock(&cx.inner().journal).begin(key) {
            Ok(Self { cx, key })
        } else {
            Err(RunError::Failed(format!("the effect {key:?} is under way; another one needs another key")))
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(&self.cx.inner().journal).end(self.key);
    }
}
