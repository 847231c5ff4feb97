//! The server under test.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::caller::KeyOrLoopback;
use mcp_core::{Context, Endpoint, Progress, Server, ToolError, tool_fn, tool_with};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// The key that the endpoint knows.
pub const KEY: &str = "a-key-of-32-characters-or-so-0001";

/// Where a case and the tools that it calls wait for each other. Each event is a permit, so that none is missed.
pub struct Probe {
    /// A tool has begun.
    pub started: Event,
    /// A tool may go on.
    pub go_on: Event,
    /// A tool was told to end.
    pub cancelled: Event,
    /// A tool has come to its own end.
    pub finished: Event,
}

pub struct Event(Semaphore);

impl Event {
    fn new() -> Self {
        Self(Semaphore::new(0))
    }

    pub fn happens(&self) {
        self.0.add_permits(1);
    }

    /// Waits until it has happened once more.
    pub async fn happened(&self) {
        self.0.acquire().await.expect("it is never closed").forget();
    }

    /// How often it has happened without being waited for.
    pub fn count(&self) -> usize {
        self.0.available_permits()
    }
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to say.
    message: String,
}

async fn echo(echo: Echo) -> Result<String, ToolError> {
    Ok(echo.message)
}

#[derive(Deserialize, JsonSchema)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

async fn add(input: Add) -> Result<Sum, ToolError> {
    let sum = input.a.checked_add(input.b).ok_or_else(|| ToolError::failed("the sum is too large"))?;
    Ok(Sum { sum })
}

async fn nothing() -> Result<(), ToolError> {
    Ok(())
}

async fn panics() -> Result<(), ToolError> {
    panic!("on purpose")
}

async fn breaks() -> Result<String, std::num::ParseIntError> {
    "secret".parse::<i32>().map(|number| number.to_string())
}

async fn unavailable() -> Result<(), ToolError> {
    Err(ToolError::Unavailable("the database is gone".into()))
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// Says that it has begun, goes one step, and waits to be told to go on.
async fn steps(probe: Arc<Probe>, _: Nothing, cx: Context) -> Result<String, ToolError> {
    probe.started.happens();
    cx.progress(Progress::new(1.0).of(2.0).saying("halfway"));
    probe.go_on.happened().await;
    if cx.is_cancelled() {
        probe.cancelled.happens();
    }
    cx.progress(Progress::new(2.0).of(2.0));
    probe.finished.happens();
    Ok("done".to_owned())
}

/// Says that it has begun, and waits for its client to leave.
async fn waits(probe: Arc<Probe>, _: Nothing, cx: Context) -> Result<(), ToolError> {
    cx.progress(Progress::new(1.0));
    probe.started.happens();
    cx.cancelled().await;
    probe.cancelled.happens();
    Ok(())
}

/// Longer than any case waits: no call ends, no answer begins and no connection closes because time has passed.
pub const NEVER: Duration = Duration::from_secs(3600);

/// The endpoint that every host serves. Its pages are short, so that a few tools fill several.
pub fn endpoint() -> (Endpoint, Arc<Probe>) {
    let probe =
        Arc::new(Probe { started: Event::new(), go_on: Event::new(), cancelled: Event::new(), finished: Event::new() });
    let server = Server::builder("black-box", "1.0.0")
        .tool(tool_fn("echo", "Says what it is told.", echo).read_only())
        .tool(tool_fn("add", "Adds two numbers.", add))
        .tool(tool_fn("nothing", "Does nothing.", nothing))
        .tool(tool_fn("panics", "Panics.", panics))
        .tool(tool_fn("breaks", "Fails inside.", breaks))
        .tool(tool_fn("unavailable", "Needs what is gone.", unavailable))
        .tool(tool_with("steps", "Goes two steps.", probe.clone(), steps))
        .tool(tool_with("waits", "Waits.", probe.clone(), waits))
        .page_size(3)
        .timeout(NEVER)
        .build()
        .expect("the tools can be offered");
    let endpoint = Endpoint::new(server)
        .silence(NEVER)
        .authenticate(KeyOrLoopback::loopback_only().or_key(KEY))
        .allow_host("mcp.example.com")
        .allow_origin("https://app.example.com");
    (endpoint, probe)
}
