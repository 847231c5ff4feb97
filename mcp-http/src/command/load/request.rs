//! One request, and what became of it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use mcp_connect::Connector;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::command::failure::{Failure, Kind};

/// How many bytes of an answer are read.
const LARGEST: usize = 16 * 1024 * 1024;

/// How long a connection is kept that nobody needs: the last that was used is used next, so these are those that a moment needed in which
/// answers came late. Each holds some memory of the server.
const IDLE: Duration = Duration::from_secs(5);

/// The version of MCP in which it is asked: its requests need no session.
const VERSION: &str = "2026-07-28";

/// Asks one server. Clones share their connections, which are kept open.
#[derive(Clone)]
pub(super) struct Asker {
    client: Client<Connector, Full<Bytes>>,
    call: Request<Full<Bytes>>,
    patience: Duration,
}

/// As much of an answer as tells whether it went well.
#[derive(Deserialize)]
struct Answer {
    error: Option<Fault>,
    result: Option<Outcome>,
}

#[derive(Deserialize)]
struct Fault {
    code: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    is_error: Option<bool>,
    result_type: Option<String>,
}

impl Asker {
    /// Who calls this tool of the server at `base`, and waits so long for an answer.
    pub(super) fn new(
        base: &str,
        key: Option<&str>,
        tool: &str,
        arguments: &Value,
        patience: Duration,
        idle: usize,
    ) -> Result<Self, Failure> {
        let usage = |why: String| Failure::new(Kind::Usage, why);
        let connector = mcp_connect::connector().map_err(|error| Failure::new(Kind::Failed, error.to_string()))?;
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(idle)
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        let uri: Uri = format!("{base}/mcp").parse().map_err(|error| usage(format!("{base}: {error}")))?;
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": tool, "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": VERSION, "io.modelcontextprotocol/clientCapabilities": {}}}});
        let mut call = Request::post(uri)
            .header(CONTENT_TYPE, "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool);
        if let Some(key) = key {
            call = call.header("authorization", format!("Bearer {key}"));
        }
        let call = call.body(Full::new(body.to_string().into())).map_err(|error| usage(error.to_string()))?;
        Ok(Self { client, call, patience })
    }

    /// Calls the tool: well, or the kind of error.
    pub(super) async fn call(&self) -> Result<(), String> {
        tokio::time::timeout(self.patience, self.exchange()).await.unwrap_or_else(|_| Err("timed out".to_owned()))
    }

    async fn exchange(&self) -> Result<(), String> {
        let answer = self.client.request(self.call.clone()).await.map_err(|error| kind(&error).to_owned())?;
        let status = answer.status().as_u16();
        let streams =
            answer.headers().get(CONTENT_TYPE).is_some_and(|form| form.as_bytes().starts_with(b"text/event-stream"));
        // It is read to its end in each case, so that the connection can be used again.
        let body = Limited::new(answer.into_body(), LARGEST).collect().await.map_err(|_| "cut".to_owned())?.to_bytes();
        if status != 200 {
            return Err(format!("http {status}"));
        }
        judge(&body, streams)
    }

    /// The text at another address of the server; nothing, where there is none within two seconds.
    pub(super) async fn get(&self, url: &str) -> Option<String> {
        let mut request = Request::get(url).body(Full::default()).ok()?;
        let key = HeaderName::from_static("authorization");
        if let Some(value) = self.call.headers().get(&key) {
            request.headers_mut().insert(key, HeaderValue::clone(value));
        }
        let asked = async {
            let answer = self.client.request(request).await.ok().filter(|answer| answer.status() == 200)?;
            Limited::new(answer.into_body(), LARGEST).collect().await.ok()
        };
        let body = tokio::time::timeout(Duration::from_secs(2), asked).await.ok()??.to_bytes();
        String::from_utf8(body.into()).ok()
    }
}

/// Whether what came with 200 says that it went well.
fn judge(body: &[u8], streams: bool) -> Result<(), String> {
    let last = || body.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: ")).next_back();
    // In a stream the answer comes last.
    let message = if streams { last().ok_or("cut")? } else { body };
    match serde_json::from_slice::<Answer>(message) {
        Ok(Answer { error: Some(fault), .. }) => Err(format!("rpc {}", fault.code)),
        Ok(Answer { result: Some(Outcome { is_error: Some(true), .. }), .. }) => Err("isError".to_owned()),
        Ok(Answer { result: Some(Outcome { result_type: Some(kind), .. }), .. }) if kind != "complete" => Err(kind),
        Ok(Answer { result: Some(_), .. }) => Ok(()),
        Ok(_) if streams => Err("cut".to_owned()),
        _ => Err("no answer of MCP".to_owned()),
    }
}

/// What kept an answer from coming.
fn kind(error: &Error) -> &'static str {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let io = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).last();
    match io {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused",
        _ if error.is_connect() => "no connection",
        Some(io::ErrorKind::ConnectionReset) => "connection reset",
        _ => "connection closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_what_it_says_and_not_by_its_status() {
        let of = |body: &str| judge(body.as_bytes(), false);
        assert_eq!(of(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"resultType":"complete"}}"#), Ok(()));
        assert_eq!(of(r#"{"id":1,"result":{"content":[],"isError":true}}"#), Err("isError".to_owned()));
        assert_eq!(of(r#"{"id":1,"result":{"resultType":"input_required"}}"#), Err("input_required".to_owned()));
        assert_eq!(of(r#"{"id":1,"error":{"code":-32603,"message":""}}"#), Err("rpc -32603".to_owned()));
        assert_eq!(of("<html>"), Err("no answer of MCP".to_owned()));
    }

    #[test]
    fn in_a_stream_the_last_message_counts_and_one_without_is_cut() {
        let of = |body: &str| judge(body.as_bytes(), true);
        let note = "data: {\"method\":\"notifications/progress\",\"params\":{}}\n\n";
        assert_eq!(of(&format!("{note}data: {{\"id\":1,\"result\":{{}}}}\n\n")), Ok(()));
        assert_eq!(
            of(&format!("{note}data: {{\"id\":1,\"error\":{{\"code\":-32000}}}}\n\n")),
            Err("rpc -32000".to_owned())
        );
        assert_eq!(of(note), Err("cut".to_owned()));
        assert_eq!(of(""), Err("cut".to_owned()));
    }
}
