//! What the tests of the engine share: a request's head, an answer read to its end, stores to look into, tools to watch.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, poll};
use mcp_core::caller::Caller;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::endpoint::answer::{Answer, Body};
use mcp_core::endpoint::head::{Head, Header};
use mcp_core::store::StoreError;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::{CallRecord, Entry, Ledger};
use mcp_core::tool::function::{FunctionTool, NoInput, WithState};
use mcp_core::{Context, Endpoint, Server, ServerBuilder, Stores, ToolError, ToolOutput, tool_with};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use crate::schema;

pub(crate) const MODERN: &str = "2026-07-28";

/// A request as a shell would show it.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) verb: &'static str,
    /// Several of one name are several headers.
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) peer: IpAddr,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A POST of these bytes from this machine, with no more than a host.
    pub(crate) fn post(body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("host", b"localhost:8000".to_vec())];
        Self { verb: "POST", headers, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), body: body.into() }
    }

    /// A request of the modern era with all that it needs; its id is 1.
    pub(crate) fn modern(method: &str, params: Value) -> Self {
        let mut params = params;
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        for (key, value) in meta.as_object().unwrap() {
            params["_meta"][key] = value.clone();
        }
        let name = params["name"].as_str().map(str::to_owned);
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = Self::post(body.to_string()).with("mcp-protocol-version", MODERN).with("mcp-method", method);
        match name {
            Some(name) => request.with("mcp-name", &name),
            None => request,
        }
    }

    /// A call of the modern era.
    pub(crate) fn call(tool: &str, arguments: Value) -> Self {
        Self::modern("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// A call of the modern era whose client wants to hear of progress and to read every line of log.
    pub(crate) fn listening_call(tool: &str) -> Self {
        let meta = json!({"progressToken": "p", "io.modelcontextprotocol/logLevel": "debug"});
        Self::modern("tools/call", json!({"name": tool, "arguments": {}, "_meta": meta}))
    }

    /// A request of the older era; its id is 1.
    pub(crate) fn legacy(method: &str, params: Value) -> Self {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        Self::post(body.to_string()).with("mcp-protocol-version", "2025-11-25")
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }
}

impl Head for Request {
    fn verb(&self) -> &str {
        self.verb
    }

    fn header(&self, name: &str) -> Header<'_> {
        Header::from_values(self.headers.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_slice()))
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_slice()).collect()
    }

    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool {
        self.headers.iter().any(|(name, _)| test(name))
    }

    fn peer(&self) -> Option<IpAddr> {
        Some(self.peer)
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) async fn of(answer: Answer) -> Self {
        let Answer { status, headers, content_type, body, .. } = answer;
        let body = match body {
            Body::Empty => Vec::new(),
            Body::Full(bytes) => bytes.to_vec(),
            Body::Stream(pieces) => pieces.fold(Vec::new(), async |all, piece| [all, piece.to_vec()].concat()).await,
        };
        Self { status, content_type, headers, text: String::from_utf8(body).expect("an answer is UTF-8") }
    }

    /// The one message of an answer that is no stream.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.content_type, Some("application/json"), "{self:?}");
        assert!(!self.text.contains('\n'), "one line: {self:?}");
        serde_json::from_str(&self.text).expect("a message is JSON")
    }

    /// The result of a request that went well.
    pub(crate) fn result(&self) -> Value {
        let mut message = self.json();
        assert_eq!((self.status, &message["error"]), (200, &Value::Null), "{self:?}");
        message["result"].take()
    }

    /// The messages of a stream.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.content_type, Some("text/event-stream"), "{self:?}");
        events(&self.text)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }
}

/// The messages in a piece of a stream, which must hold nothing but whole events and comments.
pub(crate) fn events(text: &str) -> Vec<Value> {
    events_with_ids(text).into_iter().map(|(_, message)| message).filter(|message| !message.is_null()).collect()
}

