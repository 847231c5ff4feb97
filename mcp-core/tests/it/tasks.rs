//! Calls that go on without their client: on stores in memory that several servers share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::run::{RunRefusal, Workers, WorkersConfig};
use mcp_core::store::history::CallQuery;
use mcp_core::tool::registry::OfferedTool;
use mcp_core::{
    Caller, ClientCapability, Context, Endpoint, NoInput, Question, Sampling, Server, ServerBuilder, Stores, ToolError,
    tool_fn, tool_with,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::schema;
use crate::support::{Events, Reply, Request, events, settle, until};

const SECOND: Duration = Duration::from_secs(1);
const TASKS: &str = "io.modelcontextprotocol/tasks";

/// What replicas share.
struct House {
    stores: Stores,
    clock: SimulatedClock,
    world: World,
}

/// A server on stores that it shares, which may have a clock of its own, and its workers.
struct Replica {
    server: Server,
    endpoint: Endpoint,
    workers: Workers,
}

/// Where tools write what they do, and wait until they may end.
#[derive(Clone)]
struct World {
    done: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
}

impl World {
    fn new() -> Self {
        Self { done: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }

    fn open(&self) {
        self.gate.add_permits(1_000);
    }
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

fn name(message: &str) -> Question<Name> {
    Question::form(message)
}

/// Does something, and waits until it may end.
async fn work(world: World, _: NoInput, cx: Context) -> Result<String, ToolError> {
    world.done.lock().unwrap().push(cx.key());
    world.gate.acquire().await?.forget();
    Ok(format!("done for {}", cx.caller().principal()))
}

async fn ask(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let both = tokio::try_join!(cx.ask("first", name("Your first name?")), cx.ask("last", name("And your last?")));
    let (first, last) = both?;
    let city: Name = cx.ask("city", name("Where do you live?")).await?;
    Ok(format!("{} {} of {}", first.name, last.name, city.name))
}

/// Looks once, asks while its client waits, and works without it.
async fn detach(world: World, _: NoInput, cx: Context) -> Result<String, ToolError> {
    let seen = world.clone();
    let looked = async move {
        seen.done.lock().unwrap().push("looked".to_owned());
        Ok::<_, ToolError>(1)
    };
    cx.once("look", looked).await?;
    let user: Name = cx.ask("user", name("Who are you?")).await?;
    if user.name == "nobody" {
        return Ok("nothing to do".to_owned());
    }
    cx.detach().await;
    world.done.lock().unwrap().push("worked".to_owned());
    Ok(format!("for {}", user.name))
}

async fn fails() -> Result<String, ToolError> {
    Err(ToolError::failed("it never works"))
}

async fn broken() -> Result<String, ToolError> {
    Err(ToolError::Unavailable("the machine is gone".into()))
}

async fn sample(_: NoInput, cx: Context) -> Result<String, ToolError> {
    Ok(cx.ask("model", Question::sample(Sampling::new("Well?", 9))).await?.text().to_owned())
}

impl House {
    fn new() -> Self {
        let clock = SimulatedClock::new();
        Self { stores: Stores::in_memory(Arc::new(clock.clone())), clock, world: World::new() }
    }

    /// A server without workers.
    fn server(&self, clock: &SimulatedClock, world: &World, change: fn(ServerBuilder) -> ServerBuilder) -> Server {
        let builder = Server::builder("house", "1").clock(Arc::new(clock.clone())).stores(self.stores.clone());
        let builder = builder
            .secret_keys([[7; 32]])
            .tool(tool_fn("plain", "Is quick.", async || Ok::<_, ToolError>("quick")))
            .tool(tool_with("work", "Works.", world.clone(), work).task())
            .tool(tool_with("again", "Works, again and again.", world.clone(), work).repeatable().task())
            .tool(tool_with("must", "Works, for who can wait.", world.clone(), work).task_required())
            .tool(tool_fn("ask", "Asks.", ask).task())
            .tool(tool_with("detach", "Asks, and works.", world.clone(), detach).detaches())
            .tool(tool_with("detach_once", "As well.", world.clone(), detach).detaches().answered_once())
            .tool(tool_fn("fails", "Fails.", fails).task())
            .tool(tool_fn("broken", "Is broken.", broken).task())
            .tool(tool_fn("sample", "Asks a model.", sample).task())
            .tool(tool_fn("needs", "Needs a model.", sample).task().asks(ClientCapability::Sampling));
        change(builder).build().unwrap()
    }

    fn replica(&self) -> Replica {
        self.replica_with(&self.clock, &self.world, |builder| builder)
    }

    fn replica_with(
        &self,
        clock: &SimulatedClock,
        world: &World,
        change: fn(ServerBuilder) -> ServerBuilder,
    ) -> Replica {
        let server = self.server(clock, world, change);
        let workers = server.start_workers(WorkersConfig::default());
        Replica { endpoint: Endpoint::new(server.clone()), server, workers }
    }

    /// How calls were recorded, the oldest first.
    async fn outcomes(&self) -> Vec<(String, &'static str)> {
        let calls = self.stores.history.calls(ada().tenant(), &CallQuery::default()).await.unwrap();
        calls.into_iter().rev().map(|call| (call.tool, call.outcome.as_str())).collect()
    }
}

fn ada() -> Caller {
    Caller::new("default", "ada")
}

/// A request of a client that can follow tasks and ask its user.
fn request(method: &str, params: Value) -> Request {
    with(method, params, &json!({"elicitation": {}, "extensions": {TASKS: {}}}))
}

fn with(method: &str, params: Value, capabilities: &Value) -> Request {
    let task = params["taskId"].as_str().map(str::to_owned);
    let request = Request::modern(method, params);
    let mut body: Value = serde_json::from_slice(&request.body).unwrap();
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
    let request = Request { body: body.to_string().into(), ..request };
    match task {
        Some(task) => request.with("mcp-name", &task),
        None => request,
    }
}

fn accept(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

impl Replica {
    async fn send_as(&self, caller: Caller, request: &Request) -> Reply {
        let answer = self.endpoint.answer(request, caller, request.body.clone().into()).await;
        Reply::of(schema::held(request, answer)).await
    }

    async fn send(&self, method: &str, params: Value) -> Reply {
        self.send_as(ada(), &request(method, params)).await
    }

    async fn call(&self, tool: &str) -> Reply {
        self.send("tools/call", json!({"name": tool, "arguments": {}})).await
    }

    /// Begins a task, and gives its id.
    async fn begin(&self, tool: &str) -> String {
        let result = self.call(tool).await.result();
        assert_eq!(result["resultType"], "task", "{result}");
        result["taskId"].as_str().unwrap().to_owned()
    }

    async fn task(&self, id: &str) -> Value {
        let result = self.send("tasks/get", json!({"taskId": id})).await.result();
        assert_eq!((&result["resultType"], &result["taskId"]), (&json!("complete"), &json!(id)), "{result}");
        result
    }

    async fn answer(&self, id: &str, answers: Value) {
        let result = self.send("tasks/update", json!({"taskId": id, "inputResponses": answers})).await.result();
        assert_eq!(result.as_object().unwrap().len(), 2, "{result}");
        assert_eq!(result["resultType"], "complete");
    }

    async fn cancel(&self, id: &str) {
        let result = self.send("tasks/cancel", json!({"taskId": id})).await.result();
        assert_eq!(result.as_object().unwrap().len(), 2, "{result}");
        assert_eq!(result["resultType"], "complete");
    }

    /// Lets every task go on until this one is in that state.
    async fn until(&self, id: &str, status: &str) -> Value {
        for _ in 0..1_000 {
            settle().await;
            let task = self.task(id).await;
            if task["status"] == status {
                return task;
            }
        }
        panic!("it is never {status}: {}", self.task(id).await);
    }

    /// Lets every task go on until this one waits for these answers.
    async fn until_asked(&self, id: &str, names: &[&str]) -> Value {
        for _ in 0..1_000 {
            settle().await;
            let mut task = self.task(id).await;
            if task["inputRequests"].as_object().is_some_and(|open| open.keys().eq(names)) {
                assert_eq!(task["status"], "input_required");
                return task["inputRequests"].take();
            }
        }
        panic!("it never asks for {names:?}: {}", self.task(id).await);
    }
}

fn text(task: &Value) -> &str {
    task["result"]["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_slow_call_goes_on_as_a_task_for_a_client_that_can_follow_it() {
    let house = House::new();
    let replica = house.replica();
    let discovered = replica.send("server/discover", json!({})).await.result();
    assert_eq!(discovered["capabilities"]["extensions"], json!({TASKS: {}}));
    assert_eq!(discovered["capabilities"]["tasks"], Value::Null);

    let mut begun = replica.call("work").await.result();
    let meta = begun.as_object_mut().unwrap().remove("_meta").unwrap();
    assert_eq!(meta["io.modelcontextprotocol/serverInfo"]["name"], "house");
    let id = begun["taskId"].as_str().unwrap().to_owned();
    let at = begun["createdAt"].clone();
    assert!(at.as_str().unwrap().parse::<mcp_core::clock::Timestamp>().is_ok(), "{at}");
    assert_eq!(
        begun,
        json!({
            "resultType": "task", "taskId": id, "status": "working", "createdAt": at, "lastUpdatedAt": at,
            "ttlMs": 86_400_000, "pollIntervalMs": 1_000,
        })
    );
    let task = replica.task(&id).await;
    assert_eq!((&task["status"], &task["result"], &task["error"]), (&json!("working"), &Value::Null, &Value::Null));

    house.world.open();
    house.clock.advance(SECOND);
    let task = replica.until(&id, "completed").await;
    let content = json!([{"type": "text", "text": "done for ada"}]);
    assert_eq!(task["result"], json!({"resultType": "complete", "content": content}));
    assert!(task["lastUpdatedAt"].as_str() > task["createdAt"].as_str(), "{task}");
    assert_eq!(house.outcomes().await, [("work".to_owned(), "ok")]);
    // No two tasks have an id that is like another.
    let other = replica.begin("work").await;
    assert_ne!(id[24..], other[24..]);
}

#[tokio::test]
async fn who_cannot_follow_waits_for_the_result_and_is_refused_where_that_cannot_be() {
    let house = House::new();
    let replica = house.replica();
    house.world.open();
    let call = |tool: &str| json!({"name": tool, "arguments": {}});
    let reply = replica.send_as(ada(), &with("tools/call", call("work"), &json!({}))).await;
    assert_eq!((&reply.result()["resultType"], &reply.result()["taskId"]), (&json!("complete"), &Value::Null));
    let legacy = replica.send_as(ada(), &Request::legacy("tools/call", call("work"))).await;
    assert_eq!(legacy.result()["content"][0]["text"], "done for ada");
    for refused in [with("tools/call", call("must"), &json!({})), Request::legacy("tools/call", call("must"))] {
        let error = replica.send_as(ada(), &refused).await.json()["error"].clone();
        assert_eq!(error["code"], -32021, "{error}");
        assert_eq!(error["data"], json!({"requiredCapabilities": {"extensions": {TASKS: {}}}}));
    }
    // What a client declares of itself counts for each request, and it is no matter what it would like.
    let mut params = call("plain");
    params["task"] = json!({"ttl": 60_000});
    assert_eq!(replica.send("tools/call", params).await.result()["resultType"], "complete");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let params = json!({"taskId": "any", "inputResponses": {}});
        let error = replica.send_as(ada(), &with(method, params, &json!({}))).await.json()["error"].clone();
        assert_eq!(error["code"], -32021, "{method}");
    }
    let error = replica.call("needs").await.json()["error"].clone();
    assert_eq!(error["data"], json!({"requiredCapabilities": {"sampling": {}}}), "before there is a task");
}

#[tokio::test]
async fn where_nobody_does_the_work_there_are_no_tasks() {
    let house = House::new();
    let server = house.server(&house.clock, &house.world, |builder| builder);
    let workers = Server::builder("other", "1").build().unwrap().start_workers(WorkersConfig::default());
    let replica = Replica { endpoint: Endpoint::new(server.clone()), server, workers };
    house.world.open();
    assert_eq!(replica.call("work").await.result()["resultType"], "complete");
    assert_eq!(replica.call("must").await.status, 503);
    assert_eq!(replica.send("server/discover", json!({})).await.result()["capabilities"]["extensions"], Value::Null);
    let reply = replica.send("tasks/get", json!({"taskId": "any"})).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!(-32601)));
    let working = house.replica();
    for method in ["tasks/list", "tasks/result"] {
        let reply = working.send(method, json!({"taskId": "any"})).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!(-32601)), "{method}");
    }
}

