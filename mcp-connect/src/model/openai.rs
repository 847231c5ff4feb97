//! OpenAI's chat completions, which many others serve as well.

use std::collections::VecDeque;

use mcp_core::model::delta::{Delta, FinishReason, ToolCallPiece};
use mcp_core::model::message::{Image, ImageSource, Message, Part, Reasoning, Role};
use mcp_core::model::request::{ToolChoice, ToolDefinition};
use mcp_core::model::usage::Usage;
use mcp_core::{ModelError, ModelRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::dialect::{Dialect, Ending, Reader, decode, is_strict};
use super::frames::Frame;
use super::names::Names;
use super::refusal;

/// Chat completions.
pub(super) struct OpenAi {
    /// What the most tokens of a reply are called: OpenAI has renamed it, and others have not.
    pub(super) most: &'static str,
    /// Where it is.
    pub(super) base_url: Option<&'static str>,
}

impl Dialect for OpenAi {
    fn base_url(&self) -> Option<&'static str> {
        self.base_url
    }

    fn path(&self, _model: &str) -> String {
        "/chat/completions".to_owned()
    }

    fn body(&self, model: &str, request: &ModelRequest, names: &Names) -> Result<Value, ModelError> {
        let messages: Vec<_> = request.messages.iter().flat_map(|message| encode(message, names)).collect();
        let mut body = json!({
            "model": model,
            "messages": messages,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        if !request.tools.is_empty() {
            body["tools"] = request.tools.iter().map(|tool| encode_tool(tool, names)).collect();
            match &request.tool_choice {
                ToolChoice::Auto => {}
                ToolChoice::None => body["tool_choice"] = "none".into(),
                ToolChoice::Required => body["tool_choice"] = "required".into(),
                ToolChoice::Tool(name) => {
                    body["tool_choice"] = json!({"type": "function", "function": {"name": names.there(name)}});
                }
            }
        }
        if let Some(output) = &request.output {
            let schema = Value::Object(output.schema.clone());
            let strict = is_strict(&schema);
            let format = json!({"name": output.name, "schema": schema, "strict": strict});
            body["response_format"] = json!({"type": "json_schema", "json_schema": format});
        }
        if let Some(most) = request.max_output_tokens {
            body[self.most] = most.into();
        }
        if let Some(temperature) = request.temperature {
            body["temperature"] = temperature.into();
        }
        if !request.stop.is_empty() {
            body["stop"] = json!(request.stop);
        }
        Ok(body)
    }

    fn reader(&self, names: Names) -> Box<dyn Reader> {
        Box::new(Chunks { names, ending: Ending::default(), calls: 0 })
    }
}

/// A function as OpenAI and Ollama are told of it.
pub(super) fn encode_tool(tool: &ToolDefinition, names: &Names) -> Value {
    json!({"type": "function", "function": {
        "name": names.there(&tool.name),
        "description": tool.description,
        "parameters": tool.input_schema,
    }})
}

/// One message; of tools, as many as there are results.
fn encode(message: &Message, names: &Names) -> Vec<Value> {
    match message.role {
        Role::System => vec![json!({"role": "system", "content": message.text()})],
        Role::User => {
            let content: Vec<_> = message.parts.iter().filter_map(encode_part).collect();
            let has_images = message.parts.iter().any(|part| matches!(part, Part::Image(_)));
            let content = if has_images { content.into() } else { Value::from(message.text()) };
            vec![json!({"role": "user", "content": content})]
        }
        Role::Assistant => {
            let (text, mut said) = (message.text(), json!({"role": "assistant"}));
            let calls: Vec<_> = message
                .tool_calls()
                .map(|call| {
                    let function = json!({"name": names.there(&call.name), "arguments": call.arguments});
                    json!({"id": call.id, "type": "function", "function": function})
                })
                .collect();
            said["content"] = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.into() };
            if !calls.is_empty() {
                said["tool_calls"] = calls.into();
            }
            vec![said]
        }
        Role::Tool => results(message)
            .map(|(id, content)| json!({"role": "tool", "tool_call_id": id, "content": content}))
            .collect(),
    }
}

fn encode_part(part: &Part) -> Option<Value> {
    match part {
        Part::Text { text } => Some(json!({"type": "text", "text": text})),
        Part::Image(image) => Some(json!({"type": "image_url", "image_url": {"url": url_of(image)}})),
        _ => None,
    }
}

/// The address of a picture; one that is here has all of itself in it.
pub(super) fn url_of(image: &Image) -> String {
    match &image.source {
        ImageSource::Url(url) => url.clone(),
        ImageSource::Data(data) => format!("data:{};base64,{data}", image.media_type),
    }
}

/// The results in a message, for providers that have no place for whether a call has failed.
pub(super) fn results(message: &Message) -> impl Iterator<Item = (&str, String)> {
    message.parts.iter().filter_map(|part| match part {
        Part::ToolResult(result) if result.is_error => Some((&*result.id, format!("Error: {}", result.content))),
        Part::ToolResult(result) => Some((&*result.id, result.content.clone())),
        _ => None,
    })
}

/// Reads `chat.completion.chunk`s.
struct Chunks {
    names: Names,
    ending: Ending,
    /// How many calls have begun.
    calls: u32,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Counted>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    reasoning_content: Option<String>,
    /// The same, as others call it.
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Called>>,
}

#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: CalledFunction,
}

