//! The name of a method to what does it.

use std::sync::Arc;

use bytes::Bytes;
use tracing::Span;

use crate::ask::dialogue::Dialogue;
use crate::ask::in_place::{Answers, InPlace};
use crate::ask::rounds::InRounds;
use crate::call::Call;
use crate::caller::Caller;
use crate::capability::ClientCapabilities;
use crate::context::key::Key;
use crate::context::{Context, LogLevel, Outbox};
use crate::endpoint::head::Head;
use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{self, Params, Request};
use crate::protocol::encoding::{Encoded, Encoding};
use crate::protocol::errors::{RpcError, invalid};
use crate::protocol::listen::Filter;
use crate::protocol::{completion, discover, list, prompts, resources, tasks, tools};
use crate::server::Server;
use crate::server::operations::Operation;
use crate::spans;
use crate::tool::pipeline::Finished;

/// What is known when a method has been chosen and its parameters have been read. Ids are JSON text.
pub(crate) enum Reply {
    /// The whole answer.
    Message(Vec<u8>),
    /// An error.
    Refused(Option<String>, RpcError),
    /// A call of a tool that can begin.
    Call(String, Call<Finished>, Option<Arc<Outbox>>),
    /// A client that listens.
    Listen(String, Caller, Filter),
    /// What else may take its time: it only reads.
    Read(String, Call<Encoded>, Option<Arc<Outbox>>),
}

impl Reply {
    /// The same, where what is still to be done is done in this span.
    fn within(self, span: Span) -> Self {
        match self {
            Self::Call(id, call, outbox) => Self::Call(id, call.within(span), outbox),
            Self::Read(id, read, outbox) => Self::Read(id, read.within(span), outbox),
            done => done,
        }
    }
}

/// A request on its way to its method.
pub(crate) struct Exchange<'a> {
    pub(crate) server: &'a Server,
    pub(crate) caller: Caller,
    pub(crate) encoding: Encoding,
    /// What came before the body, where it came by HTTP.
    pub(crate) head: Option<&'a dyn Head>,
    pub(crate) body: &'a Bytes,
    /// How a client of the older era is spoken to, of which more is known than its request says.
    pub(crate) speech: Option<Box<Speech>>,
}

/// How a client of the older era is spoken to while its request is answered.
pub(crate) struct Speech {
    pub(crate) client: ClientCapabilities,
    pub(crate) level: Option<LogLevel>,
    pub(crate) answers: Arc<Answers>,
}

impl Exchange<'_> {
    /// Where a request speaks before it ends: only where its client listens.
    pub(crate) fn outbox(&self, params: &Params<'_>) -> Result<Option<Arc<Outbox>>, RpcError> {
        let meta = params.meta.as_ref();
        let token = match meta.and_then(|meta| meta.progress_token) {
            None => None,
            Some(raw) if jsonrpc::is_id(raw) => Some(raw.get().to_owned()),
            Some(_) => {
                return Err(invalid(
                    "`params._meta.progressToken` must be a string or an integer of at most 300 digits",
                ));
            }
        };
        let level = match (self.encoding, meta.and_then(|meta| meta.log_level)) {
            (Encoding::Modern, Some(raw)) => Some(log_level(raw).ok_or_else(|| {
                invalid(format!("`params._meta[\"io.modelcontextprotocol/logLevel\"]` must be {LEVELS}"))
            })?),
            (Encoding::Modern, None) => None,
            (Encoding::Legacy, _) => self.speech.as_ref().and_then(|speech| speech.level),
        };
        // A client of a session is spoken to in any case, and asks for nothing by that.
        let stream = match token.is_some() || (level.is_some() && self.encoding == Encoding::Modern) {
            true => Some(self.server.count_listener(&self.caller)?),
            false => None,
        };
        let listens = stream.is_some() || self.speech.is_some();
        Ok(listens.then(|| Arc::new(Outbox::new(token, level, stream))))
    }

    /// What the call of this request may know and do.
    pub(crate) fn context(
        self,
        params: &Params<'_>,
        key: Option<Box<Key>>,
        outbox: Option<Arc<Outbox>>,
        may_ask: bool,
    ) -> Result<Context, RpcError> {
        let dialogue = match (self.encoding, self.speech, &outbox) {
            _ if !may_ask => None,
            (Encoding::Modern, _, _) => Some(Dialogue::Rounds(InRounds::new(params, self.body)?)),
            (Encoding::Legacy, Some(speech), Some(outbox)) => Some(Dialogue::InPlace(Box::new(InPlace::new(
                speech.client,
                outbox.clone(),
                speech.answers,
                self.server.shared_clock(),
            )))),
            (Encoding::Legacy, ..) => None,
        };
        let cx = Context::new(self.server.clone(), self.caller, key, outbox, dialogue);
        if let Some(Dialogue::Rounds(rounds)) = &cx.inner().dialogue {
            rounds.open(params, &cx)?;
        }
        Ok(cx)
    }
}

