//! What providers are sent, and what is read of what they answer.

mod exchange;

use std::collections::VecDeque;

use mcp_core::model::message::{Image, Message, Opaque, Part, Reasoning, Role, ToolCall, ToolResult};
use mcp_core::model::reply::{Draft, Reply};
use mcp_core::model::request::{OutputSchema, ToolChoice, ToolDefinition};
use mcp_core::{ModelError, ModelRequest};
use serde_json::{Map, Value, json};

use super::frames::Decoder;
use super::kind::ProviderKind;
use super::names::Names;
use super::structured::NAME;

/// A conversation with everything in it.
fn conversation() -> ModelRequest {
    let call = ToolCall { id: "c1".to_owned(), name: "agent.x".to_owned(), arguments: "{\"a\": 1}".to_owned() };
    let thought = |provider: &str, data: &str| {
        let opaque = Opaque { provider: provider.to_owned(), data: data.to_owned() };
        Part::Reasoning(Reasoning { text: "so".to_owned(), opaque: Some(opaque) })
    };
    let thoughts = [
        thought("anthropic", r#"{"signature":"s1"}"#),
        thought("openai_responses", r#"{"type":"reasoning","id":"r1","summary":[],"encrypted_content":"e1"}"#),
        thought("bedrock", "s2"),
        thought("gemini", "s3"),
    ];
    let mut parts = thoughts.to_vec();
    parts.push(Part::ToolCall(call));
    let results = [false, true].map(|is_error| ToolResult { id: "c1".to_owned(), content: "3".to_owned(), is_error });
    ModelRequest::new([
        Message::system("Be brief."),
        Message::user("See").with(Part::Image(Image::bytes("image/png", [1, 2, 3]))),
        Message { role: Role::Assistant, parts },
        Message::results(results),
        Message::assistant("Three."),
        Message::user("Sure?"),
    ])
    .tools([tool("agent.x"), tool("agent_x")])
    .max_output_tokens(9)
    .temperature(0.5)
}

fn tool(name: &str) -> ToolDefinition {
    ToolDefinition { name: name.to_owned(), description: "Does.".to_owned(), input_schema: object() }
}

fn object() -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), "object".into())])
}

fn body(kind: ProviderKind, request: &ModelRequest) -> Value {
    kind.dialect().body("m", request, &Names::of(request)).unwrap()
}

/// What the tool with a dot in its name is called.
fn renamed() -> String {
    Names::of(&conversation()).there("agent.x")
}

#[test]
fn chat_completions_are_asked_so() {
    let x = renamed();
    let function = |name: &str| json!({"type": "function", "function": {"name": name, "description": "Does.", "parameters": {"type": "object"}}});
    let expected = |most: &str| {
        json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQID"}}]},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": x, "arguments": "{\"a\": 1}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "3"},
                {"role": "tool", "tool_call_id": "c1", "content": "Error: 3"},
                {"role": "assistant", "content": "Three."},
                {"role": "user", "content": "Sure?"},
            ],
            "tools": [function(&x), function("agent_x")],
            most: 9,
            "temperature": 0.5,
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    };
    assert_eq!(body(ProviderKind::OpenAi, &conversation()), expected("max_completion_tokens"));
    assert_eq!(body(ProviderKind::OpenAiCompatible, &conversation()), expected("max_tokens"));
}

#[test]
fn responses_are_asked_so() {
    let x = renamed();
    let function = |name: &str| json!({"type": "function", "name": name, "description": "Does.", "parameters": {"type": "object"}, "strict": false});
    assert_eq!(
        body(ProviderKind::OpenAiResponses, &conversation()),
        json!({
            "model": "m",
            "input": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": "data:image/png;base64,AQID"}]},
                {"type": "reasoning", "id": "r1", "summary": [], "encrypted_content": "e1"},
                {"type": "function_call", "call_id": "c1", "name": x, "arguments": "{\"a\": 1}"},
                {"type": "function_call_output", "call_id": "c1", "output": "3"},
                {"type": "function_call_output", "call_id": "c1", "output": "Error: 3"},
                {"role": "assistant", "content": [{"type": "output_text", "text": "Three."}]},
                {"role": "user", "content": [{"type": "input_text", "text": "Sure?"}]},
            ],
            "tools": [function(&x), function("agent_x")],
            "max_output_tokens": 9,
            "temperature": 0.5,
            "stream": true,
            "store": false,
        })
    );
}

