//! Every row of the table of rejections, with its status, its code and its mend; and their order: a request that breaks two
//! rows is answered by the upper one.

use std::net::{IpAddr, Ipv4Addr};

use mcp_core::endpoint::answer::Refusal;
use mcp_core::{Endpoint, Server, ToolError, tool_fn};
use serde_json::{Value, json};

use crate::support::{MODERN, Reply, Request, send};

/// A call in which nothing is wrong, still as a value.
#[derive(Clone)]
struct Draft {
    request: Request,
    body: Value,
    /// How many bytes of the body never come.
    missing: usize,
}

impl Draft {
    fn new() -> Self {
        let request = Request::call("echo", json!({"message": "hi"}));
        let body = serde_json::from_slice(&request.body).unwrap();
        Self { request, body, missing: 0 }
    }

    fn set(&mut self, header: &'static str, value: &[u8]) {
        self.request.headers.retain(|(name, _)| *name != header);
        self.request.headers.push((header, value.to_vec()));
    }

    fn remove(&mut self, header: &str) {
        self.request.headers.retain(|(name, _)| *name != header);
    }

    fn repeat(&mut self, header: &'static str) {
        let (_, value) = self.request.headers.iter().find(|(name, _)| *name == header).unwrap().clone();
        self.request.headers.push((header, value));
    }

    fn meta(&mut self, key: &str, value: Value) {
        self.body["params"]["_meta"][format!("io.modelcontextprotocol/{key}")] = value;
    }

    fn version(&mut self, version: &str) {
        self.set("mcp-protocol-version", version.as_bytes());
        self.meta("protocolVersion", version.into());
    }

    fn method(&mut self, method: &str) {
        self.set("mcp-method", method.as_bytes());
        self.body["method"] = method.into();
    }

    fn finish(mut self) -> Request {
        let mut body = self.body.to_string().into_bytes();
        body.truncate(body.len() - self.missing);
        self.request.body = body;
        self.request
    }
}

/// One way to break a row, and what is answered.
struct Breach {
    row: u8,
    how: &'static str,
    status: u16,
    code: i32,
    /// What the message says of the mend.
    says: &'static str,
    /// Whether the row is asked of `tools/call` alone.
    of_calls: bool,
    apply: fn(&mut Draft),
}

const fn breach(row: u8, how: &'static str, says: &'static str, apply: fn(&mut Draft)) -> Breach {
    let (status, code) = match row {
        0 => (403, -32600),
        1 => (401, -32600),
        2 => (400, -32700),
        3 => (400, -32600),
        4 => (400, -32602),
        5 | 7 => (400, -32020),
        6 => (400, -32022),
        8 => (404, -32601),
        _ => (200, -32602),
    };
    Breach { row, how, status, code, says, of_calls: false, apply }
}

const fn of_calls(breach: Breach) -> Breach {
    Breach { of_calls: true, ..breach }
}

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

