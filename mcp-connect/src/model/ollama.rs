//! Ollama's chat.

use std::collections::{HashMap, VecDeque};

use mcp_core::model::delta::{Delta, End, FinishReason, ToolCallPiece};
use mcp_core::model::message::{ImageSource, Message, Part, Reasoning, Role};
use mcp_core::model::request::ToolChoice;
use mcp_core::model::usage::Usage;
use mcp_core::{ModelError, ModelRequest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::dialect::{Dialect, Reader, arguments, cannot, decode};
use super::frames::{Frame, Framing};
use super::names::Names;
use super::openai::{encode_tool, results};
use super::refusal;

/// `/api/chat`.
pub(super) struct Ollama;

impl Dialect for Ollama {
    fn base_url(&self) -> Option<&'static str> {
        Some("http://localhost:11434")
    }

    fn path(&self, _model: &str) -> String {
        "/api/chat".to_owned()
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn body(&self, model: &str, request: &ModelRequest, names: &Names) -> Result<Value, ModelError> {
        let calls = request.messages.iter().flat_map(|message| message.tool_calls());
        let called: HashMap<&str, &str> = calls.map(|call| (&*call.id, &*call.name)).collect();
        let mut messages = Vec::new();
        for message in &request.messages {
            encode(message, &called, names, &mut messages)?;
        }
        let mut body = json!({"model": model, "messages": messages, "stream": true});
        match request.tool_choice {
            ToolChoice::Auto if !request.tools.is_empty() => {
                body["tools"] = request.tools.iter().map(|tool| encode_tool(tool, names)).collect();
            }
            ToolChoice::Auto | ToolChoice::None => {}
            _ => return Err(cannot("has no way to make a model call a tool; let `tool_choice` be auto")),
        }
        if let Some(output) = &request.output {
            body["format"] = output.schema.clone().into();
        }
        let mut options = Map::new();
        if let Some(most) = request.max_output_tokens {
            options.insert("num_predict".to_owned(), most.into());
        }
        if let Some(temperature) = request.temperature {
            options.insert("temperature".to_owned(), temperature.into());
        }
        if !request.stop.is_empty() {
            options.insert("stop".to_owned(), json!(request.stop));
        }
        if !options.is_empty() {
            body["options"] = options.into();
        }
        Ok(body)
    }

    fn reader(&self, names: Names) -> Box<dyn Reader> {
        Box::new(Lines { names, calls: 0 })
    }
}

fn encode(
    message: &Message,
    called: &HashMap<&str, &str>,
    names: &Names,
    out: &mut Vec<Value>,
) -> Result<(), ModelError> {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => {
            out.extend(results(message).map(|(id, content)| {
                let name = called.get(id).copied().unwrap_or_default();
                json!({"role": "tool", "tool_name": names.there(name), "content": content})
            }));
            return Ok(());
        }
    };
    let mut encoded = json!({"role": role, "content": message.text()});
    let mut images = Vec::new();
    for part in &message.parts {
        if let Part::Image(image) = part {
            match &image.source {
                ImageSource::Data(data) => images.push(Value::from(data.as_str())),
                ImageSource::Url(_) => return Err(cannot("fetches no pictures; send their bytes")),
            }
        }
    }
    if !images.is_empty() {
        encoded["images"] = images.into();
    }
    let calls: Vec<_> = message
        .tool_calls()
        .map(|call| json!({"function": {"name": names.there(&call.name), "arguments": arguments(&call.arguments)}}))
        .collect();
    if !calls.is_empty() {
        encoded["tool_calls"] = calls.into();
    }
    out.push(encoded);
    Ok(())
}

/// Reads one object a line.
struct Lines {
    names: Names,
    calls: u32,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    message: Said,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Called>>,
}

#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    id: String,
    function: CalledFunction,
}

#[derive(Deserialize)]
struct CalledFunction {
    name: String,
    #[serde(default)]
    arguments: Value,
}

impl Reader for Lines {
    fn read(&mut self, frame: &Frame, out: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        let line: Line = decode(frame)?;
        if let Some(error) = line.error {
            return Err(refusal::in_stream(&json!({ "error": error })));
        }
        if let Some(text) = line.message.thinking.filter(|text| !text.is_empty()) {
            out.push_back(Delta::Reasoning(Reasoning { text, opaque: None }));
        }
        out.extend(line.message.content.filter(|text| !text.is_empty()).map(Delta::text));
        for call in line.message.tool_calls.unwrap_or_default() {
            let arguments = match call.function.arguments {
                Value::String(text) => text,
                Value::Null => "{}".to_owned(),
                object => object.to_string(),
            };
            let (index, name) = (self.calls, self.names.back(&call.function.name));
            self.calls = self.calls.saturating_add(1);
            out.push_back(Delta::ToolCall(ToolCallPiece { index, id: call.id, name, arguments }));
        }
        if line.done {
            let finish = match line.done_reason.as_deref() {
                Some("length") => FinishReason::Length,
                None | Some("stop") if self.calls > 0 => FinishReason::ToolCalls,
                None | Some("stop") => FinishReason::Stop,
                Some(other) => FinishReason::Other(other.to_owned()),
            };
            let counted = |input_tokens, output_tokens| Usage { input_tokens, output_tokens, ..Usage::default() };
            // What it had read before, it does not count.
            let usage = line.eval_count.map(|output| counted(line.prompt_eval_count.unwrap_or_default(), output));
            out.push_back(Delta::End(End { finish, usage, cost: None, model: line.model }));
        }
        Ok(())
    }
}
