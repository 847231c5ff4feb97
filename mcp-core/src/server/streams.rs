//! Streams that callers have open, of which there are so many at the most.

use super::tally::{Entered, Full};
use super::{Limits, Server};
use crate::caller::{Caller, Principal, Tenant};
use crate::endpoint::answer::Refusal;
use crate::protocol::errors::{self, RpcError};

/// Whose a stream is.
pub(super) type Listener = (Tenant, Principal);

/// Counts one stream as open, as long as it lives.
pub(crate) type ListenerGuard = Entered<Listener>;

/// A stream that counts as open for as long as this lives.
pub struct OpenStream {
    #[expect(dead_code, reason = "it counts")]
    counted: ListenerGuard,
    server: Server,
}

impl OpenStream {
    /// Ends when the server [closes](Server::close): then the stream is to end as well.
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        self.server.closing().cancelled().await;
    }
}

impl Server {
    /// Counts a stream that the shell opens for `caller`, for as long as what it gives lives.
    ///
    /// # Errors
    /// 503 where as many are open as this server takes, 429 where the caller has as many as one may.
    pub fn open_stream(&self, caller: &Caller) -> Result<OpenStream, Refusal> {
        let refused = |full: RpcError| Refusal { status: full.status, message: full.message, challenge: None };
        let counted = self.count_listener(caller).map_err(refused)?;
        Ok(OpenStream { counted, server: self.clone() })
    }

    /// Counts a stream of `caller`, until the guard is dropped; an error where there are as many as there may be.
    pub(crate) fn count_listener(&self, caller: &Caller) -> Result<ListenerGuard, RpcError> {
        let Limits { listeners, streams_per_caller, .. } = self.limits();
        let listener = (caller.tenant().clone(), caller.principal().clone());
        self.0.listeners.enter(listener, *listeners, *streams_per_caller).map_err(|full| match full {
            Full::All => errors::busy("as many streams are open as this server takes; try again later, or elsewhere"),
            Full::Owner => errors::too_many(format!(
                "the caller has {streams_per_caller} streams open, which is as many as one may; close one of them"
            )),
        })
    }
}