/// The same, each with its id; one without data has no message.
pub(crate) fn events_with_ids(text: &str) -> Vec<(Option<String>, Value)> {
    let parse = |event: &str| {
        if event == ":" {
            return None;
        }
        let (id, rest) = match event.strip_prefix("id: ").and_then(|rest| rest.split_once('\n')) {
            Some((id, rest)) => (Some(id.to_owned()), rest),
            None => (None, event),
        };
        if rest == "retry: 1000\ndata:" {
            return Some((id, Value::Null));
        }
        let data = rest.strip_prefix("event: message\ndata: ");
        let data = data.unwrap_or_else(|| panic!("{event:?} is neither a message nor a comment"));
        assert!(!data.contains(['\n', '\r']), "{data:?} is more than one line");
        Some((id, serde_json::from_str(data).unwrap_or_else(|error| panic!("{error} in {data:?}"))))
    };
    // A comment ends with line breaks of its own.
    let text = text.replace(":\r\n\r\n", ":\n\n");
    text.split_terminator("\n\n").filter_map(parse).collect()
}

/// Lets a request in and answers it, to the end.
pub(crate) async fn send(endpoint: &Endpoint, request: &Request) -> Reply {
    Reply::of(begin(endpoint, request).await).await
}

/// Lets a request in and answers it, up to where the answer begins; each message is held against the official schema.
pub(crate) async fn begin(endpoint: &Endpoint, request: &Request) -> Answer {
    let answer = match endpoint.admit(request).await {
        Ok(caller) => endpoint.answer(request, caller, request.body.clone().into()).await,
        Err(refusal) => refusal.into_answer(),
    };
    schema::held(request, answer)
}

/// A server whose time stands still until the test moves it, and whose records the test can read.
pub(crate) struct House {
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) stores: Stores,
    pub(crate) server: Server,
    pub(crate) endpoint: Endpoint,
}

impl House {
    pub(crate) fn new(furnish: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        Self::with_stores(|stores| stores, furnish)
    }

    /// The same, with some of the stores in memory replaced.
    pub(crate) fn with_stores(
        change: impl FnOnce(Stores) -> Stores,
        furnish: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        let clock = Arc::new(SimulatedClock::new());
        let stores = change(Stores::in_memory(clock.clone()));
        let builder = Server::builder("house", "1.0.0").clock(clock.clone()).stores(stores.clone());
        let server = furnish(builder).build().expect("its tools can be offered");
        Self { clock, stores, endpoint: Endpoint::new(server.clone()), server }
    }

    pub(crate) async fn send(&self, request: &Request) -> Reply {
        send(&self.endpoint, request).await
    }

    /// The result of a call of the modern era.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.send(&Request::call(tool, arguments)).await.result()
    }

    /// What was recorded of the callers on this machine, the oldest first.
    pub(crate) async fn records(&self) -> Vec<CallRecord> {
        let tenant = local().tenant().clone();
        let mut calls = self.stores.history.calls(&tenant, &CallQuery::default()).await.expect("memory is there");
        calls.reverse();
        calls
    }

    /// The tool and the outcome of each record, the oldest first.
    pub(crate) async fn outcomes(&self) -> Vec<(String, &'static str)> {
        self.records().await.into_iter().map(|call| (call.tool, call.outcome.as_str())).collect()
    }
}

/// Who calls from this machine without a key.
pub(crate) fn local() -> Caller {
    Caller::new("default", "local").with_role(Caller::ADMIN)
}

/// Lets every task go on until `done`; what needs more than ten thousand turns never comes.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to this: {what}");
}

/// Lets every task go on as far as it can by itself.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A stream of events that is read piece by piece.
pub(crate) struct Events(futures_util::stream::BoxStream<'static, Bytes>);

impl Events {
    pub(crate) fn of(answer: Answer) -> Self {
        assert_eq!((answer.status, answer.content_type), (200, Some("text/event-stream")));
        match answer.body {
            Body::Stream(pieces) => Self(pieces),
            other => panic!("{other:?} has ended before it was read"),
        }
    }

    /// The next piece, once every task has gone as far as it can; `None` where the stream waits.
    pub(crate) async fn next(&mut self) -> Option<String> {
        settle().await;
        match poll!(self.0.next()) {
            Poll::Ready(Some(piece)) => Some(String::from_utf8(piece.to_vec()).expect("events are UTF-8")),
            Poll::Ready(None) => panic!("the stream has ended"),
            Poll::Pending => None,
        }
    }

    pub(crate) async fn ended(&mut self) -> bool {
        settle().await;
        matches!(poll!(self.0.next()), Poll::Ready(None))
    }
}

/// Polls once, after every task has gone as far as it can.
pub(crate) async fn look<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    settle().await;
    poll!(future)
}

