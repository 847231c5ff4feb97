//! How to test a tool: call it as a client would, with no port.

use mcp_core::{Server, TestClient, ToolError, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, JsonSchema)]
struct Divide {
    dividend: i64,
    divisor: i64,
}

async fn divide(input: Divide) -> Result<i64, ToolError> {
    input.dividend.checked_div(input.divisor).ok_or_else(|| ToolError::failed("there is no quotient"))
}

#[tokio::test]
async fn divides() {
    let server = Server::builder("test", "1.0.0").tool(tool_fn("divide", "Divides.", divide)).build().unwrap();
    let client = TestClient::new(server);
    assert_eq!(client.call("divide", json!({"dividend": 7, "divisor": 2})).await.structured_json(), Some("3"));
    assert!(client.call("divide", json!({"dividend": 7, "divisor": 0})).await.is_error());
}
