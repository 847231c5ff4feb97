//! Calls a server's tools from a test, with no port.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::endpoint::answer::{Answer, Body};
use crate::endpoint::head::{Head, Header};
use crate::protocol::version;
use crate::server::Server;
use crate::tool::output::ToolOutput;

/// A client of the modern era in the same process: what it sends goes through every floor but the socket.
///
/// ```
/// # use mcp_core::{Server, TestClient, ToolError, tool_fn};
/// # async fn greet() -> Result<String, ToolError> { Ok("Hello!".to_owned()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let server = Server::builder("t", "1").tool(tool_fn("greet", "Greets.", greet)).build().unwrap();
/// let client = TestClient::new(server);
/// let answer = client.call("greet", serde_json::json!({})).await;
/// assert_eq!(answer.first_text(), Some("Hello!"));
/// # }
/// ```
pub struct TestClient {
    endpoint: Endpoint,
}

impl TestClient {
    /// A client of `server`, on the same machine.
    pub fn new(server: Server) -> Self {
        Self { endpoint: Endpoint::new(server) }
    }

    /// Calls a tool, and gives what it answers; a failed call is an output with `isError`.
    ///
    /// # Panics
    /// When the server answers with an error of the protocol: there is no such tool, or the arguments are no object.
    pub async fn call(&self, tool: &str, arguments: Value) -> ToolOutput {
        let answer = self.request("tools/call", json!({"name": tool, "arguments": arguments})).await;
        let result = answer.get("result").unwrap_or_else(|| panic!("{tool}: {}", answer["error"]["message"]));
        ToolOutput::from_json(result.to_string().as_bytes()).expect("a server's result is a result")
    }

    /// Sends a request, and gives the whole answer to it; what came before it on a stream is passed over.
    ///
    /// # Panics
    /// When the server answers with something that is no JSON-RPC message.
    pub async fn request(&self, method: &str, mut params: Value) -> Value {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = version::MODERN.into();
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let name = params["name"].as_str().map(str::to_owned);
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let head = TestHead { method: method.to_owned(), name };
        let caller = self.endpoint.admit(&head).await.expect("a test calls from this machine");
        let answer = self.endpoint.answer(&head, caller, Bytes::from(body.to_string())).await;
        let messages = messages(answer).await;
        messages.into_iter().next_back().expect("a request is answered")
    }
}

/// All messages of an answer, whether it is one object or a stream.
async fn messages(answer: Answer) -> Vec<Value> {
    let streamed = answer.content_type == Some("text/event-stream");
    let body = match answer.body {
        Body::Empty => Vec::new(),
        Body::Full(bytes) => bytes.to_vec(),
        Body::Stream(pieces) => pieces.fold(Vec::new(), async |all, piece| [all, piece.to_vec()].concat()).await,
    };
    let text = String::from_utf8(body).expect("an answer is UTF-8");
    let parse = |json: &str| serde_json::from_str(json).expect("a message is JSON");
    if streamed {
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(parse).collect()
    } else {
        vec![parse(&text)]
    }
}

struct TestHead {
    method: String,
    name: Option<String>,
}

impl Head for TestHead {
    fn verb(&self) -> &str {
        "POST"
    }

    fn header(&self, name: &str) -> Header<'_> {
        match (name, &self.name) {
            ("mcp-protocol-version", _) => Header::One(version::MODERN),
            ("mcp-method", _) => Header::One(&self.method),
            ("mcp-name", Some(tool)) => Header::One(tool),
            _ => Header::Absent,
        }
    }

    fn values(&self, _: &str) -> Vec<&[u8]> {
        Vec::new()
    }

    fn any_name(&self, _: &dyn Fn(&str) -> bool) -> bool {
        false
    }

    fn peer(&self) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}