#[tokio::test]
async fn a_tool_that_is_offered_later_makes_tasks_as_well() {
    let house = House::new();
    let builder = Server::builder("house", "1").clock(Arc::new(house.clock.clone())).stores(house.stores.clone());
    let server = builder.build().unwrap();
    let workers = server.start_workers(WorkersConfig::default());
    let replica = Replica { endpoint: Endpoint::new(server.clone()), server, workers };
    assert_eq!(replica.send("tasks/get", json!({"taskId": "any"})).await.status, 404);
    let tool = tool_with("work", "Works.", house.world.clone(), work).task();
    assert!(replica.server.tools().add(OfferedTool::new(Arc::new(tool)).unwrap()).await.is_ok());
    let discovered = replica.send("server/discover", json!({})).await.result();
    assert_eq!(discovered["capabilities"]["extensions"], json!({TASKS: {}}));
    house.world.open();
    let id = replica.begin("work").await;
    replica.until(&id, "completed").await;
    // What is under way stays known when its tool goes.
    assert!(replica.server.tools().remove("work").await.is_some());
    assert_eq!(replica.task(&id).await["status"], "completed");
}

#[tokio::test]
async fn the_header_names_the_task() {
    let house = House::new();
    let replica = house.replica();
    let id = replica.begin("work").await;
    let good = request("tasks/get", json!({"taskId": id}));
    let bad = [good.clone().without("mcp-name"), good.clone().without("mcp-name").with("mcp-name", "other")];
    for bad in bad {
        let reply = replica.send_as(ada(), &bad).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(-32020)));
    }
    assert_eq!(replica.send_as(ada(), &good).await.status, 200);
    let reply = replica.send_as(ada(), &request("tasks/get", json!({"taskId": 1})).with("mcp-name", "")).await;
    assert_eq!(reply.json()["error"]["code"], -32602);
}

