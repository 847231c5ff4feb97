//! Calls by REST that ask, and that speak before they end.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use mcp_core::{
    Context, Elicited, Endpoint, LogLevel, NoInput, Progress, Question, Sampling, Server, ToolError, tool_fn, tool_with,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::served::{binary, text};

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

async fn greet(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let name = cx.ask("name", Question::<Name>::form("What is your name?").or_declined()).await?;
    match name {
        Elicited::Accepted(Name { name }) => Ok(format!("Hello, {name}!")),
        _ => Ok("Hello, nobody!".to_owned()),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    sure: bool,
    count: Option<u8>,
    #[serde(default = "milk")]
    what: String,
}

fn milk() -> String {
    "milk".to_owned()
}

/// An address with a token, as they are.
fn pay() -> String {
    format!("https://pay.example/1?token={}", "t".repeat(300))
}

async fn order(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let Order { sure, count, what } = cx.ask("order", Question::<Order>::form("What is it to be?")).await?;
    let lead = cx.ask("pay", Question::url("Pay.", pay())).await;
    Ok(format!("{sure} {count:?} {what} {}", lead.is_ok()))
}

async fn sample(_: NoInput, cx: Context) -> Result<String, ToolError> {
    Ok(cx.ask("said", Question::sample(Sampling::new("Say.", 9))).await?.text())
}

async fn steps(_: NoInput, cx: Context) -> Result<&'static str, ToolError> {
    cx.progress(Progress::new(1.0).of(2.0).saying("halfway"));
    cx.clock().sleep(Duration::from_millis(1)).await;
    cx.log(LogLevel::Info, json!({"a": "line"}));
    Ok("done")
}

