//! A call of a tool by a way in that speaks no MCP: it becomes the same request, and is spoken with as its client likes.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::{CallError, Server};
use crate::call::Call;
use crate::caller::Caller;
use crate::capability::ClientCapability;
use crate::context::Outbox;
use crate::dispatch::Exchange;
use crate::jsonrpc::{self, Message};
use crate::protocol::encoding::Encoding;
use crate::protocol::tools;
use crate::spans;
use crate::tool::arguments::Arguments;
use crate::tool::key::IdempotencyKey;
use crate::tool::output::ToolOutput;
use crate::tool::pipeline::Finished;
use crate::tool::quota::Quotas;

/// What is to be called, and how.
#[must_use]
pub struct ToolCall {
    tool: String,
    arguments: Arguments,
    key: Option<IdempotencyKey>,
    answers: Option<Answers>,
    listens: bool,
}

/// The answers to what a call has asked, and where it was.
struct Answers {
    responses: Bytes,
    state: Option<String>,
}

/// A call that has begun. Dropping it is what a client does that leaves.
pub struct OpenCall {
    call: Call<Finished>,
    outbox: Option<Arc<Outbox>>,
    waiting: VecDeque<Next>,
}

/// What a call says before it ends.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Said {
    /// How far it has come: `progress`, and perhaps `total` and `message` (basic/utilities/progress).
    Progress(Value),
    /// A line of log: `level` and `data` (server/utilities/logging).
    Log(Value),
}

/// What happens next in a call.
#[derive(Debug)]
pub enum Next {
    /// It says something.
    Said(Said),
    /// It has ended.
    Ended(Result<ToolOutput, CallError>),
}

impl ToolCall {
    /// A call of this tool, which may ask, and whose client does not listen before it ends.
    pub fn new(tool: impl Into<String>, arguments: Arguments) -> Self {
        Self { tool: tool.into(), arguments, key: None, answers: None, listens: false }
    }

    /// Under a key, as [`Server::call_tool_once`].
    pub fn under(self, key: Option<IdempotencyKey>) -> Self {
        Self { key, ..self }
    }

    /// Goes on with a call of the same arguments that has ended with [`ToolError::NeedsInput`](crate::ToolError::NeedsInput), with an answer for each key, as a
    /// JSON object, and the state that came with the questions.
    pub fn answering(self, responses: impl Into<Bytes>, state: Option<String>) -> Self {
        Self { answers: Some(Answers { responses: responses.into(), state }), ..self }
    }

    /// Tells its client what the call says before it ends.
    pub fn listening(self) -> Self {
        Self { listens: true, ..self }
    }

    /// The same as a request of MCP, of a client that can do what the tool asks for, and fill in forms.
    fn to_json(&self, asks: &[ClientCapability]) -> Result<Vec<u8>, serde_json::Error> {
        let mut client = json!({"elicitation": {"form": {}, "url": {}}});
        let is_asked = |asked: &&ClientCapability| !matches!(asked, ClientCapability::Tasks | ClientCapability::Views);
        for asked in asks.iter().filter(is_asked) {
            merge(&mut client, asked.as_required());
        }
        let mut meta = json!({"io.modelcontextprotocol/clientCapabilities": client});
        if self.listens {
            meta["progressToken"] = json!(0);
            meta["io.modelcontextprotocol/logLevel"] = json!("debug");
        }
        if let Some(key) = &self.key {
            meta[IdempotencyKey::META] = json!(key.as_str());
        }
        let raw = |json: &[u8]| serde_json::from_slice::<Box<RawValue>>(json);
        let mut params = BTreeMap::from([("name", to_raw_value(&self.tool)?), ("_meta", to_raw_value(&meta)?)]);
        params.insert("arguments", raw(self.arguments.as_bytes())?);
        if let Some(answers) = &self.answers {
            params.insert("inputResponses", raw(&answers.responses)?);
            if let Some(state) = &answers.state {
                params.insert("requestState", to_raw_value(state)?);
            }
        }
        serde_json::to_vec(&Request { jsonrpc: "2.0", id: 0, method: "tools/call", params })
    }
}

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: u8,
    method: &'static str,
    params: BTreeMap<&'a str, Box<RawValue>>,
}

fn merge(into: &mut Value, other: Value) {
    match (into, other) {
        (Value::Object(into), Value::Object(other)) => {
            for (name, member) in other {
                merge(into.entry(name).or_insert(Value::Null), member);
            }
        }
        (into, other) => *into = other,
    }
}

impl Said {
    /// Reads the notification by which a client of MCP is told.
    fn read(notification: &[u8]) -> Option<Self> {
        let mut notification: Value = serde_json::from_slice(notification).ok()?;
        let mut params = notification["params"].take();
        match notification["method"].as_str()? {
            "notifications/progress" => {
                params.as_object_mut()?.remove("progressToken");
                Some(Self::Progress(params))
            }
            "notifications/message" => Some(Self::Log(params)),
            _ => None,
        }
    }
}

impl Server {
    /// Begins a call.
    ///
    /// # Errors
    /// [`CallError::UnknownTool`]; [`CallError::Busy`], [`CallError::TooMany`]; [`CallError::Refused`] where the answers are none, or the state is not what the server gave to this caller
    /// for this call.
    pub fn open_call(&self, caller: Caller, call: &ToolCall) -> Result<OpenCall, CallError> {
        let tool = self.find_tool(&caller, &call.tool)?;
        let refused = |why: String| CallError::Refused(why);
        let body = Bytes::from(call.to_json(&tool.spec().policy.asks).map_err(|error| refused(error.to_string()))?);
        let request = match jsonrpc::decode(&body) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Notification(_)) => return Err(refused("the call is none".to_owned())),
            Err(fault) => return Err(refused(fault.message)),
        };
        let exchange =
            Exchange { server: self, caller, encoding: Encoding::Modern, head: None, body: &body, speech: None };
        let begun = tools::waited(exchange, &request.params);
        let (call, outbox) = begun.map_err(|error| match error.status {
            503 => CallError::Busy(error.message),
            429 => CallError::TooMany(error.message),
            _ => refused(error.message.replace("params.", "")),
        })?;
        let call = call.within(spans::execute_tool(tool.spec().name()));
        Ok(OpenCall { call, outbox, waiting: VecDeque::new() })
    }
}

impl OpenCall {
    /// What happens next. After the end, nothing does: it is not to be asked again.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Next {
        loop {
            if let Some(next) = self.waiting.pop_front() {
                return next;
            }
            let spoke = pin!(async {
                match &self.outbox {
                    Some(outbox) => outbox.filled().await,
                    None => std::future::pending().await,
                }
            });
            let ended = match select(&mut self.call, spoke).await {
                Either::Left((finished, _)) => Some(finished),
                Either::Right(_) => None,
            };
            // What was said last comes before the end.
            let said = self.outbox.iter().flat_map(|outbox| outbox.take());
            self.waiting.extend(said.filter_map(|said| Said::read(&said)).map(Next::Said));
            self.waiting.extend(ended.map(|finished| Next::Ended(finished.map_err(CallError::from))));
        }
    }

    /// How it ends, whatever it says before. After that it is not to be asked again.
    ///
    /// Cancel safe: the call goes on until this is dropped.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn end(&mut self) -> Result<ToolOutput, CallError> {
        (&mut self.call).await.map_err(CallError::from)
    }

    /// How it stands with the limits that it was counted by; known when it has ended.
    pub fn quotas(&self) -> Quotas {
        self.call.context().quotas().cloned().unwrap_or_default()
    }
}