/// To anybody else it is as if there were none, also to who may see all runs.
#[tokio::test]
async fn the_task_of_another_is_not_there() {
    let house = House::new();
    let replica = house.replica();
    let id = replica.begin("ask").await;
    replica.until_asked(&id, &["first", "last"]).await;
    let run = replica.server.runs().list(&ada(), mcp_core::store::runs::RunQuery::default()).await.unwrap();
    assert_eq!(run.len(), 1, "it is a run of its caller");
    let others = [
        Caller::new("default", "bob"),
        Caller::new("default", "bob").with_role(Caller::ADMIN),
        Caller::new("other", "ada"),
    ];
    for other in others {
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let params = |id: &str| json!({"taskId": id, "inputResponses": {"first": accept("Bob")}});
            let theirs = replica.send_as(other.clone(), &request(method, params(&id))).await;
            let none = "0198c0de-0000-7000-8000-000000000001";
            let missing = replica.send_as(other.clone(), &request(method, params(none))).await;
            assert_eq!((theirs.status, &theirs.text), (missing.status, &missing.text.replace(none, &id)), "{method}");
            let error = &theirs.json()["error"];
            assert_eq!(error["code"], -32602, "{error}");
        }
    }
    settle().await;
    replica.until_asked(&id, &["first", "last"]).await;
    // A run of another kind is no task, and a task is begun by a call alone.
    let started = replica.server.runs().start(&ada(), "tools/call", "{}".into(), None).await;
    assert!(matches!(started, Err(RunRefusal::UnknownKind { .. })), "{started:?}");
}

