//! What is encrypted is not searched, unless its words are kept.

use mcp_core::{Arguments, Caller, Server};
use serde_json::{Value, json};

use super::everything::MARKER;
use super::*;

/// What a tool answers.
async fn search(server: &Server, tool: &str, query: &str) -> Value {
    let arguments = Arguments::from_value(&json!({"query": query})).unwrap();
    let output = server.call_tool(Caller::new("a", "ada"), tool, arguments).await.unwrap();
    serde_json::from_str(output.structured_json().unwrap()).unwrap()
}

#[tokio::test]
async fn a_search_says_that_texts_are_not_searched_and_finds_names() {
    for (index, mut place) in
        [(false, Place::sqlite()), (false, Place::postgres()), (true, Place::sqlite()), (true, Place::postgres())]
    {
        place.index = index;
        let stores = place.open().await;
        let everything = Everything::new();
        everything.write(&stores).await;
        let messages = stores.threads.search(&everything.tenant, &everything.owner, MARKER, None, 9).await.unwrap();
        assert_eq!((messages.len(), stores.threads.are_texts_searched()), (usize::from(index), index));
        let server = Server::builder("t", "1").tools(mcp_store::tool::tools(&stores)).stores(stores).build().unwrap();
        for (tool, list, name) in [("notes.search", "notes", "note"), ("files.search", "files", "file")] {
            let by_name = search(&server, tool, name).await;
            assert_eq!(by_name[list].as_array().unwrap().len(), 1, "{by_name}");
            let by_text = search(&server, tool, MARKER).await;
            assert_eq!(by_text[list].as_array().unwrap().len(), usize::from(index), "{by_text}");
            assert_eq!(by_text["not_searched"].is_string(), !index, "{by_text}");
        }
    }
}
