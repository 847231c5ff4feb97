//! own_server.rs with an agent that pays bills, and a person who approves of each payment: for days, and across restarts.

use async_trait::async_trait;
use mcp_core::{Agent, AgentContext, AgentError, AgentSpec, Context, Step, ToolCall, ToolError, Transcript, tool_fn};
use mcp_http::Config;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Bill {
    /// Who is paid.
    to: String,
    /// Whole cents.
    cents: u32,
}

/// Stands for what moves money. Under `cx.key()` a bank knows a payment again that it was told of before.
async fn pay(bill: Bill, cx: Context) -> Result<String, ToolError> {
    Ok(format!("{} has {} cents more, by {}", bill.to, bill.cents, cx.key()))
}

/// Pays all bills that it is given, at once.
struct Clerk(AgentSpec);

#[async_trait]
impl Agent for Clerk {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        let Some(turn) = so_far.last() else {
            let bills: Vec<Bill> = so_far.input_as()?;
            let calls = bills.into_iter().map(|bill| ToolCall::new("pay", bill));
            return Ok(Step::Call(calls.collect::<Result<_, _>>()?));
        };
        let said: Vec<_> = turn.outputs().filter_map(|output| output.first_text()).collect();
        Step::done(said)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clerk = Clerk(AgentSpec::new("clerk", "Pays bills.").approval(["pay"]));
    mcp_http::bundled(Config::load()?)
        .await?
        .tool(tool_fn("pay", "Pays a bill.", pay))
        .server(|builder| builder.agent(clerk))
        .run()
        .await?;
    Ok(())
}
