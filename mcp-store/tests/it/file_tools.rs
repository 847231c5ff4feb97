//! The tools on files, as their clients call them.

use std::sync::Arc;

use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::{Arguments, Caller, Server};
use mcp_store::StoreConfig;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::url;

struct House {
    server: Server,
    _folder: TempDir,
}

impl House {
    async fn new() -> Self {
        let (folder, clock) = (TempDir::new().unwrap(), SimulatedClock::new());
        let mut config = StoreConfig::new(&url(&folder), Arc::new(clock.clone())).unwrap();
        config.secret_keys = vec![[1; 32]];
        config.file_caps.owner = 200_000;
        let stores = mcp_store::open(&config).await.unwrap();
        let tools = mcp_store::tool::tools(&stores);
        let server = Server::builder("t", "1").clock(Arc::new(clock)).stores(stores).tools(tools).build().unwrap();
        Self { server, _folder: folder }
    }

    async fn call_as(&self, principal: &str, tool: &str, arguments: Value) -> Value {
        let arguments = Arguments::from_value(&arguments).unwrap();
        let answer = self.server.call_tool(Caller::new("a", principal), tool, arguments).await;
        let output = answer.unwrap_or_else(|error| panic!("{tool}: {error}"));
        serde_json::from_slice::<Value>(&output.to_json()).unwrap()["structuredContent"].take()
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.call_as("ada", tool, arguments).await
    }

    /// What the caller is told.
    async fn refusal(&self, tool: &str, arguments: Value) -> String {
        let arguments = Arguments::from_value(&arguments).unwrap();
        self.server.call_tool(Caller::new("a", "ada"), tool, arguments).await.expect_err("it is refused").to_string()
    }
}

fn names(page: &Value) -> Vec<&str> {
    page["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_text_is_written_read_in_parts_listed_and_found() {
    let house = House::new().await;
    let text = format!("Äpfel {} Birnen", "ä".repeat(20_000));
    let written = house.call("files.write", json!({"name": "fruit/list.txt", "text": text})).await;
    assert_eq!((&written["size"], &written["content_type"]), (&json!(text.len()), &json!("text/plain; charset=utf-8")));
    let (mut read, mut offset) = (String::new(), json!(0));
    while !offset.is_null() {
        let part =
            house.call("files.read", json!({"name": "fruit/list.txt", "offset": offset, "length": 10_001})).await;
        read.push_str(part["text"].as_str().unwrap_or_else(|| panic!("no text: {part}")));
        assert_eq!(part["size"], json!(text.len()));
        offset = part["next"].clone();
    }
    assert!(read == text);
    house.call("files.write", json!({"name": "fruit/empty", "text": ""})).await;
    let empty = house.call("files.read", json!({"name": "fruit/empty"})).await;
    assert_eq!((&empty["text"], &empty["next"]), (&json!(""), &Value::Null));

    let page = house.call("files.list", json!({"prefix": "fruit/", "limit": 1})).await;
    assert_eq!((names(&page), &page["next"]), (vec!["fruit/empty"], &json!("fruit/empty")));
    let page = house.call("files.list", json!({"prefix": "fruit/", "after": "fruit/empty"})).await;
    assert_eq!((names(&page), &page["next"]), (vec!["fruit/list.txt"], &Value::Null));
    assert_eq!(names(&house.call("files.search", json!({"query": "äpfel birnen LIST"})).await), ["fruit/list.txt"]);
    assert_eq!(names(&house.call_as("bob", "files.list", json!({})).await), [""; 0]);
}

#[tokio::test]
async fn bytes_go_in_base64() {
    let house = House::new().await;
    let bytes = json!({"name": "bytes", "base64": "AP/+", "content_type": "image/png"});
    let written = house.call("files.write", bytes).await;
    assert_eq!((&written["size"], &written["content_type"]), (&json!(3), &json!("image/png")));
    let read = house.call("files.read", json!({"name": "bytes"})).await;
    assert_eq!((&read["base64"], &read["text"]), (&json!("AP/+"), &Value::Null));
}

#[tokio::test]
async fn what_cannot_be_is_told_with_its_mend() {
    let house = House::new().await;
    house.call("files.write", json!({"name": "short", "text": "short"})).await;
    for (tool, arguments, told) in [
        ("files.read", json!({"name": "none"}), "files.list shows"),
        ("files.read", json!({"name": "short", "offset": 5}), "the file has 5 bytes"),
        ("files.write", json!({"name": "n"}), "give one of them"),
        ("files.write", json!({"name": "n", "text": "", "base64": ""}), "give one of them"),
        ("files.write", json!({"name": "n", "base64": "?"}), "cannot be read"),
        ("files.write", json!({"name": "n", "text": "ä".repeat(40_000)}), "in parts"),
        ("files.write", json!({"name": "ä".repeat(1_000), "text": ""}), "1 to 1024 bytes"),
    ] {
        let refusal = house.refusal(tool, arguments).await;
        assert!(refusal.contains(told), "{told:?} is not in: {refusal}");
    }
    for n in 0..3 {
        house.call("files.write", json!({"name": n.to_string(), "text": "x".repeat(60_000)})).await;
    }
    let full = house.refusal("files.write", json!({"name": "3", "text": "x".repeat(60_000)})).await;
    assert!(full.contains("remove some"), "{full}");
    assert_eq!(names(&house.call("files.list", json!({})).await), ["0", "1", "2", "short"]);
}
