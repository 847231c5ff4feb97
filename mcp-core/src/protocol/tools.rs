//! `tools/call` (server/tools).

use std::sync::Arc;

use bytes::Bytes;

use crate::call::{Call, OnLeave};
use crate::caller::Caller;
use crate::context::key::Key;
use crate::context::{Context, LogLevel, Outbox};
use crate::endpoint::head::{Head, Header};
use crate::endpoint::rules;
use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{self, Params};
use crate::protocol::encoding::{Encoded, Encoding, Outcome};
use crate::protocol::errors::{RpcError, invalid};
use crate::server::{self, Server};
use crate::tool::arguments::Arguments;
use crate::tool::error::{KeyError, ToolError};
use crate::tool::key::{BadKey, IdempotencyKey};
use crate::tool::output::ToolOutput;
use crate::tool::pipeline::{Failure, Finished};

/// Prepares a call. Its outbox is made only for a client that listens.
pub(crate) fn call(
    server: &Server,
    params: &Params<'_>,
    caller: Caller,
    encoding: Encoding,
    head: &dyn Head,
    body: &Bytes,
) -> Result<(Call<Finished>, Option<Arc<Outbox>>), RpcError> {
    let name = params.name.and_then(Raw::string);
    let name = name.ok_or_else(|| invalid("`params.name` must be the name of a tool, as `tools/list` gives it"))?;
    let arguments = match params.arguments {
        None => Arguments::none(),
        Some(raw) if raw.get().starts_with('{') => Arguments::from_checked(body.slice_ref(raw.get().as_bytes())),
        Some(_) => {
            return Err(invalid("`params.arguments` must be an object; leave it out for a tool that takes none"));
        }
    };
    let outbox = outbox(params, encoding)?;
    let key = key(params, head.header(IdempotencyKey::HEADER))?;
    let tool = server.find_tool(&name).map_err(|unknown| invalid(unknown.to_string()))?;
    if encoding == Encoding::Modern {
        rules::check_arguments(head, &tool, &arguments)?;
    }
    let key = key.map(|key| Box::new(Key::new(&caller, &name, key.as_str())));
    let cx = Context::new(server.clone(), caller, key, outbox.clone());
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

pub(super) fn outbox(params: &Params<'_>, encoding: Encoding) -> Result<Option<Arc<Outbox>>, RpcError> {
    let Some(meta) = &params.meta else { return Ok(None) };
    let token = match meta.progress_token {
        None => None,
        Some(raw) if jsonrpc::is_id(raw) => Some(raw.get().to_owned()),
        Some(_) => return Err(invalid("`params._meta.progressToken` must be a string or an integer")),
    };
    let level = match meta.log_level.filter(|_| encoding == Encoding::Modern) {
        None => None,
        Some(raw) => match raw.string().as_deref().and_then(LogLevel::from_name) {
            None => {
                return Err(invalid(
                    "`params._meta[\"io.modelcontextprotocol/logLevel\"]` must be one of debug, info, notice, warning, error, critical, alert, emergency",
                ));
            }
            level => level,
        },
    };
    Ok((token.is_some() || level.is_some()).then(|| Arc::new(Outbox::new(token, level))))
}

impl Outcome for Finished {
    fn cancelled(cx: &Context) -> Self {
        Err(Failure { id: cx.call_id(), error: ToolError::Cancelled, replayed: false })
    }

    /// Writes how a call ended. What a model can learn from is a result (`isError`); what is wrong with the server is an error.
    fn encode(self, server: &Server, encoding: Encoding, id: &str) -> Encoded {
        let output = match self {
            Ok(output) => output,
            Err(Failure {
                error: error @ (ToolError::Unavailable(_) | ToolError::Key(KeyError::StillRunning)),
                ..
            }) => {
                return Err(RpcError::new(503, jsonrpc::INTERNAL_ERROR, error.to_string()));
            }
            Err(Failure { error: error @ ToolError::Key(KeyError::Reused), .. }) => {
                return Err(invalid(error.to_string()));
            }
            Err(Failure { id, error, replayed }) => {
                let output = ToolOutput::text(server::told(id, &error)).as_error();
                if replayed { output.replayed() } else { output }
            }
        };
        let any_structured = encoding == Encoding::Modern;
        let meta = if output.is_replayed() { REPLAYED } else { "" };
        Ok(encoding.result_with(server, id, output.size(), meta, |out| output.encode_members(out, any_structured)))
    }
}

/// The member [`IdempotencyKey::REPLAYED_META`], as JSON.
const REPLAYED: &str = r#""io.github.mcp-embed/replayed":true"#;