#[test]
fn anthropic_is_asked_so() {
    let x = renamed();
    let offered = |name: &str| json!({"name": name, "description": "Does.", "input_schema": {"type": "object"}});
    assert_eq!(
        body(ProviderKind::Anthropic, &conversation()),
        json!({
            "model": "m",
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AQID"}}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "so", "signature": "s1"},
                    {"type": "tool_use", "id": "c1", "name": x, "input": {"a": 1}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "3", "is_error": false},
                    {"type": "tool_result", "tool_use_id": "c1", "content": "3", "is_error": true},
                ]},
                {"role": "assistant", "content": [{"type": "text", "text": "Three."}]},
                {"role": "user", "content": [{"type": "text", "text": "Sure?"}]},
            ],
            "tools": [offered(&x), offered("agent_x")],
            "tool_choice": {"type": "auto"},
            "max_tokens": 9,
            "temperature": 0.5,
            "stream": true,
        })
    );
}

#[test]
fn gemini_is_asked_so() {
    let x = renamed();
    let offered =
        |name: &str| json!({"name": name, "description": "Does.", "parametersJsonSchema": {"type": "object"}});
    assert_eq!(
        body(ProviderKind::Gemini, &conversation()),
        json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "See"}, {"inlineData": {"mimeType": "image/png", "data": "AQID"}}]},
                {"role": "model", "parts": [{"functionCall": {"name": x, "args": {"a": 1}}, "thoughtSignature": "s3"}]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": x, "response": {"result": "3"}}},
                    {"functionResponse": {"name": x, "response": {"error": "3"}}},
                ]},
                {"role": "model", "parts": [{"text": "Three."}]},
                {"role": "user", "parts": [{"text": "Sure?"}]},
            ],
            "tools": [{"functionDeclarations": [offered(&x), offered("agent_x")]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
            "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5},
        })
    );
}

#[test]
fn ollama_is_asked_so() {
    let x = renamed();
    let function = |name: &str| json!({"type": "function", "function": {"name": name, "description": "Does.", "parameters": {"type": "object"}}});
    assert_eq!(
        body(ProviderKind::Ollama, &conversation()),
        json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "See", "images": ["AQID"]},
                {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": x, "arguments": {"a": 1}}}]},
                {"role": "tool", "tool_name": x, "content": "3"},
                {"role": "tool", "tool_name": x, "content": "Error: 3"},
                {"role": "assistant", "content": "Three."},
                {"role": "user", "content": "Sure?"},
            ],
            "tools": [function(&x), function("agent_x")],
            "options": {"num_predict": 9, "temperature": 0.5},
            "stream": true,
        })
    );
}

#[test]
fn bedrock_is_asked_so() {
    let x = renamed();
    let offered = |name: &str| json!({"toolSpec": {"name": name, "description": "Does.", "inputSchema": {"json": {"type": "object"}}}});
    let result =
        |status: &str| json!({"toolResult": {"toolUseId": "c1", "content": [{"text": "3"}], "status": status}});
    assert_eq!(
        body(ProviderKind::Bedrock, &conversation()),
        json!({
            "system": [{"text": "Be brief."}],
            "messages": [
                {"role": "user", "content": [{"text": "See"}, {"image": {"format": "png", "source": {"bytes": "AQID"}}}]},
                {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": "so", "signature": "s2"}}},
                    {"toolUse": {"toolUseId": "c1", "name": x, "input": {"a": 1}}},
                ]},
                {"role": "user", "content": [result("success"), result("error")]},
                {"role": "assistant", "content": [{"text": "Three."}]},
                {"role": "user", "content": [{"text": "Sure?"}]},
            ],
            "toolConfig": {"tools": [offered(&x), offered("agent_x")]},
            "inferenceConfig": {"maxTokens": 9, "temperature": 0.5},
        })
    );
}

