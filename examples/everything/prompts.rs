//! Prompts with each kind of content.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcp_core::{Content, PromptMessage, ResourceContents, ServerBuilder, ToolError, prompt_fn};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::PNG;

async fn simple() -> Result<&'static str, ToolError> {
    Ok("This is a simple prompt for testing.")
}

#[derive(Deserialize, JsonSchema)]
struct Two {
    /// The first.
    arg1: String,
    /// The second.
    arg2: String,
}

async fn with_arguments(two: Two) -> Result<String, ToolError> {
    Ok(format!("Prompt with arguments: arg1='{}', arg2='{}'", two.arg1, two.arg2))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Embedded {
    /// The URI of the resource to embed.
    resource_uri: String,
}

async fn with_embedded_resource(embedded: Embedded) -> Result<Vec<PromptMessage>, ToolError> {
    let contents = ResourceContents::text(embedded.resource_uri, "Embedded resource content for testing.");
    Ok(vec![
        PromptMessage::user(Content::resource(contents.mime_type("text/plain"))),
        PromptMessage::user("Please process the embedded resource above."),
    ])
}

async fn with_image() -> Result<Vec<PromptMessage>, ToolError> {
    Ok(vec![
        PromptMessage::user(Content::image("image/png", STANDARD.decode(PNG)?)),
        PromptMessage::user("Please analyze the image above."),
    ])
}

pub fn add(builder: ServerBuilder) -> ServerBuilder {
    builder
        .prompt(prompt_fn("test_simple_prompt", "Says one thing.", simple))
        .prompt(
            prompt_fn("test_prompt_with_arguments", "Says what it is given.", with_arguments)
                .choices("arg1", ["test", "testing", "other"])
                .choices("arg2", ["value1", "value2"]),
        )
        .prompt(prompt_fn("test_prompt_with_embedded_resource", "Shows a resource.", with_embedded_resource))
        .prompt(prompt_fn("test_prompt_with_image", "Shows a picture.", with_image))
}
