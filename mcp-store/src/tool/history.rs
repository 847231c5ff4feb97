//! `history.search`: the caller's own calls.

use std::sync::Arc;

use mcp_core::clock::Timestamp;
use mcp_core::store::history::{CallQuery, FoundCalls, History};
use mcp_core::store::ledger::{CallId, CallRecord, Outcome};
use mcp_core::store::words::words;
use mcp_core::{Context, Tool, ToolError, tool_with};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{shortened, unavailable};

/// The tool `history.search`.
pub(super) fn search(history: Arc<dyn History>) -> impl Tool {
    let description =
        "Finds the calls that you made of this server's tools, newest first, with their arguments and results.";
    tool_with("history.search", description, history, search_calls)
        .title("Search my calls")
        .read_only()
        .open_world(false)
}

/// Which calls to find; what is left out is not asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// Words that the arguments or the result must hold, all of them: whole words, in any case.
    #[schemars(length(max = 1_000))]
    text: Option<String>,
    /// The name of the tool that was called.
    #[schemars(length(min = 1, max = 128))]
    tool: Option<String>,
    /// How the call ended.
    outcome: Option<Outcome>,
    /// Only calls that began then or later, such as `2026-07-28T12:00:00Z`.
    #[schemars(with = "Option<String>")]
    from: Option<Timestamp>,
    /// Only calls that began before then, such as `2026-07-28T13:00:00Z`.
    #[schemars(with = "Option<String>")]
    to: Option<Timestamp>,
    /// Only calls older than this one: the `next` of an earlier answer.
    #[schemars(with = "Option<String>")]
    before: Option<CallId>,
    /// How many calls at the most.
    #[serde(default = "Search::usual_limit")]
    #[schemars(range(min = 1, max = 100))]
    limit: u16,
}

impl Search {
    fn usual_limit() -> u16 {
        20
    }
}

/// What was found.
#[derive(Serialize, JsonSchema)]
struct Found {
    /// The calls, newest first.
    calls: Vec<Call>,
    /// There may be more: search again with this as `before`. Where it is missing, there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    next: Option<CallId>,
}

/// A call that was made.
#[derive(Serialize, JsonSchema)]
struct Call {
    /// The tool that was called.
    tool: String,
    /// How it ended.
    outcome: Outcome,
    /// When it began.
    #[schemars(with = "String")]
    at: Timestamp,
    /// How long it took, in microseconds.
    microseconds: u64,
    /// The arguments as they came, cut where they are long.
    arguments: String,
    /// The result as JSON, cut where it is long.
    result: String,
    /// Whether there is more of the arguments or the result.
    truncated: bool,
    /// Its id.
    #[schemars(with = "String")]
    id: CallId,
}

/// How many characters of arguments and of a result are shown: all together stay below what an output may have.
const SHOWN: usize = 1_000;

async fn search_calls(history: Arc<dyn History>, search: Search, cx: Context) -> Result<Found, ToolError> {
    let tenant = cx.caller().tenant();
    let query = CallQuery {
        principal: Some(cx.caller().principal().clone()),
        tool: search.tool,
        outcome: search.outcome,
        from: search.from,
        to: search.to,
        before: search.before,
        limit: search.limit,
    };
    let found = match &search.text {
        None => {
            let calls = history.calls(tenant, &query).await.map_err(unavailable)?;
            let is_full = calls.len() == usize::from(query.limit);
            FoundCalls { next: calls.last().map(|last| last.id).filter(|_| is_full), calls }
        }
        Some(text) if words(text).next().is_none() => {
            return Err(ToolError::failed("the text to look for has no words; leave it out to find all calls"));
        }
        Some(text) => history.search(tenant, text, &query).await.map_err(unavailable)?,
    };
    Ok(Found { calls: found.calls.into_iter().map(Call::from).collect(), next: found.next })
}

impl From<CallRecord> for Call {
    fn from(call: CallRecord) -> Self {
        let text = |bytes: &[u8]| shortened(String::from_utf8_lossy(bytes).into_owned(), SHOWN);
        let ((arguments, more_arguments), (result, more_result)) = (text(&call.arguments), text(&call.result));
        Self {
            tool: call.tool,
            outcome: call.outcome,
            at: call.at,
            microseconds: u64::try_from(call.duration.as_micros()).unwrap_or(u64::MAX),
            arguments,
            result,
            truncated: more_arguments || more_result,
            id: call.id,
        }
    }
}
