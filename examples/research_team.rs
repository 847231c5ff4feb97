//! own_server.rs with a team: a supervisor who leaves the search to one agent and the writing to another. With a model in `MODELS` that one
//! decides; without, a script does, offline.

use std::sync::Arc;

use mcp_core::agent::ModelAgent;
use mcp_core::model::request::ModelRequest;
use mcp_core::model::scripted::{ScriptedModel, Turn};
use mcp_core::{LanguageModel, Message};
use mcp_http::Config;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = mcp_http::bundled(Config::load()?).await?;
    let configured = server.models().first_key_value().map(|(_, model)| model.clone());
    let model: Arc<dyn LanguageModel> = configured.unwrap_or_else(|| Arc::new(ScriptedModel::by(script)));
    let searcher = ModelAgent::new("searcher", "Finds what was noted and said of something.", model.clone())
        .instructions("Search the notes and the history for what you are asked, and list what you find, word for word.")
        .tools(["notes.search", "history.search"]);
    let writer = ModelAgent::new("writer", "Writes a short text of what was found.", model.clone())
        .instructions("Write two sentences of what you are given, and add nothing.");
    let research = ModelAgent::new("research", "Researches something, and writes of it.", model)
        .instructions(
            "Have the searcher find what is known, and the writer write of it. Answer with what the writer wrote.",
        )
        .tools(["agent.searcher", "agent.writer"]);
    server.server(|builder| builder.agent(research).agent(searcher).agent(writer)).run().await?;
    Ok(())
}

/// What a model would say: by who is asked, and what has come of it so far.
fn script(request: &ModelRequest) -> Turn {
    let text = |n: usize| request.messages.get(n).map(|message| message.text()).unwrap_or_default();
    let told = request.messages.iter().rev().find_map(|message| result_of(message));
    match (text(0).split(' ').next(), told) {
        (Some("Search"), None) => Turn::new().call("notes.search", json!({"query": text(1)})),
        (Some("Search"), Some(found)) => Turn::new().text(found),
        (Some("Write"), _) => Turn::new().text(format!("This is what is known: {}", text(1))),
        (_, None) => Turn::new().call("agent.searcher", json!({"input": text(1)})),
        (_, Some(found)) if found.starts_with("This is") => Turn::new().text(found),
        (_, Some(found)) => Turn::new().call("agent.writer", json!({"input": found})),
    }
}

/// What a tool gave.
fn result_of(message: &Message) -> Option<String> {
    message.tool_results().last().map(|result| result.content.clone())
}
