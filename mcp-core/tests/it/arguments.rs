//! What a tool may be given, and what it is told where it was given something else.

use mcp_core::tool::function::NoInput;
use mcp_core::{Arguments, Context, Tool, ToolError, ToolOutput, ToolSpec, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{House, Request};

#[derive(Deserialize, JsonSchema)]
struct Order {
    /// What to buy.
    item: String,
    #[schemars(range(min = 1, max = 10))]
    count: u32,
    address: Address,
    #[serde(default)]
    notes: Vec<String>,
    speed: Option<Speed>,
}

#[derive(Deserialize, JsonSchema)]
struct Address {
    street: String,
    zip: u16,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Speed {
    Slow,
    Fast,
}

async fn order(order: Order) -> Result<String, ToolError> {
    let Order { item, count, address: Address { street, zip }, notes, speed } = order;
    Ok(format!("{count} {item} to {street} {zip} {notes:?} {speed:?}"))
}

#[derive(Deserialize, JsonSchema)]
struct Plain {
    whole: i64,
    small: Option<u8>,
    real: Option<f64>,
}

async fn plain(plain: Plain) -> Result<String, ToolError> {
    Ok(format!("{} {:?} {:?}", plain.whole, plain.small, plain.real))
}

#[derive(Deserialize, JsonSchema)]
struct Nested {
    inner: Inner,
    choice: Option<Choice>,
}

#[derive(Deserialize, JsonSchema)]
struct Inner {
    a: i64,
    b: i64,
}

#[derive(Debug, Deserialize, JsonSchema)]
enum Choice {
    #[expect(dead_code, reason = "it is only shown")]
    Named { x: i64 },
    #[expect(dead_code, reason = "it is only shown")]
    Many(Vec<i64>),
}

async fn nested(nested: Nested) -> Result<String, ToolError> {
    Ok(format!("{} {} {:?}", nested.inner.a, nested.inner.b, nested.choice))
}

async fn none() -> Result<String, ToolError> {
    Ok("none".to_owned())
}

async fn none_but_context(_: NoInput, cx: Context) -> Result<String, ToolError> {
    Ok(cx.caller().principal().to_string())
}

#[derive(Deserialize, JsonSchema)]
struct Optional {
    word: Option<String>,
}

async fn optional(optional: Optional) -> Result<String, ToolError> {
    Ok(format!("{:?}", optional.word))
}

/// Looks at nothing.
struct ByHand(ToolSpec);

#[async_trait::async_trait]
impl Tool for ByHand {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, arguments: Arguments, _: Context) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::text(String::from_utf8_lossy(arguments.as_bytes())))
    }
}

fn house() -> House {
    let schema = json!({
        "type": "object",
        "properties": {"n": {"type": "integer"}, "word": {"type": "string", "pattern": "^[a-z]+$"}},
        "required": ["n"],
    });
    let by_hand = ToolSpec::new("by_hand", "").input_json(schema.as_object().unwrap().clone());
    House::new(|builder| {
        builder
            .tool(tool_fn("order", "", order))
            .tool(tool_fn("plain", "", plain))
            .tool(tool_fn("nested", "", nested))
            .tool(tool_fn("none", "", none))
            .tool(tool_fn("none_but_context", "", none_but_context))
            .tool(tool_fn("optional", "", optional))
            .tool(ByHand(by_hand))
            .tool(ByHand(ToolSpec::new("by_hand_none", "")))
    })
}

async fn taken(house: &House, tool: &str, arguments: Value, expected: &str) {
    let result = house.call(tool, arguments.clone()).await;
    assert_eq!(result["content"][0]["text"], expected, "{tool} {arguments}");
    assert_eq!(result.get("isError"), None, "{tool} {arguments}");
}

async fn refused(house: &House, tool: &str, arguments: Value, faults: &[&str]) {
    let result = house.call(tool, arguments.clone()).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("invalid arguments: "), "{tool} {arguments}: {text}");
    assert_eq!(text.matches("; ").count() + 1, faults.len(), "{tool} {arguments}: {text}");
    for fault in faults {
        assert!(text.contains(fault), "{tool} {arguments}: {text:?} does not say {fault:?}");
    }
    assert_eq!(result["isError"], true);
}

