//! `tools/list`: pages, their order, and what a tool shows of itself.

use std::sync::Arc;

use mcp_core::catalog;
use mcp_core::tool::registry::OfferedTool;
use mcp_core::{Arguments, Context, Icon, Server, Tool, ToolError, ToolOutput, ToolSpec};
use serde_json::{Value, json};

use crate::support::{House, Request};

/// A tool that is only looked at.
struct Named(ToolSpec);

impl Named {
    fn new(name: &str) -> Self {
        Self(ToolSpec::new(name, "Does nothing."))
    }
}

#[async_trait::async_trait]
impl Tool for Named {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, _: Arguments, _: Context) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::empty())
    }
}

struct Source(Vec<Arc<OfferedTool>>);

impl Source {
    fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| Arc::new(OfferedTool::new(Arc::new(Named::new(name))).unwrap())).collect())
    }
}

impl catalog::Source<OfferedTool> for Source {
    fn find(&self, name: &str) -> Option<Arc<OfferedTool>> {
        self.0.iter().find(|tool| tool.spec().name() == name).cloned()
    }

    fn list(&self) -> Vec<Arc<OfferedTool>> {
        self.0.clone()
    }
}

/// The names on each page, by following the cursors.
async fn pages(house: &House, request: impl Fn(Value) -> Request) -> Vec<Vec<String>> {
    let (mut pages, mut params) = (Vec::new(), json!({}));
    loop {
        let page = house.send(&request(params)).await.result();
        let names = page["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned());
        pages.push(names.collect());
        match page.get("nextCursor") {
            Some(cursor) => params = json!({"cursor": cursor}),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn pages_follow_one_another_in_the_order_of_offering() {
    let house = House::new(|builder| {
        let own = ["zeta", "alpha", "mid"].map(|name| Arc::new(Named::new(name)) as Arc<dyn Tool>);
        // What is offered twice is shown once, where it was offered first.
        builder
            .page_size(2)
            .tools(own)
            .tool_source(Source::of(&["one", "alpha", "two"]))
            .tool_source(Source::of(&["two", "last"]))
    });
    let expected = [vec!["zeta", "alpha"], vec!["mid", "one"], vec!["two", "last"]];
    for _ in 0..2 {
        assert_eq!(pages(&house, |params| Request::modern("tools/list", params)).await, expected);
        assert_eq!(pages(&house, |params| Request::legacy("tools/list", params)).await, expected);
    }
}

#[tokio::test]
async fn a_last_page_that_is_full_has_no_cursor() {
    for (tools, size, expected) in
        [(0, 2, vec![0]), (1, 2, vec![1]), (2, 2, vec![2]), (4, 2, vec![2, 2]), (3, 0, vec![1, 1, 1])]
    {
        let house = House::new(|builder| {
            (0..tools).fold(builder.page_size(size), |builder, n| builder.tool(Named::new(&format!("tool.{n}"))))
        });
        let pages = pages(&house, |params| Request::modern("tools/list", params)).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{tools} tools");
    }
}

#[tokio::test]
async fn a_tool_shows_what_it_says_of_itself() {
    let spec = ToolSpec::new("full-1.0_x", "Does \"all\".")
        .title("Full")
        .icon(Icon::new("https://example.com/i.png").mime_type("image/png").size("48x48"))
        .input_json(
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}})
                .as_object()
                .unwrap()
                .clone(),
        )
        .output_json(json!({"type": "object"}))
        .read_only()
        .repeatable()
        .destructive(false)
        .open_world(true);
    let house = House::new(|builder| builder.tool(Named(spec)).tool(Named::new("bare")));
    let listed = house.send(&Request::modern("tools/list", json!({}))).await.result();
    assert_eq!(
        listed["tools"],
        json!([
            {
                "name": "full-1.0_x",
                "title": "Full",
                "description": "Does \"all\".",
                "inputSchema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}},
                "outputSchema": {"type": "object"},
                "annotations": {"readOnlyHint": true, "idempotentHint": true, "destructiveHint": false, "openWorldHint": true},
                "icons": [{"src": "https://example.com/i.png", "mimeType": "image/png", "sizes": ["48x48"]}],
            },
            {"name": "bare", "description": "Does nothing.", "inputSchema": {"type": "object", "additionalProperties": false}},
        ])
    );
}

#[test]
fn what_cannot_be_offered_is_told_when_the_server_is_built() {
    let build = |spec: ToolSpec| {
        let built = Server::builder("house", "1").tool(Named(spec)).build();
        built.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let long = "x".repeat(129);
    for name in ["", "a b", "a/b", "é", &long] {
        let fault = build(ToolSpec::new(name, ""));
        assert!(fault.contains("a name has 1 to 128 characters"), "{name:?}: {fault}");
    }
    assert_eq!(build(ToolSpec::new("x".repeat(128), "")), "");
    let schema = |schema: Value| build(ToolSpec::new("t", "").input_json(schema.as_object().unwrap().clone()));
    assert!(schema(json!({})).contains("wrap the arguments in a struct"));
    assert!(schema(json!({"type": "string"})).contains("its root must have \"type\": \"object\""));
    assert!(
        schema(json!({"type": "object", "minProperties": -1}))
            .contains("the tool \"t\" cannot be offered: its input schema")
    );
    let twice = Server::builder("house", "1").tool(Named::new("t")).tool(Named::new("t")).build();
    assert_eq!(twice.err().unwrap().to_string(), "the tool \"t\" cannot be offered: another tool has this name");
}
