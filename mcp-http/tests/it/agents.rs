//! Agents over REST: listed, started, asked, answered, each by whoever may.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::agent::Inquiry;
use mcp_core::model::scripted::{ScriptedModel, Turn};
use mcp_core::tokio_runtime::TokioClock;
use mcp_core::{
    Agent, AgentContext, AgentError, AgentSpec, Context, Message, ModelRequest, Step, ToolCall, ToolError, Transcript,
    tool_fn,
};
use mcp_http::Config;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::openapi::Document;
use crate::served::{Reply, Served, until};

/// Set for the process that [`a_server_with_agents`] is.
const CHILD: &str = "MCP_TEST_AGENTS";

/// An agent by hand: a function.
struct By(AgentSpec, fn(&Transcript) -> Result<Step, AgentError>);

#[async_trait]
impl Agent for By {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        self.1(so_far)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Number {
    number: i64,
}

async fn double(number: Number, _: Context) -> Result<i64, ToolError> {
    Ok(number.number * 2)
}

#[derive(Deserialize, JsonSchema)]
struct Yes {
    yes: bool,
}

fn doubling(so_far: &Transcript) -> Result<Step, AgentError> {
    Ok(Step::call(ToolCall::new("double", Number { number: so_far.input_as()? })?))
}

/// Doubles its input, by a tool.
fn doubles(so_far: &Transcript) -> Result<Step, AgentError> {
    match so_far.last_output() {
        None => doubling(so_far),
        Some(output) => Step::done(output.first_text()),
    }
}

/// Asks, and says what it was told.
fn asks(so_far: &Transcript) -> Result<Step, AgentError> {
    match so_far.turns() {
        [] => Ok(Step::Ask(Inquiry::form::<Yes>("Go on?")?)),
        _ => Step::done(so_far.answer::<Yes>()?.map(|answer| answer.yes)),
    }
}

/// Asks, and then a model, which says this word by word.
struct Speaker(AgentSpec);

pub const SAID: &str = "What is said is heard while it is said.";

#[async_trait]
impl Agent for Speaker {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, cx: AgentContext) -> Result<Step, AgentError> {
        if so_far.turns().is_empty() {
            return asks(so_far);
        }
        let model = ScriptedModel::by(|_| {
            let clock = Arc::new(TokioClock::new());
            let pause = |turn: Turn, word| turn.text(word).wait(clock.clone(), Duration::from_millis(100));
            SAID.split_inclusive(' ').fold(Turn::new(), pause)
        });
        let reply = cx.complete(&model, &ModelRequest::new([Message::user("Speak.")])).await;
        Step::done(reply.map_err(|error| AgentError::failed(error.to_string()))?.message.text())
    }
}

/// Not a test: the server that the tests below start.
#[test]
fn a_server_with_agents() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let serve = async {
        let server = mcp_http::bundled(Config::load().unwrap()).await.unwrap();
        let server = server.tool(tool_fn("double", "Doubles a number.", double)).server(|builder| {
            builder
                .agent(By(AgentSpec::new("doubler", "Doubles a number."), doubles))
                .agent(By(AgentSpec::new("asker", "Asks first."), asks))
                .agent(By(AgentSpec::new("endless", "Has never done."), doubling))
                .agent(By(AgentSpec::new("payer", "Pays.").requires("pay:write"), doubles))
                .agent(By(AgentSpec::new("secret", "Is for bosses.").for_role("boss"), doubles))
                .agent(Speaker(AgentSpec::new("speaker", "Asks first, and speaks.")))
        });
        server.run().await
    };
    runtime.block_on(serve).unwrap();
}

pub fn start(settings: &[(&str, &str)]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "agents::a_server_with_agents", "--nocapture"]);
    command.current_dir(folder.path()).env(CHILD, "").env("PORT", "0").envs(settings.iter().copied());
    Served::run(command, folder)
}

const AGENTS: &str = "/api/v1/agents";

fn start_run(server: &Served, agent: &str, body: &Value) -> Reply {
    server.post(&format!("{AGENTS}/{agent}/runs"), &body.to_string())
}

/// Starts a run, and gives its id.
pub fn begin(server: &Served, agent: &str, input: Value) -> String {
    let started = start_run(server, agent, &json!({"input": input}));
    assert_eq!(started.status, 200, "{started:?}");
    started.body["id"].as_str().unwrap().to_owned()
}

fn run(server: &Served, id: &str) -> Value {
    server.get(&format!("/api/v1/runs/{id}")).body["run"].clone()
}

