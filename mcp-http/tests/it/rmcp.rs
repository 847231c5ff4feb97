//! The official Rust client against the actix shell, in both eras: what it is given is what REST gives. And over stdio.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use mcp_core::{Caller, Context, Endpoint, Progress, Server, ToolError, tool_fn, tool_with};
use mcp_http::stdio;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, ErrorCode, ProgressNotificationParam, ProtocolVersion,
};
use rmcp::service::{ClientLifecycleMode, NotificationContext, PeerRequestOptions, RequestHandle, RunningService};
use rmcp::transport::{IntoTransport, StreamableHttpClientTransport};
use rmcp::{ClientHandler, ClientServiceExt, RoleClient, ServiceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};

#[tokio::test]
async fn it_lists_the_tools_in_their_order() {
    let host = Host::start();
    for era in Era::BOTH {
        let client = host.connect(era).await;
        let tools = client.service.list_all_tools().await.unwrap();
        let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!(names, ["add", "echo", "refuse", "count", "wait"], "{era:?}");
        let add = &tools[0];
        assert_eq!(add.input_schema["properties"]["a"]["description"], "The first.", "{era:?}");
        assert!(add.output_schema.is_some(), "{era:?}");
    }
}

#[tokio::test]
async fn a_good_call_gives_what_rest_gives() {
    let host = Host::start();
    let calls = [
        (
            "add",
            json!({"a": 2, "b": 3}),
            json!({"content": [{"type": "text", "text": "{\"sum\":5}"}], "structuredContent": {"sum": 5}}),
        ),
        ("echo", json!({"message": "Grüße, 🦀"}), json!({"content": [{"type": "text", "text": "Grüße, 🦀"}]})),
        ("refuse", json!({}), json!({"content": [{"type": "text", "text": "the shop is closed"}], "isError": true})),
    ];
    for era in Era::BOTH {
        let client = host.connect(era).await;
        for (tool, arguments, expected) in &calls {
            assert_eq!(client.call(tool, arguments).await.unwrap(), *expected, "{tool}, {era:?}");
            assert_eq!(host.rest(tool, arguments).await, (200, expected.clone()), "{tool}");
        }
    }
}

#[tokio::test]
async fn bad_arguments_are_a_result_with_every_fault_that_rest_lists() {
    let host = Host::start();
    let arguments = json!({"a": "two"});
    let (status, problem) = host.rest("add", &arguments).await;
    assert_eq!(status, 422);
    let faults = problem["errors"].as_array().unwrap();
    let told =
        faults.iter().map(|fault| match (fault["pointer"].as_str().unwrap(), fault["detail"].as_str().unwrap()) {
            ("", detail) => detail.to_owned(),
            (pointer, detail) => format!("{pointer}: {detail}"),
        });
    let text = format!("invalid arguments: {}", told.collect::<Vec<_>>().join("; "));
    assert_eq!(faults.len(), 2, "{text}");
    for era in Era::BOTH {
        let client = host.connect(era).await;
        let expected = json!({"content": [{"type": "text", "text": text}], "isError": true});
        assert_eq!(client.call("add", &arguments).await.unwrap(), expected, "{era:?}");
    }
}

#[tokio::test]
async fn an_unknown_tool_is_an_error_with_the_words_of_rest() {
    let host = Host::start();
    let (status, problem) = host.rest("ad", &json!({})).await;
    assert_eq!((status, &problem["detail"]), (404, &json!("there is no tool \"ad\"; did you mean \"add\"?")));
    for era in Era::BOTH {
        let client = host.connect(era).await;
        let Err(ServiceError::McpError(error)) = client.call("ad", &json!({})).await else {
            panic!("no error, {era:?}")
        };
        assert_eq!(
            (error.code, json!(error.message)),
            (ErrorCode::INVALID_PARAMS, problem["detail"].clone()),
            "{era:?}"
        );
    }
}

#[tokio::test]
async fn progress_is_heard_while_the_call_goes_on() {
    let host = Host::start();
    for era in Era::BOTH {
        let mut client = host.connect(era).await;
        let call = client.start("count").await;
        for step in 1..=3 {
            host.gate.add_permits(1);
            assert_eq!(soon(client.progress.recv()).await, Some(f64::from(step)), "{era:?}");
        }
        host.gate.add_permits(1);
        let answer = serde_json::to_value(soon(call.await_response()).await.unwrap()).unwrap();
        assert_eq!(answer["content"], json!([{"type": "text", "text": "counted"}]), "{era:?}");
    }
}

