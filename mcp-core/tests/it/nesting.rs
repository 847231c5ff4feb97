//! Calls within calls.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use mcp_core::caller::Caller;
use mcp_core::tool::function::NoInput;
use mcp_core::{Arguments, Context, Progress, ToolError, ToolOutput, tool_fn, tool_with};
use serde_json::json;

use crate::support::{Diary, House, Request, look, puppet, settle};

/// Calls the tool that it is told to, and gives back what that gave.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Through {
    tool: String,
}

async fn through(through: Through, cx: Context) -> Result<ToolOutput, ToolError> {
    cx.call(&through.tool, Arguments::none()).await
}

async fn stubborn(diary: Diary, _: NoInput, cx: Context) -> Result<(), ToolError> {
    let _dropped = diary.on_drop("dropped");
    cx.cancelled().await;
    assert!(cx.is_cancelled());
    diary.write("told");
    std::future::pending().await
}

#[tokio::test]
async fn a_call_within_a_call_has_the_same_caller_and_is_recorded_under_it() {
    async fn who(_: NoInput, cx: Context) -> Result<String, ToolError> {
        Ok(format!("{} {}", cx.caller().principal(), cx.caller().has_scope("s")))
    }
    let house =
        House::new(|builder| builder.tool(tool_fn("who", "Says.", who)).tool(tool_fn("through", "Calls.", through)));
    let caller = Caller::new("default", "ann").with_scope("s");
    let arguments = Arguments::from_value(&json!({"tool": "who"})).unwrap();
    let output = house.server.call_tool(caller, "through", arguments).await.unwrap();
    assert_eq!(output.first_text(), Some("ann true"));
    let records = house.records().await;
    let [outer, inner] = &records[..] else { panic!("two calls, and not {records:?}") };
    assert_eq!((&*outer.tool, &*inner.tool), ("through", "who"));
    assert_eq!((outer.parent, inner.parent), (None, Some(outer.id)));
    assert_eq!((inner.principal.as_str(), &inner.arguments[..]), ("ann", &b"{}"[..]));
}

#[tokio::test]
async fn a_call_within_a_call_is_checked_as_every_call_is() {
    async fn fails() -> Result<(), ToolError> {
        Err(ToolError::failed("no such account"))
    }
    async fn breaks() -> Result<(), std::fmt::Error> {
        Err(std::fmt::Error)
    }
    let house = House::new(|builder| {
        builder
            .tool(tool_fn("through", "Calls.", through))
            .tool(tool_fn("fails", "Fails.", fails))
            .tool(tool_fn("breaks", "Breaks.", breaks))
    });
    let text = async |tool: &str| house.call("through", json!({"tool": tool})).await["content"][0]["text"].clone();
    assert_eq!(text("fails").await, "no such account");
    assert_eq!(text("fail").await, "there is no tool \"fail\"; did you mean \"fails\"?");
    assert!(text("through").await.as_str().unwrap().contains("\"tool\" is a required property"));
    let broken = text("breaks").await;
    assert!(broken.as_str().unwrap().starts_with("the tool failed inside; the server's log has the cause under"));
}

#[tokio::test]
async fn sixteen_calls_may_be_inside_of_one_another() {
    async fn deeper(_: NoInput, cx: Context) -> Result<ToolOutput, ToolError> {
        cx.call("deeper", Arguments::none()).await
    }
    let house = House::new(|builder| builder.tool(tool_fn("deeper", "Calls itself.", deeper)));
    let result = house.call("deeper", json!({})).await;
    assert_eq!(result["content"][0]["text"], "16 calls are inside of one another; deeper is not called");
    let records = house.records().await;
    assert_eq!(records.len(), 16);
    let mut by_age = records.clone();
    by_age.sort_by_key(|record| record.id);
    assert!(by_age.windows(2).all(|pair| pair[1].parent == Some(pair[0].id)));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_by_the_innermost_call() {
    let diary = Diary::default();
    let house = House::new(|builder| {
        builder.tool(tool_fn("through", "Calls.", through)).tool(tool_with(
            "stubborn",
            "Stays.",
            diary.clone(),
            stubborn,
        ))
    });
    let request = Request::call("through", json!({"tool": "stubborn"}));
    {
        let mut reply = pin!(house.send(&request));
        assert!(look(reply.as_mut()).await.is_pending());
        assert!(diary.read().is_empty());
    }
    settle().await;
    assert_eq!(diary.read(), ["told"]);
    house.clock.advance(Duration::from_secs(1));
    settle().await;
    assert_eq!(diary.read(), ["told", "dropped"]);
    let outcomes = house.outcomes().await;
    assert_eq!(outcomes, [("through".to_owned(), "cancelled"), ("stubborn".to_owned(), "cancelled")]);
}

#[tokio::test]
async fn a_read_only_call_within_a_call_is_dropped_at_once() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool_fn("through", "Calls.", through)).tool(tool.read_only()));
    {
        let request = Request::call("through", json!({"tool": "puppet"}));
        let mut reply = pin!(house.send(&request));
        assert!(look(reply.as_mut()).await.is_pending());
    }
    settle().await;
    assert_eq!(strings.diary.read(), ["called", "dropped"]);
    assert_eq!(house.outcomes().await, [("through".to_owned(), "cancelled"), ("puppet".to_owned(), "cancelled")]);
}

