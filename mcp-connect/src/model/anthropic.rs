//! Anthropic's messages.

use std::collections::{HashMap, VecDeque};

use mcp_core::model::delta::{Delta, End, FinishReason, ToolCallPiece};
use mcp_core::model::message::{ImageSource, Message, Opaque, Part, Reasoning, Role};
use mcp_core::model::request::ToolChoice;
use mcp_core::model::usage::Usage;
use mcp_core::{ModelError, ModelRequest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::dialect::{Dialect, Reader, arguments, decode};
use super::frames::Frame;
use super::names::Names;
use super::refusal;
use super::structured::{NAME, Output};

/// Messages.
pub(super) struct Anthropic;

/// Whose reasoning it is.
const PROVIDER: &str = "anthropic";

/// How many tokens a reply has at the most, where nobody says so: the provider wants to be told.
const MOST_TOKENS: u32 = 8_192;

impl Dialect for Anthropic {
    fn base_url(&self) -> Option<&'static str> {
        Some("https://api.anthropic.com/v1")
    }

    fn path(&self, _model: &str) -> String {
        "/messages".to_owned()
    }

    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("x-api-key", key.to_owned())
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn body(&self, model: &str, request: &ModelRequest, names: &Names) -> Result<Value, ModelError> {
        let messages: Vec<_> = request.messages.iter().filter_map(|message| encode(message, names)).collect();
        let mut body = json!({
            "model": model,
            "max_tokens": request.max_output_tokens.unwrap_or(MOST_TOKENS),
            "messages": messages,
            "stream": true,
        });
        let system = system(request);
        if !system.is_empty() {
            body["system"] = system.into();
        }
        let output = Output::of(request)?;
        let tools: Vec<_> = request
            .tools
            .iter()
            .map(|tool| json!({"name": names.there(&tool.name), "description": tool.description, "input_schema": tool.input_schema}))
            .chain(output.tool().map(|(name, description, schema)| json!({"name": name, "description": description, "input_schema": schema})))
            .collect();
        if !tools.is_empty() {
            body["tools"] = tools.into();
            body["tool_choice"] = match output.choice() {
                ToolChoice::Auto => json!({"type": "auto"}),
                ToolChoice::None => json!({"type": "none"}),
                ToolChoice::Required => json!({"type": "any"}),
                ToolChoice::Tool(name) => {
                    json!({"type": "tool", "name": if name == NAME { name } else { names.there(&name) }})
                }
            };
        }
        if let Some(temperature) = request.temperature {
            body["temperature"] = temperature.into();
        }
        if !request.stop.is_empty() {
            body["stop_sequences"] = json!(request.stop);
        }
        Ok(body)
    }

    fn reader(&self, names: Names) -> Box<dyn Reader> {
        Box::new(Events {
            names,
            blocks: HashMap::new(),
            calls: 0,
            usage: Counted::default(),
            model: None,
            finish: None,
        })
    }
}

/// All instructions, since they stand apart.
pub(super) fn system(request: &ModelRequest) -> String {
    let of_system = request.messages.iter().filter(|message| message.role == Role::System);
    of_system.map(|message| message.text()).collect::<Vec<_>>().join("\n\n")
}

fn encode(message: &Message, names: &Names) -> Option<Value> {
    let role = match message.role {
        Role::System => return None,
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let content: Vec<_> = message.parts.iter().filter_map(|part| encode_part(part, names)).collect();
    // A message without content is refused.
    (!content.is_empty()).then(|| json!({"role": role, "content": content}))
}

fn encode_part(part: &Part, names: &Names) -> Option<Value> {
    match part {
        Part::Text { text } if text.is_empty() => None,
        Part::Text { text } => Some(json!({"type": "text", "text": text})),
        Part::Image(image) => {
            let source = match &image.source {
                ImageSource::Data(data) => json!({"type": "base64", "media_type": image.media_type, "data": data}),
                ImageSource::Url(url) => json!({"type": "url", "url": url}),
            };
            Some(json!({"type": "image", "source": source}))
        }
        Part::ToolCall(call) => Some(json!({
            "type": "tool_use",
            "id": call.id,
            "name": names.there(&call.name),
            "input": arguments(&call.arguments),
        })),
        Part::ToolResult(result) => Some(json!({
            "type": "tool_result",
            "tool_use_id": result.id,
            "content": result.content,
            "is_error": result.is_error,
        })),
        Part::Reasoning(thought) => {
            let opaque = thought.opaque.as_ref().filter(|opaque| opaque.provider == PROVIDER)?;
            match serde_json::from_str(&opaque.data).ok()? {
                Sealed::Signature(signature) => {
                    Some(json!({"type": "thinking", "thinking": thought.text, "signature": signature}))
                }
                Sealed::Redacted(data) => Some(json!({"type": "redacted_thinking", "data": data})),
            }
        }
        _ => None,
    }
}

/// What the provider wants back of a thought, beside what can be read of it.
#[derive(serde::Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sealed {
    Signature(String),
    Redacted(String),
}

/// Reads the events of a message.
struct Events {
    names: Names,
    /// What each block is that is a call.
    blocks: HashMap<u32, Block>,
    calls: u32,
    usage: Counted,
    model: Option<String>,
    finish: Option<FinishReason>,
}