#[tokio::test]
async fn a_client_of_the_modern_era_cancels_by_leaving() {
    let mut host = Host::start();
    let mut client = host.connect(Era::Modern).await;
    let call = client.start("wait").await;
    soon(client.progress.recv()).await.unwrap();
    call.cancel(Some("changed my mind".to_owned())).await.unwrap();
    assert_eq!(soon(host.ended.recv()).await, Some("cancelled"));
}

#[tokio::test]
async fn a_client_of_the_older_era_cancels_by_a_notification() {
    let mut host = Host::start();
    let mut client = host.connect(Era::Legacy).await;
    let call = client.start("wait").await;
    soon(client.progress.recv()).await.unwrap();
    call.cancel(Some("changed my mind".to_owned())).await.unwrap();
    assert_eq!(soon(host.ended.recv()).await, Some("cancelled"));
}

#[tokio::test]
async fn a_call_of_the_older_era_whose_client_leaves_runs_to_its_end() {
    let mut host = Host::start();
    let mut client = host.connect(Era::Legacy).await;
    let _call = client.start("wait").await;
    soon(client.progress.recv()).await.unwrap();
    soon(client.service.cancel()).await.unwrap();
    soon(host.connections.wait_for(|open| *open == 0)).await.unwrap();
    host.gate.add_permits(1);
    assert_eq!(soon(host.ended.recv()).await, Some("finished"));
}

