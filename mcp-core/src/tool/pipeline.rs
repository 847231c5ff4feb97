//! The stages of every call, in the order in which they stand here. Each is free when the tool did not ask for it.

mod breaker;
mod cache;
mod checks;
mod concurrency;
mod idempotency;
mod invoke;
mod limit;
mod measure;
mod rate;
mod record;
mod retry;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jsonschema::Validator;

use super::arguments::Arguments;
use super::error::ToolError;
use super::output::ToolOutput;
use super::registry::OfferedTool;
use super::retry::Retries;
use super::schema;
use super::spec::ToolSpec;
use crate::context::Context;
use crate::measure::CircuitState;
use crate::store::ledger::{CallId, Outcome};
use crate::store::limits::Rate;

use breaker::Breaker;
pub(crate) use cache::Flights;
use concurrency::Places;
pub(crate) use idempotency::Keys;
use limit::Time;
pub(crate) use measure::Meter;
pub(crate) use rate::{Rates, check as check_rate};
pub(crate) use record::Recording;

/// The stages between cache and call that a tool has asked for, with what they know from one call to the next.
pub(crate) struct Stages {
    rate: Option<Rate>,
    places: Option<Places>,
    retries: Option<Retries>,
    breaker: Option<Breaker>,
    /// Of what it gives, where its type does not see to that.
    output: Option<Validator>,
}

impl Stages {
    /// Those of a tool; none, where it asks for none.
    pub(crate) fn of(spec: &ToolSpec) -> Result<Option<Box<Self>>, String> {
        let policy = &spec.policy;
        if let Some(rate) = policy.rate {
            check_rate(rate)?;
        }
        if policy.concurrency.is_some_and(|concurrency| concurrency.most == 0) {
            return Err("none of its calls may run; let one at least".to_owned());
        }
        if policy.retry.is_some() && !policy.may_be_repeated() {
            let harm = "its calls are tried again, and that may do its work twice";
            return Err(format!("{harm}; say that it is `read_only` or `repeatable`, or leave out `retry`"));
        }
        if policy.circuit_breaker.is_some_and(|breaker| breaker.failures == 0 || breaker.pause.is_zero()) {
            return Err(
                "its circuit breaker never opens, or always; give it one failure at least, and a time".to_owned()
            );
        }
        let checked = spec.output_schema().filter(|_| !spec.typed && !policy.output_unchecked);
        let output =
            checked.map(schema::compile_any).transpose().map_err(|fault| format!("its output schema: {fault}"))?;
        let (places, retries) = (policy.concurrency.map(Places::new), policy.retry.map(Retries::new));
        let breaker = policy.circuit_breaker.map(Breaker::new);
        let asked =
            policy.rate.is_some() || places.is_some() || retries.is_some() || breaker.is_some() || output.is_some();
        Ok(asked.then(|| Box::new(Self { rate: policy.rate, places, retries, breaker, output })))
    }

    /// How many calls wait for a place.
    pub(crate) fn waiting(&self) -> u64 {
        self.places.as_ref().map_or(0, Places::waiting)
    }

    /// Whether the tool is called.
    pub(crate) fn circuit(&self) -> CircuitState {
        self.breaker.as_ref().map_or(CircuitState::Closed, Breaker::state)
    }
}

/// How a call ended.
pub(crate) type Finished = Result<ToolOutput, Failure>;

/// A call that has no result, and the id under which it is recorded and logged.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) id: CallId,
    pub(crate) error: ToolError,
    /// Whether an earlier call has failed, which this one repeats.
    pub(crate) replayed: bool,
}

impl Failure {
    /// A call that has failed by itself. The cause that the client does not see goes into the log.
    fn of(error: ToolError, tool: &OfferedTool, cx: &Context) -> Self {
        Self { id: cx.call_id(), error: logged(error, "tool", tool.spec().name(), cx), replayed: false }
    }
}

/// By what a call has failed, if it has: `tool_error` where the tool itself says so, else the word for how it ended.
pub(crate) fn fault(finished: &Finished) -> Option<&'static str> {
    match record::outcome_of(finished.as_ref().map_err(|failure| &failure.error)) {
        Outcome::Ok | Outcome::InputRequired | Outcome::Cancelled => None,
        Outcome::Error => Some("tool_error"),
        other => Some(other.as_str()),
    }
}

/// Runs one call, and completes when it is recorded.
pub(crate) fn run(tool: Arc<OfferedTool>, arguments: Arguments, cx: Context) -> BoxFuture<'static, Finished> {
    if cx.inner().server.is_measured() {
        measure::call(tool, arguments, cx).boxed()
    } else {
        recorded(tool, arguments, cx).boxed()
    }
}

async fn recorded(tool: Arc<OfferedTool>, arguments: Arguments, cx: Context) -> Finished {
    if let Some(key) = cx.kept_key() {
        // Boxed, so that calls which do without it are not as large.
        return Box::pin(idempotency::call(key, &tool, &arguments, &cx)).await;
    }
    let record = record::begin(&tool, &arguments, &cx).map_err(|error| Failure::of(error, &tool, &cx))?;
    let result = stages(&tool, arguments, &cx).await;
    let result = match record {
        Some(record) => ended(record, result).await,
        None => result,
    };
    result.map_err(|error| Failure::of(error, &tool, &cx))
}

