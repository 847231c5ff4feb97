//! The rows.

pub(super) mod call;
pub(super) mod note;
