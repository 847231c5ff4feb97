//! The rows.

pub(super) mod api_key;
pub(super) mod call;
pub(super) mod claim;
pub(super) mod input;
pub(super) mod key;
pub(super) mod lease;
pub(super) mod link;
pub(super) mod message;
pub(super) mod note;
pub(super) mod replica;
pub(super) mod run;
pub(super) mod session;
pub(super) mod setting;
pub(super) mod step;
pub(super) mod thread;
pub(super) mod user;
