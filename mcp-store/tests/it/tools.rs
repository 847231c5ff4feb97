//! The tools, as their clients call them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::StoreError;
use mcp_core::store::ledger::{CallId, CallRecord, Entry};
use mcp_core::store::notes::{Note, Notes};
use mcp_core::{Arguments, Caller, Server, Stores, TestClient, ToolOutput};
use mcp_store::StoreConfig;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::url;

/// A server with the tools, and what it stands on.
struct House {
    client: TestClient,
    server: Server,
    clock: SimulatedClock,
    stores: Stores,
    /// How often notes were read or searched, and not taken from the cache.
    looks: Arc<AtomicUsize>,
    _folder: TempDir,
}

/// Counts how often it is asked.
struct Counted {
    notes: Arc<dyn Notes>,
    looks: Arc<AtomicUsize>,
}

#[async_trait]
impl Notes for Counted {
    async fn write(&self, tenant: &Tenant, owner: &Principal, name: &str, text: &str) -> Result<Note, StoreError> {
        self.notes.write(tenant, owner, name, text).await
    }

    async fn read(&self, tenant: &Tenant, owner: &Principal, name: &str) -> Result<Option<Note>, StoreError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.notes.read(tenant, owner, name).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError> {
        self.notes.list(tenant, owner, after, limit).await
    }

    async fn search(
        &self,
        tenant: &Tenant,
        owner: &Principal,
        query: &str,
        limit: u16,
    ) -> Result<Vec<Note>, StoreError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.notes.search(tenant, owner, query, limit).await
    }
}

impl House {
    async fn new() -> Self {
        let (folder, clock) = (TempDir::new().unwrap(), SimulatedClock::new());
        let config = StoreConfig::new(&url(&folder), Arc::new(clock.clone())).unwrap();
        let mut stores = mcp_store::open(&config).await.unwrap();
        let looks = Arc::new(AtomicUsize::new(0));
        stores.notes = Arc::new(Counted { notes: stores.notes, looks: looks.clone() });
        let builder = Server::builder("t", "1").clock(Arc::new(clock.clone())).stores(stores.clone());
        let server = builder.tools(mcp_store::tool::tools(&stores)).build().unwrap();
        Self { client: TestClient::new(server.clone()), server, clock, stores, looks, _folder: folder }
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        let output = self.client.call(tool, arguments).await;
        assert!(!output.is_error(), "{tool}: {:?}", output.first_text());
        serde_json::from_str(output.structured_json().expect("the output is structured")).unwrap()
    }

    async fn refusal(&self, tool: &str, arguments: Value) -> String {
        let output: ToolOutput = self.client.call(tool, arguments).await;
        assert!(output.is_error(), "{tool}: {:?}", output.first_text());
        output.first_text().unwrap_or_default().to_owned()
    }

    /// A call that the client made.
    async fn call_record(&self, id: &str) -> CallRecord {
        self.stores.history.call(&Tenant::from("default"), id.parse().unwrap()).await.unwrap().unwrap()
    }

    fn looks(&self) -> usize {
        self.looks.swap(0, Ordering::Relaxed)
    }
}

/// A field of each member of a list.
fn each<'a>(answer: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    answer[list].as_array().unwrap().iter().map(|entry| entry[field].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_note_is_written_read_and_found() {
    let house = House::new().await;
    let written = house.call("notes.write", json!({"name": "shopping", "text": "Äpfel und Öl"})).await;
    assert_eq!(written, json!({"name": "shopping", "written": "2026-01-01T00:00:00.000000Z"}));
    let read = house.call("notes.read", json!({"name": "shopping"})).await;
    assert_eq!(read, json!({"name": "shopping", "text": "Äpfel und Öl", "written": "2026-01-01T00:00:00.000000Z"}));
    let found = house.call("notes.search", json!({"query": "öl shopping"})).await;
    let expected = json!({
        "name": "shopping", "text": "Äpfel und Öl", "truncated": false, "written": "2026-01-01T00:00:00.000000Z",
    });
    assert_eq!(found, json!({"notes": [expected]}));
    assert_eq!(house.call("notes.search", json!({"query": "pears"})).await, json!({"notes": []}));
}