#[tokio::test]
async fn questions_wait_at_any_replica_and_each_is_answered_by_itself() {
    let house = House::new();
    let (one, other) = (house.replica(), house.replica());
    let id = one.begin("ask").await;
    let open = other.until_asked(&id, &["first", "last"]).await;
    assert_eq!(open["first"]["method"], "elicitation/create");
    assert_eq!(open["first"]["params"]["message"], "Your first name?");
    assert_eq!(one.workers.held() + other.workers.held(), 0, "nobody holds what waits");

    // What is not asked is left out, and a part of the answers leaves the others.
    other.answer(&id, json!({"never": accept("x"), "first": accept("Ada")})).await;
    assert_eq!(one.task(&id).await["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(), ["last"]);
    settle().await;
    one.until_asked(&id, &["last"]).await;
    // What is answered is answered, and a form that does not fit is shown again, under a name of its own.
    one.answer(&id, json!({"first": accept("Eve"), "last": {"action": "accept", "content": {"name": 5}}})).await;
    assert_eq!(one.task(&id).await["status"], "working");
    let open = other.until_asked(&id, &["last.2"]).await;
    assert_eq!(open["last.2"]["params"]["message"], "And your last?");
    other.answer(&id, json!({"last": accept("Late"), "last.2": accept("Lovelace")})).await;
    one.until_asked(&id, &["city"]).await;
    one.answer(&id, json!({"city": accept("London")})).await;
    assert_eq!(text(&other.until(&id, "completed").await), "Ada Lovelace of London");
    one.answer(&id, json!({"city": accept("Paris")})).await;
    assert_eq!(text(&other.task(&id).await), "Ada Lovelace of London");
    let bad = one.send("tasks/update", json!({"taskId": id, "inputResponses": []})).await;
    assert_eq!(bad.json()["error"]["code"], -32602);
    let asked = ("ask".to_owned(), "input_required");
    assert_eq!(house.outcomes().await, [asked.clone(), asked.clone(), asked, ("ask".to_owned(), "ok")]);
}

#[tokio::test]
async fn what_is_declined_is_an_error_of_the_tool_and_who_cannot_be_asked_one_of_the_protocol() {
    let house = House::new();
    let replica = house.replica();
    let id = replica.begin("ask").await;
    replica.until_asked(&id, &["first", "last"]).await;
    replica.answer(&id, json!({"first": {"action": "decline"}, "last": accept("Lovelace")})).await;
    let task = replica.until(&id, "completed").await;
    assert_eq!(task["result"]["isError"], true, "{task}");

    let task = replica.until(&replica.begin("fails").await, "completed").await;
    assert_eq!((text(&task), &task["result"]["isError"]), ("it never works", &json!(true)));
    assert_eq!(task["error"], Value::Null);
    let task = replica.until(&replica.begin("broken").await, "failed").await;
    assert_eq!((&task["error"]["code"], &task["result"]), (&json!(-32603), &Value::Null), "{task}");
    assert_eq!(task["statusMessage"], task["error"]["message"]);
    assert!(!task["statusMessage"].as_str().unwrap().contains("machine"), "{task}");
    let task = replica.until(&replica.begin("sample").await, "failed").await;
    assert_eq!(task["error"]["code"], -32021, "{task}");
    assert_eq!(task["error"]["data"], json!({"requiredCapabilities": {"sampling": {}}}));
}

#[tokio::test]
async fn a_task_is_cancelled_at_any_replica_at_once_where_it_waits_and_after_a_grace_where_it_works() {
    let house = House::new();
    let (one, other) = (house.replica(), house.replica());
    let waits = one.begin("ask").await;
    one.until_asked(&waits, &["first", "last"]).await;
    other.cancel(&waits).await;
    let task = one.until(&waits, "cancelled").await;
    assert_eq!((&task["inputRequests"], &task["result"], &task["error"]), (&Value::Null, &Value::Null, &Value::Null));

    let works = one.begin("work").await;
    until("it works", || house.world.done().len() == 1).await;
    other.cancel(&works).await;
    settle().await;
    assert_eq!(one.task(&works).await["status"], "working", "it has a grace");
    house.clock.advance(SECOND);
    one.until(&works, "cancelled").await;
    for id in [&waits, &works] {
        for _ in 0..3 {
            other.cancel(id).await;
        }
        one.answer(id, json!({"first": accept("Ada")})).await;
        assert_eq!(one.task(id).await["status"], "cancelled");
    }
    let ends = one.begin("fails").await;
    one.until(&ends, "completed").await;
    other.cancel(&ends).await;
    assert_eq!(one.task(&ends).await["status"], "completed");
}

/// The first replica is stopped in the middle of the call, and its clock with it.
#[tokio::test]
async fn what_a_dead_replica_has_begun_is_done_again_only_where_it_may_be() {
    for (tool, status) in [("work", "failed"), ("again", "completed")] {
        let (house, free) = (House::new(), World::new());
        let dead = house.replica_with(&SimulatedClock::new(), &house.world, |builder| builder);
        let id = dead.begin(tool).await;
        until("it works", || house.world.done().len() == 1).await;
        free.open();
        let alive = house.replica_with(&house.clock, &free, |builder| builder);
        for _ in 0..20 {
            settle().await;
            house.clock.advance(SECOND);
        }
        let task = alive.until(&id, status).await;
        if status == "failed" {
            assert_eq!(free.done(), [""; 0]);
            assert_eq!(task["error"]["data"], json!({"code": "outcome_unknown"}), "{task}");
            assert_eq!((&task["error"]["code"], &task["result"]), (&json!(-32603), &Value::Null));
            assert!(task["statusMessage"].as_str().unwrap().starts_with("the outcome is unknown"), "{task}");
        } else {
            assert_eq!(free.done(), house.world.done(), "under the same key");
            assert_eq!(text(&task), "done for ada");
        }
        // What the first does now is late.
        house.world.open();
        until("the first gives up", || dead.workers.held() == 0).await;
        assert_eq!(alive.task(&id).await, task);
    }
}

#[tokio::test]
async fn a_caller_has_so_many_tasks_and_room_when_one_has_ended() {
    let house = House::new();
    let replica = house.replica_with(&house.clock, &house.world, |builder| builder.tasks_per_caller(2));
    let (one, _) = (replica.begin("work").await, replica.begin("ask").await);
    let refused = replica.call("work").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!(-32603)));
    let bob = Caller::new("default", "bob");
    let call = request("tools/call", json!({"name": "work", "arguments": {}}));
    assert_eq!(replica.send_as(bob, &call).await.result()["resultType"], "task", "each has as many");
    assert_eq!(replica.call("plain").await.result()["resultType"], "complete");
    replica.cancel(&one).await;
    settle().await;
    house.clock.advance(SECOND);
    replica.until(&one, "cancelled").await;
    replica.begin("work").await;
}