type Ended = (Arc<Notify>, mpsc::UnboundedSender<&'static str>);

async fn wait((begun, ended): Ended, _: NoInput, cx: Context) -> Result<(), ToolError> {
    begun.notify_one();
    cx.cancelled().await;
    let _ = ended.send("cancelled");
    Ok(())
}

struct Host {
    port: u16,
    server: ServerHandle,
    begun: Arc<Notify>,
    ended: mpsc::UnboundedReceiver<&'static str>,
}

impl Host {
    fn start() -> Self {
        let (begun, (tell, ended)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
        let server = Server::builder("rest", "1.0.0")
            .tool(tool_fn("greet", "Greets.", greet))
            .tool(tool_fn("order", "Orders.", order).asks(mcp_core::ClientCapability::ElicitationUrl))
            .tool(tool_fn("sample", "Samples.", sample).asks(mcp_core::ClientCapability::Sampling))
            .tool(tool_fn("steps", "Speaks.", steps))
            .tool(tool_with("wait", "Waits.", (begun.clone(), tell), wait));
        let endpoint = Endpoint::new(server.build().unwrap());
        let http = HttpServer::new(move || {
            App::new().service(web::scope("/api/v1").configure(mcp_http::rest(endpoint.clone())))
        });
        let http = http.workers(1).disable_signals().h1_allow_half_closed(false).bind(("127.0.0.1", 0)).unwrap();
        let port = http.addrs()[0].port();
        let running = http.run();
        let server = running.handle();
        tokio::spawn(running);
        Self { port, server, begun, ended }
    }

    async fn begin(&self, path: &str, accept: &str, body: &Value) -> TcpStream {
        let body = body.to_string();
        let head = format!(
            "POST /api/v1/tools/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream
    }

    /// The whole answer as it came.
    async fn raw(&self, path: &str, accept: &str, body: &Value) -> String {
        let mut answer = String::new();
        self.begin(path, accept, body).await.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Status and body.
    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.raw(path, "application/json", body).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The order is given at once; nobody has to wait until it is done.
        drop(self.server.stop(false));
    }
}

/// Name and data of each event in an answer.
fn events(answer: &str) -> Vec<(&str, Value)> {
    let lines: Vec<_> = answer.lines().collect();
    let events = lines.windows(2).filter_map(|pair| {
        let data = pair[1].strip_prefix("data: ")?;
        Some((pair[0].strip_prefix("event: ")?, serde_json::from_str(data).unwrap()))
    });
    events.collect()
}

#[tokio::test]
async fn a_question_is_an_answer_and_the_call_is_sent_again_with_the_answers() {
    let host = Host::start();
    let (status, asked) = host.post("greet/call", &json!({})).await;
    assert_eq!((status, &asked["resultType"]), (200, &json!("input_required")));
    assert_eq!(asked["inputRequests"]["name"]["method"], "elicitation/create");
    let answers = json!({"name": {"action": "accept", "content": {"name": "Ada"}}});
    let body = json!({"inputResponses": answers, "requestState": asked["requestState"]});
    let (status, answered) = host.post("greet/answer", &body).await;
    assert_eq!((status, &answered["content"][0]["text"]), (200, &json!("Hello, Ada!")));
    assert_eq!(host.post("greet/answer", &json!({"arguments": {}, "inputResponses": answers})).await.1, answered);

    // What a tool says that it may ask, a client of REST can be asked as well.
    let (_, asked) = host.post("sample/call", &json!({})).await;
    assert_eq!(asked["inputRequests"]["said"]["method"], "sampling/createMessage");
}

#[tokio::test]
async fn what_is_no_answer_to_this_call_is_refused() {
    let host = Host::start();
    let (_, asked) = host.post("greet/call", &json!({})).await;
    let state = asked["requestState"].clone();
    let answers = json!({"name": {"action": "accept", "content": {"name": "Ada"}}});
    for (path, body, words) in [
        ("greet/answer", json!({"inputResponses": answers, "requestState": "made up"}), "requestState"),
        ("sample/answer", json!({"inputResponses": answers, "requestState": state}), "requestState"),
        ("greet/answer", json!({"inputResponses": [], "requestState": state}), "inputResponses"),
        ("greet/answer", json!({"requestState": state}), "inputResponses"),
        ("greet/answer", json!({"inputResponses": {}, "another": 1}), "another"),
    ] {
        let (status, problem) = host.post(path, &body).await;
        assert!(status == 422 && problem["detail"].as_str().unwrap().contains(words), "{status} {problem}");
    }
    let (status, problem) = host.post("greet/answer", &json!({"arguments": [], "inputResponses": {}})).await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(host.post("none/answer", &json!({"inputResponses": {}})).await.0, 404);
    let wrong =
        json!({"inputResponses": {"name": {"action": "accept", "content": {"name": 5}}}, "requestState": state});
    assert_eq!(host.post("greet/answer", &wrong).await.1["resultType"], "input_required", "it is asked again");
}

#[tokio::test]
async fn who_accepts_events_is_told_what_the_call_says_and_then_its_result() {
    let host = Host::start();
    let answer = host.raw("steps/call", "text/event-stream", &json!({})).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("content-type: text/event-stream"), "{answer}");
    let events_of = events(&answer);
    let progress = json!({"progress": 1, "total": 2, "message": "halfway"});
    assert_eq!(events_of[0], ("progress", progress));
    assert_eq!(events_of[1], ("log", json!({"level": "info", "data": {"a": "line"}})));
    assert_eq!((events_of[2].0, &events_of[2].1["content"][0]["text"]), ("result", &json!("done")));
    assert_eq!(events_of.len(), 3);

    let asked = host.raw("greet/call", "text/event-stream", &json!({})).await;
    let asked = events(&asked);
    assert_eq!((asked[0].0, &asked[0].1["resultType"]), ("result", &json!("input_required")));
    let body = json!({"inputResponses": {"name": {"action": "decline"}}, "requestState": asked[0].1["requestState"]});
    let answered = host.raw("greet/answer", "text/event-stream", &body).await;
    assert_eq!(events(&answered)[0].1["content"][0]["text"], "Hello, nobody!");

    // What keeps a call from being made is a problem before any event, and what ends it one among them.
    let unknown = host.raw("none/call", "text/event-stream", &json!({})).await;
    assert!(unknown.starts_with("HTTP/1.1 404") && unknown.contains("application/problem+json"), "{unknown}");
    let wrong = host.raw("greet/call", "text/event-stream", &json!({"unknown": 1})).await;
    assert_eq!((events(&wrong)[0].0, &events(&wrong)[0].1["status"]), ("problem", &json!(422)));
    // Elsewhere nothing comes as events.
    let both = host.raw("steps/call", "text/event-stream;q=0.5, application/json", &json!({})).await;
    assert!(both.contains("content-type: application/json"), "{both}");
}

#[tokio::test]
async fn who_leaves_a_stream_of_events_cancels_the_call() {
    let mut host = Host::start();
    let stream = host.begin("wait/call", "text/event-stream", &json!({})).await;
    host.begun.notified().await;
    drop(stream);
    assert_eq!(host.ended.recv().await, Some("cancelled"));
}

#[tokio::test]
async fn the_command_answers_what_a_tool_asks_and_says_what_is_missing() {
    let host = Host::start();
    let url = format!("http://127.0.0.1:{}", host.port);
    let run = async |words: &[&str]| {
        let mut command = binary(std::path::Path::new("."), &[]);
        command.args(["call", &url]).args(words).stdin(std::process::Stdio::null());
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    };
    let well = |said: &str| (Some(0), format!("{said}\n"), String::new());
    assert_eq!(run(&["greet", "--answer", "name=Ada"]).await, well("Hello, Ada!"));
    let (code, out, error) = run(&["greet"]).await;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error.contains("What is your name?") && error.contains("--answer name=…"), "{error}");
    // `--yes` is no answer to what has none.
    assert_eq!(run(&["greet", "--yes"]).await.0, Some(2));

    assert_eq!(run(&["order", "--yes"]).await, well("true None milk true"));
    let given = ["order", "--answer", "count=3", "--answer", "what=bread", "--yes"];
    assert_eq!(run(&given).await, well("true Some(3) bread true"));
    let (code, _, error) = run(&["order", "--answer", "count=x", "--yes"]).await;
    assert!(code == Some(2) && error.contains("--answer count: expected a whole number, got \"x\""), "{error}");
    let (code, _, error) = run(&["order", "--answer", "sure=no"]).await;
    assert!(code == Some(2) && error.contains(&pay()) && error.contains("--yes"), "{error}");

    let (code, _, error) = run(&["sample"]).await;
    assert!(code == Some(1) && error.contains("sampling/createMessage"), "{error}");
    assert_eq!(run(&["steps"]).await, well("done"));
    let (code, _, error) = run(&["step"]).await;
    assert!(code == Some(1) && error.contains("did you mean \"steps\"?"), "{error}");
}
