//! Tools that speak before they end.

use std::time::Duration;

use mcp_core::{Change, Context, LogLevel, NoInput, Progress, ServerBuilder, ToolError, tool_fn};

async fn with_logging(_: NoInput, cx: Context) -> Result<&'static str, ToolError> {
    cx.log(LogLevel::Info, "Tool execution started");
    cx.clock().sleep(Duration::from_millis(50)).await;
    cx.log(LogLevel::Info, "Tool processing data");
    cx.clock().sleep(Duration::from_millis(50)).await;
    cx.log(LogLevel::Info, "Tool execution completed");
    Ok("Tool with logging executed successfully")
}

async fn logging(_: NoInput, cx: Context) -> Result<&'static str, ToolError> {
    cx.log(LogLevel::Info, "A line for who asked for it");
    Ok("Logged")
}

async fn with_progress(_: NoInput, cx: Context) -> Result<&'static str, ToolError> {
    for done in [0.0, 50.0, 100.0] {
        cx.progress(Progress::new(done).of(100.0));
        cx.clock().sleep(Duration::from_millis(50)).await;
    }
    Ok("Tool with progress executed successfully")
}

/// The client hangs up, and comes back for the result.
async fn reconnection(_: NoInput, cx: Context) -> Result<&'static str, ToolError> {
    cx.release_connection();
    cx.clock().sleep(Duration::from_millis(200)).await;
    Ok("Reconnection test completed successfully")
}

async fn trigger_tool_change(_: NoInput, cx: Context) -> Result<&'static str, ToolError> {
    cx.announce(&Change::Tools).await?;
    Ok("The list of tools may have changed")
}

async fn trigger_prompt_change(_: NoInput, cx: Context) -> Result<&'static str, ToolError> {
    cx.announce(&Change::Prompts).await?;
    Ok("The list of prompts may have changed")
}

async fn trigger_resource_update(_: NoInput, cx: Context) -> Result<&'static str, ToolError> {
    cx.announce(&Change::Resource("test://watched-resource".to_owned())).await?;
    Ok("What is in the watched resource may have changed")
}

pub fn add(builder: ServerBuilder) -> ServerBuilder {
    builder
        .tool(tool_fn("test_tool_with_logging", "Logs three lines.", with_logging).read_only())
        .tool(tool_fn("test_logging_tool", "Logs a line.", logging).read_only())
        .tool(tool_fn("test_tool_with_progress", "Tells how far it has come.", with_progress).read_only())
        .tool(tool_fn("test_reconnection", "Lets its client go, and come back.", reconnection))
        .tool(tool_fn("test_trigger_tool_change", "Tells that the tools have changed.", trigger_tool_change))
        .tool(tool_fn("test_trigger_prompt_change", "Tells that the prompts have changed.", trigger_prompt_change))
        .tool(tool_fn("trigger_resource_update", "Tells that a resource has changed.", trigger_resource_update))
}
