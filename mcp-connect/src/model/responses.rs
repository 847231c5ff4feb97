//! OpenAI's responses. Nothing is kept at the provider: the whole conversation is sent each time.

use std::collections::{HashMap, VecDeque};

use mcp_core::model::delta::{Delta, End, FinishReason, ToolCallPiece};
use mcp_core::model::message::{Message, Opaque, Part, Reasoning, Role};
use mcp_core::model::request::ToolChoice;
use mcp_core::model::usage::Usage;
use mcp_core::{ModelError, ModelRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::dialect::{Dialect, Reader, cannot, decode, is_strict};
use super::frames::Frame;
use super::names::Names;
use super::openai::{CountedInput, CountedOutput, results, url_of};
use super::refusal;

/// Responses.
pub(super) struct Responses;

/// Whose reasoning it is.
const PROVIDER: &str = "openai_responses";

impl Dialect for Responses {
    fn base_url(&self) -> Option<&'static str> {
        Some("https://api.openai.com/v1")
    }

    fn path(&self, _model: &str) -> String {
        "/responses".to_owned()
    }

    fn body(&self, model: &str, request: &ModelRequest, names: &Names) -> Result<Value, ModelError> {
        let input: Vec<_> = request.messages.iter().flat_map(|message| encode(message, names)).collect();
        let mut body = json!({"model": model, "input": input, "stream": true, "store": false});
        if !request.tools.is_empty() {
            let tool = |tool: &mcp_core::model::request::ToolDefinition| {
                json!({
                    "type": "function",
                    "name": names.there(&tool.name),
                    "description": tool.description,
                    "parameters": tool.input_schema,
                    "strict": false,
                })
            };
            body["tools"] = request.tools.iter().map(tool).collect();
            match &request.tool_choice {
                ToolChoice::Auto => {}
                ToolChoice::None => body["tool_choice"] = "none".into(),
                ToolChoice::Required => body["tool_choice"] = "required".into(),
                ToolChoice::Tool(name) => body["tool_choice"] = json!({"type": "function", "name": names.there(name)}),
            }
        }
        if let Some(output) = &request.output {
            let schema = Value::Object(output.schema.clone());
            let strict = is_strict(&schema);
            let format = json!({"type": "json_schema", "name": output.name, "schema": schema, "strict": strict});
            body["text"] = json!({ "format": format });
        }
        if let Some(most) = request.max_output_tokens {
            body["max_output_tokens"] = most.into();
        }
        if let Some(temperature) = request.temperature {
            body["temperature"] = temperature.into();
        }
        if !request.stop.is_empty() {
            return Err(cannot("has no texts before which a reply ends; leave out `stop`"));
        }
        Ok(body)
    }

    fn reader(&self, names: Names) -> Box<dyn Reader> {
        Box::new(Events { names, calls: HashMap::new() })
    }
}

/// The items of a message.
fn encode(message: &Message, names: &Names) -> Vec<Value> {
    match message.role {
        Role::System => vec![json!({"role": "system", "content": message.text()})],
        Role::Tool => results(message)
            .map(|(id, output)| json!({"type": "function_call_output", "call_id": id, "output": output}))
            .collect(),
        Role::User => {
            let part = |part: &Part| match part {
                Part::Text { text } => Some(json!({"type": "input_text", "text": text})),
                Part::Image(image) => Some(json!({"type": "input_image", "image_url": url_of(image)})),
                _ => None,
            };
            let content: Vec<_> = message.parts.iter().filter_map(part).collect();
            vec![json!({"role": "user", "content": content})]
        }
        Role::Assistant => message.parts.iter().filter_map(|part| encode_said(part, names)).collect(),
    }
}

fn encode_said(part: &Part, names: &Names) -> Option<Value> {
    match part {
        Part::Text { text } => Some(json!({"role": "assistant", "content": [{"type": "output_text", "text": text}]})),
        Part::ToolCall(call) => Some(json!({
            "type": "function_call",
            "call_id": call.id,
            "name": names.there(&call.name),
            "arguments": call.arguments,
        })),
        // The item goes back as it came.
        Part::Reasoning(Reasoning { opaque: Some(opaque), .. }) if opaque.provider == PROVIDER => {
            serde_json::from_str(&opaque.data).ok()
        }
        _ => None,
    }
}

