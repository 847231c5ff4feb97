//! What an agent decided, as it is recorded.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::budget::Spent;
use super::step::Step;

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
    pub(super) step: Step,
    /// Which of its calls do not begin at once, by their places in rising order: they say when they begin. Whoever goes on with it may be of a
    /// version, or under a policy, by which others would.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) later: Vec<usize>,
}
