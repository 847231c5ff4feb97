//! How a call ends that does not end well: too late, in a panic, with too much.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use mcp_core::tool::function::NoInput;
use mcp_core::{Arguments, Context, Tool, ToolError, ToolOutput, ToolSpec, tool_fn, tool_with};
use serde_json::{Value, json};

use crate::support::{Diary, House, Request, local, look, puppet, settle};

async fn stubborn(diary: Diary, _: NoInput, cx: Context) -> Result<(), ToolError> {
    let _dropped = diary.on_drop("dropped");
    cx.cancelled().await;
    diary.write("told");
    std::future::pending().await
}

async fn obedient(_: NoInput, cx: Context) -> Result<(), ToolError> {
    cx.cancelled().await;
    Err(ToolError::Cancelled)
}

async fn finisher(_: NoInput, cx: Context) -> Result<String, ToolError> {
    cx.cancelled().await;
    Ok("just in time".to_owned())
}

fn error(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

/// The result of a call, once it has had so much time in steps that each let everyone go on.
async fn after(house: &House, steps: &[u64]) -> Poll<Value> {
    let mut call = pin!(house.call("tool", json!({})));
    for step in steps {
        assert!(look(call.as_mut()).await.is_pending());
        house.clock.advance(Duration::from_millis(*step));
    }
    look(call).await
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_told_and_dropped_after_a_grace() {
    let diary = Diary::default();
    let tool = tool_with("tool", "Stays.", diary.clone(), stubborn).timeout(Duration::from_secs(5));
    let house = House::new(|builder| builder.tool(tool));
    assert!(after(&house, &[4_999]).await.is_pending());
    diary.read().is_empty().then_some(()).expect("nobody told it before its time");
    let house = House::new(|builder| {
        builder.tool(tool_with("tool", "Stays.", diary.clone(), stubborn).timeout(Duration::from_secs(5)))
    });
    let Poll::Ready(result) = after(&house, &[5_000, 1_000]).await else { panic!("its grace is over") };
    assert_eq!(result["content"], error("the tool took longer than 5s and was stopped"));
    assert_eq!(result["isError"], true);
    assert!(diary.has("told") && diary.has("dropped"));
    assert_eq!(house.outcomes().await, [("tool".to_owned(), "timed_out")]);
}

#[tokio::test]
async fn a_read_only_call_has_no_grace() {
    let (tool, strings) = puppet("tool");
    let house = House::new(|builder| builder.timeout(Duration::from_secs(2)).tool(tool.read_only()));
    let Poll::Ready(result) = after(&house, &[2_000]).await else { panic!("its time is over") };
    assert_eq!(result["content"], error("the tool took longer than 2s and was stopped"));
    assert_eq!(strings.diary.read(), ["called", "dropped"]);
}

#[tokio::test]
async fn what_a_call_gives_in_its_grace_counts_and_a_mere_yes_does_not() {
    let house = House::new(|builder| builder.tool(tool_fn("tool", "Ends.", finisher).timeout(Duration::from_secs(1))));
    let Poll::Ready(result) = after(&house, &[1_000]).await else { panic!("it ends at once") };
    assert_eq!((&result["content"], result.get("isError")), (&error("just in time"), None));

    let house = House::new(|builder| builder.tool(tool_fn("tool", "Heeds.", obedient).timeout(Duration::from_secs(1))));
    let Poll::Ready(result) = after(&house, &[1_000]).await else { panic!("it ends at once") };
    assert_eq!(result["content"], error("the tool took longer than 1s and was stopped"));
    assert_eq!(house.outcomes().await, [("tool".to_owned(), "timed_out")]);
}

#[tokio::test]
async fn without_a_word_of_its_tool_a_call_has_a_minute() {
    let (tool, _strings) = puppet("tool");
    let house = House::new(|builder| builder.tool(tool.read_only()));
    let mut call = pin!(house.server.call_tool(local(), "tool", Arguments::none()));
    for seconds in [59, 1] {
        assert!(look(call.as_mut()).await.is_pending());
        house.clock.advance(Duration::from_secs(seconds));
    }
    let Poll::Ready(Err(error)) = look(call).await else { panic!("its time is over") };
    assert_eq!(error.to_string(), "the tool took longer than 60s and was stopped");
}

/// Panics before it has a future.
struct Rash(ToolSpec);

impl Tool for Rash {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call<'a: 'b, 'b>(
        &'a self,
        _: Arguments,
        _: Context,
    ) -> Pin<Box<dyn Future<Output = Result<ToolOutput, ToolError>> + Send + 'b>> {
        panic!("at once")
    }
}

