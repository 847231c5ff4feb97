//! Reading all of a run's steps.

use super::{RunId, Runs, Step, StepRecord};
use crate::caller::Tenant;
use crate::store::StoreError;

/// How many rows are read at a time.
const PAGE: u16 = 200;

/// Shows each step of a run, in order, beginning with the number `from`.
pub(crate) async fn each_step(
    runs: &dyn Runs,
    tenant: &Tenant,
    run: RunId,
    mut from: u32,
    mut show: impl FnMut(Step),
) -> Result<(), StoreError> {
    loop {
        let page = runs.steps(tenant, run, from, PAGE).await?;
        let is_last = page.len() < usize::from(PAGE);
        for StepRecord { step, .. } in page {
            from = step.number.saturating_add(1);
            show(step);
        }
        if is_last {
            return Ok(());
        }
    }
}