#[tokio::test]
async fn the_outer_call_s_time_is_the_inner_call_s_too() {
    let diary = Diary::default();
    let house = House::new(|builder| {
        builder
            .tool(tool_fn("through", "Calls.", through).timeout(Duration::from_secs(2)))
            .tool(tool_with("stubborn", "Stays.", diary.clone(), stubborn).timeout(Duration::from_secs(30)))
    });
    let request = Request::call("through", json!({"tool": "stubborn"}));
    let mut reply = pin!(house.send(&request));
    assert!(look(reply.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(2));
    assert!(look(reply.as_mut()).await.is_pending());
    assert_eq!(diary.read(), ["told"]);
    house.clock.advance(Duration::from_secs(1));
    let Poll::Ready(reply) = look(reply).await else { panic!("its grace is over") };
    assert_eq!(reply.result()["content"][0]["text"], "the tool took longer than 2s and was stopped");
    assert_eq!(house.outcomes().await, [("through".to_owned(), "timed_out"), ("stubborn".to_owned(), "cancelled")]);
}

#[tokio::test]
async fn an_inner_call_that_is_too_late_leaves_the_outer_one_its_time() {
    async fn patient(_: NoInput, cx: Context) -> Result<String, ToolError> {
        let inner = cx.call("puppet", Arguments::none()).await.map_err(|error| error.to_string());
        assert!(!cx.is_cancelled());
        Ok(format!("{:?}", inner.expect_err("it is too late")))
    }
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| {
        builder
            .tool(tool_fn("patient", "Waits.", patient).timeout(Duration::from_secs(30)))
            .tool(tool.read_only().timeout(Duration::from_secs(2)))
    });
    let mut call = pin!(house.call("patient", json!({})));
    assert!(look(call.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(2));
    let Poll::Ready(result) = look(call).await else { panic!("the inner one is too late") };
    assert_eq!(result["content"][0]["text"], "\"the tool took longer than 2s and was stopped\"");
    assert!(strings.diary.has("dropped"));
}

#[tokio::test]
async fn an_inner_call_that_is_dropped_is_recorded() {
    async fn hasty(_: NoInput, cx: Context) -> Result<String, ToolError> {
        let mut call = pin!(cx.call("puppet", Arguments::none()));
        assert!(futures_util::poll!(&mut call).is_pending());
        Ok("not waiting".to_owned())
    }
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool_fn("hasty", "Does not wait.", hasty)).tool(tool));
    house.call("hasty", json!({})).await;
    assert_eq!(strings.diary.read(), ["called", "dropped"]);
    assert_eq!(house.outcomes().await, [("hasty".to_owned(), "ok"), ("puppet".to_owned(), "cancelled")]);
}

#[tokio::test]
async fn an_inner_call_speaks_to_the_same_client() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool_fn("through", "Calls.", through)).tool(tool));
    strings.pull(|cx| cx.progress(Progress::new(1.0)));
    strings.finish("done");
    let params = json!({"name": "through", "arguments": {"tool": "puppet"}, "_meta": {"progressToken": "p"}});
    let said = house.send(&Request::modern("tools/call", params)).await.events();
    assert_eq!((&said[0]["params"]["progress"], &said[1]["result"]["content"][0]["text"]), (&json!(1), &json!("done")));
}
