//! What only the older era has: the handshake of 2025-11-25 and before (2025-11-25, basic/lifecycle), sessions, and requests to the
//! client. Every other method goes on to the same dispatch as the modern era's, with another encoding and another dialogue.

pub(crate) mod http;
pub(crate) mod kept;
pub(crate) mod mail;
pub(crate) mod peer;
pub(crate) mod session;

use crate::dispatch::{self, Exchange, Refused, Reply};
use crate::endpoint::head::Header;
use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{self, Params, Request};
use crate::protocol::discover;
use crate::protocol::encoding::Encoding;
use crate::protocol::errors::RpcError;
use crate::protocol::version;
use crate::server::Server;

/// Answers a request that names no session: what needs none is served.
pub(crate) fn alone(request: &Request<'_>, version: Header<'_>, exchange: Exchange<'_>) -> Result<Reply, Refused> {
    let id = request.id.as_json();
    check_version(version).map_err(|error| (Some(id.to_owned()), error))?;
    match &*request.method {
        "ping" => Ok(Reply::Message(Encoding::Legacy.result(exchange.server, id, 0, |_| {}))),
        _ => dispatch::dispatch(request, exchange),
    }
}

/// Agrees on a version: the one that is asked for, or else the newest of this era.
pub(super) fn initialize(server: &Server, id: &str, params: &Params<'_>) -> Vec<u8> {
    let version = agreed(params);
    Encoding::Legacy.result(server, id, 256, |out| {
        out.extend_from_slice(b"\"protocolVersion\":\"");
        out.extend_from_slice(version.as_bytes());
        out.extend_from_slice(b"\",\"capabilities\":");
        discover::capabilities(server, Encoding::Legacy, out);
        out.extend_from_slice(b",\"serverInfo\":");
        out.extend_from_slice(&server.identity().implementation);
        discover::instructions(server, out);
    })
}

/// The version that a client asks for, or else the newest.
fn agreed(params: &Params<'_>) -> &'static str {
    let asked = params.rare().protocol_version.and_then(Raw::string);
    version::LEGACY.into_iter().find(|version| asked.as_deref() == Some(version)).unwrap_or(version::LEGACY[0])
}

/// A header that names no version of this era is refused; none at all means 2025-03-26, which had none.
fn check_version(version: Header<'_>) -> Result<(), RpcError> {
    match version {
        Header::Absent => Ok(()),
        Header::One(version) if version::LEGACY.contains(&version) => Ok(()),
        Header::One(_) | Header::Refused(_) => Err(RpcError::new(
            400,
            jsonrpc::INVALID_REQUEST,
            format!(
                "the header `MCP-Protocol-Version` names no version that is served; send one of {}, or {} with `_meta` in every request",
                version::LEGACY.join(", "),
                version::MODERN
            ),
        )),
    }
}
