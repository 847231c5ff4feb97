//! Signals of the system.

use std::future::poll_fn;
use std::task::Poll;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC as Signal, ctrl_c};

/// What was signalled since this was made; until then, a signal ends the process.
pub(super) struct Signals(Vec<Signal>);

impl Signals {
    /// SIGTERM and SIGINT; Ctrl+C where there are no signals.
    pub(super) fn to_stop() -> Self {
        #[cfg(unix)]
        return Self::of(&[SignalKind::terminate(), SignalKind::interrupt()]);
        #[cfg(windows)]
        return Self(ctrl_c().into_iter().collect());
    }

    /// SIGHUP.
    pub(super) fn to_reload() -> Self {
        #[cfg(unix)]
        return Self::of(&[SignalKind::hangup()]);
        #[cfg(windows)]
        return Self(Vec::new());
    }

    /// Where the system refuses to tell of one, that one ends the process as it did.
    #[cfg(unix)]
    fn of(kinds: &[SignalKind]) -> Self {
        Self(kinds.iter().filter_map(|kind| signal(*kind).ok()).collect())
    }

    /// Waits for the next one; those that came before they were waited for count as one. Cancel safe.
    pub(super) async fn next(&mut self) {
        poll_fn(|cx| match self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}