#[tokio::test]
async fn arguments_that_fit_are_taken() {
    let house = house();
    let order =
        json!({"item": "tea", "count": 10, "address": {"street": "Main", "zip": 1}, "notes": ["a"], "speed": "fast"});
    taken(&house, "order", order, r#"10 tea to Main 1 ["a"] Some(Fast)"#).await;
    let order = json!({"item": "tea", "count": 1, "address": {"street": "Main", "zip": 1}, "more": [[]]});
    taken(&house, "order", order, "1 tea to Main 1 [] None").await;
    taken(&house, "nested", json!({"inner": {"a": 1, "b": 2}, "choice": {"Many": [1, 2]}}), "1 2 Some(Many([1, 2]))")
        .await;
    taken(
        &house,
        "nested",
        json!({"inner": {"a": 1, "b": 2}, "choice": {"Named": {"x": 3}}}),
        "1 2 Some(Named { x: 3 })",
    )
    .await;
    taken(&house, "optional", json!({}), "None").await;
    taken(&house, "optional", json!({"word": null}), "None").await;
    taken(&house, "optional", json!({"word": "é\u{0}\"😀"}), r#"Some("é\0\"😀")"#).await;
    taken(&house, "none", json!({}), "none").await;
    taken(&house, "none_but_context", json!({}), "local").await;
    taken(&house, "by_hand", json!({"n": 1}), r#"{"n":1}"#).await;
}

#[tokio::test]
async fn arguments_may_be_left_out_where_none_are_needed() {
    let house = house();
    for tool in ["none", "none_but_context", "optional", "by_hand_none"] {
        let result = house.send(&Request::modern("tools/call", json!({"name": tool}))).await.result();
        assert_eq!(result.get("isError"), None, "{tool}: {result}");
    }
    let result = house.send(&Request::modern("tools/call", json!({"name": "plain"}))).await.result();
    assert_eq!(result["content"][0]["text"], "invalid arguments: \"whole\" is a required property");
}

#[tokio::test]
async fn every_fault_is_told_with_its_place() {
    let house = house();
    refused(
        &house,
        "order",
        json!({"count": 0, "address": {"street": 5, "zip": 70_000}, "notes": ["a", 1], "speed": "warp"}),
        &[
            "\"item\" is a required property",
            "/count: 0 is less than the minimum of 1",
            "/address/street: 5 is not of type \"string\"",
            "/address/zip: 70000 is greater than the maximum of 65535",
            "/notes/1: 1 is not of type \"string\"",
            "/speed: \"warp\" is not valid under any of the schemas",
        ],
    )
    .await;
    refused(&house, "plain", json!({"whole": "1", "small": 256}), &["/whole: \"1\" is not of type", "/small: 256"])
        .await;
    refused(&house, "nested", json!({"inner": {"a": 1}}), &["/inner: \"b\" is a required property"]).await;
}

#[tokio::test]
async fn many_faults_are_told_in_part() {
    let house = house();
    let notes: Vec<_> = (0..1_000).collect();
    let order = json!({"item": "tea", "count": 1, "address": {"street": "Main", "zip": 1}, "notes": notes});
    refused(&house, "order", order, &[""; 20]).await;
}

#[tokio::test]
async fn a_fault_does_not_repeat_all_that_was_sent() {
    let house = house();
    let long = "x".repeat(100_000);
    for (tool, arguments) in [
        ("plain", json!({"whole": long})),
        ("plain", json!({"whole": u64::MAX, "small": long})),
        ("order", json!({"item": [long], "count": {"a": long}, "speed": long})),
        ("by_hand", json!({"n": 1, "word": format!("{long}!")})),
        ("none", json!({long.clone(): 1})),
        ("optional", json!({"word": [{long.clone(): 1}]})),
    ] {
        let result = house.call(tool, arguments).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("invalid arguments: ") && text.len() < 4_000, "{tool}: {} bytes", text.len());
    }
}

#[tokio::test]
async fn a_bound_of_the_schema_holds_where_the_type_has_none() {
    let house = house();
    let order = |count: i64| json!({"item": "tea", "count": count, "address": {"street": "Main", "zip": 1}});
    for count in [1, 10] {
        taken(&house, "order", order(count), &format!("{count} tea to Main 1 [] None")).await;
    }
    refused(&house, "order", order(0), &["/count: 0 is less than the minimum of 1"]).await;
    refused(&house, "order", order(11), &["/count: 11 is greater than the maximum of 10"]).await;
    refused(&house, "order", order(-1), &["/count: -1 is less than the minimum of 1"]).await;
}

#[tokio::test]
async fn a_list_is_no_object_though_serde_would_take_it() {
    let house = house();
    refused(&house, "nested", json!({"inner": [1, 2]}), &["/inner: [1,2] is not of type \"object\""]).await;
    refused(&house, "nested", json!({"inner": {"a": 1, "b": 2}, "choice": {"Named": [3]}}), &["/choice"]).await;
    let order = json!({"item": "tea", "count": 1, "address": ["Main", 1]});
    refused(&house, "order", order, &["/address: [\"Main\",1] is not of type \"object\""]).await;
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_fraction() {
    let house = house();
    taken(&house, "plain", json!({"whole": 1.0, "small": 2e1, "real": 1.5}), "1 Some(20) Some(1.5)").await;
    taken(&house, "plain", json!({"whole": 1, "real": 1}), "1 None Some(1.0)").await;
    taken(&house, "plain", json!({"whole": -0.0}), "0 None None").await;
    taken(&house, "plain", json!({"whole": 9_007_199_254_740_992.0}), "9007199254740992 None None").await;
    taken(&house, "plain", json!({"whole": i64::MIN}), "-9223372036854775808 None None").await;
    refused(&house, "plain", json!({"whole": 1.5}), &["/whole: 1.5 is not of type \"integer\""]).await;
    refused(
        &house,
        "plain",
        json!({"whole": 1, "small": 256.0}),
        &["/small: 256.0 is greater than the maximum of 255"],
    )
    .await;
    let order = json!({"item": "tea", "count": 2.0, "address": {"street": "Main", "zip": 1.0}});
    taken(&house, "order", order, "2 tea to Main 1 [] None").await;
    // The schema has no bound for these, and the type has.
    refused(
        &house,
        "plain",
        json!({"whole": u64::MAX}),
        &["invalid value: integer `18446744073709551615`, expected i64"],
    )
    .await;
    refused(&house, "plain", json!({"whole": 1e300}), &["expected i64"]).await;
}

#[tokio::test]
async fn a_tool_without_arguments_takes_none() {
    let house = house();
    for tool in ["none", "none_but_context", "by_hand_none"] {
        refused(&house, tool, json!({"a": 1, "b": 2}), &["nothing is expected here: leave out \"a\", \"b\""]).await;
    }
}

#[tokio::test]
async fn a_tool_by_hand_is_given_only_what_fits_its_schema() {
    let house = house();
    taken(&house, "by_hand", json!({"n": 1.0, "word": "a"}), r#"{"n":1.0,"word":"a"}"#).await;
    refused(&house, "by_hand", json!({}), &["\"n\" is a required property"]).await;
    refused(
        &house,
        "by_hand",
        json!({"n": "1", "word": "A"}),
        &["/n: \"1\" is not of type", "/word: \"A\" does not match"],
    )
    .await;
    let mut request = Request::call("by_hand", json!({"n": 1}));
    let body = String::from_utf8(request.body).unwrap();
    request.body = body.replace(r#""n":1}"#, r#""n":1e999}"#).into_bytes();
    let result = house.send(&request).await.result();
    assert!(result["content"][0]["text"].as_str().unwrap().contains("number out of range"), "{result}");
}

#[test]
fn arguments_are_one_json_object() {
    for text in ["{}", " {\"a\": [1, {\"b\": 2}]} \n"] {
        assert_eq!(Arguments::from_json(text).unwrap().as_bytes(), text);
    }
    for (text, why) in [
        ("", "not JSON"),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("{} {}", "not JSON"),
        (r#"{"a":1,"\u0061":2}"#, "the key \"a\" stands twice"),
        (r#"{"a":"\ud800"}"#, "half of a surrogate pair"),
        (&format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64)), "nested deeper than 64 levels"),
    ] {
        let error = Arguments::from_json(text.to_owned()).unwrap_err().to_string();
        assert!(error.contains(why), "{text:?}: {error}");
    }
    assert!(Arguments::from_json(&b"{\"a\":\"\xff\"}"[..]).is_err());
    assert_eq!(Arguments::from_value(&json!({"a": 1})).unwrap().as_bytes(), r#"{"a":1}"#);
    assert!(Arguments::from_value(&[1]).is_err());
    assert!(Arguments::from_value(&std::collections::HashMap::from([((1, 2), 3)])).is_err());
}
