//! hello.rs with an agent beside the tool, in an actix app: it decides, and the server performs and records each step.

use actix_web::{App, HttpServer, web};
use async_trait::async_trait;
use mcp_core::run::WorkersConfig;
use mcp_core::{
    Agent, AgentContext, AgentError, AgentSpec, Endpoint, Server, Step, ToolCall, ToolError, Transcript, tool_fn,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Word {
    /// What to look at.
    word: String,
}

async fn length(word: Word) -> Result<usize, ToolError> {
    Ok(word.word.chars().count())
}

/// Finds the longest word of a text: it has all of them measured at once.
struct Longest(AgentSpec);

#[async_trait]
impl Agent for Longest {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        let text = so_far.input_text();
        let words = text.split_whitespace();
        let Some(turn) = so_far.last() else {
            let calls = words.map(|word| ToolCall::new("length", Word { word: word.to_owned() }));
            return Ok(Step::Call(calls.collect::<Result<_, _>>()?));
        };
        let lengths = turn.outputs().map(|output| output.first_text().and_then(|text| text.parse::<usize>().ok()));
        let longest = words.zip(lengths).max_by_key(|(_, length)| *length);
        Step::done(longest.map(|(word, _)| word))
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder("words", "1.0.0")
        .tool(tool_fn("length", "Says how long a word is.", length).read_only())
        .agent(Longest(AgentSpec::new("longest", "Finds the longest word of a text.")))
        .build()?;
    server.start_workers(WorkersConfig::default());
    let endpoint = Endpoint::new(server);
    let port = std::env::var("PORT").map_or(Ok(8000), |port| port.parse())?;
    HttpServer::new(move || App::new().service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone()))))
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .bind(("127.0.0.1", port))?
        .run()
        .await?;
    Ok(())
}