const BREACHES: &[Breach] = &[
    breach(0, "a foreign origin", "ALLOWED_ORIGINS", |draft| draft.set("origin", b"https://evil.example.com")),
    breach(0, "an opaque origin", "ALLOWED_ORIGINS", |draft| draft.set("origin", b"null")),
    breach(0, "two origins", "`Origin` cannot be used: it is there more than once", |draft| {
        draft.set("origin", b"http://localhost:8000");
        draft.repeat("origin");
    }),
    breach(0, "a foreign host", "ALLOWED_HOSTS", |draft| draft.set("host", b"evil.example.com")),
    breach(0, "a host that only begins like ours", "ALLOWED_HOSTS", |draft| {
        draft.set("host", b"localhost.evil.example")
    }),
    breach(0, "two hosts", "`Host` cannot be used", |draft| draft.repeat("host")),
    breach(1, "no key from elsewhere", "set API_KEY", |draft| draft.request.peer = ELSEWHERE),
    breach(1, "no key through a proxy", "Authorization: Bearer KEY", |draft| {
        draft.set("x-forwarded-for", b"192.0.2.7")
    }),
    breach(1, "a wrong key", "check `Authorization`", |draft| draft.set("authorization", b"Bearer wrong")),
    breach(1, "another scheme", "check `Authorization`", |draft| draft.set("authorization", b"Basic YTpi")),
    breach(1, "two keys", "check `Authorization`", |draft| {
        draft.set("x-api-key", b"wrong");
        draft.repeat("x-api-key");
    }),
    breach(2, "a body that ends early", "the body is not JSON", |draft| draft.missing = 1),
    breach(3, "an older JSON-RPC", "`jsonrpc` must be \"2.0\"", |draft| draft.body["jsonrpc"] = "1.0".into()),
    breach(3, "an id that is null", "`id` must be a string or an integer", |draft| draft.body["id"] = Value::Null),
    breach(3, "a batch", "batches are not part of this protocol", |draft| draft.body = json!([draft.body])),
    breach(3, "a response", "this is a JSON-RPC response", |draft| {
        draft.body["result"] = json!({});
        draft.body.as_object_mut().unwrap().remove("method");
    }),
    breach(4, "no capabilities", "clientCapabilities\"]` must be an object", |draft| {
        draft.body["params"]["_meta"].as_object_mut().unwrap().remove("io.modelcontextprotocol/clientCapabilities");
    }),
    breach(4, "capabilities that are a list", "clientCapabilities\"]` must be an object", |draft| {
        draft.meta("clientCapabilities", json!([]));
    }),
    breach(4, "a version that is no string", "protocolVersion\"]` must be a string", |draft| {
        draft.meta("protocolVersion", json!(20_260_728));
    }),
    breach(5, "no version header", "`MCP-Protocol-Version` is missing", |draft| draft.remove("mcp-protocol-version")),
    breach(5, "another version in the header", "send the same in both", |draft| {
        draft.set("mcp-protocol-version", b"2025-06-18");
    }),
    breach(5, "two version headers", "`MCP-Protocol-Version` cannot be used: it is there more than once", |draft| {
        draft.repeat("mcp-protocol-version");
    }),
    breach(5, "a version header that is not ASCII", "visible ASCII", |draft| {
        draft.set("mcp-protocol-version", "2026\u{2011}07\u{2011}28".as_bytes());
    }),
    breach(6, "a version that nobody has", "use \"2026-07-28\"", |draft| draft.version("v999.0.0")),
    breach(6, "a version to come", "use \"2026-07-28\"", |draft| draft.version("2031-01-01")),
    breach(6, "a version of the older era", "use \"2026-07-28\"", |draft| draft.version("2025-11-25")),
    breach(7, "no method header", "`Mcp-Method` is missing", |draft| draft.remove("mcp-method")),
    breach(7, "another method in the header", "send the same in both", |draft| draft.set("mcp-method", b"tools/list")),
    breach(7, "another case in the header", "send the same in both", |draft| draft.set("mcp-method", b"TOOLS/CALL")),
    breach(7, "two method headers", "`Mcp-Method` cannot be used", |draft| draft.repeat("mcp-method")),
    of_calls(breach(7, "no name header", "`Mcp-Name` is missing", |draft| draft.remove("mcp-name"))),
    of_calls(breach(7, "another name in the header", "send the same in both", |draft| draft.set("mcp-name", b"Echo"))),
    of_calls(breach(7, "a name in broken base64", "with padding", |draft| draft.set("mcp-name", b"=?base64?ZWNobw?="))),
    of_calls(breach(7, "a name header that is not ASCII", "=?base64?", |draft| {
        draft.set("mcp-name", "écho".as_bytes())
    })),
    breach(8, "a method that nobody has", "ask `server/discover`", |draft| draft.method("no/such")),
    breach(8, "a handshake", "is not served", |draft| draft.method("initialize")),
    breach(8, "a ping", "is not served", |draft| draft.method("ping")),
    breach(8, "a log level", "is not served", |draft| draft.method("logging/setLevel")),
    breach(8, "a subscription", "is not served", |draft| draft.method("resources/subscribe")),
    breach(8, "prompts, which are not offered", "is not served", |draft| draft.method("prompts/list")),
    breach(8, "a method in another case", "is not served", |draft| draft.method("Tools/Call")),
    breach(10, "an unknown tool", "did you mean \"echo\"?", |draft| {
        draft.set("mcp-name", b"ecko");
        draft.body["params"]["name"] = "ecko".into();
    }),
    breach(10, "arguments that are a list", "leave it out", |draft| draft.body["params"]["arguments"] = json!([])),
    breach(10, "arguments that are null", "leave it out", |draft| draft.body["params"]["arguments"] = Value::Null),
    breach(10, "an unknown log level", "must be one of debug, info", |draft| draft.meta("logLevel", "loud".into())),
    breach(10, "a progress token that is an object", "must be a string or an integer", |draft| {
        draft.body["params"]["_meta"]["progressToken"] = json!({});
    }),
];

fn endpoint() -> Endpoint {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Echo {
        message: String,
    }
    async fn echo(echo: Echo) -> Result<String, ToolError> {
        Ok(echo.message)
    }
    let server = Server::builder("house", "1.0.0").tool(tool_fn("echo", "Says what it is told.", echo));
    Endpoint::new(server.build().unwrap())
}

