//! Tools that give each kind of content.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcp_core::{Content, ResourceContents, ServerBuilder, ToolError, ToolOutput, tool_fn};

use crate::PNG;

/// A sound of no length.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

async fn simple_text() -> Result<&'static str, ToolError> {
    Ok("This is a simple text response for testing.")
}

async fn image() -> Result<Content, ToolError> {
    Ok(Content::image("image/png", STANDARD.decode(PNG)?))
}

async fn audio() -> Result<Content, ToolError> {
    Ok(Content::audio("audio/wav", STANDARD.decode(WAV)?))
}

async fn embedded_resource() -> Result<Content, ToolError> {
    let contents = ResourceContents::text("test://embedded-resource", "This is an embedded resource content.");
    Ok(Content::resource(contents.mime_type("text/plain")))
}

async fn multiple_content_types() -> Result<ToolOutput, ToolError> {
    let data = serde_json::json!({"test": "data", "value": 123});
    Ok(ToolOutput::text("Multiple content types test:")
        .and(image().await?)
        .and(Content::resource(ResourceContents::json("test://mixed-content-resource", &data)?)))
}

async fn error_handling() -> Result<&'static str, ToolError> {
    Err(ToolError::failed("This tool intentionally returns an error for testing"))
}

pub fn add(builder: ServerBuilder) -> ServerBuilder {
    builder
        .tool(tool_fn("test_simple_text", "Gives a text.", simple_text).read_only())
        .tool(tool_fn("test_image_content", "Gives a picture.", image).read_only())
        .tool(tool_fn("test_audio_content", "Gives a sound.", audio).read_only())
        .tool(tool_fn("test_embedded_resource", "Gives a resource.", embedded_resource).read_only())
        .tool(tool_fn("test_multiple_content_types", "Gives several kinds.", multiple_content_types).read_only())
        .tool(tool_fn("test_error_handling", "Fails.", error_handling).read_only())
}
