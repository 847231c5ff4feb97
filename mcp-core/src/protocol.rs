//! The wire, one file a family.

pub(crate) mod discover;
pub(crate) mod encoding;
pub(crate) mod errors;
pub(crate) mod tools;
pub(crate) mod version;
