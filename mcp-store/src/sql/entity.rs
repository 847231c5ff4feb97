//! The rows.

pub(super) mod api_key;
pub(super) mod call;
pub(super) mod content;
pub(super) mod file;
pub(super) mod file_room;
pub(super) mod key;
pub(super) mod lease;
pub(super) mod link;
pub(super) mod message;
pub(super) mod note;
pub(super) mod replica;
pub(super) mod session;
pub(super) mod setting;
pub(super) mod thread;
pub(super) mod user;