/// The level of that name.
pub(crate) fn log_level(raw: Raw<'_>) -> Option<LogLevel> {
    raw.string().as_deref().and_then(LogLevel::from_name)
}

/// What a level may be.
pub(crate) const LEVELS: &str = "one of debug, info, notice, warning, error, critical, alert, emergency";

/// An error, and the id of the request that it answers.
pub(crate) type Refused = (Option<String>, RpcError);

/// Does what a request asks for, in a span of its own where somebody follows it.
pub(crate) fn dispatch(request: &Request<'_>, exchange: Exchange<'_>) -> Result<Reply, Refused> {
    let span = spans::operation(request);
    if span.is_disabled() {
        return answer(request, exchange);
    }
    match answer(request, exchange) {
        Ok(reply) => {
            spans::found(&span, request);
            Ok(reply.within(span))
        }
        Err(refused) => {
            spans::failed(&span, spans::fault_of(&refused.1));
            Err(refused)
        }
    }
}

/// Counts a request that `answer` answers, where the server measures: what is still to be done when it has been begun counts itself.
#[inline]
pub(crate) fn measured(
    request: &Request<'_>,
    server: &Server,
    answer: impl FnOnce() -> Result<Reply, Refused>,
) -> Result<Reply, Refused> {
    let operation = Operation::begin(server, &request.method);
    let reply = answer();
    if let Some(operation) = operation {
        begun(operation, server, &reply);
    }
    reply
}

#[inline(never)]
fn begun(operation: Operation, server: &Server, reply: &Result<Reply, Refused>) {
    match reply {
        Ok(Reply::Call(_, call, _)) => call.context().answers(operation),
        Ok(Reply::Read(_, read, _)) => read.context().answers(operation),
        // A subscription lasts for as long as its client likes.
        Ok(Reply::Listen(..)) => {}
        Ok(Reply::Message(_)) => operation.end(server, None, None),
        Ok(Reply::Refused(_, error)) | Err((_, error)) => operation.end(server, None, Some(spans::fault_of(error))),
    }
}

fn answer(request: &Request<'_>, exchange: Exchange<'_>) -> Result<Reply, Refused> {
    let (server, encoding) = (exchange.server, exchange.encoding);
    let (id, params) = (request.id.as_json(), &request.params);
    let read = |(read, outbox)| Reply::Read(id.to_owned(), read, outbox);
    let reply = match &*request.method {
        "server/discover" => Ok(Reply::Message(discover::discover(server, encoding, id))),
        "tools/list" => list::list(server, server.tools().seen_by(&exchange.caller), "tools", encoding, id, params)
            .map(Reply::Message),
        "tools/call" => tools::call(exchange, params, id),
        "resources/list" if server.has_resources() => {
            let resources = server.resources().seen_by(&exchange.caller);
            list::list(server, resources, "resources", encoding, id, params).map(Reply::Message)
        }
        "resources/templates/list" if server.has_resources() => {
            let templates = server.resource_templates().seen_by(&exchange.caller);
            list::list(server, templates, "resourceTemplates", encoding, id, params).map(Reply::Message)
        }
        "resources/read" if server.has_resources() => resources::read(exchange, params, id).map(read),
        "prompts/list" if server.has_prompts() => {
            let prompts = server.prompts().seen_by(&exchange.caller);
            list::list(server, prompts, "prompts", encoding, id, params).map(Reply::Message)
        }
        "prompts/get" if server.has_prompts() => prompts::get(exchange, params, id).map(read),
        "completion/complete" if server.has_prompts() || server.has_resources() => {
            completion::complete(exchange, params, id).map(|complete| read((complete, None)))
        }
        "subscriptions/listen" if encoding == Encoding::Modern => {
            Filter::read(params, server).map(|filter| Reply::Listen(id.to_owned(), exchange.caller, filter))
        }
        "tasks/get" | "tasks/update" | "tasks/cancel" if encoding == Encoding::Modern && server.does_tasks() => {
            tasks::answer(&exchange, params, id, &request.method).map(|answer| read((answer, None)))
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
