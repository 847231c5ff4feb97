//! Google's Gemini.

use std::collections::{HashMap, VecDeque};

use mcp_core::model::delta::{Delta, FinishReason, ToolCallPiece};
use mcp_core::model::message::{ImageSource, Message, Opaque, Part, Reasoning, Role};
use mcp_core::model::request::{ToolChoice, ToolDefinition};
use mcp_core::model::usage::Usage;
use mcp_core::{ModelError, ModelRequest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::anthropic::system;
use super::dialect::{Dialect, Ending, Reader, arguments, decode, segment};
use super::frames::Frame;
use super::names::Names;
use super::refusal;

/// `streamGenerateContent`.
pub(super) struct Gemini;

/// Whose reasoning it is.
const PROVIDER: &str = "gemini";

impl Dialect for Gemini {
    fn base_url(&self) -> Option<&'static str> {
        Some("https://generativelanguage.googleapis.com/v1beta")
    }

    fn path(&self, model: &str) -> String {
        format!("/models/{}:streamGenerateContent?alt=sse", segment(model))
    }

    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("x-goog-api-key", key.to_owned())
    }

    fn body(&self, _model: &str, request: &ModelRequest, names: &Names) -> Result<Value, ModelError> {
        // A result names its tool, and not its call.
        let calls = request.messages.iter().flat_map(|message| message.tool_calls());
        let called: HashMap<&str, &str> = calls.map(|call| (&*call.id, &*call.name)).collect();
        let contents: Vec<_> = request.messages.iter().filter_map(|message| encode(message, &called, names)).collect();
        let mut body = json!({ "contents": contents });
        let system = system(request);
        if !system.is_empty() {
            body["systemInstruction"] = json!({"parts": [{"text": system}]});
        }
        if !request.tools.is_empty() {
            let tool = |tool: &ToolDefinition| {
                json!({
                    "name": names.there(&tool.name),
                    "description": tool.description,
                    "parametersJsonSchema": tool.input_schema,
                })
            };
            let tools: Vec<_> = request.tools.iter().map(tool).collect();
            body["tools"] = json!([{ "functionDeclarations": tools }]);
            let config = match &request.tool_choice {
                ToolChoice::Auto => json!({"mode": "AUTO"}),
                ToolChoice::None => json!({"mode": "NONE"}),
                ToolChoice::Required => json!({"mode": "ANY"}),
                ToolChoice::Tool(name) => json!({"mode": "ANY", "allowedFunctionNames": [names.there(name)]}),
            };
            body["toolConfig"] = json!({ "functionCallingConfig": config });
        }
        let mut config = Map::new();
        if let Some(output) = &request.output {
            config.insert("responseMimeType".to_owned(), "application/json".into());
            config.insert("responseJsonSchema".to_owned(), output.schema.clone().into());
        }
        if let Some(most) = request.max_output_tokens {
            config.insert("maxOutputTokens".to_owned(), most.into());
        }
        if let Some(temperature) = request.temperature {
            config.insert("temperature".to_owned(), temperature.into());
        }
        if !request.stop.is_empty() {
            config.insert("stopSequences".to_owned(), json!(request.stop));
        }
        if !config.is_empty() {
            body["generationConfig"] = config.into();
        }
        Ok(body)
    }

    fn reader(&self, names: Names) -> Box<dyn Reader> {
        Box::new(Chunks { names, calls: 0, ending: Ending::default() })
    }
}

fn encode(message: &Message, called: &HashMap<&str, &str>, names: &Names) -> Option<Value> {
    let role = match message.role {
        Role::System => return None,
        Role::User | Role::Tool => "user",
        Role::Assistant => "model",
    };
    // A signature belongs to the part that follows it.
    let (mut parts, mut signature) = (Vec::new(), None);
    for part in &message.parts {
        if let Part::Reasoning(thought) = part {
            signature = thought.opaque.as_ref().filter(|opaque| opaque.provider == PROVIDER).map(|opaque| &opaque.data);
        } else if let Some(mut part) = encode_part(part, called, names) {
            if let Some(signature) = signature.take() {
                part["thoughtSignature"] = signature.as_str().into();
            }
            parts.push(part);
        }
    }
    (!parts.is_empty()).then(|| json!({"role": role, "parts": parts}))
}