#[test]
fn each_provider_is_told_which_tool_must_be_called_or_says_that_it_cannot() {
    let request = |choice| conversation().tool_choice(choice);
    let x = renamed();
    for (kind, place, required, this) in [
        (ProviderKind::OpenAi, "/tool_choice", json!("required"), json!({"type": "function", "function": {"name": x}})),
        (ProviderKind::OpenAiResponses, "/tool_choice", json!("required"), json!({"type": "function", "name": x})),
        (ProviderKind::Anthropic, "/tool_choice", json!({"type": "any"}), json!({"type": "tool", "name": x})),
        (
            ProviderKind::Gemini,
            "/toolConfig/functionCallingConfig",
            json!({"mode": "ANY"}),
            json!({"mode": "ANY", "allowedFunctionNames": [x]}),
        ),
        (ProviderKind::Bedrock, "/toolConfig/toolChoice", json!({"any": {}}), json!({"tool": {"name": x}})),
    ] {
        let choice_of = |choice| body(kind, &request(choice)).pointer(place).cloned();
        assert_eq!(choice_of(ToolChoice::Required), Some(required), "{kind}");
        assert_eq!(choice_of(ToolChoice::Tool("agent.x".to_owned())), Some(this), "{kind}");
    }
    let request = request(ToolChoice::Required);
    let refused = ProviderKind::Ollama.dialect().body("m", &request, &Names::of(&request));
    assert!(matches!(refused, Err(ModelError::BadRequest { .. })));
}

#[test]
fn each_provider_is_told_what_the_reply_is_to_be() {
    let output = OutputSchema { name: "sum".to_owned(), schema: object() };
    let request = ModelRequest::new([Message::user("?")]).output(output);
    for (kind, place, expected) in [
        (ProviderKind::OpenAi, "/response_format/json_schema/schema", json!({"type": "object"})),
        (ProviderKind::OpenAiResponses, "/text/format/schema", json!({"type": "object"})),
        (ProviderKind::Anthropic, "/tool_choice", json!({"type": "tool", "name": NAME})),
        (ProviderKind::Gemini, "/generationConfig/responseJsonSchema", json!({"type": "object"})),
        (ProviderKind::Ollama, "/format", json!({"type": "object"})),
        (ProviderKind::Bedrock, "/toolConfig/toolChoice", json!({"tool": {"name": NAME}})),
    ] {
        assert_eq!(body(kind, &request).pointer(place), Some(&expected), "{kind}");
    }
    // Where other tools may be called first, one of them all must be.
    let with_tools = request.tools([tool("add")]);
    assert_eq!(body(ProviderKind::Anthropic, &with_tools)["tool_choice"], json!({"type": "any"}));
    assert_eq!(body(ProviderKind::Bedrock, &with_tools)["toolConfig"]["toolChoice"], json!({"any": {}}));
}

/// What becomes of an answer, to a request that offers both tools.
fn reply(kind: ProviderKind, answer: &str) -> Result<Reply, ModelError> {
    let dialect = kind.dialect();
    let (mut decoder, mut frames, mut deltas) = (Decoder::new(dialect.framing()), VecDeque::new(), VecDeque::new());
    let mut reader = dialect.reader(Names::of(&conversation()));
    decoder.push(answer.as_bytes(), &mut frames)?;
    decoder.finish(&mut frames)?;
    frames.iter().try_for_each(|frame| reader.read(frame, &mut deltas))?;
    reader.finish(&mut deltas);
    let mut draft = Draft::default();
    deltas.into_iter().try_for_each(|delta| draft.push(delta))?;
    draft.finish()
}

/// Events of which each is JSON.
fn events(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

fn called(reply: &Reply) -> Vec<(&str, &str, &str)> {
    reply.message.tool_calls().map(|call| (&*call.id, &*call.name, &*call.arguments)).collect()
}

#[test]
fn chat_completions_are_read() {
    let x = renamed();
    let delta = |delta: Value| json!({"model": "m-1", "choices": [{"index": 0, "delta": delta}]});
    let answer = events(&[
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"reasoning_content": "hm"})),
        delta(json!({"content": "Hel"})),
        delta(json!({"content": "lo"})),
        // Several calls in one piece, as some send them.
        delta(json!({"tool_calls": [
            {"index": 0, "id": "a", "type": "function", "function": {"name": x, "arguments": ""}},
            {"index": 1, "id": "b", "type": "function", "function": {"name": "agent_x", "arguments": "{}"}},
        ]})),
        delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\""}}]})),
        delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1.0}"}}]})),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 1}}}),
    ]);
    // Some have no word at the end.
    for end in ["", "data: [DONE]\n\n"] {
        let reply = reply(ProviderKind::OpenAi, &format!("{answer}{end}")).unwrap();
        assert_eq!(reply.message.text(), "Hello");
        assert_eq!(called(&reply), [("a", "agent.x", "{\"a\":1.0}"), ("b", "agent_x", "{}")]);
        assert_eq!(
            serde_json::to_value(&reply.end).unwrap(),
            json!({
                "finish": "tool_calls",
                "usage": {"input_tokens": 7, "cached_input_tokens": 2, "output_tokens": 3, "reasoning_tokens": 1},
                "model": "m-1",
            })
        );
    }
}

