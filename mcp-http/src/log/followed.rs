//! The last lines, and whoever follows them.

use std::collections::VecDeque;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;

/// How many lines are kept, and how many a follower may be behind.
const LINES: usize = 500;
/// How many bytes of a line are kept.
const LONGEST: usize = 16 * 1024;

struct Followed {
    last: Mutex<VecDeque<Bytes>>,
    followers: broadcast::Sender<Bytes>,
}

static FOLLOWED: LazyLock<Followed> =
    LazyLock::new(|| Followed { last: Mutex::default(), followers: broadcast::Sender::new(LINES) });

/// Keeps a line, and tells whoever follows.
pub(super) fn tell(line: &[u8]) {
    let line = Bytes::copy_from_slice(line.get(..LONGEST).unwrap_or(line));
    let mut last = FOLLOWED.last.lock().unwrap_or_else(PoisonError::into_inner);
    if last.len() == LINES {
        last.pop_front();
    }
    last.push_back(line.clone());
    // Under the lock, so that who begins to follow misses none and sees none twice. Nobody may follow.
    let _ = FOLLOWED.followers.send(line);
}

/// The last lines, the oldest first, and each that comes after them.
pub(crate) fn follow() -> (Vec<Bytes>, broadcast::Receiver<Bytes>) {
    let last = FOLLOWED.last.lock().unwrap_or_else(PoisonError::into_inner);
    (last.iter().cloned().collect(), FOLLOWED.followers.subscribe())
}