#[tokio::test]
async fn a_panic_ends_one_call_and_not_the_server() {
    #[derive(Clone)]
    struct NotText;
    async fn at_once() -> Result<(), ToolError> {
        panic!("secret {}", 42)
    }
    async fn later() -> Result<(), ToolError> {
        tokio::task::yield_now().await;
        std::panic::panic_any(NotText)
    }
    #[derive(schemars::JsonSchema)]
    struct Explosive;
    impl serde::Serialize for Explosive {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("while its output is written")
        }
    }
    async fn explosive() -> Result<Explosive, ToolError> {
        Ok(Explosive)
    }
    let house = House::new(|builder| {
        builder
            .tool(tool_fn("at_once", "Panics.", at_once))
            .tool(tool_fn("later", "Panics.", later))
            .tool(tool_fn("explosive", "Panics.", explosive))
            .tool(Rash(ToolSpec::new("rash", "Panics.")))
    });
    for _ in 0..2 {
        for tool in ["at_once", "later", "explosive", "rash"] {
            let result = house.call(tool, json!({})).await;
            let records = house.records().await;
            let record = records.last().unwrap();
            assert_eq!((&*record.tool, record.outcome.as_str()), (tool, "internal"));
            let expected = format!("the tool failed inside; the server's log has the cause under {}", record.id);
            assert_eq!((&result["isError"], &result["content"]), (&json!(true), &error(&expected)));
        }
    }
}

#[tokio::test]
async fn an_output_is_as_large_as_it_may_be() {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Size {
        bytes: usize,
    }
    async fn text(size: Size) -> Result<String, ToolError> {
        Ok("x".repeat(size.bytes))
    }
    async fn list(size: Size) -> Result<Vec<u8>, ToolError> {
        Ok(vec![1; size.bytes])
    }
    async fn pieces(size: Size) -> Result<ToolOutput, ToolError> {
        Ok((0..size.bytes).fold(ToolOutput::empty(), |output, _| output.and(mcp_core::Content::text(""))))
    }
    let house = House::new(|builder| {
        builder
            .max_output(1_000)
            .tool(tool_fn("text", "Writes.", text))
            .tool(tool_fn("list", "Counts.", list))
            .tool(tool_fn("pieces", "Says nothing, often.", pieces))
            .tool(tool_fn("more", "Writes more.", text).max_output(5_000))
    });
    for (tool, fits, too_many) in
        [("text", 900, 1_001), ("list", 499, 500), ("pieces", 10, 1_000), ("more", 4_900, 5_001)]
    {
        let result = house.call(tool, json!({"bytes": fits})).await;
        assert_eq!(result.get("isError"), None, "{tool}: {result}");
        let result = house.call(tool, json!({"bytes": too_many})).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("the output has ") && text.ends_with("ask for less at a time"), "{tool}: {text}");
    }
    let records = house.records().await;
    assert!(records.iter().all(|record| record.result.len() < 6_000));
    assert_eq!(records.last().unwrap().outcome.as_str(), "error");
}

#[tokio::test]
async fn an_error_of_the_tool_is_a_result_that_a_model_can_learn_from() {
    async fn fails() -> Result<(), ToolError> {
        Err(ToolError::failed("the account is closed"))
    }
    async fn says_so() -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::text("half done").as_error())
    }
    let house = House::new(|builder| {
        builder.tool(tool_fn("fails", "Fails.", fails)).tool(tool_fn("says_so", "Fails.", says_so))
    });
    for (tool, text) in [("fails", "the account is closed"), ("says_so", "half done")] {
        let modern = house.send(&Request::call(tool, json!({}))).await.result();
        assert_eq!(
            (&modern["content"], &modern["isError"], &modern["resultType"]),
            (&error(text), &json!(true), &json!("complete"))
        );
        let legacy = house.send(&Request::legacy("tools/call", json!({"name": tool}))).await.result();
        assert_eq!(legacy, json!({"content": error(text), "isError": true}));
    }
    settle().await;
    assert!(house.records().await.iter().all(|record| record.outcome.as_str() == "error"));
}
