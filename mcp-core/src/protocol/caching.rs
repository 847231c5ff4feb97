//! For how long an answer may be kept (server/utilities/caching).

use std::time::Duration;

/// For how long, and by whom, an answer may be kept. Clients of the older era are not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caching {
    pub(crate) ttl: Duration,
    pub(crate) public: bool,
}

impl Caching {
    /// Whoever has asked may keep it for so long, in whole milliseconds.
    pub const fn private(ttl: Duration) -> Self {
        Self { ttl, public: false }
    }

    /// It may be kept for so long, in whole milliseconds, and given to others: it is the same for every caller.
    pub const fn public(ttl: Duration) -> Self {
        Self { ttl, public: true }
    }
}