#[tokio::test]
async fn a_call_that_is_sent_again_under_its_key_is_the_same_task() {
    let house = House::new();
    let (one, other) = (house.replica(), house.replica());
    let keyed = |tool: &str, arguments: Value, key: &str| {
        let params = json!({"name": tool, "arguments": arguments});
        request("tools/call", params).with("idempotency-key", key)
    };
    let send = async |replica: &Replica, request: &Request| replica.send_as(ada(), request).await.result();
    let first = send(&one, &keyed("work", json!({}), "k")).await;
    let again = send(&other, &keyed("work", json!({}), "k")).await;
    assert_eq!(first["taskId"], again["taskId"]);
    let elsewhere = send(&one, &keyed("again", json!({}), "k")).await;
    let another = send(&one, &keyed("work", json!({}), "l")).await;
    assert_ne!(first["taskId"], elsewhere["taskId"]);
    assert_ne!(first["taskId"], another["taskId"]);
    let reused = one.send_as(ada(), &keyed("work", json!({"more": 1}), "k")).await;
    assert_eq!(reused.json()["error"]["code"], -32602);
    house.world.open();
    let id = first["taskId"].as_str().unwrap();
    other.until(id, "completed").await;
    let late = send(&one, &keyed("work", json!({}), "k")).await;
    assert_eq!((&late["taskId"], &late["status"]), (&first["taskId"], &json!("completed")));
    assert_eq!(house.world.done().len(), 3);
}

