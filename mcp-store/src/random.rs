//! Numbers that were never there before.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that was never there before, in any process. It is no secret: the keys of the standard library's hasher are random for
/// each thread, and are not used twice.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