/// Answers the draft and holds the answer against the breach that should decide it.
async fn expect(endpoint: &Endpoint, draft: Draft, breach: &Breach, and: &str) {
    let case = format!("row {}, {}{and}", breach.row, breach.how);
    let request = draft.finish();
    let reply = send(endpoint, &request).await;
    assert_eq!(reply.status, breach.status, "{case}: {reply:?}");
    let message = reply.json();
    assert_eq!(message["error"]["code"], breach.code, "{case}: {reply:?}");
    let text = message["error"]["message"].as_str().unwrap();
    assert!(text.contains(breach.says), "{case}: {text:?} does not say {:?}", breach.says);
    let readable = breach.row >= 3 && !matches!(breach.how, "an id that is null" | "a batch");
    let sent = if readable { json!(1) } else { Value::Null };
    assert_eq!(message.get("id").unwrap_or(&Value::Null), &sent, "{case}: {reply:?}");
    assert_eq!(message["error"].get("data").is_some(), breach.row == 6, "{case}: {reply:?}");
    assert_eq!(reply.header("www-authenticate").is_some(), breach.row == 1, "{case}: {reply:?}");
}

#[tokio::test]
async fn a_request_in_which_nothing_is_wrong_is_answered() {
    let reply = send(&endpoint(), &Draft::new().finish()).await;
    assert_eq!(reply.result()["content"], json!([{"type": "text", "text": "hi"}]));
}

#[tokio::test]
async fn each_row_has_its_status_its_code_and_its_mend() {
    let endpoint = endpoint();
    for breach in BREACHES {
        let mut draft = Draft::new();
        (breach.apply)(&mut draft);
        expect(&endpoint, draft, breach, "").await;
    }
}

#[tokio::test]
async fn of_two_rows_the_upper_one_is_answered() {
    let endpoint = endpoint();
    let mut pairs = 0;
    for upper in BREACHES {
        // Another method needs no `Mcp-Name`, so that it cannot break that rule too.
        for lower in BREACHES.iter().filter(|lower| lower.row > upper.row && !(upper.of_calls && lower.row == 8)) {
            let mut draft = Draft::new();
            (lower.apply)(&mut draft);
            (upper.apply)(&mut draft);
            if (upper.how, lower.how) == ("a batch", "no version header") {
                // The oldest revision has no such header, and takes batches.
                continue;
            }
            expect(&endpoint, draft, upper, &format!(" (and {})", lower.how)).await;
            pairs += 1;
        }
    }
    assert!(pairs > 700, "only {pairs} pairs were tried");
}

#[tokio::test]
async fn an_unsupported_version_names_those_that_are() {
    let mut draft = Draft::new();
    draft.version("v999.0.0");
    let reply = send(&endpoint(), &draft.finish()).await;
    assert_eq!(
        reply.text,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"protocol version \"v999.0.0\" is not served; use \"2026-07-28\"","data":{"requested":"v999.0.0","supported":["2026-07-28"]}}}"#
    );
}

#[tokio::test]
async fn a_challenge_names_the_scheme() {
    let endpoint = endpoint();
    for (breach, challenge) in [("no key from elsewhere", "Bearer"), ("a wrong key", "Bearer error=\"invalid_token\"")]
    {
        let breach = BREACHES.iter().find(|other| other.how == breach).unwrap();
        let mut draft = Draft::new();
        (breach.apply)(&mut draft);
        let reply = send(&endpoint, &draft.finish()).await;
        assert_eq!(reply.header("www-authenticate"), Some(challenge));
    }
}

