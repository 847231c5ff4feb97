//! The wire, one file a family.

pub mod caching;
pub(crate) mod completion;
pub(crate) mod discover;
pub(crate) mod encoding;
pub(crate) mod errors;
pub(crate) mod list;
pub(crate) mod listen;
pub(crate) mod prompts;
pub(crate) mod resources;
pub(crate) mod tasks;
pub(crate) mod tools;
pub(crate) mod version;
