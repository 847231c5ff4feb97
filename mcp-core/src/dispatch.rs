//! The name of a method to what does it.

use std::sync::Arc;

use bytes::Bytes;

use crate::call::Call;
use crate::caller::Caller;
use crate::context::Outbox;
use crate::endpoint::head::Head;
use crate::jsonrpc::{self, Request};
use crate::protocol::encoding::{Encoded, Encoding};
use crate::protocol::errors::RpcError;
use crate::protocol::{completion, discover, list, prompts, resources, tools};
use crate::server::Server;
use crate::tool::pipeline::Finished;

/// What is known when a method has been chosen and its parameters have been read. Ids are JSON text.
pub(crate) enum Reply {
    /// A notification was taken.
    Accepted,
    /// The whole answer.
    Message(Vec<u8>),
    /// An error.
    Refused(Option<String>, RpcError),
    /// A call of a tool that can begin.
    Call(String, Call<Finished>, Option<Arc<Outbox>>),
    /// What else may take its time: it only reads.
    Read(String, Call<Encoded>, Option<Arc<Outbox>>),
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
    let (id, params) = (request.id.as_json(), &request.params);
    let read = |(read, outbox)| Reply::Read(id.to_owned(), read, outbox);
    let reply = match &*request.method {
        "server/discover" => Ok(Reply::Message(discover::discover(server, encoding, id))),
        "tools/list" => list::list(server, server.tools(), "tools", encoding, id, params).map(Reply::Message),
        "tools/call" => tools::call(server, params, caller, encoding, head, body)
            .map(|(call, outbox)| Reply::Call(id.to_owned(), call, outbox)),
        "resources/list" if server.has_resources() => {
            list::list(server, server.resources(), "resources", encoding, id, params).map(Reply::Message)
        }
        "resources/templates/list" if server.has_resources() => {
            let templates = server.resource_templates();
            list::list(server, templates, "resourceTemplates", encoding, id, params).map(Reply::Message)
        }
        "resources/read" if server.has_resources() => resources::read(server, params, caller, encoding, id).map(read),
        "prompts/list" if server.has_prompts() => {
            list::list(server, server.prompts(), "prompts", encoding, id, params).map(Reply::Message)
        }
        "prompts/get" if server.has_prompts() => prompts::get(server, params, caller, encoding, id).map(read),
        "completion/complete" if server.has_prompts() || server.has_resources() => {
            completion::complete(server, params, caller, encoding, id).map(|complete| read((complete, None)))
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