#[derive(Default, Deserialize)]
struct CalledFunction {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Option<CountedInput>,
    #[serde(default)]
    completion_tokens_details: Option<CountedOutput>,
}

/// Of what goes in; both of OpenAI's APIs tell it so.
#[derive(Deserialize)]
pub(super) struct CountedInput {
    #[serde(default)]
    pub(super) cached_tokens: Option<u64>,
}

/// Of what comes out.
#[derive(Deserialize)]
pub(super) struct CountedOutput {
    #[serde(default)]
    pub(super) reasoning_tokens: Option<u64>,
}

impl Reader for Chunks {
    fn read(&mut self, frame: &Frame, out: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        if frame.data == b"[DONE]" {
            self.finish(out);
            return Ok(());
        }
        let chunk: Chunk = decode(frame)?;
        if let Some(error) = chunk.error {
            return Err(refusal::in_stream(&json!({ "error": error })));
        }
        self.ending.model = self.ending.model.take().or(chunk.model);
        if let Some(counted) = chunk.usage {
            self.ending.usage = Some(counted.into());
        }
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        let said = choice.delta;
        if let Some(text) = said.reasoning_content.or(said.reasoning).filter(|text| !text.is_empty()) {
            out.push_back(Delta::Reasoning(Reasoning { text, opaque: None }));
        }
        for text in [said.content, said.refusal].into_iter().flatten().filter(|text| !text.is_empty()) {
            out.push_back(Delta::Text { text });
        }
        for call in said.tool_calls.unwrap_or_default() {
            out.push_back(self.call(call));
        }
        if let Some(reason) = choice.finish_reason {
            self.ending.finish = Some(match reason.as_str() {
                "stop" if self.calls > 0 => FinishReason::ToolCalls,
                "stop" => FinishReason::Stop,
                "length" => FinishReason::Length,
                "tool_calls" | "function_call" => FinishReason::ToolCalls,
                "content_filter" => FinishReason::ContentFilter,
                _ => FinishReason::Other(reason),
            });
        }
        Ok(())
    }

    /// Some that are compatible send no word at the end, and usage comes after the reason.
    fn finish(&mut self, out: &mut VecDeque<Delta>) {
        self.ending.give(out);
    }
}

impl Chunks {
    fn call(&mut self, call: Called) -> Delta {
        let name = call.function.name.filter(|name| !name.is_empty()).map(|name| self.names.back(&name));
        // Where calls have no places, a name begins the next one.
        let index =
            call.index.unwrap_or_else(|| if name.is_some() { self.calls } else { self.calls.saturating_sub(1) });
        self.calls = self.calls.max(index.saturating_add(1));
        Delta::ToolCall(ToolCallPiece {
            index,
            id: call.id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            arguments: call.function.arguments.unwrap_or_default(),
        })
    }
}

impl From<Counted> for Usage {
    fn from(counted: Counted) -> Self {
        Self {
            input_tokens: counted.prompt_tokens,
            output_tokens: counted.completion_tokens,
            cached_input_tokens: counted
                .prompt_tokens_details
                .and_then(|input| input.cached_tokens)
                .unwrap_or_default(),
            reasoning_tokens: counted.completion_tokens_details.and_then(|of| of.reasoning_tokens).unwrap_or_default(),
            cache_write_tokens: 0,
        }
    }
}
