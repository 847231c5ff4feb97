//! What a step of an agent costs in adk-rust: the team of `benches/agent/team.rs`, on adk-rust's own sessions.
//!
//! ```text
//! adk-team FOLDER POSTGRES_URL
//! ```
//!
//! One run is four agents side by side, each with a model that says what it is told and calls a tool with 200 bytes, so many times; the runner
//! writes each event down before it goes on. Rows of a table go to stdout, as those of `benches/agent/main.rs`.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use adk_agent::{LlmAgentBuilder, ParallelAgent};
use adk_core::{Agent, Content, Llm, LlmRequest, LlmResponse, LlmResponseStream, Part, Result, Tool, ToolContext};
use adk_runner::Runner;
use adk_session::{
    CreateRequest, InMemorySessionService, PostgresSessionService, SessionService, SqliteSessionService,
};
use async_trait::async_trait;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

/// As in the servers that are shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many work in a run.
const WORKERS: usize = 4;

/// How many runs there are at once, and how many steps each worker of them makes.
const CASES: [(usize, u32); 4] = [(1, 20), (1, 100), (32, 20), (256, 20)];

type Failure = Box<dyn Error + Send + Sync>;

/// A model that calls the tool as often as it is told, and is done.
struct Scripted {
    steps: u32,
    made: AtomicU32,
}

#[async_trait]
impl Llm for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    async fn generate_content(&self, _: LlmRequest, _: bool) -> Result<LlmResponseStream> {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let part = if made < self.steps {
            let args = json!({ "what": format!("{made:0200}") });
            let (name, id) = ("work".to_owned(), Some(format!("call-{made}")));
            Part::FunctionCall { name, args, id, thought_signature: None }
        } else {
            Part::text_part(made.to_string())
        };
        let mut content = Content::new("model");
        content.parts.push(part);
        Ok(stream::iter([Ok(LlmResponse::new(content))]).boxed())
    }
}

/// Gives back the 200 bytes that it is given.
struct Work(Arc<AtomicU32>);

#[async_trait]
impl Tool for Work {
    fn name(&self) -> &str {
        "work"
    }

    fn description(&self) -> &str {
        "Works."
    }

    fn parameters_schema(&self) -> Option<Value> {
        Some(json!({ "type": "object", "properties": { "what": { "type": "string" } }, "required": ["what"] }))
    }

    async fn execute(&self, _: Arc<dyn ToolContext>, args: Value) -> Result<Value> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(json!({ "result": args["what"] }))
    }
}

/// One run of a team of its own.
async fn run(sessions: Arc<dyn SessionService>, id: String, steps: u32) -> std::result::Result<(), Failure> {
    let done = Arc::new(AtomicU32::new(0));
    let worker = |n| {
        let model = Scripted { steps, made: AtomicU32::new(0) };
        let agent = LlmAgentBuilder::new(format!("worker-{n}"))
            .description("Works.")
            .model(Arc::new(model))
            .tool(Arc::new(Work(done.clone())))
            .max_iterations(steps + 1)
            .build()?;
        Ok(Arc::new(agent) as Arc<dyn Agent>)
    };
    let workers = (0..WORKERS).map(worker).collect::<Result<Vec<_>>>()?;
    let create = CreateRequest {
        app_name: "bench".to_owned(),
        user_id: "bench".to_owned(),
        session_id: Some(id.clone()),
        state: HashMap::new(),
    };
    sessions.create(create).await?;
    let team = Arc::new(ParallelAgent::new("team", workers));
    let runner = Runner::builder().app_name("bench").agent(team).session_service(sessions).build()?;
    let mut asked = Content::new("user");
    asked.parts.push(Part::text_part("Work."));
    let mut events = runner.run_str("bench", &id, asked).await?;
    while let Some(event) = events.next().await {
        event?;
    }
    let (done, all) = (done.load(Ordering::Relaxed), steps * WORKERS as u32);
    if done == all { Ok(()) } else { Err(format!("{done} of {all} steps were made").into()) }
}

/// User and system time of this process so far, in microseconds.
fn processor_micros() -> std::result::Result<u64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit_once(") ").ok_or("no name in stat")?.1;
    let ticks = after.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<std::result::Result<u64, _>>()?;
    Ok(ticks * 10_000)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> std::result::Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, postgres] = &arguments[..] else {
        return Err("expected a folder, and the URL of a PostgreSQL".into());
    };
    let sqlite = SqliteSessionService::new(&format!("sqlite:{folder}/adk.db?mode=rwc")).await?;
    sqlite.migrate().await?;
    let postgres = PostgresSessionService::new(postgres).await?;
    postgres.migrate().await?;
    let stores: [(&str, Arc<dyn SessionService>); 3] = [
        ("memory", Arc::new(InMemorySessionService::new())),
        ("SQLite", Arc::new(sqlite)),
        ("PostgreSQL", Arc::new(postgres)),
    ];
    for (name, sessions) in stores {
        for (runs, steps) in CASES {
            let (begun, before) = (Instant::now(), processor_micros()?);
            let each = |n| tokio::spawn(run(sessions.clone(), format!("{runs}-{steps}-{n}"), steps));
            let ended =
                try_join_all((0..runs).map(each)).await?.into_iter().collect::<std::result::Result<Vec<_>, _>>();
            let (took, after) = (begun.elapsed(), processor_micros()?);
            let all = (runs * WORKERS) as f64 * f64::from(steps);
            match ended {
                Ok(_) => println!(
                    "| adk-rust, {name} | {runs} | {steps} | {:.0} | {:.1} | {:.2} |",
                    all / took.as_secs_f64(),
                    (after - before) as f64 / all,
                    took.as_secs_f64() * 1e3 / f64::from(steps),
                ),
                Err(error) => println!("| adk-rust, {name} | {runs} | {steps} | failed: {error} | | |"),
            }
        }
    }
    Ok(())
}
