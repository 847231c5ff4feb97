//! Agents over MCP: each is a tool, and its run is the task of a client that can follow one.

use std::time::Duration;

use async_trait::async_trait;
use mcp_core::agent::Inquiry;
use mcp_core::policy::{Policy, Requirement};
use mcp_core::run::WorkersConfig;
use mcp_core::store::runs::{RunQuery, RunRecord, RunState};
use mcp_core::{Agent, AgentContext, AgentError, AgentSpec, ServerBuilder, Step, ToolError, Transcript, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{House, Reply, Request, local, look, settle};

const TASKS: &str = "io.modelcontextprotocol/tasks";

#[derive(Deserialize, JsonSchema)]
struct Sure {
    sure: bool,
}

/// Asks whether it is to be done, and says so; or does not ask.
struct Clerk(AgentSpec);

#[async_trait]
impl Agent for Clerk {
    fn spec(&self) -> &AgentSpec {
        &self.0
    }

    async fn step(&self, so_far: &Transcript, _: AgentContext) -> Result<Step, AgentError> {
        match &*so_far.input_text() {
            "fail" => Err(AgentError::failed("it never works")),
            "wait" => std::future::pending().await,
            "ask" if so_far.turns().is_empty() => Ok(Step::Ask(Inquiry::form::<Sure>("Really?")?)),
            "ask" => Step::done(json!({"sure": so_far.answer::<Sure>()?.map(|answer| answer.sure)})),
            text => Step::done(format!("{text} is done")),
        }
    }
}

fn clerk(name: &str) -> Clerk {
    Clerk(AgentSpec::new(name, "Does things."))
}

/// A house with a clerk, and workers.
fn house(furnish: impl FnOnce(ServerBuilder) -> ServerBuilder) -> House {
    let house = House::new(|builder| furnish(builder.secret_keys([[7; 32]]).agent(clerk("clerk"))));
    house.server.start_workers(WorkersConfig::default());
    house
}

fn request(method: &str, params: Value, capabilities: &Value) -> Request {
    let task = params["taskId"].as_str().map(str::to_owned);
    let request = Request::modern(method, params);
    let mut body: Value = serde_json::from_slice(&request.body).unwrap();
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
    let request = Request { body: body.to_string().into(), ..request };
    task.iter().fold(request, |request, task| request.with("mcp-name", task))
}

fn call(input: &str, capabilities: &Value) -> Request {
    request("tools/call", json!({"name": "agent.clerk", "arguments": {"input": input}}), capabilities)
}

/// What a client can do that asks its user.
fn asks() -> Value {
    json!({"elicitation": {}})
}

fn follows() -> Value {
    json!({"elicitation": {}, "extensions": {TASKS: {}}})
}

fn accept() -> Value {
    json!({"action": "accept", "content": {"sure": true}})
}

async fn runs(house: &House) -> Vec<RunRecord> {
    house.server.runs().list(&local(), RunQuery::default()).await.unwrap()
}

/// Lets everything go on until the only run is so.
async fn until_run(house: &House, is_so: impl Fn(&RunRecord) -> bool) -> RunRecord {
    for _ in 0..1_000 {
        settle().await;
        if let [run] = &runs(house).await[..]
            && is_so(run)
        {
            return run.clone();
        }
        house.clock.advance(Duration::from_secs(1));
    }
    panic!("it never is: {:?}", runs(house).await);
}

/// Lets time pass until the call is answered.
async fn answered(house: &House, request: &Request) -> Reply {
    let mut reply = Box::pin(house.send(request));
    for _ in 0..1_000 {
        if let std::task::Poll::Ready(reply) = look(reply.as_mut()).await {
            return reply;
        }
        settle().await;
        house.clock.advance(Duration::from_secs(1));
    }
    panic!("it is never answered");
}

#[tokio::test]
async fn an_agent_is_a_tool_whose_result_is_what_came_of_its_run() {
    let house = house(|builder| builder);
    let listed = house.send(&Request::modern("tools/list", json!({}))).await.result()["tools"].take();
    assert_eq!(
        listed,
        json!([{
            "name": "agent.clerk", "description": "Does things.",
            "inputSchema": {
                "type": "object", "required": ["input"], "additionalProperties": false,
                "properties": {"input": {"type": "string", "description": "What it is to do."}},
            },
        }])
    );
    let result = answered(&house, &call("this", &json!({}))).await.result();
    assert_eq!(result["content"], json!([{"type": "text", "text": "this is done"}]));
    let legacy = Request::legacy("tools/call", json!({"name": "agent.clerk", "arguments": {"input": "that"}}));
    let result = answered(&house, &legacy).await.result();
    assert_eq!(result["content"][0]["text"], "that is done");
    let result = answered(&house, &call("fail", &json!({}))).await.result();
    assert_eq!((&result["isError"], &result["content"][0]["text"]), (&json!(true), &json!("it never works")));
    let unfit = request("tools/call", json!({"name": "agent.clerk", "arguments": {"what": 1}}), &json!({}));
    let result = answered(&house, &unfit).await.result();
    assert_eq!(result["isError"], true, "{result}");
    assert_eq!(runs(&house).await.len(), 3, "what does not fit starts nothing");
}

#[tokio::test]
async fn what_a_run_asks_its_caller_is_asked_in_rounds() {
    let house = house(|builder| builder);
    let first = answered(&house, &call("ask", &asks())).await.result();
    assert_eq!(first["resultType"], "input_required", "{first}");
    let (name, question) = first["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(
        (&question["method"], &question["params"]["message"]),
        (&json!("elicitation/create"), &json!("Really?"))
    );
    let run = until_run(&house, |run| run.state == RunState::Waiting).await;

    let mut params = json!({"name": "agent.clerk", "arguments": {"input": "ask"}});
    params["requestState"] = first["requestState"].clone();
    params["inputResponses"] = json!({name: accept()});
    let second = answered(&house, &request("tools/call", params.clone(), &asks())).await.result();
    assert_eq!(second["structuredContent"], json!({"sure": true}), "{second}");
    assert_eq!(
        runs(&house).await.iter().map(|run| run.id).collect::<Vec<_>>(),
        [run.id],
        "it goes on, and is not begun again"
    );
    // Sent once more, it is what it was.
    let third = answered(&house, &request("tools/call", params, &asks())).await.result();
    assert_eq!(third["structuredContent"], json!({"sure": true}), "{third}");
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_which_run_waits() {
    let house = house(|builder| builder);
    let result = answered(&house, &call("ask", &json!({}))).await.result();
    let run = until_run(&house, |run| run.state == RunState::Waiting).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(
        result["isError"] == true && text.contains(&format!("the run {} waits for answers to turn.0", run.id)),
        "{text}"
    );
}

#[tokio::test]
async fn for_a_client_that_can_follow_tasks_the_run_is_the_task() {
    let house = house(|builder| builder);
    let task = |id: &str| request("tasks/get", json!({"taskId": id}), &follows());
    let begun = house.send(&call("ask", &follows())).await.result();
    assert_eq!((&begun["resultType"], &begun["status"]), (&json!("task"), &json!("working")), "{begun}");
    let run = until_run(&house, |run| run.state == RunState::Waiting).await;
    let id = run.id.to_string();
    assert_eq!(begun["taskId"], *id);
    let asked = house.send(&task(&id)).await.result();
    assert_eq!(asked["status"], "input_required", "{asked}");
    let (name, question) = asked["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(question["params"]["message"], "Really?");
    let update = json!({"taskId": id, "inputResponses": {name: accept()}});
    house.send(&request("tasks/update", update, &follows())).await.result();
    until_run(&house, |run| run.state == RunState::Completed).await;
    let ended = house.send(&task(&id)).await.result();
    assert_eq!(
        (&ended["status"], &ended["result"]["structuredContent"]),
        (&json!("completed"), &json!({"sure": true}))
    );

    let begun = house.send(&call("fail", &follows())).await.result();
    let id = begun["taskId"].as_str().unwrap().to_owned();
    for _ in 0..1_000 {
        settle().await;
        if house.send(&task(&id)).await.result()["status"] == "failed" {
            break;
        }
        house.clock.advance(Duration::from_secs(1));
    }
    let failed = house.send(&task(&id)).await.result();
    assert_eq!((&failed["status"], &failed["error"]["message"]), (&json!("failed"), &json!("it never works")));
}

#[tokio::test]
async fn a_call_that_is_sent_again_under_its_key_starts_no_second_run() {
    let house = house(|builder| builder);
    for capabilities in [json!({}), follows()] {
        let keyed = call("this", &capabilities).with("idempotency-key", "k-1");
        let (first, second) = (answered(&house, &keyed).await.result(), answered(&house, &keyed).await.result());
        assert_eq!((&first["content"], &first["taskId"]), (&second["content"], &second["taskId"]));
        let other = call("that", &capabilities).with("idempotency-key", "k-1");
        let refused = answered(&house, &other).await.json();
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    assert_eq!(runs(&house).await.len(), 2, "one for each way of waiting");
}

#[tokio::test]
async fn a_run_ends_with_the_client_that_waits_for_it() {
    let house = house(|builder| builder);
    let request = call("wait", &json!({}));
    let mut reply = Box::pin(house.send(&request));
    for _ in 0..100 {
        assert!(look(reply.as_mut()).await.is_pending());
        settle().await;
        if runs(&house).await.iter().any(|run| run.state == RunState::Running) {
            break;
        }
    }
    drop(reply);
    until_run(&house, |run| run.state == RunState::Cancelled).await;
}

#[tokio::test]
async fn an_agent_is_hidden_as_a_tool_from_whom_it_is_hidden_as_an_agent() {
    let policy = Policy::none()
        .agents("sec*", Requirement::none().role("boss"))
        .agents("paid", Requirement::none().scope("pay"));
    let secret = Clerk(AgentSpec::new("own", "Is hidden by itself.").for_role("boss"));
    let house = house(|builder| {
        builder
            .agent(clerk("secret"))
            .agent(clerk("paid"))
            .agent(secret)
            .tool(tool_fn("plain", "Is quick.", async || Ok::<_, ToolError>("quick")))
            .policy(policy)
    });
    let listed = house.send(&Request::modern("tools/list", json!({}))).await.result()["tools"].take();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["plain", "agent.clerk", "agent.paid"]);
    let ada = mcp_core::Caller::new("default", "ada").with_scope("read");
    let lacking = house.server.find_tool(&ada, "agent.paid").err().unwrap();
    assert_eq!(lacking.to_string(), "the tool \"agent.paid\" takes the scope `pay`; ask for credentials that have it");
    let reply = house.send(&Request::call("agent.secret", json!({"input": "x"}))).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (200, &json!(-32602)));
    assert!(house.server.rules_without_use().is_empty());
}

#[tokio::test]
async fn no_tool_stands_for_an_agent_that_is_none() {
    let tool = tool_fn("agent.clerk", "Is none.", async || Ok::<_, ToolError>("x"));
    let error = mcp_core::Server::builder("house", "1").tool(tool).build().err().unwrap().to_string();
    assert_eq!(error, r#"the tool "agent.clerk" cannot be offered: names that begin with `agent.` stand for agents"#);
}

#[tokio::test]
async fn an_agent_says_what_its_input_is() {
    let spec = AgentSpec::new("counter", "Counts.").input_json(json!({"type": "integer"}));
    let server = mcp_core::Server::builder("house", "1").agent(Clerk(spec)).build().unwrap();
    let tool = server.tools().find("agent.counter").unwrap();
    assert_eq!(tool.spec().input_schema()["properties"]["input"], json!({"type": "integer"}));
}