#[tokio::test]
async fn what_is_asked_before_a_call_detaches_is_asked_while_its_client_waits() {
    let house = House::new();
    let (one, other) = (house.replica(), house.replica());
    let asked = one.call("detach").await.result();
    assert_eq!((&asked["resultType"], &asked["taskId"]), (&json!("input_required"), &Value::Null));
    let answered = |name: &str| {
        json!({
            "name": "detach", "arguments": {}, "inputResponses": {"user": accept(name)}, "requestState": asked["requestState"],
        })
    };
    let quick = other.send("tools/call", answered("nobody")).await.result();
    assert_eq!((&quick["resultType"], &quick["content"][0]["text"]), (&json!("complete"), &json!("nothing to do")));
    let begun = other.send("tools/call", answered("Ada")).await.result();
    assert_eq!(begun["resultType"], "task", "{begun}");
    assert_eq!((&begun["requestState"], &begun["inputRequests"]), (&Value::Null, &Value::Null));
    let task = one.until(begun["taskId"].as_str().unwrap(), "completed").await;
    assert_eq!(text(&task), "for Ada");
    assert_eq!(house.world.done(), ["looked", "worked"], "what was kept is kept");
    // Who cannot follow waits.
    let waits = with("tools/call", answered("Bob"), &json!({"elicitation": {}}));
    assert_eq!(one.send_as(ada(), &waits).await.result()["content"][0]["text"], "for Bob");
}