/// What comes of a run, which ends in this state.
pub fn ends(server: &Served, id: &str, state: &str) -> Value {
    until("the run has ended", || run(server, id)["ended"].is_string());
    let run = run(server, id);
    assert_eq!(run["state"], state, "{run}");
    run["result"].clone()
}

/// The questions of a run, once it asks.
pub fn questions(server: &Served, id: &str) -> Reply {
    let ask = || server.get(&format!("/api/v1/runs/{id}/questions"));
    until("it asks", || ask().body["questions"] != json!({}));
    ask()
}

pub fn yes(name: &str) -> String {
    json!({"answers": {name: {"action": "accept", "content": {"yes": true}}}}).to_string()
}

#[test]
fn agents_are_listed_and_started_once_within_a_budget() {
    let server = start(&[]);
    let document = Document::of(&server);
    let listed = server.get(AGENTS);
    document.holds("GET", AGENTS, &listed);
    let doubler = json!({"name": "doubler", "description": "Doubles a number."});
    assert_eq!((listed.status, &listed.body["agents"][0]), (200, &doubler));
    let names = |reply: &Reply| -> Vec<Value> {
        reply.body["agents"].as_array().unwrap().iter().map(|agent| agent["name"].clone()).collect()
    };
    assert_eq!(names(&listed), ["doubler", "asker", "endless", "payer", "speaker"]);
    let first = server.get(&format!("{AGENTS}?limit=3"));
    assert_eq!((names(&first).len(), &first.body["next"]), (3, &json!("endless")));
    let last = server.get(&format!("{AGENTS}?limit=3&after=endless"));
    assert_eq!((names(&last), &last.body["next"]), (vec![json!("payer"), json!("speaker")], &Value::Null));
    let xml = server.get_with(AGENTS, &[("accept", "application/xml")]);
    assert!(xml.body.as_str().unwrap().contains("<name>doubler</name>"), "{xml:?}");

    let path = "/api/v1/agents/{name}/runs";
    let started = start_run(&server, "doubler", &json!({"input": 21}));
    document.holds("POST", path, &started);
    let id = started.body["id"].as_str().unwrap();
    assert_eq!(ends(&server, id, "completed")["output"], "42");

    // A client that does not know whether it has started a run starts it again under its own id.
    let own = "0198c0de-0000-7000-8000-000000000001";
    let target = format!("{AGENTS}/doubler/runs");
    let body = json!({"input": 4, "id": own}).to_string();
    let xml = server.send("POST", &target, &[("accept", "application/xml")], &body);
    assert_eq!((xml.status, xml.content_type.as_str()), (200, "application/xml"));
    assert!(xml.body.as_str().unwrap().contains(own), "{xml:?}");
    let again = start_run(&server, "doubler", &json!({"input": 5, "id": own}));
    assert_eq!((again.status, &again.body["id"]), (200, &json!(own)));
    assert_eq!(ends(&server, own, "completed")["output"], "8", "it is the first one");
    assert_eq!(server.get("/api/v1/runs?kind=agent").body["runs"].as_array().unwrap().len(), 2);

    let budget = start_run(&server, "endless", &json!({"input": 1, "budget": {"steps": 3}}));
    let over = ends(&server, budget.body["id"].as_str().unwrap(), "failed");
    assert_eq!(
        (&over["code"], &over["limit"], &over["spent"]["steps"]),
        (&json!("budget"), &json!("steps"), &json!(3))
    );

    for name in ["double", "secret"] {
        let unknown = start_run(&server, name, &json!({"input": 1}));
        document.holds("POST", path, &unknown);
        let detail = format!("there is no agent {name:?}; there are doubler, asker, endless, payer, speaker");
        assert_eq!((unknown.status, &unknown.body["detail"]), (404, &json!(detail)));
    }
    for bad in ["", "{", "[]", "{}", r#"{"input": 1, "more": 1}"#, r#"{"input": 1, "budget": {"money": -1}}"#] {
        let refused = server.post(&target, bad);
        document.holds("POST", path, &refused);
        assert_eq!(refused.status, 422, "{bad}");
    }
    assert_eq!(start_run(&server, "doubler", &json!({"input": "x".repeat(1 << 20)})).status, 413);
}

