//! Views of tools (the extension `io.modelcontextprotocol/ui`).

use mcp_core::view::{Permission, View};
use mcp_core::{ClientCapability, Context, NoInput, Server, ServerBuilder, ToolError, resource_fn, tool_fn};
use serde_json::{Value, json};

use crate::support::{House, Request};

const URI: &str = "ui://weather/now";

async fn page() -> Result<&'static str, ToolError> {
    Ok("<!doctype html>")
}

async fn weather(_: NoInput, cx: Context) -> Result<&'static str, ToolError> {
    Ok(if cx.client_can(ClientCapability::Views) { "shown" } else { "told" })
}

fn furnish(builder: ServerBuilder) -> ServerBuilder {
    let view = View::new()
        .connects("https://api.example.com")
        .loads("https://cdn.example.com")
        .may(Permission::ClipboardWrite)
        .border(true);
    builder
        .resource(resource_fn(URI, "Weather", page).view(view))
        .tool(tool_fn("weather", "How the weather is.", weather).view(URI))
        .tool(tool_fn("refresh", "Looks again.", weather).of_view(URI))
}

fn read() -> Request {
    Request::modern("resources/read", json!({"uri": URI})).with("mcp-name", URI)
}

#[tokio::test]
async fn a_tool_names_its_view_which_says_what_it_needs() {
    let house = House::new(furnish);
    let needs = json!({"ui": {
        "csp": {"connectDomains": ["https://api.example.com"], "resourceDomains": ["https://cdn.example.com"]},
        "permissions": {"clipboardWrite": {}},
        "prefersBorder": true,
    }});
    let tools = house.send(&Request::modern("tools/list", json!({}))).await.result();
    assert_eq!(tools["tools"][0]["_meta"], json!({"ui": {"resourceUri": URI}}));
    assert_eq!(tools["tools"][1]["_meta"], json!({"ui": {"resourceUri": URI, "visibility": ["app"]}}));
    let resources = house.send(&Request::modern("resources/list", json!({}))).await.result();
    let listed = &resources["resources"][0];
    assert_eq!((&listed["mimeType"], &listed["_meta"]), (&json!("text/html;profile=mcp-app"), &needs));
    let contents = house.send(&read()).await.result()["contents"][0].take();
    let expected =
        json!({"uri": URI, "mimeType": "text/html;profile=mcp-app", "text": "<!doctype html>", "_meta": needs});
    assert_eq!(contents, expected);
}

#[tokio::test]
async fn a_server_with_views_says_so_in_each_era() {
    let (with, without) = (House::new(furnish), House::new(|builder| builder));
    let handshake = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
    for request in [Request::modern("server/discover", json!({})), Request::legacy("initialize", handshake)] {
        let extensions = json!({"io.modelcontextprotocol/ui": {}});
        assert_eq!(with.send(&request).await.result()["capabilities"]["extensions"], extensions);
        assert_eq!(without.send(&request).await.result()["capabilities"]["extensions"], Value::Null);
    }
}

#[tokio::test]
async fn a_tool_knows_whether_its_client_shows_views() {
    let house = House::new(furnish);
    let call = |extensions: Value| {
        let request = Request::call("weather", json!({}));
        let mut body: Value = serde_json::from_slice(&request.body).unwrap();
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"extensions": extensions});
        Request { body: body.to_string().into(), ..request }
    };
    let settings = |types: Value| json!({"io.modelcontextprotocol/ui": {"mimeTypes": types}});
    for (extensions, expected) in [
        (settings(json!(["text/html;profile=mcp-app"])), "shown"),
        (settings(json!(["text/html"])), "told"),
        (json!({"io.modelcontextprotocol/ui": {}}), "told"),
        (json!({}), "told"),
    ] {
        let told = house.send(&call(extensions.clone())).await.result();
        assert_eq!(told["content"][0]["text"], expected, "{extensions}");
    }
}

#[tokio::test]
async fn what_is_no_view_cannot_be_offered_as_one() {
    for uri in ["https://example.com/view", "ui:", "ui://", ""] {
        let tool = Server::builder("house", "1.0.0").tool(tool_fn("weather", "W.", weather).view(uri)).build();
        let resource =
            Server::builder("house", "1.0.0").resource(resource_fn(uri, "R", page).view(View::new())).build();
        for refused in [tool.err(), resource.err()] {
            assert!(refused.expect("it is refused").to_string().contains("ui://"), "{uri:?}");
        }
    }
}