#[tokio::test]
async fn answers_that_are_taken_once_begin_one_task() {
    let house = House::new();
    let (one, other) = (house.replica(), house.replica());
    let asked = one.call("detach_once").await.result();
    let answered = json!({
        "name": "detach_once", "arguments": {}, "inputResponses": {"user": accept("Ada")},
        "requestState": asked["requestState"],
    });
    let begun = one.send("tools/call", answered.clone()).await.result();
    assert_eq!(begun["resultType"], "task", "{begun}");
    assert_eq!(other.send("tools/call", answered).await.result()["taskId"], begun["taskId"]);
    one.until(begun["taskId"].as_str().unwrap(), "completed").await;
    assert_eq!(house.world.done(), ["looked", "worked"]);
}

#[tokio::test]
async fn a_task_that_nobody_answers_ends_with_its_lifetime() {
    let house = House::new();
    let replica = house.replica_with(&house.clock, &house.world, |builder| builder.task_ttl(SECOND * 60));
    let begun = replica.call("ask").await.result();
    assert_eq!(begun["ttlMs"], 60_000);
    let id = begun["taskId"].as_str().unwrap();
    replica.until_asked(id, &["first", "last"]).await;
    for _ in 0..70 {
        house.clock.advance(SECOND);
        settle().await;
    }
    let task = replica.until(id, "failed").await;
    assert!(task["statusMessage"].as_str().unwrap().contains("nobody has answered"), "{task}");
}