#[tokio::test]
async fn notes_are_cached_until_their_owner_writes() {
    let house = House::new().await;
    house.call("notes.write", json!({"name": "n", "text": "one"})).await;
    for _ in 0..3 {
        assert_eq!(house.call("notes.read", json!({"name": "n"})).await["text"], "one");
        assert_eq!(house.call("notes.search", json!({"query": "one"})).await["notes"][0]["name"], "n");
    }
    assert_eq!(house.looks(), 2, "one look each");
    let other = Arguments::from_value(&json!({"name": "n", "text": "theirs"})).unwrap();
    house.server.call_tool(Caller::new("another", "caller"), "notes.write", other).await.unwrap();
    assert_eq!(house.call("notes.read", json!({"name": "n"})).await["text"], "one");
    assert_eq!(house.looks(), 0, "another's writing changes nothing");
    house.call("notes.write", json!({"name": "n", "text": "two"})).await;
    assert_eq!(house.call("notes.read", json!({"name": "n"})).await["text"], "two");
    assert_eq!(house.call("notes.search", json!({"query": "one"})).await, json!({"notes": []}));
    assert_eq!(house.looks(), 2);
    house.clock.advance(Duration::from_secs(3_600));
    house.call("notes.read", json!({"name": "n"})).await;
    assert_eq!(house.looks(), 1, "it is not cached for ever");
}

#[tokio::test]
async fn notes_are_bounded() {
    let house = House::new().await;
    let (name, text) = ("n".repeat(200), "ö".repeat(32 * 1024));
    house.call("notes.write", json!({"name": name, "text": text})).await;
    assert_eq!(house.call("notes.read", json!({"name": name})).await["text"], text);
    for (arguments, problem) in [
        (json!({"name": "", "text": ""}), "/name"),
        (json!({"name": "n".repeat(201), "text": ""}), "/name"),
        (json!({"name": "n", "text": "x".repeat(65_537)}), "/text"),
        (json!({"name": "n", "text": "ö".repeat(32 * 1024 + 1)}), "65538 bytes, and a note takes 65536"),
        (json!({"name": "n", "txt": ""}), "txt"),
    ] {
        let refusal = house.refusal("notes.write", arguments).await;
        assert!(refusal.contains(problem), "{problem}: {}", &refusal[..refusal.len().min(200)]);
    }
    for arguments in [json!({"query": ""}), json!({"query": "x".repeat(1_001)})] {
        assert!(house.refusal("notes.search", arguments).await.contains("/query"));
    }
    for limit in [0, 101] {
        assert!(house.refusal("notes.search", json!({"query": "x", "limit": limit})).await.contains("/limit"));
    }
}

#[tokio::test]
async fn what_is_found_is_cut_short_newest_first() {
    let house = House::new().await;
    for n in 0..25 {
        let text = format!("word {}", "ö".repeat(if n == 24 { 495 } else { 496 }));
        house.call("notes.write", json!({"name": n.to_string(), "text": text})).await;
    }
    let found = house.call("notes.search", json!({"query": "WORD"})).await;
    assert_eq!(each(&found, "notes", "name"), (5..25).rev().map(|n| n.to_string()).collect::<Vec<_>>());
    let (whole, cut) = (&found["notes"][0], &found["notes"][1]);
    assert_eq!((&whole["truncated"], &cut["truncated"]), (&json!(false), &json!(true)));
    assert_eq!(cut["text"].as_str().unwrap().chars().count(), 500);
    let two = house.call("notes.search", json!({"query": "word", "limit": 2})).await;
    assert_eq!(each(&two, "notes", "name"), ["24", "23"]);
}

#[tokio::test]
async fn a_missing_note_says_where_to_look() {
    let house = House::new().await;
    let text = house.refusal("notes.read", json!({"name": "lost"})).await;
    assert_eq!(text, "you keep no note under the name \"lost\"; notes.search finds notes by the words in them");
}

