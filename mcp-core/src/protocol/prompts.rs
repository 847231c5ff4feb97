//! `prompts/get` (server/prompts).

use std::sync::Arc;

use crate::call::Call;
use crate::caller::Caller;
use crate::context::Outbox;
use crate::dispatch::Exchange;
use crate::jsonrpc::Params;
use crate::jsonrpc::reader::Raw;
use crate::prompt::OfferedPrompt;
use crate::protocol::encoding::{self, Encoded};
use crate::protocol::errors::{self, RpcError, invalid};
use crate::server::Server;
use crate::strings::StringArguments;
use crate::tool::pipeline;

/// Prepares what gives the messages.
pub(crate) fn get(
    exchange: Exchange<'_>,
    params: &Params<'_>,
    id: &str,
) -> Result<(Call<Encoded>, Option<Arc<Outbox>>), RpcError> {
    let name = params.name.and_then(Raw::string);
    let name = name.ok_or_else(|| invalid("`params.name` must be the name of a prompt, as `prompts/list` gives it"))?;
    let (outbox, encoding) = (exchange.outbox(params)?, exchange.encoding);
    let prompt = find(exchange.server, &exchange.caller, &name)?;
    let arguments = arguments(params.arguments)?;
    for argument in prompt.spec().arguments() {
        if argument.is_required() && arguments.get(argument.name()).is_none() {
            return Err(invalid(format!("the prompt {name:?} needs the argument {:?}", argument.name())));
        }
    }
    let id = id.to_owned();
    let cx = exchange.context(params, None, outbox.clone(), true)?;
    let inner = cx.clone();
    let get = async move {
        let get = prompt.prompt().get(arguments, inner.clone());
        let output = pipeline::read("prompt", prompt.spec().name(), &inner, get).await;
        let output = match output {
            Ok(output) => output,
            Err(failure) => return encoding::unread(&inner.inner().server, &id, &failure),
        };
        Ok(encoding.result(&inner.inner().server, &id, output.size(), |out| {
            output.encode_members(out, prompt.spec().description());
        }))
    };
    Ok((Call::read(get, cx), outbox))
}

/// The prompt of that name.
pub(super) fn find(server: &Server, caller: &Caller, name: &str) -> Result<Arc<OfferedPrompt>, RpcError> {
    let prompts = server.prompts().seen_by(caller);
    prompts.find(name).map_err(|unseen| {
        errors::unseen(server.noted(caller, unseen), || {
            let shown: String = name.chars().take(128).collect();
            let nearest = prompts.nearest(name).map(|nearest| format!("; did you mean {nearest:?}?"));
            invalid(format!("there is no prompt {shown:?}{}", nearest.unwrap_or_default()))
        })
    })
}

/// What was sent as the arguments of a prompt: texts by name.
fn arguments(raw: Option<Raw<'_>>) -> Result<StringArguments, RpcError> {
    let Some(raw) = raw else { return Ok(StringArguments::default()) };
    serde_json::from_str(raw.get())
        .map_err(|_| invalid("`params.arguments` must be an object whose values are strings"))
}