/// Where a tool writes what happens to it.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<&'static str>>>);

impl Diary {
    pub(crate) fn write(&self, line: &'static str) {
        self.0.lock().unwrap().push(line);
    }

    pub(crate) fn read(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.read().contains(&line)
    }

    /// Writes `line` when what is returned is dropped.
    pub(crate) fn on_drop(&self, line: &'static str) -> impl Drop + Send + use<> {
        struct OnDrop(Diary, &'static str);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.write(self.1);
            }
        }
        OnDrop(self.clone(), line)
    }
}

/// What a puppet does next: something, or its end.
type Order = Box<dyn FnOnce(&Context) -> Option<Result<ToolOutput, ToolError>> + Send>;

/// What a puppet is moved by.
#[derive(Clone)]
pub(crate) struct Strings {
    orders: mpsc::UnboundedSender<Order>,
    pub(crate) diary: Diary,
}

impl Strings {
    /// Lets one running puppet do something.
    pub(crate) fn pull(&self, act: impl FnOnce(&Context) + Send + 'static) {
        self.order(move |cx| {
            act(cx);
            None
        });
    }

    /// Lets one running puppet end with a text.
    pub(crate) fn finish(&self, text: &'static str) {
        self.order(move |_| Some(Ok(ToolOutput::text(text))));
    }

    pub(crate) fn order(&self, act: impl FnOnce(&Context) -> Option<Result<ToolOutput, ToolError>> + Send + 'static) {
        self.orders.send(Box::new(act)).expect("the puppet's tool is still offered");
    }
}

#[derive(Clone)]
pub(crate) struct Hands {
    orders: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Order>>>,
    diary: Diary,
}

pub(crate) type Puppet = FunctionTool<WithState<Hands, PuppetFn>, (Hands, NoInput, Context)>;
type PuppetFn = fn(Hands, NoInput, Context) -> BoxFuture<'static, Result<ToolOutput, ToolError>>;

/// A tool that waits for the test to tell it what to do. Its diary says when it was `called` and when it was `dropped`.
pub(crate) fn puppet(name: &str) -> (Puppet, Strings) {
    let (orders, received) = mpsc::unbounded_channel();
    let diary = Diary::default();
    let hands = Hands { orders: Arc::new(tokio::sync::Mutex::new(received)), diary: diary.clone() };
    let dance: PuppetFn = |hands, _, cx| {
        async move {
            hands.diary.write("called");
            let _dropped = hands.diary.on_drop("dropped");
            loop {
                let order = hands.orders.lock().await.recv().await.expect("the test holds the strings");
                if let Some(result) = order(&cx) {
                    return result;
                }
            }
        }
        .boxed()
    };
    (tool_with(name, "Does what it is told.", hands, dance), Strings { orders, diary })
}

/// What a subscriber wrote.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What was written since this was last asked.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).expect("a log is UTF-8")
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// To be called before a test listens to the log by a subscriber of its own. As long as there is one subscriber alone, a place
/// that logs asks the thread that comes by first whether anyone listens, and the threads of other tests listen to nothing.
pub(crate) fn let_every_thread_log() {
    static TWO_MORE: LazyLock<[Dispatch; 2]> = LazyLock::new(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));
    LazyLock::force(&TWO_MORE);
}

/// Runs what a test does on a runtime of one thread, and keeps what is logged on it, a JSON object a line.
pub(crate) fn logging<F: Future>(test: impl FnOnce(Log) -> F) -> F::Output {
    let_every_thread_log();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime is made");
    tracing::subscriber::with_default(subscriber, || runtime.block_on(test(log)))
}

/// Would take what it is given, but lets nothing begin.
pub(crate) struct FullLedger;

impl Ledger for FullLedger {
    fn commit(&self, _: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        std::future::ready(Ok(())).boxed()
    }

    fn admit(&self) -> Result<(), StoreError> {
        Err(StoreError::Unavailable { store: "ledger", source: None })
    }
}
