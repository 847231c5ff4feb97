//! Two servers in one process share nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_core::tool::function::NoInput;
use mcp_core::{Server, TestClient, ToolError, tool_with};
use serde_json::json;

use crate::support::{House, Request, puppet, settle};

async fn count(calls: Arc<AtomicU64>, _: NoInput) -> Result<String, ToolError> {
    Ok((calls.fetch_add(1, Ordering::SeqCst) + 1).to_string())
}

#[tokio::test]
async fn each_has_its_tools_its_cache_its_records_and_its_calls() {
    let (one, strings) = puppet("puppet");
    let (two, _) = puppet("puppet");
    let calls = Arc::new(AtomicU64::new(0));
    let cached = || tool_with("count", "Counts.", calls.clone(), count).cached(Duration::from_secs(60), "t");
    let first = House::new(|builder| builder.tool(one).tool(cached()));
    let second = House::new(|builder| builder.tool(two).tool(cached()));
    assert_eq!(first.call("count", json!({})).await["content"][0]["text"], "1");
    assert_eq!(second.call("count", json!({})).await["content"][0]["text"], "2");
    assert_eq!(first.call("count", json!({})).await["content"][0]["text"], "1");
    assert_eq!((first.records().await.len(), second.records().await.len()), (2, 1));

    let mut waiting = std::pin::pin!(first.call("puppet", json!({})));
    assert!(crate::support::look(waiting.as_mut()).await.is_pending());
    assert_eq!(second.server.drain(Duration::from_secs(1)).await, 0, "the other's call is none of its own");
    strings.finish("done");
    assert_eq!(waiting.await["content"][0]["text"], "done");
    settle().await;
    let unknown = second.send(&Request::call("cuont", json!({}))).await.json();
    assert_eq!(unknown["error"]["message"], "there is no tool \"cuont\"; did you mean \"count\"?");
}

/// On real time and many threads, with a runtime for each.
#[test]
fn each_runs_on_the_runtime_of_whoever_asks() {
    let server = |name: &str| {
        let calls = Arc::new(AtomicU64::new(0));
        Server::builder(name, "1").tool(tool_with("count", "Counts.", calls, count)).build().unwrap()
    };
    for client in [TestClient::new(server("one")), TestClient::new(server("two"))] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let first = runtime.block_on(client.call("count", json!({})));
        assert_eq!(first.first_text(), Some("1"));
    }
}