/// Records how a call has ended; one whose record cannot be kept has no result.
async fn ended(record: Recording, result: Result<ToolOutput, ToolError>) -> Result<ToolOutput, ToolError> {
    match record.end(&result, None).await {
        Ok(()) => result,
        Err(error) => Err(ToolError::Unavailable(Box::new(error))),
    }
}

/// Runs what only reads, and calls no tool: it ends in time, lets out no panic, and its cause goes into the log.
pub(crate) async fn read<T>(
    kind: &'static str,
    name: &str,
    cx: &Context,
    read: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, Failure> {
    let mut guarded = pin!(invoke::guard(read));
    let call = pin!(poll_fn(|task| cx.poll_call(guarded.as_mut(), task)));
    let timeout = cx.inner().server.limits().timeout;
    let result = limit::hold(Time { each: timeout, most: timeout }, true, cx, call).await;
    result.map_err(|error| Failure { id: cx.call_id(), error: logged(error, kind, name, cx), replayed: false })
}

async fn stages(tool: &Arc<OfferedTool>, arguments: Arguments, cx: &Context) -> Result<ToolOutput, ToolError> {
    checks::arguments(tool, &arguments)?;
    let changes = cache::Changes::by(tool, cx);
    let policy = &tool.spec().policy;
    let timeout = cx.inner().server.limits().timeout;
    let time = Time { each: policy.timeout.unwrap_or(timeout), most: policy.longest(timeout) };
    let mut call = pin!(async {
        match tool.cache() {
            None if is_bare(tool, cx) => invoke::call(tool, arguments.clone(), cx).await,
            // Boxed, so that calls which do without it are not as large.
            None => Box::pin(limited(tool, &arguments, cx)).await,
            Some(policy) => Box::pin(cache::call(policy, tool, &arguments, cx)).await,
        }
    });
    let result = limit::hold(time, policy.read_only, cx, call.as_mut()).await;
    if let (Err(ToolError::TimedOut(_)), Some(breaker)) =
        (&result, tool.stages().and_then(|stages| stages.breaker.as_ref()))
    {
        breaker.timed_out(cx);
    }
    changes.settle().await;
    result.map_err(|error| checks::explain(tool, &arguments, error))
}

/// Whether nothing is between cache and call.
fn is_bare(tool: &OfferedTool, cx: &Context) -> bool {
    tool.stages().is_none() && cx.inner().server.rates().is_none()
}

/// What is done where the cache has no result.
async fn uncached(tool: &OfferedTool, arguments: &Arguments, cx: &Context) -> Result<ToolOutput, ToolError> {
    if is_bare(tool, cx) {
        invoke::call(tool, arguments.clone(), cx).await
    } else {
        Box::pin(limited(tool, arguments, cx)).await
    }
}

/// The stages between cache and call, which take part in its time.
async fn limited(tool: &OfferedTool, arguments: &Arguments, cx: &Context) -> Result<ToolOutput, ToolError> {
    let stages = tool.stages();
    rate::take(stages.and_then(|stages| stages.rate), tool, cx).await?;
    let Some(stages) = stages else { return invoke::call(tool, arguments.clone(), cx).await };
    let _place = match &stages.places {
        Some(places) => Some(places.take(cx).await?),
        None => None,
    };
    match &stages.retries {
        Some(retries) => retry::call(retries, stages, tool, arguments, cx).await,
        None => attempt(stages, tool, arguments, cx).await,
    }
}

/// One attempt at the call.
async fn attempt(
    stages: &Stages,
    tool: &OfferedTool,
    arguments: &Arguments,
    cx: &Context,
) -> Result<ToolOutput, ToolError> {
    let passing = stages.breaker.as_ref().map(|breaker| breaker.pass(cx)).transpose()?;
    let called = invoke::call(tool, arguments.clone(), cx).await;
    let result = match (called, &stages.output) {
        (Ok(output), Some(schema)) => checks::output(schema, &output).map(|()| output),
        (called, _) => called,
    };
    if let Some(passing) = passing {
        passing.end(&result);
    }
    result
}

/// Writes the cause of an error that the client does not see into the log, under the id that it does see.
fn logged(error: ToolError, what: &'static str, name: &str, cx: &Context) -> ToolError {
    let (kind, cause) = match &error {
        ToolError::Internal(cause) => ("internal", cause),
        ToolError::Unavailable(cause) => ("unavailable", cause),
        _ => return error,
    };
    let causes = std::iter::successors(cause.source(), |cause| cause.source());
    let chain = causes.fold(cause.to_string(), |chain, cause| format!("{chain}: {cause}"));
    tracing::error!(call = %cx.call_id(), tool = name, what, kind, cause = chain, "a call failed");
    error
}
