//! Amazon Bedrock's Converse, with an API key of Bedrock's.

use std::collections::{HashMap, VecDeque};

use mcp_core::model::delta::{Delta, ToolCallPiece};
use mcp_core::model::message::{ImageSource, Message, Opaque, Part, Reasoning, Role};
use mcp_core::model::request::ToolChoice;
use mcp_core::model::usage::Usage;
use mcp_core::{ModelError, ModelRequest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::anthropic::{finish_of, system};
use super::dialect::{Dialect, Ending, Reader, arguments, cannot, decode, segment};
use super::frames::{Frame, Framing};
use super::names::Names;
use super::refusal;
use super::structured::{NAME, Output};

/// `converse-stream`.
pub(super) struct Bedrock;

/// Whose reasoning it is.
const PROVIDER: &str = "bedrock";

impl Dialect for Bedrock {
    /// It is in the region that one has.
    fn base_url(&self) -> Option<&'static str> {
        None
    }

    fn path(&self, model: &str) -> String {
        format!("/model/{}/converse-stream", segment(model))
    }

    fn framing(&self) -> Framing {
        Framing::EventStream
    }

    fn body(&self, _model: &str, request: &ModelRequest, names: &Names) -> Result<Value, ModelError> {
        let mut messages = Vec::new();
        for message in &request.messages {
            let content: Vec<_> = message
                .parts
                .iter()
                .filter_map(|part| encode_part(part, names).transpose())
                .collect::<Result<_, _>>()?;
            if !content.is_empty() && message.role != Role::System {
                messages.push(json!({"role": role(message), "content": content}));
            }
        }
        let mut body = json!({ "messages": messages });
        let system = system(request);
        if !system.is_empty() {
            body["system"] = json!([{ "text": system }]);
        }
        let mut config = Map::new();
        if let Some(most) = request.max_output_tokens {
            config.insert("maxTokens".to_owned(), most.into());
        }
        if let Some(temperature) = request.temperature {
            config.insert("temperature".to_owned(), temperature.into());
        }
        if !request.stop.is_empty() {
            config.insert("stopSequences".to_owned(), json!(request.stop));
        }
        if !config.is_empty() {
            body["inferenceConfig"] = config.into();
        }
        let output = Output::of(request)?;
        let spec = |name: &str, description: &str, schema: Value| json!({"toolSpec": {"name": name, "description": description, "inputSchema": {"json": schema}}});
        let offered = request
            .tools
            .iter()
            .map(|tool| spec(&names.there(&tool.name), &tool.description, tool.input_schema.clone().into()));
        let tools: Vec<_> =
            offered.chain(output.tool().map(|(name, description, schema)| spec(name, &description, schema))).collect();
        if !tools.is_empty() {
            body["toolConfig"] = json!({ "tools": tools });
            match output.choice() {
                ToolChoice::Auto => {}
                // There is no word for it, and tools that were called must be named.
                ToolChoice::None => {
                    return Err(cannot("has no way to keep a model from calling tools; leave them out"));
                }
                ToolChoice::Required => body["toolConfig"]["toolChoice"] = json!({"any": {}}),
                ToolChoice::Tool(name) => {
                    let name = if name == NAME { name } else { names.there(&name) };
                    body["toolConfig"]["toolChoice"] = json!({"tool": {"name": name}});
                }
            }
        }
        Ok(body)
    }

    fn reader(&self, names: Names) -> Box<dyn Reader> {
        Box::new(Events { names, blocks: HashMap::new(), calls: 0, ending: Ending::default() })
    }
}

fn role(message: &Message) -> &'static str {
    if message.role == Role::Assistant { "assistant" } else { "user" }
}