#[tokio::test]
async fn over_stdio_it_lists_calls_hears_and_cancels() {
    let mut host = Host::start();
    for era in Era::BOTH {
        let mut client = host.connect_by_stdio(era).await;
        let tools = client.service.list_all_tools().await.unwrap();
        assert_eq!(tools.len(), 5, "{era:?}");
        let sum = json!({"content": [{"type": "text", "text": "{\"sum\":5}"}], "structuredContent": {"sum": 5}});
        assert_eq!(client.call("add", &json!({"a": 2, "b": 3})).await.unwrap(), sum, "{era:?}");
        let call = client.start("wait").await;
        assert_eq!(soon(client.progress.recv()).await, Some(1.0), "{era:?}");
        call.cancel(None).await.unwrap();
        assert_eq!(soon(host.ended.recv()).await, Some("cancelled"), "{era:?}");
        let closed = soon(client.service.cancel()).await;
        assert!(closed.is_ok(), "{era:?}: {closed:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Era {
    Modern,
    Legacy,
}

impl Era {
    const BOTH: [Self; 2] = [Self::Modern, Self::Legacy];
}

/// The shell on a port of its own, with REST beside it.
struct Host {
    port: u16,
    server: ServerHandle,
    offered: Server,
    /// A permit lets `count` take a step, and `wait` end.
    gate: Arc<Semaphore>,
    /// How `wait` ended.
    ended: mpsc::UnboundedReceiver<&'static str>,
    /// How many connections are open.
    connections: watch::Receiver<usize>,
}

/// Counts a connection as open, as long as it lives.
struct Connection(watch::Sender<usize>);

impl Connection {
    fn open(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Host {
    fn start() -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let (tell, ended) = mpsc::unbounded_channel();
        // What ends before is not ended by its time.
        let server = Server::builder("rmcp", "1.0.0")
            .timeout(Duration::from_secs(600))
            .tool(tool_fn("add", "Adds two numbers.", add).read_only())
            .tool(tool_fn("echo", "Says what it is told.", echo).read_only())
            .tool(tool_fn("refuse", "Never does it.", refuse))
            .tool(tool_with("count", "Counts to three.", gate.clone(), count))
            .tool(tool_with("wait", "Waits.", (gate.clone(), tell), wait));
        let offered = server.build().unwrap();
        let endpoint = Endpoint::new(offered.clone());
        let (count, connections) = watch::channel(0);
        let http = HttpServer::new(move || {
            App::new()
                .service(web::scope("/mcp").configure(mcp_http::mount(endpoint.clone())))
                .service(web::scope("/api/v1").configure(mcp_http::rest(endpoint.clone())))
        })
        .on_connect(move |_, data| {
            data.insert(Connection::open(&count));
        })
        .workers(1)
        .disable_signals()
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .bind(("127.0.0.1", 0))
        .unwrap();
        let port = http.addrs()[0].port();
        let running = http.run();
        let server = running.handle();
        tokio::spawn(running);
        Self { port, server, offered, gate, ended, connections }
    }

    async fn connect(&self, era: Era) -> Client {
        let url = format!("http://127.0.0.1:{}/mcp", self.port);
        Client::over(StreamableHttpClientTransport::from_uri(url), era).await
    }

    /// The same server over two streams of bytes.
    async fn connect_by_stdio(&self, era: Era) -> Client {
        let (here, there) = tokio::io::duplex(64 * 1024);
        let (input, output) = tokio::io::split(there);
        let served = stdio::serve_over(self.offered.clone(), Caller::new("default", "local"), input, output);
        tokio::spawn(served);
        Client::over(here, era).await
    }

    /// Status and body of a call by REST.
    async fn rest(&self, tool: &str, arguments: &Value) -> (u16, Value) {
        let body = arguments.to_string();
        let head = format!(
            "POST /api/v1/tools/{tool}/call HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
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

/// The official client, connected.
struct Client {
    service: RunningService<RoleClient, Listener>,
    progress: mpsc::UnboundedReceiver<f64>,
}

impl Client {
    async fn over<E: std::error::Error + Send + Sync + 'static, A>(
        transport: impl IntoTransport<RoleClient, E, A>,
        era: Era,
    ) -> Self {
        let (heard, progress) = mpsc::unbounded_channel();
        let (lifecycle, version) = match era {
            Era::Legacy => (ClientLifecycleMode::Initialize, ProtocolVersion::V_2025_11_25),
            Era::Modern => (
                ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
                ProtocolVersion::V_2026_07_28,
            ),
        };
        let service = soon(Listener(heard).serve_with_lifecycle(transport, lifecycle)).await.unwrap();
        assert_eq!(service.peer_info().unwrap().protocol_version, version);
        Self { service, progress }
    }

    /// The result of a call, without what only MCP has.
    async fn call(&self, tool: &str, arguments: &Value) -> Result<Value, ServiceError> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.as_object().unwrap().clone());
        let mut result = serde_json::to_value(soon(self.service.call_tool(params)).await?).unwrap();
        let members = result.as_object_mut().unwrap();
        members.remove("resultType");
        members.remove("_meta");
        Ok(result)
    }

    /// Starts a call whose progress is listened to.
    async fn start(&self, tool: &'static str) -> RequestHandle<RoleClient> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(CallToolRequestParams::new(tool)));
        self.service.send_cancellable_request(request, PeerRequestOptions::no_options()).await.unwrap()
    }
}

struct Listener(mpsc::UnboundedSender<f64>);

impl ClientHandler for Listener {
    async fn on_progress(&self, told: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        // A test that does not listen has dropped the other end.
        let _ = self.0.send(told.progress);
    }
}

/// Waits for what must come, and fails where it never does.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it never came")
}

#[derive(Deserialize, JsonSchema)]
struct Summands {
    /// The first.
    a: i64,
    /// The second.
    b: i64,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    sum: i64,
}

async fn add(summands: Summands) -> Result<Sum, ToolError> {
    Ok(Sum { sum: summands.a + summands.b })
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    message: String,
}

async fn echo(echo: Echo) -> Result<String, ToolError> {
    Ok(echo.message)
}

async fn refuse() -> Result<(), ToolError> {
    Err(ToolError::failed("the shop is closed"))
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// Each step needs a permit, and so does the end: a client that hears a step has heard it while the call went on.
async fn count(gate: Arc<Semaphore>, _: Nothing, cx: Context) -> Result<String, ToolError> {
    for step in 1..=3 {
        gate.acquire().await?.forget();
        cx.progress(Progress::new(f64::from(step)).of(3.0));
    }
    gate.acquire().await?.forget();
    Ok("counted".to_owned())
}

async fn wait(
    (gate, tell): (Arc<Semaphore>, mpsc::UnboundedSender<&'static str>),
    _: Nothing,
    cx: Context,
) -> Result<(), ToolError> {
    cx.progress(Progress::new(1.0));
    let end = tokio::select! {
        () = cx.cancelled() => "cancelled",
        permit = gate.acquire() => { permit?.forget(); "finished" }
    };
    tell.send(end)?;
    Ok(())
}
