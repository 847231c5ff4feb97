//! What both writers do, a file for each kind of entry.

pub(super) mod answers;