#[test]
fn a_question_is_seen_and_answered_in_one_call() {
    let server = start(&[]);
    let document = Document::of(&server);
    let (shown, answered) = ("/api/v1/runs/{run}/questions", "/api/v1/runs/{run}/answers");
    let id = begin(&server, "asker", Value::Null);
    let asked = questions(&server, &id);
    document.holds("GET", shown, &asked);
    let question = &asked.body["questions"]["turn.0"];
    assert_eq!((&question["method"], &question["params"]["message"]), (&json!("elicitation/create"), &json!("Go on?")));
    let target = format!("/api/v1/runs/{id}/answers");
    let xml = server.get_with(&format!("/api/v1/runs/{id}/questions"), &[("accept", "application/xml")]);
    assert_eq!((xml.status, xml.content_type.as_str()), (200, "application/xml"));
    assert!(xml.body.as_str().unwrap().contains("<message>Go on?</message>"), "{xml:?}");
    for bad in ["", "[]", "{}", r#"{"answers": 1}"#, r#"{"answers": {}, "more": 1}"#, r#"{"answers": {}, "id": 1}"#] {
        let refused = server.post(&target, bad);
        document.holds("POST", answered, &refused);
        assert_eq!(refused.status, 422, "{bad}");
    }
    let told = server.post(&target, &yes("turn.0"));
    document.holds("POST", answered, &told);
    assert_eq!((told.status, &told.body["run"]), (200, &json!(id)));
    assert_eq!(ends(&server, &id, "completed")["output"], true);
    assert_eq!(server.get(&format!("/api/v1/runs/{id}/questions")).body, json!({"questions": {}}));
    let late = server.post(&target, &yes("turn.0"));
    document.holds("POST", answered, &late);
    assert_eq!(late.status, 409);
}

#[test]
fn of_what_is_not_for_a_caller_they_are_told_nothing_or_what_they_lack() {
    let server = start(&[]);
    let document = Document::of(&server);
    let key = |name: &str, roles: &[&str], scopes: &[&str]| -> String {
        let user = server.post("/api/v1/users", &json!({"principal": name, "roles": roles}).to_string());
        assert_eq!(user.status, 200, "{user:?}");
        let key = json!({"name": "ci", "principal": name, "scopes": scopes}).to_string();
        format!("Bearer {}", server.post("/api/v1/keys", &key).body["secret"].as_str().unwrap())
    };
    let send =
        |key: &str, method: &str, path: &str, body: &str| server.send(method, path, &[("authorization", key)], body);
    let (ada, boss) = (key("ada", &[], &[]), key("eve", &["boss"], &["pay:write"]));
    let names = |key: &str| -> Vec<Value> {
        let listed = send(key, "GET", AGENTS, "").body;
        listed["agents"].as_array().unwrap().iter().map(|agent| agent["name"].clone()).collect()
    };
    assert_eq!(names(&ada), ["doubler", "asker", "endless", "payer", "speaker"], "what takes a scope is shown");
    assert_eq!(names(&boss), ["doubler", "asker", "endless", "payer", "secret", "speaker"]);

    let runs = |agent: &str| format!("{AGENTS}/{agent}/runs");
    let lacking = send(&ada, "POST", &runs("payer"), r#"{"input": 1}"#);
    document.holds("POST", "/api/v1/agents/{name}/runs", &lacking);
    let challenge = lacking.header("www-authenticate").unwrap();
    assert!(lacking.status == 403 && challenge.contains("pay:write"), "{lacking:?}");
    assert_eq!(send(&ada, "POST", &runs("secret"), r#"{"input": 1}"#).status, 404);
    for agent in ["payer", "secret"] {
        let started = send(&boss, "POST", &runs(agent), r#"{"input": 1}"#);
        assert_eq!(started.status, 200, "{started:?}");
        assert_eq!(ends(&server, started.body["id"].as_str().unwrap(), "completed")["output"], "2");
    }

    // Only whoever has started a run, and an administrator, knows of it.
    let asked = send(&boss, "POST", &runs("asker"), r#"{"input": null}"#);
    let id = asked.body["id"].as_str().unwrap();
    questions(&server, id);
    let (shown, answers) = (format!("/api/v1/runs/{id}/questions"), format!("/api/v1/runs/{id}/answers"));
    for (method, path, body) in [("GET", &shown, ""), ("POST", &answers, &*yes("turn.0"))] {
        let hidden = send(&ada, method, path, body);
        assert_eq!((hidden.status, &hidden.body["detail"]), (404, &json!("you have no such run")));
    }
    assert_eq!(send(&boss, "GET", &shown, "").body["questions"]["turn.0"]["params"]["message"], "Go on?");
    assert_eq!(send(&boss, "POST", &answers, &yes("turn.0")).status, 200);
    assert_eq!(ends(&server, id, "completed")["output"], true);
}