/// Reads the events of a response.
struct Events {
    names: Names,
    /// Which of the calls each item is, and whether its arguments have begun.
    calls: HashMap<u32, (u32, bool)>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    output_index: u32,
    #[serde(default)]
    delta: Option<String>,
    #[serde(default)]
    item: Option<Value>,
    #[serde(default)]
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<Counted>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Incomplete {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    input_tokens_details: Option<CountedInput>,
    #[serde(default)]
    output_tokens_details: Option<CountedOutput>,
}

impl Reader for Events {
    fn read(&mut self, frame: &Frame, out: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        if frame.data == b"[DONE]" {
            return Ok(());
        }
        let event: Event = decode(frame)?;
        match event.kind.as_str() {
            "response.output_text.delta" | "response.refusal.delta" => out.extend(event.delta.map(Delta::text)),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let thought = |text| Delta::Reasoning(Reasoning { text, opaque: None });
                out.extend(event.delta.map(thought));
            }
            "response.output_item.added" => {
                if let Some(item) = event.item.filter(|item| item["type"] == "function_call") {
                    out.push_back(self.begin(event.output_index, &item));
                }
            }
            "response.function_call_arguments.delta" => {
                let (Some((index, begun)), Some(arguments)) = (self.calls.get_mut(&event.output_index), event.delta)
                else {
                    return Ok(());
                };
                *begun = true;
                out.push_back(Delta::ToolCall(ToolCallPiece { index: *index, arguments, ..ToolCallPiece::default() }));
            }
            "response.output_item.done" => {
                if let Some(item) = event.item {
                    self.end(event.output_index, &item, out);
                }
            }
            "response.completed" => {
                let finish = if self.calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
                out.push_back(end(finish, event.response));
            }
            "response.incomplete" => {
                let reason = event.response.as_ref().and_then(|response| response.incomplete_details.as_ref());
                let finish = match reason.map(|incomplete| incomplete.reason.as_str()) {
                    Some("max_output_tokens") => FinishReason::Length,
                    Some("content_filter") => FinishReason::ContentFilter,
                    other => FinishReason::Other(other.unwrap_or("incomplete").to_owned()),
                };
                out.push_back(end(finish, event.response));
            }
            "response.failed" => {
                let error = event.response.and_then(|response| response.error).unwrap_or_default();
                return Err(refusal::in_stream(&json!({ "error": error })));
            }
            "error" => return Err(refusal::in_stream(&decode(frame)?)),
            // Of the many others each says again what these do, or how far it has come.
            _ => {}
        }
        Ok(())
    }
}

impl Events {
    fn begin(&mut self, place: u32, item: &Value) -> Delta {
        let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let arguments = text("arguments");
        self.calls.insert(place, (index, !arguments.is_empty()));
        Delta::ToolCall(ToolCallPiece { index, id: text("call_id"), name: self.names.back(&text("name")), arguments })
    }

    /// What an item has at its end that has not come in pieces.
    fn end(&mut self, place: u32, item: &Value, out: &mut VecDeque<Delta>) {
        match item["type"].as_str() {
            Some("reasoning") if item["encrypted_content"].is_string() => {
                let opaque = Opaque { provider: PROVIDER.to_owned(), data: item.to_string() };
                out.push_back(Delta::Reasoning(Reasoning { text: String::new(), opaque: Some(opaque) }));
            }
            Some("function_call") => match self.calls.get(&place) {
                Some((_, true)) => {}
                Some((index, false)) => {
                    let arguments = item["arguments"].as_str().unwrap_or_default().to_owned();
                    out.push_back(Delta::ToolCall(ToolCallPiece {
                        index: *index,
                        arguments,
                        ..ToolCallPiece::default()
                    }));
                }
                None => out.push_back(self.begin(place, item)),
            },
            _ => {}
        }
    }
}

fn end(finish: FinishReason, response: Option<Response>) -> Delta {
    let (usage, model) = response.map(|response| (response.usage, response.model)).unwrap_or_default();
    let usage = usage.map(|counted| Usage {
        input_tokens: counted.input_tokens,
        output_tokens: counted.output_tokens,
        cached_input_tokens: counted.input_tokens_details.and_then(|input| input.cached_tokens).unwrap_or_default(),
        reasoning_tokens: counted.output_tokens_details.and_then(|of| of.reasoning_tokens).unwrap_or_default(),
        cache_write_tokens: 0,
    });
    Delta::End(End { finish, usage, cost: None, model })
}
