//! Sessions of clients of the older era (2025-11-25, basic/transports, "Session Management"): each is kept in a store, where any
//! replica finds it.

use std::time::Duration;

use crate::caller::Caller;
use crate::endpoint::head::{Head, Header};
use crate::jsonrpc;
use crate::protocol::errors::RpcError;
use crate::server::Server;
use crate::store::StoreError;
use crate::store::sessions::{Saved, StoredSession};

use super::peer::Peer;

/// The header that names a session.
pub(crate) const HEADER: &str = "mcp-session-id";

/// How long a session is kept that no request comes for.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// How often a change is tried again that others have come before.
const TRIES: usize = 8;

/// A session as a request has found it.
pub(super) struct Session {
    pub(super) handle: String,
    version: u64,
    pub(super) peer: Peer,
}

impl Session {
    /// Begins one for this client.
    pub(super) async fn begin(server: &Server, caller: &Caller, peer: &Peer) -> Result<String, RpcError> {
        let value = serde_json::to_vec(peer).unwrap_or_default().into();
        let begun = server.protocol_sessions().create(caller.tenant(), caller.principal(), value, IDLE).await;
        begun.map(|session| session.handle).map_err(|error| unavailable(&error))
    }

    /// The session that the request names; `None` where it names none.
    pub(super) async fn find(server: &Server, caller: &Caller, head: &dyn Head) -> Result<Option<Self>, RpcError> {
        let handle = match head.header(HEADER) {
            Header::Absent => return Ok(None),
            Header::One(handle) => handle,
            Header::Refused(_) => return Err(unknown()),
        };
        let found = Self::again(server, caller, handle).await.map_err(|error| unavailable(&error))?;
        found.map(Some).ok_or_else(unknown)
    }

    /// The session as it is by now.
    pub(super) async fn again(server: &Server, caller: &Caller, handle: &str) -> Result<Option<Self>, StoreError> {
        let found = server.protocol_sessions().load(caller.tenant(), caller.principal(), handle).await?;
        Ok(found.and_then(Self::read))
    }

    fn read(stored: StoredSession) -> Option<Self> {
        let peer = serde_json::from_slice(&stored.value).ok()?;
        Some(Self { handle: stored.handle, version: stored.version, peer })
    }

    /// Changes what is known of the client, and keeps that.
    pub(super) async fn change(
        mut self,
        server: &Server,
        caller: &Caller,
        change: impl Fn(&mut Peer) -> Result<(), RpcError>,
    ) -> Result<(), RpcError> {
        let (tenant, owner, store) = (caller.tenant(), caller.principal(), server.protocol_sessions());
        for _ in 0..TRIES {
            let before = self.peer.clone();
            change(&mut self.peer)?;
            if self.peer == before {
                return Ok(());
            }
            let value = serde_json::to_vec(&self.peer).unwrap_or_default().into();
            let saved = store.save(tenant, owner, &self.handle, self.version, value).await;
            match saved.map_err(|error| unavailable(&error))? {
                Saved::As(_) => return Ok(()),
                Saved::Gone => return Err(unknown()),
                Saved::Conflict => {
                    let again = Self::again(server, caller, &self.handle).await;
                    self = again.map_err(|error| unavailable(&error))?.ok_or_else(unknown)?;
                }
            }
        }
        Err(RpcError::new(503, jsonrpc::INTERNAL_ERROR, "the session is being changed by others; send this again"))
    }

    /// Ends the session that the request names.
    pub(super) async fn end(server: &Server, caller: &Caller, head: &dyn Head) -> Result<(), RpcError> {
        let Header::One(handle) = head.header(HEADER) else { return Err(missing()) };
        let ended = server.protocol_sessions().remove(caller.tenant(), caller.principal(), handle).await;
        if ended.map_err(|error| unavailable(&error))? { Ok(()) } else { Err(unknown()) }
    }
}

/// The request names no session, and needs one.
pub(super) fn missing() -> RpcError {
    let message = "the header `Mcp-Session-Id` is missing; send that of the answer to `initialize`";
    RpcError::new(400, jsonrpc::INVALID_REQUEST, message)
}

/// There is no such session, or it is another's; nobody learns which.
fn unknown() -> RpcError {
    let message =
        "there is no such session, or it has ended; begin a new one by `initialize`, without `Mcp-Session-Id`";
    RpcError::new(404, jsonrpc::INVALID_REQUEST, message)
}

/// That the store does not answer says nothing of whether there is such a session.
fn unavailable(error: &StoreError) -> RpcError {
    tracing::warn!(%error, "sessions cannot be reached");
    RpcError::new(503, jsonrpc::INTERNAL_ERROR, "sessions cannot be reached at the moment; try again later")
}
