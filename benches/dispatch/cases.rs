//! What is measured: one request each, and the answer that it must have.

use std::net::{IpAddr, Ipv4Addr};

use benches::echo::{Echo, Era};
use bytes::Bytes;
use futures_util::FutureExt;
use mcp_core::endpoint::answer::Body;
use mcp_core::endpoint::head::{Head, Header};
use mcp_core::{Endpoint, Server, ToolError, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;

/// One request to one server.
pub struct Case {
    pub name: &'static str,
    endpoint: Endpoint,
    head: PlainHead,
    body: Bytes,
}

impl Case {
    /// Makes a case, and sees to it that the request is answered as it must be.
    fn new(
        name: &'static str,
        endpoint: &Endpoint,
        headers: &[(&'static str, &'static str)],
        body: &str,
        is_right: impl FnOnce(u16, &str) -> bool,
    ) -> Self {
        let head = PlainHead { headers: [("host", "127.0.0.1")].iter().chain(headers).copied().collect() };
        let case = Self { name, endpoint: endpoint.clone(), head, body: Bytes::copy_from_slice(body.as_bytes()) };
        let (status, answer) = case.run();
        let answer = std::str::from_utf8(&answer).expect("an answer is UTF-8");
        assert!(is_right(status, answer), "{name}: {status} {answer}");
        case
    }

    /// From the head and the body to the status and the bytes of the answer.
    pub fn run(&self) -> (u16, Bytes) {
        let answer = async {
            let caller = self.endpoint.admit(&self.head).await.expect("the request comes from this machine");
            self.endpoint.answer(&self.head, caller, self.body.clone()).await
        };
        let answer = answer.now_or_never().expect("nothing here waits");
        match answer.body {
            Body::Full(bytes) => (answer.status, bytes),
            Body::Empty => (answer.status, Bytes::new()),
            Body::Stream(_) => panic!("nothing here streams"),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Message {
    /// What to say.
    message: String,
}

async fn echo(echo: Message) -> Result<String, ToolError> {
    Ok(echo.message)
}

/// A server with so many tools, the first of them `echo`.
fn server(tools: usize) -> Endpoint {
    let tool = |name: String| tool_fn(name, "Says what it is told.", echo).read_only();
    let first = Server::builder("hello", "1.0.0").tool(tool("echo".to_owned()));
    let server = (1..tools).fold(first, |server, n| server.tool(tool(format!("echo-{n}"))));
    Endpoint::new(server.build().expect("the tools are sound"))
}

/// All cases.
pub fn all() -> Vec<Case> {
    let (one, twenty) = (server(1), server(20));
    let call = |name, echo: Echo| {
        let answer = echo.answer();
        Case::new(name, &one, echo.headers(), &echo.body(), |status, got| status == 200 && got == answer)
    };
    let modern = |method: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        )
    };
    let version = ("mcp-protocol-version", "2026-07-28");
    vec![
        call("call, modern", Echo::short(Era::Modern)),
        call("call, legacy", Echo::short(Era::Legacy)),
        call("call, modern, 64 KiB", Echo::long(Era::Modern)),
        Case::new(
            "discover",
            &one,
            &[version, ("mcp-method", "server/discover")],
            &modern("server/discover"),
            |status, got| status == 200 && got.contains(r#""supportedVersions":["2026-07-28"]"#),
        ),
        Case::new(
            "list of 20 tools",
            &twenty,
            &[version, ("mcp-method", "tools/list")],
            &modern("tools/list"),
            |status, got| status == 200 && got.matches(r#""inputSchema":"#).count() == 20,
        ),
        Case::new("refused for a missing header", &one, &[version], &modern("tools/list"), |status, got| {
            status == 400 && got.contains("-32020")
        }),
        // A notification is decoded and answered by a status.
        Case::new(
            "decoded and no more",
            &one,
            &[version],
            &Echo::short(Era::Modern).body().replacen(r#""id":1,"#, "", 1),
            |status, got| status == 202 && got.is_empty(),
        ),
    ]
}

/// The head of a request from this machine.
struct PlainHead {
    headers: Vec<(&'static str, &'static str)>,
}

impl Head for PlainHead {
    fn verb(&self) -> &str {
        "POST"
    }

    fn header(&self, name: &str) -> Header<'_> {
        Header::from_values(self.headers.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_bytes()))
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_bytes()).collect()
    }

    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool {
        self.headers.iter().any(|(name, _)| test(name))
    }

    fn peer(&self) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}
