//! What a run asks.

use std::collections::BTreeMap;

use serde_json::Value;

use super::inbox::Letter;
use crate::caller::Tenant;
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::runs::{InputKind, RunId, Runs, StepKind, each_step};

/// What the keys begin with under which questions are recorded.
const QUESTION: &str = "question ";

/// The key under which the question of this name is recorded.
pub(super) fn key(name: &str) -> String {
    format!("{QUESTION}{name}")
}

/// The name of the question that is recorded under this key, if it is one.
pub(super) fn name(key: &str) -> Option<&str> {
    key.strip_prefix(QUESTION)
}

/// What a run asks.
#[derive(Default)]
pub(crate) struct Open {
    /// The requests of the protocol that nobody has answered, by the names of the questions (schema, `ElicitRequest`).
    pub(crate) requests: BTreeMap<String, Value>,
    /// When each of them was asked.
    pub(super) asked: BTreeMap<String, Timestamp>,
    /// When it recorded something last, or was told something.
    pub(crate) updated: Option<Timestamp>,
}

/// Reads what a run asks.
pub(crate) async fn open(runs: &dyn Runs, tenant: &Tenant, run: RunId) -> Result<Open, StoreError> {
    const PAGE: u16 = 200;
    let mut open = Open::default();
    each_step(runs, tenant, run, 0, |step| {
        open.updated = open.updated.max(Some(step.at));
        if let (StepKind::Noted, Some(name)) = (step.kind, name(&step.key)) {
            open.requests.insert(name.to_owned(), serde_json::from_slice(&step.body).unwrap_or_default());
            open.asked.insert(name.to_owned(), step.at);
        }
    })
    .await?;
    let mut seen = 0;
    while !open.requests.is_empty() {
        let page = runs.inputs(tenant, run, seen, PAGE).await?;
        let is_last = page.len() < usize::from(PAGE);
        seen += u32::from(u16::try_from(page.len()).unwrap_or(PAGE));
        for input in page.iter().filter(|input| input.kind == InputKind::Message) {
            open.updated = open.updated.max(Some(input.at));
            if let Ok(letter) = serde_json::from_slice::<Letter>(&input.body) {
                open.requests.retain(|name, _| !letter.answers.contains_key(name));
            }
        }
        if is_last {
            break;
        }
    }
    Ok(open)
}
