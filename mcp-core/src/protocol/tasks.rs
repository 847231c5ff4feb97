//! `tasks/get`, `tasks/update`, `tasks/cancel`, and the calls that become tasks (the extension `io.modelcontextprotocol/tasks`).

use std::collections::BTreeMap;

use futures_util::FutureExt;
use serde_json::Value;

use super::tools::{self, Ordered};
use crate::ask::dialogue::Dialogue;
use crate::call::Call;
use crate::capability::{ClientCapabilities, ClientCapability};
use crate::context::Context;
use crate::dispatch::{Exchange, Reply};
use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{self, Params};
use crate::protocol::encoding::{self, Encoded, Encoding, Outcome};
use crate::protocol::errors::{self, RpcError, invalid};
use crate::server::Server;
use crate::store::StoreError;
use crate::task::{Refused, Tasks};
use crate::tool::error::ToolError;
use crate::tool::pipeline::Failure;
use crate::tool::spec::TaskPolicy;

/// Prepares a call of a tool whose calls become tasks: one that goes on as a task, or one that is answered as others are.
#[cold]
pub(super) fn call(
    exchange: Exchange<'_>,
    params: &Params<'_>,
    id: &str,
    policy: TaskPolicy,
    ordered: Ordered,
) -> Result<Reply, RpcError> {
    let client = ClientCapabilities::of(params);
    let can_follow = exchange.encoding == Encoding::Modern && client.has(ClientCapability::Tasks);
    let does_tasks = exchange.server.does_tasks();
    if policy.required && !can_follow {
        let status = if exchange.encoding == Encoding::Modern { 400 } else { 200 };
        return Err(RpcError { status, ..errors::incapable(ClientCapability::Tasks) });
    }
    if policy.required && !does_tasks {
        return Err(RpcError::new(503, jsonrpc::INTERNAL_ERROR, "this server does no tasks at the moment"));
    }
    let (server, id) = (exchange.server.clone(), id.to_owned());
    if !can_follow || !does_tasks {
        let (call, outbox) = tools::plain(exchange, params, ordered)?;
        return Ok(Reply::Call(id, call, outbox));
    }
    let begun = Begun { tasks: Tasks::of(&server, &exchange.caller), client, ordered: ordered.clone(), id: id.clone() };
    if !policy.detaches {
        let lacking = ordered.tool.spec().policy.asks.iter().find(|asked| !begun.client.has(**asked));
        if let Some(lacking) = lacking {
            return Err(errors::incapable(*lacking));
        }
        let cx = context(&exchange);
        let begin = async move { begun.begin(&server, None).await };
        return Ok(Reply::Read(id, Call::read(begin, cx), None));
    }
    let (call, outbox) = tools::plain(exchange, params, ordered)?;
    let cx = call.context().clone();
    if let Some(Dialogue::Rounds(rounds)) = &cx.inner().dialogue {
        rounds.let_detach(&cx);
    }
    let followed = async move {
        match call.await {
            Err(Failure { error: ToolError::NeedsInput(required), .. }) if required.detached => {
                begun.begin(&server, Some(&required.state)).await
            }
            finished => finished.encode(&server, Encoding::Modern, &begun.id),
        }
    };
    Ok(Reply::Read(id, Call::following(followed, cx), outbox))
}

/// A call that is to become a task.
struct Begun {
    tasks: Tasks,
    client: ClientCapabilities,
    ordered: Ordered,
    /// That of the request.
    id: String,
}

impl Begun {
    /// Begins the task, with what is known already.
    async fn begin(self, server: &Server, state: Option<&str>) -> Encoded {
        let Self { tasks, client, ordered: Ordered { tool, arguments, key }, id } = self;
        let task = tasks.begin(client, tool.spec().name(), &arguments, key.as_deref(), state).await.map_err(refused)?;
        Ok(encoding::task(server, &id, |out| task.encode(out, server.limits().task_ttl)))
    }
}

/// Prepares the answer to one of the methods.
pub(crate) fn answer(
    exchange: &Exchange<'_>,
    params: &Params<'_>,
    id: &str,
    method: &str,
) -> Result<Call<Encoded>, RpcError> {
    if !ClientCapabilities::of(params).has(ClientCapability::Tasks) {
        return Err(errors::incapable(ClientCapability::Tasks));
    }
    let task = params.rare().task_id.and_then(Raw::string);
    let task = task.ok_or_else(|| invalid("`params.taskId` must be the id of a task"))?.into_owned();
    let (server, tasks) = (exchange.server.clone(), Tasks::of(exchange.server, &exchange.caller));
    let id = id.to_owned();
    let answered = match method {
        "tasks/get" => async move {
            let task = tasks.find(&task).await.map_err(refused)?;
            let lifetime = server.limits().task_ttl;
            Ok(Encoding::Modern.result(&server, &id, 1024, |out| task.encode_detailed(out, lifetime)))
        }
        .boxed(),
        "tasks/update" => {
            let answers = answers(params)?;
            async move {
                tasks.update(&task, answers).await.map_err(refused)?;
                Ok(encoding::acknowledged(&server, &id))
            }
            .boxed()
        }
        _ => async move {
            tasks.cancel(&task).await.map_err(refused)?;
            Ok(encoding::acknowledged(&server, &id))
        }
        .boxed(),
    };
    Ok(read(exchange, answered))
}

fn answers(params: &Params<'_>) -> Result<BTreeMap<String, Value>, RpcError> {
    let answers = params.rare().input_responses.and_then(|raw| serde_json::from_str(raw.get()).ok());
    answers.ok_or_else(|| invalid("`params.inputResponses` must be an object with an answer for each key"))
}

fn read(exchange: &Exchange<'_>, answered: impl Future<Output = Encoded> + Send + 'static) -> Call<Encoded> {
    Call::read(answered, context(exchange))
}

fn context(exchange: &Exchange<'_>) -> Context {
    Context::new(exchange.server.clone(), exchange.caller.clone(), None, None, None)
}

/// Says why nothing became of a request.
pub(crate) fn refused(refused: Refused) -> RpcError {
    match refused {
        Refused::Missing(_) | Refused::Reused | Refused::Json(_) => invalid(refused.to_string()),
        Refused::TooMany(_) => RpcError::new(429, jsonrpc::INTERNAL_ERROR, refused.to_string()),
        Refused::Store(StoreError::Refused { .. }) => {
            invalid("this is larger than a task may keep, or the task was told as much as one may be")
        }
        Refused::Store(error) => {
            tracing::error!(%error, "the store of tasks does not answer");
            RpcError::new(503, jsonrpc::INTERNAL_ERROR, "tasks cannot be kept or read at the moment; try again later")
        }
    }
}