fn encode_part(part: &Part, names: &Names) -> Result<Option<Value>, ModelError> {
    Ok(match part {
        Part::Text { text } if text.is_empty() => None,
        Part::Text { text } => Some(json!({ "text": text })),
        Part::Image(image) => match &image.source {
            ImageSource::Data(data) => {
                let format = image.media_type.trim_start_matches("image/");
                Some(json!({"image": {"format": format, "source": {"bytes": data}}}))
            }
            ImageSource::Url(_) => return Err(cannot("fetches no pictures; send their bytes")),
        },
        Part::ToolCall(call) => Some(json!({"toolUse": {
            "toolUseId": call.id,
            "name": names.there(&call.name),
            "input": arguments(&call.arguments),
        }})),
        Part::ToolResult(result) => {
            let status = if result.is_error { "error" } else { "success" };
            let content = json!([{"text": result.content}]);
            Some(json!({"toolResult": {"toolUseId": result.id, "content": content, "status": status}}))
        }
        Part::Reasoning(thought) => {
            let opaque = thought.opaque.as_ref().filter(|opaque| opaque.provider == PROVIDER);
            opaque.map(|opaque| {
                json!({"reasoningContent": {"reasoningText": {"text": thought.text, "signature": opaque.data}}})
            })
        }
        _ => None,
    })
}

/// Reads the events of a conversation.
struct Events {
    names: Names,
    ending: Ending,
    /// Which call each block is that is one; or nothing, where it is the reply itself.
    blocks: HashMap<u32, Option<u32>>,
    calls: u32,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Event {
    content_block_index: u32,
    start: Start,
    delta: More,
    stop_reason: Option<String>,
    usage: Counted,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Start {
    tool_use: Option<Called>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Called {
    tool_use_id: String,
    name: String,
    input: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct More {
    text: Option<String>,
    tool_use: Option<Called>,
    reasoning_content: Option<Thought>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Thought {
    text: String,
    signature: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Counted {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
    cache_write_input_tokens: u64,
}

impl Reader for Events {
    fn read(&mut self, frame: &Frame, out: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        match frame.event.as_str() {
            "contentBlockStart" => {
                let event: Event = decode(frame)?;
                if let Some(call) = event.start.tool_use {
                    self.begin(event.content_block_index, &call, out);
                }
            }
            "contentBlockDelta" => {
                let event: Event = decode(frame)?;
                out.extend(event.delta.text.filter(|text| !text.is_empty()).map(Delta::text));
                if let Some(thought) = event.delta.reasoning_content {
                    let opaque = thought.signature.map(|data| Opaque { provider: PROVIDER.to_owned(), data });
                    out.push_back(Delta::Reasoning(Reasoning { text: thought.text, opaque }));
                }
                let arguments = event.delta.tool_use.map(|call| call.input).filter(|text| !text.is_empty());
                match (self.blocks.get(&event.content_block_index), arguments) {
                    (Some(Some(index)), Some(arguments)) => {
                        let piece = ToolCallPiece { index: *index, arguments, ..ToolCallPiece::default() };
                        out.push_back(Delta::ToolCall(piece));
                    }
                    (Some(None), Some(text)) => out.push_back(Delta::text(text)),
                    _ => {}
                }
            }
            "messageStop" => {
                let event: Event = decode(frame)?;
                self.ending.finish =
                    Some(finish_of(event.stop_reason.unwrap_or_else(|| "end_turn".to_owned()), self.calls));
            }
            "metadata" => {
                let counted = decode::<Event>(frame)?.usage;
                let (cached, written) = (counted.cache_read_input_tokens, counted.cache_write_input_tokens);
                self.ending.usage = Some(Usage {
                    input_tokens: counted.input_tokens.saturating_add(cached).saturating_add(written),
                    cached_input_tokens: cached,
                    cache_write_tokens: written,
                    output_tokens: counted.output_tokens,
                    reasoning_tokens: 0,
                });
            }
            event if event.to_ascii_lowercase().ends_with("exception") => {
                let mut error: Value = serde_json::from_slice(&frame.data).unwrap_or_default();
                if !error.is_object() {
                    error = json!({});
                }
                error["__type"] = event.into();
                return Err(refusal::in_stream(&error));
            }
            _ => {}
        }
        Ok(())
    }

    /// What was used comes after the reason.
    fn finish(&mut self, out: &mut VecDeque<Delta>) {
        self.ending.give(out);
    }
}

impl Events {
    fn begin(&mut self, place: u32, call: &Called, out: &mut VecDeque<Delta>) {
        if call.name == NAME {
            self.blocks.insert(place, None);
            return;
        }
        let (index, id) = (self.calls, call.tool_use_id.clone());
        self.calls = self.calls.saturating_add(1);
        self.blocks.insert(place, Some(index));
        let name = self.names.back(&call.name);
        out.push_back(Delta::ToolCall(ToolCallPiece { index, id, name, arguments: String::new() }));
    }
}
