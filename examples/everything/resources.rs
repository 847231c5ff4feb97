//! Resources of each kind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcp_core::{ResourceContents, ServerBuilder, ToolError, resource_fn, resource_template_fn};
use serde::Deserialize;
use serde_json::json;

use crate::PNG;

async fn static_text() -> Result<&'static str, ToolError> {
    Ok("This is the content of the static text resource.")
}

async fn static_binary() -> Result<Vec<u8>, ToolError> {
    Ok(STANDARD.decode(PNG)?)
}

async fn watched() -> Result<&'static str, ToolError> {
    Ok("Watched resource content.")
}

#[derive(Deserialize)]
struct Data {
    id: String,
}

async fn data(data: Data) -> Result<ResourceContents, ToolError> {
    let uri = format!("test://template/{}/data", data.id);
    let value = json!({"id": data.id, "templateTest": true, "data": format!("Data for ID: {}", data.id)});
    Ok(ResourceContents::json(uri, &value)?)
}

pub fn add(builder: ServerBuilder) -> ServerBuilder {
    builder
        .resource(
            resource_fn("test://static-text", "Static text", static_text)
                .description("A text that stays.")
                .mime_type("text/plain"),
        )
        .resource(
            resource_fn("test://static-binary", "Static picture", static_binary)
                .description("A picture that stays.")
                .mime_type("image/png"),
        )
        .resource(
            resource_fn("test://watched-resource", "Watched", watched)
                .description("A text that changes.")
                .mime_type("text/plain"),
        )
        .resource(
            resource_template_fn("test://template/{id}/data", "Data by id", data)
                .description("What is known under an id.")
                .mime_type("application/json"),
        )
}
