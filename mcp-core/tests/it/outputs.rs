//! What a function may return, and what becomes of it.

use mcp_core::{Content, TestClient, ToolError, ToolOutput, tool_fn};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::{House, Request};

#[derive(Serialize, JsonSchema)]
struct Point {
    x: i32,
    label: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Color {
    Red,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mood {
    /// All is well.
    Calm,
    /// It is not.
    #[expect(dead_code, reason = "it is only described")]
    Tense,
}

#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Shape {
    Circle { radius: f64 },
}

/// What the tool `name` shows as its output's schema, and what a call of it gives.
async fn seen(house: &House, name: &str) -> (Option<Value>, Value, Option<Value>) {
    let listed = house.send(&Request::modern("tools/list", json!({}))).await.result();
    let tool = listed["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone();
    let mut result = house.call(name, json!({})).await;
    let structured = result.as_object_mut().unwrap().remove("structuredContent");
    (tool.get("outputSchema").cloned(), result["content"].take(), structured)
}

fn text(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

#[tokio::test]
async fn an_output_whose_schema_is_a_string_is_a_text() {
    async fn string() -> Result<String, ToolError> {
        Ok("a \"b\"\n".to_owned())
    }
    async fn borrowed() -> Result<&'static str, ToolError> {
        Ok("borrowed")
    }
    async fn boxed() -> Result<Box<str>, ToolError> {
        Ok("boxed".into())
    }
    async fn color() -> Result<Color, ToolError> {
        Ok(Color::Red)
    }
    async fn mood() -> Result<Mood, ToolError> {
        Ok(Mood::Calm)
    }
    let house = House::new(|builder| {
        builder
            .tool(tool_fn("string", "", string))
            .tool(tool_fn("borrowed", "", borrowed))
            .tool(tool_fn("boxed", "", boxed))
            .tool(tool_fn("color", "", color))
            .tool(tool_fn("mood", "", mood))
    });
    for (tool, said) in
        [("string", "a \"b\"\n"), ("borrowed", "borrowed"), ("boxed", "boxed"), ("color", "red"), ("mood", "calm")]
    {
        assert_eq!(seen(&house, tool).await, (None, text(said), None), "{tool}");
    }
}

#[tokio::test]
async fn nothing_is_empty() {
    async fn nothing() -> Result<(), ToolError> {
        Ok(())
    }
    let house = House::new(|builder| builder.tool(tool_fn("nothing", "", nothing)));
    assert_eq!(seen(&house, "nothing").await, (None, json!([]), None));
}

#[tokio::test]
async fn every_other_output_is_structured_and_mirrored_as_text() {
    async fn point() -> Result<Point, ToolError> {
        Ok(Point { x: 1, label: None })
    }
    async fn list() -> Result<Vec<Point>, ToolError> {
        Ok(vec![Point { x: 1, label: Some("a".to_owned()) }])
    }
    async fn number() -> Result<i64, ToolError> {
        Ok(-5)
    }
    async fn truth() -> Result<bool, ToolError> {
        Ok(true)
    }
    async fn some() -> Result<Option<Point>, ToolError> {
        Ok(Some(Point { x: 1, label: None }))
    }
    async fn absent() -> Result<Option<Point>, ToolError> {
        Ok(None)
    }
    async fn word() -> Result<Option<String>, ToolError> {
        Ok(Some("w".to_owned()))
    }
    async fn shape() -> Result<Shape, ToolError> {
        Ok(Shape::Circle { radius: 1.5 })
    }
    async fn any() -> Result<Value, ToolError> {
        Ok(json!({"b": 1, "a": [null]}))
    }
    let house = House::new(|builder| {
        builder
            .tool(tool_fn("point", "", point))
            .tool(tool_fn("list", "", list))
            .tool(tool_fn("number", "", number))
            .tool(tool_fn("truth", "", truth))
            .tool(tool_fn("some", "", some))
            .tool(tool_fn("absent", "", absent))
            .tool(tool_fn("word", "", word))
            .tool(tool_fn("shape", "", shape))
            .tool(tool_fn("any", "", any))
    });
    for (tool, json) in [
        ("point", r#"{"x":1,"label":null}"#),
        ("list", r#"[{"x":1,"label":"a"}]"#),
        ("number", "-5"),
        ("truth", "true"),
        ("some", r#"{"x":1,"label":null}"#),
        ("absent", "null"),
        ("word", r#""w""#),
        ("shape", r#"{"kind":"circle","radius":1.5}"#),
        ("any", r#"{"a":[null],"b":1}"#),
    ] {
        let (schema, content, structured) = seen(&house, tool).await;
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!((content, structured.as_ref()), (text(json), Some(&value)), "{tool}");
        // What was promised is kept.
        let schema = schema.unwrap_or_else(|| panic!("{tool} has a schema"));
        assert!(jsonschema::is_valid(&schema, &value), "{tool}: {schema} {value}");
    }
}

#[tokio::test]
async fn content_is_taken_as_it_is() {
    async fn image() -> Result<Content, ToolError> {
        Ok(Content::image("image/png", b"\x89PNG"))
    }
    async fn several() -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::from(vec![Content::text("one"), Content::audio("audio/wav", [0_u8; 3])]))
    }
    let house = House::new(|builder| builder.tool(tool_fn("image", "", image)).tool(tool_fn("several", "", several)));
    let image = json!([{"type": "image", "mimeType": "image/png", "data": "iVBORw=="}]);
    assert_eq!(seen(&house, "image").await, (None, image, None));
    let several = json!([{"type": "text", "text": "one"}, {"type": "audio", "mimeType": "audio/wav", "data": "AAAA"}]);
    assert_eq!(seen(&house, "several").await, (None, several, None));
}

#[tokio::test]
async fn what_does_not_become_json_is_an_error_inside() {
    async fn pairs() -> Result<Pairs, ToolError> {
        Ok(Pairs)
    }
    #[derive(JsonSchema)]
    struct Pairs;
    impl Serialize for Pairs {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("a secret"))
        }
    }
    let house = House::new(|builder| builder.tool(tool_fn("pairs", "", pairs)));
    let result = house.call("pairs", json!({})).await;
    let said = result["content"][0]["text"].as_str().unwrap();
    assert!(said.starts_with("the tool failed inside") && !said.contains("secret"), "{said}");
}

#[tokio::test]
async fn a_test_client_gives_what_the_tool_gave() {
    async fn point() -> Result<Option<Point>, ToolError> {
        Ok(None)
    }
    let house = House::new(|builder| builder.tool(tool_fn("point", "", point)));
    let output = TestClient::new(house.server).call("point", json!({})).await;
    assert_eq!((output.structured_json(), output.first_text()), (Some("null"), Some("null")));
    assert_eq!(output.content().len(), 1);
}