#[test]
fn a_call_whose_place_is_huge_takes_no_memory_and_places_may_be_missing() {
    let delta = |calls: Value| json!({"choices": [{"delta": {"tool_calls": calls}}]});
    let end = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    let huge = delta(json!([{"index": u32::MAX, "id": "a", "function": {"name": "add", "arguments": "{}"}}]));
    let huge = reply(ProviderKind::OpenAi, &events(&[huge, end.clone()])).unwrap();
    assert_eq!(called(&huge), [("a", "add", "{}")]);
    let without = [
        delta(json!([{"id": "a", "function": {"name": "add", "arguments": "{"}}])),
        delta(json!([{"function": {"arguments": "}"}}])),
        delta(json!([{"id": "b", "function": {"name": "mul", "arguments": "[]"}}])),
        end,
    ];
    let without = reply(ProviderKind::OpenAi, &events(&without)).unwrap();
    assert_eq!(called(&without), [("a", "add", "{}"), ("b", "mul", "[]")]);
}

#[test]
fn responses_are_read() {
    let x = renamed();
    let item = json!({"type": "reasoning", "id": "r1", "summary": [], "encrypted_content": "e1"});
    let answer = [
        json!({"type": "response.created", "response": {"id": "1", "model": "m-1"}}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "hm"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message"}}),
        json!({"type": "response.output_text.delta", "output_index": 1, "delta": "Hello"}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call", "call_id": "a", "name": x, "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{\"a\""}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": ":1}"}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": {"type": "function_call", "call_id": "a", "name": x, "arguments": "{\"a\":1}"}}),
        json!({"type": "response.output_item.added", "output_index": 3, "item": {"type": "function_call", "call_id": "b", "name": "agent_x"}}),
        json!({"type": "response.output_item.done", "output_index": 3, "item": {"type": "function_call", "call_id": "b", "name": "agent_x", "arguments": "{}"}}),
        json!({"type": "response.completed", "response": {"model": "m-1", "usage": {"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 2}}}}),
    ];
    let whole = reply(ProviderKind::OpenAiResponses, &events(&answer)).unwrap();
    assert_eq!(whole.message.text(), "Hello");
    assert_eq!(called(&whole), [("a", "agent.x", "{\"a\":1}"), ("b", "agent_x", "{}")]);
    let opaque = Opaque { provider: "openai_responses".to_owned(), data: item.to_string() };
    assert_eq!(whole.message.parts[0], Part::Reasoning(Reasoning { text: "hm".to_owned(), opaque: Some(opaque) }));
    assert_eq!(whole.end.usage.unwrap().cached_input_tokens, 2);

    let incomplete =
        json!({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}});
    let short = reply(ProviderKind::OpenAiResponses, &events(&[answer[4].clone(), incomplete])).unwrap();
    assert_eq!(serde_json::to_value(&short.end.finish).unwrap(), "length");
    let failed =
        json!({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "slowly"}}});
    let failed = reply(ProviderKind::OpenAiResponses, &events(&[failed]));
    assert!(matches!(failed, Err(ModelError::RateLimited { .. })), "{failed:?}");
}

#[test]
fn anthropic_is_read() {
    let x = renamed();
    let answer = [
        json!({"type": "message_start", "message": {"model": "m-1", "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s1"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "a", "name": x, "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"a\""}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ":1}"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let whole = reply(ProviderKind::Anthropic, &events(&answer)).unwrap();
    assert_eq!(whole.message.text(), "Hello");
    assert_eq!(called(&whole), [("a", "agent.x", "{\"a\":1}")]);
    let opaque = Opaque { provider: "anthropic".to_owned(), data: "{\"signature\":\"s1\"}".to_owned() };
    assert_eq!(whole.message.parts[0], Part::Reasoning(Reasoning { text: "hm".to_owned(), opaque: Some(opaque) }));
    assert_eq!(
        serde_json::to_value(&whole.end).unwrap(),
        json!({"finish": "tool_calls", "usage": {"input_tokens": 7, "cached_input_tokens": 2, "output_tokens": 9}, "model": "m-1"})
    );
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let failed = reply(ProviderKind::Anthropic, &events(&[answer[0].clone(), error]));
    assert!(matches!(failed, Err(ModelError::Unavailable { .. })), "{failed:?}");
}

#[test]
fn a_reply_in_a_form_that_was_asked_for_is_a_text() {
    let anthropic = reply(
        ProviderKind::Anthropic,
        &events(&[
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "a", "name": NAME, "input": {}}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"partial_json": "{\"sum\""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"partial_json": ":3}"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}),
            json!({"type": "message_stop"}),
        ]),
    );
    let anthropic = anthropic.unwrap();
    assert_eq!(anthropic.message.text(), "{\"sum\":3}");
    assert_eq!(called(&anthropic), []);
    assert_eq!(serde_json::to_value(&anthropic.end).unwrap(), json!({"finish": "stop"}));
}

