//! What an agent decided, as it is recorded.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::budget::Spent;
use super::step::Step;
use crate::store::stats::ModelUse;

/// A step of an agent, before it is performed. Rows of a journal are read by the version after this one as well, and by the one before.
#[derive(Serialize, Deserialize)]
pub(super) struct Decision {
    /// Who decided.
    pub(super) agent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kept: Option<Box<RawValue>>,
    /// What it took to decide, and what the step before took.
    #[serde(default)]
    pub(super) spent: Spent,
    /// What each model took for it. It is told beside the record, and not in it.
    #[serde(skip)]
    pub(super) used: Vec<ModelUse>,
    pub(super) step: Step,
    /// Which of its calls do not begin at once, by their places in rising order: they say when they begin. Whoever goes on with it may be of a
    /// version, or under a policy, by which others would.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) later: Vec<usize>,
}
