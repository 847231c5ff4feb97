//! Calls that hold some words, looked for one after the other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CallQuery, FoundCalls, History, MOST_BYTES, MOST_CALLS};
use crate::caller::Tenant;
use crate::store::StoreError;
use crate::store::ledger::CallRecord;
use crate::store::words::words;

/// How many calls are read at once, so that little is held in memory.
const PAGE: u16 = 20;

/// [`History::search`] on what [`History::calls`] shows.
pub(super) async fn look_through<H: History + ?Sized>(
    history: &H,
    tenant: &Tenant,
    text: &str,
    query: &CallQuery,
) -> Result<FoundCalls, StoreError> {
    let (wanted, limit): (BTreeSet<_>, _) = (words(text).collect(), usize::from(query.limit));
    let mut found = FoundCalls::default();
    if wanted.is_empty() || limit == 0 {
        return Ok(found);
    }
    let mut page = CallQuery { limit: PAGE, ..query.clone() };
    let (mut seen, mut bytes) = (0, 0);
    loop {
        let calls = history.calls(tenant, &page).await?;
        let is_last = calls.len() < usize::from(PAGE);
        for call in calls {
            seen += 1;
            bytes += call.arguments.len() + call.result.len();
            page.before = Some(call.id);
            if holds(&call, &wanted) {
                found.calls.push(call);
            }
            if found.calls.len() == limit || seen == MOST_CALLS || bytes >= MOST_BYTES {
                return Ok(FoundCalls { next: page.before, ..found });
            }
        }
        if is_last {
            return Ok(found);
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