#[tokio::test]
async fn a_modern_header_alone_asks_for_meta() {
    let endpoint = endpoint();
    for params in
        [json!({}), json!({"_meta": {}}), json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": {}}})]
    {
        for version in [MODERN, "2031-01-01"] {
            let body = json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list", "params": params});
            let reply = send(&endpoint, &Request::post(body.to_string()).with("mcp-protocol-version", version)).await;
            let message = reply.json();
            assert_eq!((reply.status, &message["error"]["code"], &message["id"]), (400, &json!(-32602), &json!("a")));
        }
    }
}

#[tokio::test]
async fn a_header_may_be_padded_or_encoded() {
    let endpoint = endpoint();
    for name in ["  echo\t", "=?base64?ZWNobw==?="] {
        let mut draft = Draft::new();
        draft.set("mcp-name", name.as_bytes());
        assert_eq!(send(&endpoint, &draft.finish()).await.result()["content"][0]["text"], "hi", "{name:?}");
    }
}

#[tokio::test]
async fn a_cursor_that_was_not_given_is_refused() {
    let endpoint = endpoint();
    for cursor in [json!(""), json!("x"), json!("bm9uZQ"), json!(5), Value::Null, json!({})] {
        let reply = send(&endpoint, &Request::modern("tools/list", json!({"cursor": cursor}))).await;
        let message = reply.json();
        assert_eq!((reply.status, &message["error"]["code"]), (200, &json!(-32602)), "{cursor}: {reply:?}");
        assert!(message["error"]["message"].as_str().unwrap().contains("leave it out to begin again"));
    }
}

#[tokio::test]
async fn a_name_that_is_no_string_cannot_match_its_header() {
    let endpoint = endpoint();
    let mut draft = Draft::new();
    draft.body["params"]["name"] = json!(5);
    assert_eq!(send(&endpoint, &draft.clone().finish()).await.json()["error"]["code"], -32020);
    draft.set("mcp-name", b"");
    assert_eq!(send(&endpoint, &draft.finish()).await.json()["error"]["code"], -32602);
}

#[tokio::test]
async fn an_argument_agrees_with_the_header_that_repeats_it() {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Query {
        #[schemars(extend("x-mcp-header" = "Region"))]
        region: Option<String>,
    }
    let query = async |query: Query| Ok::<_, ToolError>(format!("{:?}", query.region));
    let server = Server::builder("house", "1.0.0").tool(tool_fn("query", "Asks.", query)).build().unwrap();
    let endpoint = Endpoint::new(server);
    let call = |region: Value, headers: &[&str]| {
        let request = Request::call("query", json!({"region": region}));
        headers.iter().fold(request, |request, header| request.with("mcp-param-region", header))
    };
    for (region, headers) in [(json!("eu"), &["eu"][..]), (json!("eu"), &["=?base64?ZXU=?="]), (Value::Null, &[])] {
        let reply = send(&endpoint, &call(region, headers)).await;
        assert_eq!(reply.result()["isError"], Value::Null, "{headers:?}");
    }
    for (region, headers, why) in [
        (json!("eu"), &[][..], "is missing"),
        (json!("eu"), &["us"], "differ"),
        (Value::Null, &["eu"], "differ"),
        (json!("eu"), &["=?base64?ZXU?="], "with padding"),
        (json!("eu"), &["eu", "eu"], "more than once"),
    ] {
        let reply = send(&endpoint, &call(region, headers)).await;
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["code"]), (400, &json!(-32020)), "{headers:?}");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
    let legacy = Request::legacy("tools/call", json!({"name": "query", "arguments": {"region": "eu"}}));
    assert_eq!(send(&endpoint, &legacy).await.status, 200, "the older era has no such headers");
}

#[tokio::test]
async fn only_a_post_carries_messages() {
    let endpoint = endpoint();
    for verb in ["GET", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"] {
        let mut request = Draft::new().finish();
        request.verb = verb;
        let reply = send(&endpoint, &request).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{verb}");
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains("by POST"), "{verb}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_or_too_slow_is_told_of_by_a_message() {
    let endpoint = endpoint();
    for (refusal, status, message) in [
        (Refusal::too_large(endpoint.max_body()), 413, "the body has more than the 4194304 bytes allowed"),
        (
            Refusal::too_slow(endpoint.body_timeout()),
            408,
            "the body did not come within 30s; send it faster, or in smaller parts",
        ),
    ] {
        let answer = Reply::of(refusal.into_answer()).await;
        let text = format!(r#"{{"jsonrpc":"2.0","error":{{"code":-32600,"message":"{message}"}}}}"#);
        assert_eq!((answer.status, answer.text), (status, text));
    }
}

#[tokio::test]
async fn the_door_is_as_wide_as_it_was_opened() {
    let closed = endpoint();
    let open = closed.clone().allow_host("mcp.example.com").allow_origin("https://app.example.com/");
    let any = closed.clone().allow_any_host();
    let request = |host: &str, origin: Option<&str>| {
        let request = Draft::new().finish().without("host").with("host", host);
        match origin {
            Some(origin) => request.with("origin", origin),
            None => request,
        }
    };
    let cases = [
        // Host, origin; whether it comes in where nothing, something and everything is allowed.
        ("localhost", None, [true, true, true]),
        ("LOCALHOST:1", Some("http://localhost:2"), [true, true, false]),
        ("127.0.0.1:8000", Some("http://127.0.0.1:8000"), [true, true, true]),
        ("[::1]:8000", Some("http://[::1]:8000"), [true, true, true]),
        ("[::1]", None, [true, true, true]),
        ("mcp.example.com", None, [false, true, true]),
        ("mcp.example.com:443", Some("https://mcp.example.com"), [false, true, false]),
        ("localhost", Some("https://app.example.com"), [false, true, false]),
        ("localhost", Some("https://APP.example.com"), [false, true, false]),
        ("localhost", Some("https://app.example.com:444"), [false, false, false]),
        ("localhost", Some("https://app.example.com.evil"), [false, false, false]),
        // By the rules of URLs the host of this one is nobody.
        ("localhost", Some("evil:x://localhost"), [false, false, false]),
        ("evil.example.com", None, [false, false, true]),
    ];
    for (host, origin, expected) in cases {
        for (endpoint, expected) in [&closed, &open, &any].into_iter().zip(expected) {
            let status = send(endpoint, &request(host, origin)).await.status;
            assert_eq!(status == 200, expected, "{host} {origin:?}: {status}");
        }
    }
}
