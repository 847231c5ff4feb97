//! Responses, as they come.

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The first line and the headers of a response.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    /// The names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// What comes of a response, in this order: its head, and the pieces of its body.
pub enum Part {
    Head(Head),
    Piece(Vec<u8>),
}

/// A request under way. Dropping it is what a client does that leaves.
pub struct Exchange {
    parts: mpsc::Receiver<Part>,
    task: JoinHandle<()>,
    /// What of the body has come and was not looked at.
    waiting: Vec<u8>,
}

impl Exchange {
    /// `task` sends the parts; it is aborted when the exchange is dropped.
    pub fn new(parts: mpsc::Receiver<Part>, task: JoinHandle<()>) -> Self {
        Self { parts, task, waiting: Vec::new() }
    }

    /// Waits for the head.
    pub async fn head(&mut self) -> Head {
        match self.parts.recv().await {
            Some(Part::Head(head)) => head,
            _ => panic!("the server closed the connection without an answer"),
        }
    }

    /// Waits until as much more of the body has come as `expected` is long, which it must be.
    pub async fn expect(&mut self, expected: &str) {
        while self.waiting.len() < expected.len() {
            let Some(Part::Piece(piece)) = self.parts.recv().await else { break };
            self.waiting.extend(piece);
        }
        let rest = self.waiting.split_off(expected.len().min(self.waiting.len()));
        assert_eq!(String::from_utf8_lossy(&std::mem::replace(&mut self.waiting, rest)), expected);
    }

    /// Waits until the body has come to its end, with nothing more in it.
    pub async fn expect_end(&mut self) {
        let nothing = self.waiting.is_empty() && self.parts.recv().await.is_none();
        assert!(nothing, "the body goes on");
    }

    /// The whole response.
    pub async fn response(mut self) -> Response {
        let head = self.head().await;
        let mut body = Vec::new();
        while let Some(Part::Piece(piece)) = self.parts.recv().await {
            body.extend(piece);
        }
        Response { head, body }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A response that has come to its end.
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("an answer is UTF-8")
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.head.header("content-type"), Some("application/json"), "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Checks that it is a success with this JSON, to the letter.
    #[track_caller]
    pub fn expect_json(&self, expected: &str) {
        assert_eq!((self.head.status, self.text()), (200, expected));
        assert_eq!(self.head.header("content-type"), Some("application/json"));
    }

    /// Checks that it is an error of the protocol, whose message speaks of `mentions`. Gives the whole object.
    #[track_caller]
    pub fn expect_error(&self, status: u16, code: i64, id: Option<Value>, mentions: &str) -> Value {
        let json = self.json();
        let message = json["error"]["message"].as_str().unwrap_or_default();
        assert_eq!((self.head.status, &json["error"]["code"]), (status, &code.into()), "{message}");
        assert_eq!(json.get("id"), id.as_ref(), "{message}");
        assert!(message.contains(mentions), "the message does not speak of {mentions}: {message}");
        json
    }
}

/// Reads responses from one connection.
pub struct Reader<R> {
    connection: R,
    /// What has come and was not taken.
    waiting: Vec<u8>,
    framing: Framing,
}

/// How the end of a body is known.
enum Framing {
    Chunks,
    /// So many bytes are still to come.
    Length(usize),
    /// It ends with the connection.
    Connection,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(connection: R) -> Self {
        Self { connection, waiting: Vec::new(), framing: Framing::Length(0) }
    }

    /// The next head; `None` when the server has closed the connection before one began.
    pub async fn head(&mut self) -> Option<Head> {
        let Some(text) = self.until(b"\r\n\r\n").await else {
            assert_eq!(String::from_utf8_lossy(&self.waiting), "", "the connection ends within a head");
            return None;
        };
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header has a name and a value");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let head = Head { status: status.expect("a first line has a status"), headers: lines.map(header).collect() };
        self.framing = match (head.header("transfer-encoding"), head.header("content-length")) {
            (Some("chunked"), None) => Framing::Chunks,
            (None, Some(length)) => Framing::Length(length.parse().expect("a length is a number")),
            (None, None) if head.status < 200 || head.status == 204 => Framing::Length(0),
            (None, None) => Framing::Connection,
            framing => panic!("nobody knows where this body ends: {framing:?}"),
        };
        Some(head)
    }

    /// The next piece of the body; `None` at its end.
    pub async fn piece(&mut self) -> Option<Vec<u8>> {
        let piece = match self.framing {
            Framing::Length(0) => Vec::new(),
            Framing::Connection => {
                if self.waiting.is_empty() {
                    self.more().await;
                }
                std::mem::take(&mut self.waiting)
            }
            Framing::Length(left) => {
                self.fill(1).await;
                let piece = self.take(left.min(self.waiting.len()));
                self.framing = Framing::Length(left - piece.len());
                piece
            }
            Framing::Chunks => {
                let line = self.until(b"\r\n").await.expect("a chunk begins with its size");
                let size = usize::from_str_radix(&line, 16).expect("a chunk begins with its size");
                self.fill(size + 2).await;
                let chunk = self.take(size);
                assert_eq!(self.take(2), b"\r\n", "a chunk ends with a line break");
                chunk
            }
        };
        (!piece.is_empty()).then_some(piece)
    }

    /// The next whole response; `None` when the server has closed the connection.
    pub async fn response(&mut self) -> Option<Response> {
        let head = self.head().await?;
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await {
            body.extend(piece);
        }
        Some(Response { head, body })
    }

    /// Reads up to `end`, which is left out; `None` when the connection ends before.
    async fn until(&mut self, end: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self.waiting.windows(end.len()).position(|window| window == end) {
                let text = self.take(at);
                self.take(end.len());
                return Some(String::from_utf8(text).expect("what frames a message is ASCII"));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn fill(&mut self, bytes: usize) {
        while self.waiting.len() < bytes {
            assert!(self.more().await, "the connection ends within a body");
        }
    }

    /// Reads some more; `false` at the end. A reset is an end as well: a server may reset what it has refused to read.
    async fn more(&mut self) -> bool {
        matches!(self.connection.read_buf(&mut self.waiting).await, Ok(count) if count > 0)
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let rest = self.waiting.split_off(bytes);
        std::mem::replace(&mut self.waiting, rest)
    }
}
