//! `tools/call` (server/tools).

use std::sync::Arc;

use crate::ask::state;
use crate::call::{Call, OnLeave};
use crate::context::key::Key;
use crate::context::{Context, Outbox};
use crate::dispatch::{Exchange, Reply};
use crate::endpoint::head::Header;
use crate::endpoint::rules;
use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{self, Params};
use crate::protocol::encoding::{self, Encoded, Encoding, Outcome};
use crate::protocol::errors::{self, RpcError, invalid};
use crate::protocol::tasks;
use crate::server::{self, CallError, Server};
use crate::tool::arguments::Arguments;
use crate::tool::error::{KeyError, ToolError};
use crate::tool::key::{BadKey, IdempotencyKey};
use crate::tool::output::ToolOutput;
use crate::tool::pipeline::{self, Failure, Finished};
use crate::tool::registry::OfferedTool;

/// Prepares a call, which goes on as a task where its tool and its client can.
pub(crate) fn call(exchange: Exchange<'_>, params: &Params<'_>, id: &str) -> Result<Reply, RpcError> {
    let ordered = order(&exchange, params)?;
    if let Some(policy) = ordered.tool.spec().policy.task {
        return tasks::call(exchange, params, id, policy, ordered);
    }
    let (call, outbox) = plain(exchange, params, ordered)?;
    Ok(Reply::Call(id.to_owned(), call, outbox))
}

/// A call that is asked for.
#[derive(Clone)]
pub(super) struct Ordered {
    pub(super) tool: Arc<OfferedTool>,
    pub(super) arguments: Arguments,
    /// Under which it is sent, if it is: that of its client, or of answers that are taken once.
    pub(super) key: Option<String>,
}

/// Reads what is to be called.
#[inline]
fn order(exchange: &Exchange<'_>, params: &Params<'_>) -> Result<Ordered, RpcError> {
    let name = params.name.and_then(Raw::string);
    let name = name.ok_or_else(|| invalid("`params.name` must be the name of a tool, as `tools/list` gives it"))?;
    let arguments = match params.arguments {
        None => Arguments::none(),
        Some(raw) if raw.get().starts_with('{') => {
            Arguments::from_checked(exchange.body.slice_ref(raw.get().as_bytes()))
        }
        Some(_) => {
            return Err(invalid("`params.arguments` must be an object; leave it out for a tool that takes none"));
        }
    };
    let header = exchange.head.map_or(Header::Absent, |head| head.header(IdempotencyKey::HEADER));
    let key = key(params, header)?;
    let tool = exchange.server.find_tool(&exchange.caller, &name).map_err(|error| match error {
        CallError::Forbidden(lacking) => lacking.into(),
        error => invalid(error.to_string()),
    })?;
    if let Some(head) = exchange.head.filter(|_| exchange.encoding == Encoding::Modern) {
        rules::check_arguments(head, &tool, &arguments)?;
    }
    let answers = (tool.spec().policy.answered_once && params.rare().request_state.is_some())
        .then(|| state::key_of_answers(params, exchange.server, &exchange.caller));
    let key = answers.flatten().or_else(|| key.map(|key| key.as_str().to_owned()));
    Ok(Ordered { tool, arguments, key })
}

/// A call whose client waits for its result, and where it speaks before that.
type Waited = (Call<Finished>, Option<Arc<Outbox>>);

/// Prepares a call whose client waits for its result, whatever its tool says of tasks.
pub(crate) fn waited(exchange: Exchange<'_>, params: &Params<'_>) -> Result<Waited, RpcError> {
    let ordered = order(&exchange, params)?;
    plain(exchange, params, ordered)
}

