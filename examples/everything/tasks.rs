//! Tools whose calls become tasks.

use std::time::Duration;

use mcp_core::{Context, NoInput, Question, ServerBuilder, ToolError, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// What you are called.
    name: String,
}

async fn greet(who: Name) -> Result<String, ToolError> {
    Ok(format!("Hello, {}!", who.name))
}

#[derive(Deserialize, JsonSchema)]
struct Job {
    /// How long it takes.
    seconds: f64,
    /// What it is called.
    #[serde(default)]
    label: String,
}

async fn slow_compute(job: Job, cx: Context) -> Result<String, ToolError> {
    let time = Duration::try_from_secs_f64(job.seconds).map_err(|_| ToolError::arguments("`seconds` is no time"))?;
    cx.clock().sleep(time).await;
    Ok(format!("{} took {time:?}", job.label))
}

async fn failing_job(_: NoInput, cx: Context) -> Result<String, ToolError> {
    cx.clock().sleep(Duration::from_secs(1)).await;
    Err(ToolError::failed("This job always fails"))
}

async fn protocol_error_job() -> Result<String, ToolError> {
    Err(ToolError::Unavailable("nothing that this job needs is there".into()))
}

#[derive(Deserialize, JsonSchema)]
struct Deletion {
    /// The file that would be deleted, if there were any.
    filename: String,
}

#[derive(Deserialize, JsonSchema)]
struct Sure {
    /// Whether it is to be done.
    confirm: bool,
}

async fn confirm_delete(deletion: Deletion, cx: Context) -> Result<String, ToolError> {
    let question = Question::form(format!("Delete {}?", deletion.filename));
    let sure: Sure = cx.ask("confirm", question).await?;
    Ok(format!("{} {}", deletion.filename, if sure.confirm { "deleted" } else { "kept" }))
}

async fn multi_input(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let (user, sure) = tokio::try_join!(
        cx.ask("name", Question::<Name>::form("What is your name?")),
        cx.ask("confirm", Question::<Sure>::form("Are you sure?")),
    )?;
    Ok(format!("{} is {}", user.name, if sure.confirm { "sure" } else { "not sure" }))
}

/// Asks while its client waits, and does the rest without it.
async fn test_tool_with_task(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let user: Name = cx.ask("user_name", Question::form("What is your name?")).await?;
    cx.detach().await;
    Ok(format!("Hello, {}, from a task!", user.name))
}

pub fn add(builder: ServerBuilder) -> ServerBuilder {
    let minutes = Duration::from_secs(300);
    builder
        .tool(tool_fn("greet", "Greets.", greet).read_only())
        .tool(tool_fn("slow_compute", "Takes its time.", slow_compute).read_only().task().timeout(minutes))
        .tool(tool_fn("failing_job", "Fails.", failing_job).task_required())
        .tool(tool_fn("protocol_error_job", "Cannot be done.", protocol_error_job).task())
        .tool(tool_fn("confirm_delete", "Asks before it does nothing.", confirm_delete).task())
        .tool(tool_fn("multi_input", "Asks two things at once.", multi_input).task())
        .tool(
            tool_fn("test_tool_with_task", "Asks, and takes its time.", test_tool_with_task).detaches().task_required(),
        )
}
