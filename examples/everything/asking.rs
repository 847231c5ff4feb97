//! Tools and a prompt that ask whoever calls.

use mcp_core::{
    ClientCapability, Context, Elicited, NoInput, PromptMessage, Question, Root, Sampled, Sampling, ServerBuilder,
    ToolError, prompt_fn, tool_fn,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// What you are called.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Colour {
    /// The one that you like best.
    color: String,
}

#[derive(Deserialize, JsonSchema)]
struct Sure {
    /// Whether it is.
    ok: bool,
}

async fn elicitation(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let user: Name = cx.ask("user_name", Question::form("What is your name?")).await?;
    Ok(format!("Hello, {}!", user.name))
}

async fn sampling(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let question = Question::sample(Sampling::new("What is the capital of France?", 100));
    let sampled: Sampled = cx.ask("capital", question).await?;
    Ok(format!("LLM response: {}", sampled.text()))
}

async fn list_roots(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let roots = cx.ask("client_roots", Question::roots()).await?;
    let uris: Vec<_> = roots.iter().map(Root::uri).collect();
    Ok(format!("Roots: {}", uris.join(", ")))
}

async fn request_state(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let sure: Sure = cx.ask("confirm", Question::form("Is it so?")).await?;
    Ok(format!("state-ok: {}", sure.ok))
}

/// All three are sent at once, since all three are alive when the tool can go no further.
async fn multiple_inputs(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let greeting = Question::sample(Sampling::new("Write a greeting.", 50));
    let (user, greeting, roots) = tokio::try_join!(
        cx.ask("user_name", Question::<Name>::form("What is your name?")),
        cx.ask("greeting", greeting),
        cx.ask("client_roots", Question::roots()),
    )?;
    Ok(format!("{} {}, who works in {} places", greeting.text(), user.name, roots.len()))
}

async fn multi_round(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let user: Name = cx.ask("step1", Question::form("What is your name?")).await?;
    let colour: Colour = cx.ask("step2", Question::form("What is your favourite colour?")).await?;
    Ok(format!("{} likes {}", user.name, colour.color))
}

async fn capabilities(_: NoInput, cx: Context) -> Result<String, ToolError> {
    if cx.client_can(ClientCapability::Elicitation) {
        let user: Name = cx.ask("user_name", Question::form("What is your name?")).await?;
        return Ok(format!("Hello, {}!", user.name));
    }
    if cx.client_can(ClientCapability::Sampling) {
        return sampling(NoInput {}, cx).await;
    }
    Ok("Hello, whoever you are!".to_owned())
}

#[derive(Deserialize, JsonSchema)]
struct Prompted {
    /// What the model is asked.
    prompt: String,
}

async fn sample(input: Prompted, cx: Context) -> Result<String, ToolError> {
    let sampled = cx.ask("sample", Question::sample(Sampling::new(input.prompt, 100))).await?;
    Ok(format!("LLM response: {}", sampled.text()))
}

#[derive(Deserialize, JsonSchema)]
struct Message {
    /// What the user is shown.
    message: String,
}

#[derive(Deserialize, JsonSchema, serde::Serialize)]
struct User {
    /// The name.
    username: String,
    /// Where to write to.
    email: String,
}

async fn elicit(input: Message, cx: Context) -> Result<String, ToolError> {
    let answer = cx.ask("user", Question::<User>::form(input.message).or_declined()).await?;
    Ok(match answer {
        Elicited::Accepted(user) => format!("User response: accept, {}", serde_json::to_string(&user)?),
        Elicited::Declined => "User response: decline".to_owned(),
        Elicited::Cancelled => "User response: cancel".to_owned(),
    })
}

/// Asks by a schema that no type has, and tells what came.
async fn by_schema(cx: &Context, message: &str, schema: Value) -> Result<String, ToolError> {
    let schema: Map<String, Value> = schema.as_object().cloned().unwrap_or_default();
    let question = Question::<Value>::form_json(message, schema).or_declined();
    let (action, content) = match cx.ask("form", question).await? {
        Elicited::Accepted(content) => ("accept", content),
        Elicited::Declined => ("decline", json!({})),
        Elicited::Cancelled => ("cancel", json!({})),
    };
    Ok(format!("Elicitation completed: action={action}, content={content}"))
}

async fn defaults(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let schema = json!({"type": "object", "required": [], "properties": {
        "name": {"type": "string", "description": "User name", "default": "John Doe"},
        "age": {"type": "integer", "description": "User age", "default": 30},
        "score": {"type": "number", "description": "User score", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "description": "Verification status", "default": true},
    }});
    by_schema(&cx, "Please review what is known of you.", schema).await
}

async fn enums(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let titled = json!([
        {"const": "value1", "title": "First Option"},
        {"const": "value2", "title": "Second Option"},
        {"const": "value3", "title": "Third Option"},
    ]);
    let schema = json!({"type": "object", "required": [], "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {
            "type": "array",
            "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
        },
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }});
    by_schema(&cx, "Please choose.", schema).await
}

async fn missing_capability() -> Result<&'static str, ToolError> {
    Ok("The client can be asked.")
}

#[derive(Deserialize, JsonSchema)]
struct Background {
    /// What this is about.
    context: String,
}

async fn prompt(_: NoInput, cx: Context) -> Result<PromptMessage, ToolError> {
    let background: Background = cx.ask("user_context", Question::form("What is this about?")).await?;
    Ok(PromptMessage::user(format!("The context is: {}", background.context)))
}

pub fn add(builder: ServerBuilder) -> ServerBuilder {
    use ClientCapability::{Elicitation, Sampling};
    builder
        .tool(tool_fn("test_input_required_result_elicitation", "Asks for a name.", elicitation))
        .tool(tool_fn("test_input_required_result_sampling", "Asks the client's model.", sampling))
        .tool(tool_fn("test_input_required_result_list_roots", "Asks where the client works.", list_roots))
        .tool(tool_fn("test_input_required_result_request_state", "Asks, and keeps state.", request_state))
        .tool(tool_fn("test_input_required_result_multiple_inputs", "Asks three things at once.", multiple_inputs))
        .tool(tool_fn("test_input_required_result_multi_round", "Asks twice.", multi_round))
        .tool(tool_fn("test_input_required_result_tampered_state", "Asks, with sealed state.", request_state))
        .tool(tool_fn("test_input_required_result_capabilities", "Asks what the client can.", capabilities))
        .tool(tool_fn("test_streaming_elicitation", "Asks for a name.", elicitation).asks(Elicitation))
        .tool(tool_fn("test_missing_capability", "Needs a model.", missing_capability).asks(Sampling))
        .tool(tool_fn("test_sampling", "Asks the client's model.", sample))
        .tool(tool_fn("test_elicitation", "Asks the user.", elicit))
        .tool(tool_fn("test_elicitation_sep1034_defaults", "Shows a form with defaults.", defaults))
        .tool(tool_fn("test_elicitation_sep1330_enums", "Shows a form with choices.", enums))
        .prompt(prompt_fn("test_input_required_result_prompt", "Asks what it is about.", prompt))
}
