//! What the fuzz targets of mcp-core share. What is fuzzed is text: a request as it would stand on the wire, so that seeds and
//! findings can be read, and any bytes at all are a request.

use std::cell::LazyCell;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::context::{LogLevel, Progress};
use mcp_core::endpoint::answer::{Answer, Body};
use mcp_core::endpoint::head::{Head, Header};
use mcp_core::{Caller, Context, Endpoint, NoInput, Question, Server, Stores, ToolError, ToolOutput, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

/// A request: `VERB PEER`, a line `name: value` for each header, an empty line, the body.
#[derive(Clone)]
pub struct Request {
    pub verb: String,
    pub peer: Option<IpAddr>,
    /// Several of one name are several headers.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
}

impl Request {
    /// Reads one; what is missing stays empty.
    pub fn read(bytes: &[u8]) -> Self {
        let (head, body) = match bytes.windows(2).position(|pair| pair == b"\n\n") {
            Some(end) => (&bytes[..end], &bytes[end + 2..]),
            None => (bytes, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let (verb, peer) = first.split_once(' ').unwrap_or((&first, ""));
        let header = |line: &[u8]| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let value = value.strip_prefix(b" ").unwrap_or(value);
            Some((String::from_utf8_lossy(name).to_lowercase(), value.to_vec()))
        };
        Self {
            verb: verb.to_owned(),
            peer: peer.parse().ok(),
            headers: lines.filter_map(header).collect(),
            body: Bytes::copy_from_slice(body),
        }
    }

    /// All values of the headers of this name.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_slice())
    }

    /// The value of the one header of this name, read by other code than the server's: `Err` where it must not be used.
    pub fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, Unusable> {
        match self.values(name).collect::<Vec<_>>()[..] {
            [] => Ok(None),
            [value] => match std::str::from_utf8(value) {
                Ok(text) if text.chars().all(|char| char == '\t' || (' '..='~').contains(&char)) => {
                    Ok(Some(text.trim_matches([' ', '\t'])))
                }
                _ => Err(Unusable),
            },
            _ => Err(Unusable),
        }
    }
}

/// A header that is there twice, or is no text.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable;

impl Head for Request {
    fn verb(&self) -> &str {
        &self.verb
    }

    fn header(&self, name: &str) -> Header<'_> {
        Header::from_values(self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_slice()))
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_slice()).collect()
    }

    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool {
        self.headers.iter().any(|(name, _)| test(name))
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// All that was sent, the answer itself last.
    pub messages: Vec<Value>,
}

impl Reply {
    /// The answer itself, without what came before it.
    pub fn last(&self) -> &Value {
        self.messages.last().expect("a request is answered")
    }

    /// Reads an answer; its body must be what its media type says.
    fn read(answer: Answer) -> Self {
        let Answer { status, headers, content_type, body } = answer;
        let body = match body {
            Body::Empty => Bytes::new(),
            Body::Full(bytes) => bytes,
            Body::Stream(pieces) => RUNTIME.with(|runtime| runtime.block_on(read(pieces))).into(),
        };
        let text = String::from_utf8(body.to_vec()).expect("an answer is UTF-8");
        let parse = |json: &str| serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
        let messages = match content_type {
            None => Vec::new(),
            Some("application/json") => vec![parse(&text)],
            Some("text/event-stream") => {
                let event =
                    |event: &str| parse(event.strip_prefix("event: message\ndata: ").expect("an event is a message"));
                text.split_terminator("\n\n").map(event).collect()
            }
            Some(other) => panic!("{other} is no media type of the specification"),
        };
        assert_eq!(text.is_empty(), content_type.is_none());
        Self { status, headers, messages }
    }
}

/// Reads a stream to its end; that of a client that listens has none, and is read no further than what it begins with.
async fn read(mut pieces: BoxStream<'static, Bytes>) -> Vec<u8> {
    let mut text = Vec::new();
    while let Some(piece) = pieces.next().await {
        text.extend_from_slice(&piece);
        if String::from_utf8_lossy(&piece).contains("notifications/subscriptions/acknowledged") {
            break;
        }
    }
    text
}

thread_local! {
    static RUNTIME: LazyCell<Runtime> =
        LazyCell::new(|| tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing from the system"));
}

/// Asks whether a request may come in.
///
/// # Errors
/// What it is told where not.
pub fn admit(endpoint: &Endpoint, request: &Request) -> Result<Caller, Reply> {
    let admitted = endpoint.admit(request).now_or_never().expect("no key is looked up anywhere");
    admitted.map_err(|refusal| Reply::read(refusal.into_answer()))
}

/// Answers a request, to the end.
pub fn answer(endpoint: &Endpoint, request: &Request, caller: Caller) -> Reply {
    let answer = endpoint.answer(request, caller, request.body.clone());
    Reply::read(RUNTIME.with(|runtime| runtime.block_on(answer)))
}

/// Who calls from this machine.
pub fn local() -> Caller {
    Caller::new("default", "local")
}

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to say.
    #[schemars(length(max = 100))]
    message: String,
    /// How often.
    #[serde(default)]
    times: Option<u8>,
}

/// A server in memory whose time stands still, with a tool of every kind: one that repeats what it is told, one whose result
/// is kept, one that speaks while it works and waits a turn, one that fails.
pub fn endpoint() -> Endpoint {
    async fn echo(echo: Echo) -> Result<Vec<String>, ToolError> {
        Ok(vec![echo.message; usize::from(echo.times.unwrap_or(1))])
    }
    async fn kept(any: Map<String, Value>) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::structured(&any)?)
    }
    async fn speak(echo: Echo, cx: Context) -> Result<String, ToolError> {
        cx.progress(Progress::new(1.0).of(2.0).saying(&echo.message));
        cx.log(LogLevel::Info, &echo.message);
        tokio::task::yield_now().await;
        cx.log(LogLevel::Error, [&echo.message]);
        Ok(echo.message)
    }
    async fn fail(echo: Echo) -> Result<(), ToolError> {
        if echo.times == Some(0) { Err(ToolError::failed(echo.message)) } else { Err(std::fmt::Error.into()) }
    }
    #[derive(Deserialize, JsonSchema)]
    struct Name {
        name: String,
    }
    async fn ask(_: NoInput, cx: Context) -> Result<String, ToolError> {
        Ok(cx.ask("who", Question::<Name>::form("Who?")).await?.name)
    }
    let clock = Arc::new(SimulatedClock::new());
    let server = Server::builder("fuzz", "1")
        .secret_keys([[1; 32]])
        .clock(clock.clone())
        .stores(Stores::in_memory(clock))
        .tool(tool_fn("echo", "Says what it is told.", echo))
        .tool(tool_fn("kept", "Gives back what it is given.", kept).cached(Duration::from_secs(60), "kept"))
        .tool(tool_fn("speak", "Speaks while it works.", speak))
        .tool(tool_fn("fail", "Cannot do it.", fail))
        .tool(tool_fn("ask", "Asks who calls.", ask))
        .page_size(3)
        .build();
    Endpoint::new(server.expect("its tools can be offered"))
}

/// Whether the server is to have a fault, which the target must find: each target says which.
pub fn sabotaged() -> bool {
    static SABOTAGED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("FUZZ_SABOTAGE").is_some());
    *SABOTAGED
}