/// Prepares a call whose client waits for its result.
#[inline]
pub(super) fn plain(exchange: Exchange<'_>, params: &Params<'_>, ordered: Ordered) -> Result<Waited, RpcError> {
    let Ordered { tool, arguments, key } = ordered;
    exchange.server.load().check_cost(&tool.cost).map_err(|busy| errors::busy(busy.message))?;
    let outbox = exchange.outbox(params)?;
    let encoding = exchange.encoding;
    let key = key.map(|key| Box::new(Key::new(&exchange.caller, tool.spec().name(), &key)));
    // Results that are kept for other calls hold for them all, whatever their clients would answer.
    let cx = exchange.context(params, key, outbox.clone(), tool.cache().is_none())?;
    let lacking = tool.spec().policy.asks.iter().find(|asked| !cx.client_can(**asked));
    if let Some(lacking) = lacking.filter(|_| encoding == Encoding::Modern) {
        return Err(errors::incapable(*lacking));
    }
    let on_leave = if encoding == Encoding::Modern { OnLeave::Cancel } else { OnLeave::Finish };
    Ok((Call::new(tool, arguments, cx, on_leave), outbox))
}

/// The key under which a call may be sent again: of `_meta`, or of the header; where both are there, they are the same.
fn key(params: &Params<'_>, header: Header<'_>) -> Result<Option<IdempotencyKey>, RpcError> {
    let header =
        IdempotencyKey::from_header(header).map_err(|bad| invalid(format!("the header `Idempotency-Key`: {bad}")))?;
    let Some(raw) = params.meta.as_ref().and_then(|meta| meta.idempotency_key) else { return Ok(header) };
    let bad = |bad: BadKey| invalid(format!("`params._meta[{:?}]`: {bad}", IdempotencyKey::META));
    let key = raw.string().ok_or(BadKey).and_then(|text| text.parse::<IdempotencyKey>()).map_err(bad)?;
    match header {
        Some(header) if header != key => Err(invalid(format!(
            "the header `Idempotency-Key` and `params._meta[{:?}]` differ; send one of them",
            IdempotencyKey::META
        ))),
        _ => Ok(Some(key)),
    }
}

impl Outcome for Finished {
    fn cancelled(cx: &Context) -> Self {
        Err(Failure { id: cx.call_id(), error: ToolError::Cancelled, replayed: false })
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Err(Failure { error: ToolError::Limited(limited), .. }) => Some(limited.seconds()),
            _ => None,
        }
    }

    fn fault(&self) -> Option<&'static str> {
        pipeline::fault(self)
    }

    /// Writes how a call ended.
    fn encode(self, server: &Server, encoding: Encoding, id: &str) -> Encoded {
        let output = match self {
            Ok(output) => output,
            Err(Failure { error: ToolError::NeedsInput(required), .. }) => {
                return Ok(encoding::input_required(server, id, &required));
            }
            Err(failure) => failed(failure, encoding)?,
        };
        let any_structured = encoding == Encoding::Modern;
        let meta = if output.is_replayed() { REPLAYED } else { "" };
        Ok(encoding.result_with(server, id, output.size(), meta, |out| output.encode_members(out, any_structured)))
    }
}

/// What a call that has failed comes to. What a model can learn from is a result (`isError`), also that it calls too often: clients take
/// a status of HTTP for a broken connection. What is wrong with the server is an error.
pub(crate) fn failed(failure: Failure, encoding: Encoding) -> Result<ToolOutput, RpcError> {
    let Failure { id, error, replayed } = failure;
    match error {
        ToolError::Unavailable(_) | ToolError::Key(KeyError::StillRunning) => {
            Err(RpcError::new(503, jsonrpc::INTERNAL_ERROR, error.to_string()))
        }
        ToolError::Incapable(capability) if encoding == Encoding::Modern => Err(errors::incapable(capability)),
        ToolError::Key(KeyError::Reused) => Err(invalid(error.to_string())),
        error => {
            let output = ToolOutput::text(server::told(id, &error)).as_error();
            Ok(if replayed { output.replayed() } else { output })
        }
    }
}

/// The member [`IdempotencyKey::REPLAYED_META`], as JSON.
const REPLAYED: &str = r#""io.github.mcp-embed/replayed":true"#;