#[tokio::test]
async fn a_call_is_shown_as_it_was() {
    let house = House::new().await;
    assert_eq!(house.call("history.search", json!({})).await, json!({"calls": []}));
    let own = house.call("history.search", json!({})).await;
    let call = &own["calls"][0];
    assert_eq!(own["calls"].as_array().unwrap().len(), 1);
    assert_eq!(each(&own, "calls", "tool"), ["history.search"]);
    assert_eq!(each(&own, "calls", "outcome"), ["ok"]);
    assert_eq!(each(&own, "calls", "at"), ["2026-01-01T00:00:00.000000Z"]);
    assert_eq!(each(&own, "calls", "arguments"), ["{}"]);
    assert!(call["result"].as_str().unwrap().contains("\"structuredContent\":{\"calls\":[]}"), "{call}");
    assert_eq!((&call["truncated"], &call["microseconds"]), (&json!(false), &json!(0)));

    house.call("notes.write", json!({"name": "long", "text": "x".repeat(2_000)})).await;
    let long = &house.call("history.search", json!({"tool": "notes.write"})).await["calls"][0];
    assert_eq!((long["arguments"].as_str().unwrap().len(), &long["truncated"]), (1_000, &json!(true)));
}

#[tokio::test]
async fn every_filter_of_the_history_holds() {
    let house = House::new().await;
    for name in ["a", "b", "c"] {
        house.call("notes.write", json!({"name": name, "text": "text"})).await;
        house.clock.advance(Duration::from_secs(60));
    }
    house.refusal("notes.read", json!({"name": "lost"})).await;
    house.refusal("notes.read", json!({"nam": "a"})).await;
    let theirs = Arguments::from_value(&json!({"name": "theirs", "text": "text"})).unwrap();
    house.server.call_tool(Caller::new("another", "caller"), "notes.write", theirs).await.unwrap();

    let write = |filters: Value| {
        let mut filters = filters;
        filters["tool"] = "notes.write".into();
        filters
    };
    for (filters, expected) in [
        (write(json!({})), vec!["c", "b", "a"]),
        (write(json!({"from": "2026-01-01T00:01:00Z"})), vec!["c", "b"]),
        (write(json!({"to": "2026-01-01T00:01:00Z"})), vec!["a"]),
        (write(json!({"from": "2026-01-01T00:01:00Z", "to": "2026-01-01T01:02:00+01:00"})), vec!["b"]),
        (write(json!({"outcome": "error"})), vec![]),
        (json!({"outcome": "error"}), vec!["lost"]),
        (write(json!({"text": "b"})), vec!["b"]),
        (write(json!({"text": "TEXT name"})), vec!["c", "b", "a"]),
    ] {
        let found = house.call("history.search", filters.clone()).await;
        let names = each(&found, "calls", "arguments")
            .into_iter()
            .map(|arguments| serde_json::from_str::<Value>(arguments).unwrap()["name"].as_str().unwrap().to_owned());
        assert_eq!(names.collect::<Vec<_>>(), expected, "{filters}");
    }
    let invalid = house.call("history.search", json!({"outcome": "invalid"})).await;
    assert_eq!(each(&invalid, "calls", "arguments"), [r#"{"nam":"a"}"#]);
}

#[tokio::test]
async fn words_are_found_in_arguments_and_results() {
    let house = House::new().await;
    let text = "Äpfel\nBrot \"Käse\"\t7";
    house.call("notes.write", json!({"name": "list", "text": text})).await;
    for (words, found) in [
        // In the bytes, a line's end is a backslash and an n.
        ("brot", true),
        ("ÄPFEL käse 7", true),
        // The result has it, and the arguments do not.
        ("brot 2026", true),
        ("bro", false),
        ("nbrot", false),
        ("brot pears", false),
    ] {
        let answer = house.call("history.search", json!({"text": words, "tool": "notes.write"})).await;
        assert_eq!(answer["calls"].as_array().unwrap().len(), usize::from(found), "{words}");
    }
    let refusal = house.refusal("history.search", json!({"text": "?!"})).await;
    assert!(refusal.contains("has no words"), "{refusal}");
}

#[tokio::test]
async fn pages_of_the_history_go_on_where_the_last_one_ended() {
    let house = House::new().await;
    for n in 0..7 {
        house
            .call("notes.write", json!({"name": n.to_string(), "text": if n % 2 == 0 { "even" } else { "odd" }}))
            .await;
    }
    for (filters, expected) in [(json!({}), 7), (json!({"text": "even"}), 4)] {
        let mut filters = filters;
        filters["tool"] = "notes.write".into();
        filters["limit"] = 3.into();
        let mut ids = Vec::new();
        loop {
            let page = house.call("history.search", filters.clone()).await;
            ids.extend(each(&page, "calls", "id").into_iter().map(str::to_owned));
            match page.get("next") {
                Some(next) => filters["before"] = next.clone(),
                None => break,
            }
        }
        assert_eq!(ids.len(), expected);
        assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
    }
}

#[tokio::test]
async fn a_search_for_words_looks_at_so_many_calls_and_says_where_to_go_on() {
    let house = House::new().await;
    house.call("notes.write", json!({"name": "needle", "text": ""})).await;
    let id = house.call("history.search", json!({})).await["calls"][0]["id"].as_str().unwrap().to_owned();
    let needle = house.call_record(&id).await;
    // As many newer ones as are looked at, in which the word is not; the first few ids are taken by real calls.
    let hay = (10..1_010).map(|n| {
        let id = CallId::from_u128(needle.id.as_u128() + (n << 64));
        let (arguments, result) = (Bytes::from_static(b"{}"), Bytes::from_static(b"{}"));
        Entry::Call(CallRecord { id, arguments, result, ..needle.clone() })
    });
    house.stores.ledger.commit(hay.collect()).await.unwrap();
    let first = house.call("history.search", json!({"text": "needle", "tool": "notes.write"})).await;
    assert_eq!(first["calls"], json!([]));
    let second = json!({"text": "needle", "tool": "notes.write", "before": first["next"]});
    assert_eq!(each(&house.call("history.search", second).await, "calls", "id"), [id]);

    // And at so many bytes.
    let large = (1..=3).map(|n| {
        let id = CallId::from_u128(needle.id.as_u128() + ((2_000 + n) << 64));
        let result = Bytes::from(vec![b' '; 4 * 1024 * 1024]);
        Entry::Call(CallRecord { id, result, tool: "large".to_owned(), ..needle.clone() })
    });
    house.stores.ledger.commit(large.collect()).await.unwrap();
    let answer = house.call("history.search", json!({"text": "missing", "tool": "large"})).await;
    let second_newest = CallId::from_u128(needle.id.as_u128() + (2_002 << 64));
    assert_eq!(answer, json!({"calls": [], "next": second_newest.to_string()}));
}

#[tokio::test]
async fn the_arguments_of_a_history_search_are_checked() {
    let house = House::new().await;
    for (arguments, problem) in [
        (json!({"limit": 0}), "/limit"),
        (json!({"limit": 101}), "/limit"),
        (json!({"outcome": "good"}), "/outcome"),
        (json!({"from": "yesterday"}), "expected a time such as 2026-07-28T12:00:00Z"),
        (json!({"before": "the last"}), "expected the id of a call"),
        (json!({"tol": "notes.read"}), "tol"),
    ] {
        let refusal = house.refusal("history.search", arguments).await;
        assert!(refusal.contains(problem), "{problem}: {refusal}");
    }
}

#[tokio::test]
async fn the_tools_say_what_they_take_and_what_they_do() {
    let house = House::new().await;
    let list = house.client.request("tools/list", json!({})).await;
    let tools = list["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["notes.write", "notes.read", "notes.search", "history.search"]);
    for tool in tools {
        let properties = tool["inputSchema"]["properties"].as_object().unwrap();
        assert!(properties.values().all(|property| property["description"].is_string()), "{tool}");
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
        assert!(tool["outputSchema"]["properties"].is_object(), "{tool}");
        assert_eq!(tool["annotations"]["openWorldHint"], false, "{tool}");
        let reads = tool["name"] != "notes.write";
        assert_eq!(tool["annotations"]["readOnlyHint"] == true, reads, "{tool}");
    }
    assert_eq!(tools[0]["annotations"]["idempotentHint"], true);
    assert_eq!(tools[0]["annotations"]["destructiveHint"], true);
}