/// A call.
enum Block {
    /// Which one.
    Call(u32),
    /// It is the reply itself, in a form that was asked for.
    Output,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    index: u32,
    #[serde(default)]
    message: Option<Begun>,
    #[serde(default)]
    content_block: Option<ContentBlock>,
    #[serde(default)]
    delta: Option<More>,
    #[serde(default)]
    usage: Option<Counted>,
}

#[derive(Deserialize)]
struct Begun {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<Counted>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContentBlock {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    name: String,
    text: String,
    data: String,
    input: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct More {
    text: Option<String>,
    partial_json: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    stop_reason: Option<String>,
}

/// What is counted so far; later events say it anew.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Counted {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

impl Reader for Events {
    fn read(&mut self, frame: &Frame, out: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        let event: Event = decode(frame)?;
        match event.kind.as_str() {
            "message_start" => {
                if let Some(begun) = event.message {
                    self.model = begun.model;
                    self.count(begun.usage);
                }
            }
            "content_block_start" => self.begin(event.index, event.content_block.unwrap_or_default(), out),
            "content_block_delta" => self.add(event.index, event.delta.unwrap_or_default(), out),
            "message_delta" => {
                self.count(event.usage);
                if let Some(reason) = event.delta.and_then(|delta| delta.stop_reason) {
                    self.finish = Some(finish_of(reason, self.calls));
                }
            }
            "message_stop" => {
                // It is told without a reason where a provider that is like this one leaves it out.
                let finish = self.finish.take().unwrap_or(FinishReason::Stop);
                out.push_back(Delta::End(End {
                    finish,
                    usage: self.usage.total(),
                    cost: None,
                    model: self.model.take(),
                }));
            }
            "error" => return Err(refusal::in_stream(&decode(frame)?)),
            _ => {}
        }
        Ok(())
    }
}

impl Events {
    fn begin(&mut self, place: u32, block: ContentBlock, out: &mut VecDeque<Delta>) {
        match block.kind.as_str() {
            "text" if !block.text.is_empty() => out.push_back(Delta::text(block.text)),
            "tool_use" if block.name == NAME => drop(self.blocks.insert(place, Block::Output)),
            "tool_use" => {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                self.blocks.insert(place, Block::Call(index));
                let arguments =
                    if block.input.is_empty() { String::new() } else { Value::Object(block.input).to_string() };
                out.push_back(Delta::ToolCall(ToolCallPiece {
                    index,
                    id: block.id,
                    name: self.names.back(&block.name),
                    arguments,
                }));
            }
            "redacted_thinking" => out.extend(sealed(&Sealed::Redacted(block.data))),
            _ => {}
        }
    }

    fn add(&mut self, place: u32, more: More, out: &mut VecDeque<Delta>) {
        out.extend(more.text.map(Delta::text));
        out.extend(more.thinking.map(|text| Delta::Reasoning(Reasoning { text, opaque: None })));
        out.extend(more.signature.and_then(|signature| sealed(&Sealed::Signature(signature))));
        let Some(arguments) = more.partial_json.filter(|text| !text.is_empty()) else { return };
        match self.blocks.get(&place) {
            Some(Block::Call(index)) => {
                out.push_back(Delta::ToolCall(ToolCallPiece { index: *index, arguments, ..ToolCallPiece::default() }));
            }
            Some(Block::Output) => out.push_back(Delta::text(arguments)),
            None => {}
        }
    }

    fn count(&mut self, more: Option<Counted>) {
        if let Some(more) = more {
            let before = self.usage;
            self.usage = Counted {
                input_tokens: more.input_tokens.or(before.input_tokens),
                output_tokens: more.output_tokens.or(before.output_tokens),
                cache_read_input_tokens: more.cache_read_input_tokens.or(before.cache_read_input_tokens),
                cache_creation_input_tokens: more.cache_creation_input_tokens.or(before.cache_creation_input_tokens),
            };
        }
    }
}

impl Counted {
    /// The provider counts what it had kept apart from the rest.
    fn total(self) -> Option<Usage> {
        let (input, output) = (self.input_tokens?, self.output_tokens?);
        let cached = self.cache_read_input_tokens.unwrap_or_default();
        let written = self.cache_creation_input_tokens.unwrap_or_default();
        Some(Usage {
            input_tokens: input.saturating_add(cached).saturating_add(written),
            cached_input_tokens: cached,
            cache_write_tokens: written,
            output_tokens: output,
            reasoning_tokens: 0,
        })
    }
}

fn sealed(sealed: &Sealed) -> Option<Delta> {
    let opaque = Opaque { provider: PROVIDER.to_owned(), data: serde_json::to_string(sealed).ok()? };
    Some(Delta::Reasoning(Reasoning { text: String::new(), opaque: Some(opaque) }))
}

/// The reason, in one's own words; Amazon has the same. A call that is the reply itself is none.
pub(super) fn finish_of(reason: String, calls: u32) -> FinishReason {
    match reason.as_str() {
        "tool_use" if calls == 0 => FinishReason::Stop,
        "tool_use" => FinishReason::ToolCalls,
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "refusal" | "content_filtered" | "guardrail_intervened" => FinishReason::ContentFilter,
        _ => FinishReason::Other(reason),
    }
}
