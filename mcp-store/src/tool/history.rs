//! `history.search`: the caller's own calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_core::clock::Timestamp;
use mcp_core::store::history::{CallQuery, History};
use mcp_core::store::ledger::{CallId, CallRecord, Outcome};
use mcp_core::store::notes::words;
use mcp_core::{Context, Tool, ToolError, tool_with};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
/// How many calls, and how many bytes of them, one search for words looks at before it answers.
const MOST_CALLS: usize = 1_000;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// How many calls are read at once when words are looked for, so that little is held in memory.
const PAGE: u16 = 20;

async fn search_calls(history: Arc<dyn History>, search: Search, cx: Context) -> Result<Found, ToolError> {
    let wanted = match &search.text {
        None => BTreeSet::new(),
        Some(text) => {
            let wanted: BTreeSet<_> = words(text).collect();
            if wanted.is_empty() {
                return Err(ToolError::failed("the text to look for has no words; leave it out to find all calls"));
            }
            wanted
        }
    };
    let limit = usize::from(search.limit);
    let mut query = CallQuery {
        principal: Some(cx.caller().principal().clone()),
        tool: search.tool,
        outcome: search.outcome,
        from: search.from,
        to: search.to,
        before: search.before,
        limit: if wanted.is_empty() { search.limit } else { PAGE },
    };
    let (mut calls, mut seen, mut bytes) = (Vec::new(), 0, 0);
    loop {
        let page = history.calls(cx.caller().tenant(), &query).await.map_err(unavailable)?;
        let last_page = page.len() < usize::from(query.limit);
        for call in page {
            seen += 1;
            bytes += call.arguments.len() + call.result.len();
            query.before = Some(call.id);
            if wanted.is_empty() || holds(&call, &wanted) {
                calls.push(Call::from(call));
            }
            if calls.len() == limit || seen == MOST_CALLS || bytes >= MOST_BYTES {
                return Ok(Found { calls, next: query.before });
            }
        }
        if last_page {
            return Ok(Found { calls, next: None });
        }
    }
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

/// Whether the arguments and the result together hold all of the words.
fn holds(call: &CallRecord, wanted: &BTreeSet<String>) -> bool {
    let mut missing = wanted.clone();
    for json in [&call.arguments, &call.result] {
        match serde_json::from_slice(json) {
            // In JSON text a line's end is a backslash and a letter, which would be cut as part of a word.
            Ok(value) => strike_out_all(&value, &mut missing),
            Err(_) => strike_out(&String::from_utf8_lossy(json), &mut missing),
        }
    }
    missing.is_empty()
}

/// Removes the words of all names, texts and numbers.
fn strike_out_all(value: &Value, missing: &mut BTreeSet<String>) {
    match value {
        Value::Null => {}
        Value::String(text) => strike_out(text, missing),
        Value::Number(_) | Value::Bool(_) => strike_out(&value.to_string(), missing),
        Value::Array(list) => list.iter().for_each(|value| strike_out_all(value, missing)),
        Value::Object(members) => {
            for (name, value) in members {
                strike_out(name, missing);
                strike_out_all(value, missing);
            }
        }
    }
}

fn strike_out(text: &str, missing: &mut BTreeSet<String>) {
    for word in words(text) {
        missing.remove(&word);
    }
}