/// What comes next of a subscription: how its tasks are.
async fn told(stream: &mut Events) -> Vec<Value> {
    let mut told = Vec::new();
    while let Some(piece) = stream.next().await {
        for mut message in events(&piece) {
            assert_eq!(message["method"], "notifications/tasks", "{message}");
            assert_eq!(message["params"]["_meta"], json!({"io.modelcontextprotocol/subscriptionId": 1}));
            message["params"].as_object_mut().unwrap().remove("_meta");
            told.push(message["params"].take());
        }
    }
    told
}

#[tokio::test]
async fn who_listens_is_told_how_its_tasks_are_and_what_becomes_of_them() {
    let house = House::new();
    let (one, other) = (house.replica(), house.replica());
    let id = one.begin("ask").await;
    one.until_asked(&id, &["first", "last"]).await;
    let call = request("tools/call", json!({"name": "ask", "arguments": {}}));
    let bobs = one.send_as(Caller::new("default", "bob"), &call).await.result()["taskId"].clone();
    let filter = json!({"notifications": {"taskIds": [&id, bobs, "none"]}});
    let refused = one.send_as(ada(), &with("subscriptions/listen", filter.clone(), &json!({}))).await;
    assert_eq!(refused.json()["error"]["code"], -32021);
    let many = json!({"notifications": {"taskIds": vec!["x"; 101]}});
    assert_eq!(one.send("subscriptions/listen", many).await.json()["error"]["code"], -32602);

    let listen = request("subscriptions/listen", filter);
    let answer = other.endpoint.answer(&listen, ada(), listen.body.clone().into()).await;
    let mut stream = Events::of(schema::held(&listen, answer));
    let first = events(&stream.next().await.unwrap());
    assert_eq!(first[0]["params"]["notifications"], json!({"taskIds": [&id]}), "those of the caller alone");
    let now = told(&mut stream).await;
    assert_eq!((now.len(), &now[0]["status"]), (1, &json!("input_required")), "{now:?}");
    let mut task = one.task(&id).await;
    task.as_object_mut().unwrap().retain(|key, _| key != "_meta" && key != "resultType");
    assert_eq!(now[0], task, "as it would be found");

    one.answer(&id, json!({"first": accept("Ada"), "last": accept("Lovelace")})).await;
    one.until_asked(&id, &["city"]).await;
    let next = told(&mut stream).await;
    let last = next.last().unwrap();
    assert_eq!(
        (&last["status"], &last["inputRequests"]["city"]["method"]),
        (&json!("input_required"), &json!("elicitation/create"))
    );
    one.answer(&id, json!({"city": accept("London")})).await;
    one.until(&id, "completed").await;
    let next = told(&mut stream).await;
    assert_eq!(text(next.last().unwrap()), "Ada Lovelace of London");
    assert!(next.iter().take(next.len() - 1).all(|task| task["status"] == "working"), "{next:?}");
    one.cancel(&id).await;
    assert_eq!(told(&mut stream).await, [Value::Null; 0], "of what has ended there is nothing to tell");
}

#[tokio::test]
async fn five_replicas_make_each_of_two_hundred_calls_once() {
    let house = House::new();
    house.world.open();
    let replicas: Vec<_> = (0..5)
        .map(|_| house.replica_with(&house.clock, &house.world, |builder| builder.tasks_per_caller(500)))
        .collect();
    let (mut ids, next) = (Vec::new(), AtomicUsize::new(0));
    let any = || &replicas[next.fetch_add(1, Ordering::Relaxed) % replicas.len()];
    for _ in 0..200 {
        ids.push(any().begin("work").await);
    }
    for id in &ids {
        any().until(id, "completed").await;
    }
    let done = house.world.done();
    assert_eq!((done.len(), done.iter().collect::<std::collections::BTreeSet<_>>().len()), (200, 200));
}
