//! The spans of agents, with the names of OpenTelemetry's conventions for generative AI.

use tracing::Span;
use tracing::field::Empty;

use super::step::ToolCall;
use crate::model::delta::End;
use crate::store::runs::RunId;

/// In which an agent does a run, as long as this process holds it.
pub(super) fn invoke_agent(agent: &str, run: RunId) -> Span {
    tracing::info_span!(
        "invoke_agent",
        "gen_ai.operation.name" = "invoke_agent",
        "gen_ai.agent.name" = agent,
        "gen_ai.conversation.id" = %run,
    )
}

/// In which a tool is called for an agent.
pub(super) fn execute_tool(call: &ToolCall) -> Span {
    let id = Some(call.id.as_str()).filter(|id| !id.is_empty());
    tracing::info_span!(
        "execute_tool",
        "gen_ai.operation.name" = "execute_tool",
        "gen_ai.tool.name" = call.tool,
        "gen_ai.tool.call.id" = id,
    )
}

/// In which a model is asked; `model` is `provider::model`.
pub(super) fn chat(model: &str) -> Span {
    let (provider, model) = model.split_once("::").unwrap_or(("", model));
    tracing::info_span!(
        "chat",
        "gen_ai.operation.name" = "chat",
        "gen_ai.provider.name" = provider,
        "gen_ai.request.model" = model,
        "gen_ai.response.finish_reasons" = Empty,
        "gen_ai.usage.input_tokens" = Empty,
        "gen_ai.usage.output_tokens" = Empty,
    )
}

/// Says in the span of a request how the model has ended its reply.
pub(super) fn ended(chat: &Span, end: &End) {
    chat.record("gen_ai.response.finish_reasons", end.finish.as_str());
    if let Some(usage) = end.usage {
        chat.record("gen_ai.usage.input_tokens", usage.input_tokens);
        chat.record("gen_ai.usage.output_tokens", usage.output_tokens);
    }
}
