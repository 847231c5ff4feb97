//! What is content in a batch of the ledger, sealed.

use std::borrow::Cow;

use bytes::Bytes;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::CallRecord;
use mcp_core::store::runs::{Hold, Step, Turn};

use super::{Content, MARK, Place};
use crate::sql::batch::Batch;
use crate::sql::entity::{call, run, step};
use crate::sql::standing::run_key;
use crate::sql::text::stored;

/// The entries of a batch as they are stored. Their links are of what they were before.
pub(in crate::sql) struct SealedBatch {
    calls: Vec<CallRecord>,
    steps: Vec<(Hold, Step)>,
    turns: Vec<(Hold, Turn)>,
}

impl SealedBatch {
    /// Nothing, where all of it is stored as it is.
    pub(in crate::sql) fn of(content: &Content, batch: &Batch<'_>) -> Result<Option<Self>, StoreError> {
        if !content.seals() && !needs_mark(batch) {
            return Ok(None);
        }
        let calls = batch.calls.iter().map(|record| {
            let place = |column: &'static str| {
                move || call::place(column, &stored(record.tenant.as_str()), call::uuid(record.id))
            };
            let [arguments, result] = call::COLUMNS.map(place);
            Ok(CallRecord {
                arguments: seal(content, arguments, &record.arguments)?,
                result: seal(content, result, &record.result)?,
                ..(*record).clone()
            })
        });
        let steps = batch.steps.iter().map(|(hold, step)| {
            let (tenant, run) = run_key(hold);
            let body = seal(content, || step::place(&tenant, run, step::number(step.number)), &step.body)?;
            Ok(((*hold).clone(), Step { body, ..(*step).clone() }))
        });
        let turns = batch.turns.iter().map(|(hold, turn)| {
            let mut sealed = (*turn).clone();
            if let Turn::End { result, .. } = &mut sealed {
                let (tenant, id) = run_key(hold);
                *result = seal(content, || run::place(run::COLUMNS[1], &tenant, id), result)?;
            }
            Ok(((*hold).clone(), sealed))
        });
        Ok(Some(Self {
            calls: calls.collect::<Result<_, StoreError>>()?,
            steps: steps.collect::<Result<_, StoreError>>()?,
            turns: turns.collect::<Result<_, StoreError>>()?,
        }))
    }

    /// The batch with these entries in place of its own, where there are any.
    pub(in crate::sql) fn stored<'b>(sealed: &'b Option<Self>, batch: Batch<'b>) -> Batch<'b> {
        let Some(Self { calls, steps, turns }) = sealed else { return batch };
        Batch {
            calls: calls.iter().collect(),
            steps: steps.iter().map(|(hold, step)| (hold, step)).collect(),
            turns: turns.iter().map(|(hold, turn)| (hold, turn)).collect(),
            ..batch
        }
    }
}

fn seal(content: &Content, place: impl FnOnce() -> Place, bytes: &Bytes) -> Result<Bytes, StoreError> {
    Ok(match content.seal(place, bytes)? {
        Cow::Borrowed(_) => bytes.clone(),
        Cow::Owned(sealed) => sealed.into(),
    })
}

/// Whether something plain is to be told from what is sealed.
fn needs_mark(batch: &Batch<'_>) -> bool {
    let begins = |bytes: &Bytes| bytes.first() == Some(&MARK);
    batch.calls.iter().any(|call| begins(&call.arguments) || begins(&call.result))
        || batch.steps.iter().any(|(_, step)| begins(&step.body))
        || batch.turns.iter().any(|(_, turn)| matches!(turn, Turn::End { result, .. } if begins(result)))
}
