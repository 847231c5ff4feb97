//! The name of a method to what does it.

use std::sync::Arc;

use bytes::Bytes;

use crate::call::Call;
use crate::caller::Caller;
use crate::context::Outbox;
use crate::endpoint::head::Head;
use crate::jsonrpc::{self, Request};
use crate::protocol::encoding::Encoding;
use crate::protocol::errors::RpcError;
use crate::protocol::{discover, tools};
use crate::server::Server;
use crate::tool::key::IdempotencyKey;

/// What is known when a method has been chosen and its parameters have been read. Ids are JSON text.
pub(crate) enum Reply {
    /// A notification was taken.
    Accepted,
    /// The whole answer.
    Message(Vec<u8>),
    /// An error.
    Refused(Option<String>, RpcError),
    /// A call that can begin.
    Call(String, Call, Option<Arc<Outbox>>),
}

/// An error, and the id of the request that it answers.
pub(crate) type Refused = (Option<String>, RpcError);

/// Does what a request asks for.
pub(crate) fn dispatch(
    server: &Server,
    request: Request<'_>,
    caller: Caller,
    encoding: Encoding,
    head: &dyn Head,
    body: &Bytes,
) -> Result<Reply, Refused> {
    let id = request.id.as_json();
    let reply = match &*request.method {
        "server/discover" => Ok(Reply::Message(discover::discover(server, encoding, id))),
        "tools/list" => tools::list(server, encoding, id, &request.params).map(Reply::Message),
        "tools/call" => {
            tools::call(server, &request.params, caller, encoding, head.header(IdempotencyKey::HEADER), body)
                .map(|(call, outbox)| Reply::Call(id.to_owned(), call, outbox))
        }
        method => Err(unknown_method(method, encoding)),
    };
    reply.map_err(|error| (Some(id.to_owned()), error))
}

fn unknown_method(method: &str, encoding: Encoding) -> RpcError {
    let status = if encoding == Encoding::Modern { 404 } else { 200 };
    let method: String = method.chars().take(128).collect();
    let message = format!("the method {method:?} is not served; ask `server/discover` for what is");
    RpcError::new(status, jsonrpc::METHOD_NOT_FOUND, message)
}