#[test]
fn gemini_is_read() {
    let x = renamed();
    let chunk =
        |parts: Value| json!({"candidates": [{"content": {"role": "model", "parts": parts}}], "modelVersion": "m-1"});
    let answer = [
        chunk(json!([{"text": "hm", "thought": true}])),
        chunk(json!([{"text": "Hello"}])),
        chunk(json!([
            {"functionCall": {"name": x, "args": {"a": 1}}, "thoughtSignature": "s3"},
            {"functionCall": {"name": "agent_x"}},
        ])),
        json!({
            "candidates": [{"content": {}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "thoughtsTokenCount": 1, "cachedContentTokenCount": 3},
        }),
    ];
    let whole = reply(ProviderKind::Gemini, &events(&answer)).unwrap();
    assert_eq!(whole.message.text(), "Hello");
    let names: Vec<_> = called(&whole).into_iter().map(|(_, name, arguments)| (name, arguments)).collect();
    assert_eq!(names, [("agent.x", "{\"a\":1}"), ("agent_x", "{}")]);
    let opaque = Opaque { provider: "gemini".to_owned(), data: "s3".to_owned() };
    assert_eq!(whole.message.parts[2], Part::Reasoning(Reasoning { text: String::new(), opaque: Some(opaque) }));
    assert_eq!(
        serde_json::to_value(&whole.end).unwrap(),
        json!({
            "finish": "tool_calls",
            "usage": {"input_tokens": 7, "cached_input_tokens": 3, "output_tokens": 3, "reasoning_tokens": 1},
            "model": "m-1",
        })
    );
    let blocked = reply(ProviderKind::Gemini, &events(&[json!({"promptFeedback": {"blockReason": "SAFETY"}})]));
    assert!(matches!(blocked, Err(ModelError::Refused { .. })), "{blocked:?}");
}

#[test]
fn ollama_is_read() {
    let x = renamed();
    let lines = [
        json!({"model": "m-1", "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": false}),
        json!({"message": {"content": "Hello", "tool_calls": [{"function": {"name": x, "arguments": {"a": 1}}}]}, "done": false}),
        json!({"model": "m-1", "message": {"content": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 3}),
    ];
    let answer: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let whole = reply(ProviderKind::Ollama, &answer).unwrap();
    assert_eq!(whole.message.text(), "Hello");
    assert_eq!(
        called(&whole).into_iter().map(|(_, name, of)| (name, of)).collect::<Vec<_>>(),
        [("agent.x", "{\"a\":1}")]
    );
    assert_eq!(
        serde_json::to_value(&whole.end).unwrap(),
        json!({"finish": "tool_calls", "usage": {"input_tokens": 7, "output_tokens": 3}, "model": "m-1"})
    );
    let failed = reply(ProviderKind::Ollama, "{\"error\":\"it broke\"}\n");
    assert!(matches!(failed, Err(ModelError::Unavailable { .. })), "{failed:?}");
}

#[test]
fn what_is_cut_or_garbage_is_broken_with_every_provider() {
    let cut = json!({"type": "content_block_delta", "choices": [{"delta": {"content": "Hel"}}], "candidates": [{"content": {"parts": [{"text": "Hel"}]}}]});
    for kind in ProviderKind::ALL {
        for answer in [
            "",
            "<html>",
            "data: {malformed\n\n",
            "\u{0}\u{ff}",
            &events(std::slice::from_ref(&cut)),
            "{\"message\":{\"content\":\"Hel\"}}\n",
        ] {
            let broken = reply(kind, answer);
            assert!(matches!(broken, Err(ModelError::BrokenStream { .. })), "{kind}: {answer:?}: {broken:?}");
        }
    }
}
