//! Requests, as text.

/// `params._meta` as every modern request has it.
pub const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A request: what is on its first line, its headers in their order, and its body.
#[derive(Clone)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    chunked: bool,
}

impl Request {
    /// Reads a request from text, in which `META` stands for [`META`].
    pub fn literal(text: &str) -> Self {
        let (head, body) = text.trim_start().split_once("\n\n").unwrap_or((text.trim(), ""));
        let mut lines = head.lines();
        let line = lines.next().expect("a request has a first line").to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a header has a name and a value");
            (name.to_owned(), value.as_bytes().to_vec())
        };
        let request = Self { line, headers: lines.map(header).collect(), body: Vec::new(), chunked: false };
        request.body(body.trim_end())
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// The same header with another value.
    pub fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).header(name, value)
    }

    /// One header less.
    pub fn without(mut self, name: &str) -> Self {
        let before = self.headers.len();
        self.headers.retain(|(own, _)| own != name);
        assert!(self.headers.len() < before, "the request has no {name} to leave out");
        self
    }

    /// Another body, in which `META` stands for [`META`].
    pub fn body(self, text: &str) -> Self {
        self.raw_body(text.replace("META", META))
    }

    /// Another body, as it stands.
    pub fn raw_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sent in chunks, without its length.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// All that comes before the body.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in &self.headers {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let framing = match self.chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {}", self.body.len()),
        };
        head.extend(format!("{framing}\r\n\r\n").into_bytes());
        head
    }

    /// What goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        if self.chunked {
            for chunk in self.body.chunks(64 * 1024) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                bytes.extend([chunk, b"\r\n"].concat());
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }
}

/// `server/discover`.
pub fn discover() -> Request {
    Request::literal(
        r#"
POST /mcp HTTP/1.1
Host: 127.0.0.1
Content-Type: application/json
Accept: application/json, text/event-stream
MCP-Protocol-Version: 2026-07-28
Mcp-Method: server/discover

{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{META}}
"#,
    )
}

/// `tools/list`; `params` are written before `META`, with a comma behind each.
pub fn list(params: &str) -> Request {
    Request::literal(&format!(
        r#"
POST /mcp HTTP/1.1
Host: 127.0.0.1
Content-Type: application/json
Accept: application/json, text/event-stream
MCP-Protocol-Version: 2026-07-28
Mcp-Method: tools/list

{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{params}META}}}}
"#
    ))
}

/// `tools/call`.
pub fn call(tool: &str, arguments: &str) -> Request {
    Request::literal(&format!(
        r#"
POST /mcp HTTP/1.1
Host: 127.0.0.1
Content-Type: application/json
Accept: application/json, text/event-stream
MCP-Protocol-Version: 2026-07-28
Mcp-Method: tools/call
Mcp-Name: {tool}

{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},META}}}}
"#
    ))
}

/// `tools/call` of a client that gives a progress token.
pub fn call_with_token(tool: &str, token: &str) -> Request {
    let meta = META.replace(r#""_meta":{"#, &format!(r#""_meta":{{"progressToken":{token},"#));
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}",{meta}}}}}"#);
    call(tool, "{}").raw_body(body)
}

/// A message of the older era, as a client sends it after the handshake.
pub fn legacy(body: &str) -> Request {
    Request::literal(&format!(
        r#"
POST /mcp HTTP/1.1
Host: 127.0.0.1
Content-Type: application/json
Accept: application/json, text/event-stream
MCP-Protocol-Version: 2025-11-25

{body}
"#
    ))
}