fn encode_part(part: &Part, called: &HashMap<&str, &str>, names: &Names) -> Option<Value> {
    match part {
        Part::Text { text } => Some(json!({ "text": text })),
        Part::Image(image) => Some(match &image.source {
            ImageSource::Data(data) => json!({"inlineData": {"mimeType": image.media_type, "data": data}}),
            ImageSource::Url(url) => json!({"fileData": {"mimeType": image.media_type, "fileUri": url}}),
        }),
        Part::ToolCall(call) => {
            Some(json!({"functionCall": {"name": names.there(&call.name), "args": arguments(&call.arguments)}}))
        }
        Part::ToolResult(result) => {
            let name = called.get(&*result.id).copied().unwrap_or_default();
            let key = if result.is_error { "error" } else { "result" };
            let response = Map::from_iter([(key.to_owned(), result.content.clone().into())]);
            Some(json!({"functionResponse": {"name": names.there(name), "response": response}}))
        }
        _ => None,
    }
}

/// Reads `GenerateContentResponse`s.
struct Chunks {
    names: Names,
    ending: Ending,
    calls: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    #[serde(default)]
    candidates: Vec<Candidate>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
    #[serde(default)]
    usage_metadata: Option<Counted>,
    #[serde(default)]
    model_version: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    content: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    parts: Vec<SaidPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SaidPart {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thought: bool,
    #[serde(default)]
    thought_signature: Option<String>,
    #[serde(default)]
    function_call: Option<Called>,
}

#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Counted {
    prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    cached_content_token_count: u64,
}

impl Reader for Chunks {
    fn read(&mut self, frame: &Frame, out: &mut VecDeque<Delta>) -> Result<(), ModelError> {
        let chunk: Chunk = decode(frame)?;
        if let Some(error) = chunk.error {
            return Err(refusal::in_stream(&json!({ "error": error })));
        }
        if let Some(reason) = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason) {
            return Err(ModelError::Refused {
                message: format!("the provider does not let the request through: {reason}"),
            });
        }
        self.ending.model = self.ending.model.take().or(chunk.model_version);
        if let Some(counted) = chunk.usage_metadata {
            self.ending.usage = Some(Usage {
                input_tokens: counted.prompt_token_count,
                cached_input_tokens: counted.cached_content_token_count,
                output_tokens: counted.candidates_token_count.saturating_add(counted.thoughts_token_count),
                reasoning_tokens: counted.thoughts_token_count,
                cache_write_tokens: 0,
            });
        }
        let Some(candidate) = chunk.candidates.into_iter().next() else { return Ok(()) };
        for part in candidate.content.parts {
            self.part(part, out);
        }
        if let Some(reason) = candidate.finish_reason {
            self.ending.finish = Some(match reason.as_str() {
                "STOP" | "FUNCTION_CALL" if self.calls > 0 => FinishReason::ToolCalls,
                "STOP" => FinishReason::Stop,
                "MAX_TOKENS" => FinishReason::Length,
                "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => FinishReason::ContentFilter,
                _ => FinishReason::Other(reason),
            });
        }
        Ok(())
    }

    /// There is no word for the end, but a reason before it.
    fn finish(&mut self, out: &mut VecDeque<Delta>) {
        self.ending.give(out);
    }
}

impl Chunks {
    fn part(&mut self, part: SaidPart, out: &mut VecDeque<Delta>) {
        let opaque = part.thought_signature.map(|data| Opaque { provider: PROVIDER.to_owned(), data });
        let (thought, text) = if part.thought { (part.text, None) } else { (None, part.text) };
        if opaque.is_some() || thought.is_some() {
            out.push_back(Delta::Reasoning(Reasoning { text: thought.unwrap_or_default(), opaque }));
        }
        out.extend(text.filter(|text| !text.is_empty()).map(Delta::text));
        if let Some(call) = part.function_call {
            let arguments = call.args.map_or_else(|| "{}".to_owned(), |args| args.to_string());
            let (index, name) = (self.calls, self.names.back(&call.name));
            self.calls = self.calls.saturating_add(1);
            out.push_back(Delta::ToolCall(ToolCallPiece { index, id: call.id, name, arguments }));
        }
    }
}
