//! How often callers may call: the tool by itself, and the server for one of them and for all.

use std::time::Duration;

use mcp_core::server::open_call::ToolCall;
use mcp_core::store::limits::Rate;
use mcp_core::tool::function::NoInput;
use mcp_core::tool::limited::{Limited, LimitedBy};
use mcp_core::{Arguments, BuildError, CallError, Caller, Context, Server, Tool, ToolError, tool_fn};
use serde_json::json;

use crate::support::{House, Request, local};

const fn rate(burst: u32, seconds: u64) -> Rate {
    Rate { burst, per: Duration::from_secs(seconds) }
}

async fn nothing() -> Result<(), ToolError> {
    Ok(())
}

fn free(name: &str) -> impl Tool {
    tool_fn(name, "Does nothing.", nothing)
}

fn limited(name: &str, rate: Rate) -> impl Tool {
    tool_fn(name, "Does nothing.", nothing).rate_limit(rate)
}

fn ann() -> Caller {
    Caller::new("t", "ann")
}

fn bob() -> Caller {
    Caller::new("t", "bob")
}

/// By what a call was limited, if it was.
async fn by(house: &House, caller: Caller, tool: &str) -> Option<LimitedBy> {
    match house.server.call_tool(caller, tool, Arguments::none()).await {
        Ok(_) => None,
        Err(CallError::Tool { error: ToolError::Limited(limited), .. }) => Some(limited.by),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_burst_is_answered_and_what_is_more_is_refused_until_tokens_are_back() {
    let house = House::new(|builder| builder.tool(free("tool")).rate_limit_per_caller(rate(3, 3)).measured());
    for _ in 0..3 {
        assert_eq!(house.call("tool", json!({})).await.get("isError"), None);
    }
    let refused = house.call("tool", json!({})).await;
    let told = "the caller has made as many calls as it may for now (3 in 3s); try again in 1 s";
    assert_eq!((&refused["isError"], &refused["content"][0]["text"]), (&json!(true), &json!(told)));
    house.clock.advance(Duration::from_secs(1));
    for is_error in [None, Some(&json!(true))] {
        assert_eq!(house.call("tool", json!({})).await.get("isError"), is_error, "one token is back");
    }
    house.clock.advance(Duration::from_secs(60));
    for _ in 0..3 {
        assert_eq!(house.call("tool", json!({})).await.get("isError"), None, "all are back, and no more than all");
    }
    assert_eq!(house.call("tool", json!({})).await["isError"], true);

    let outcomes: Vec<_> = house.outcomes().await.into_iter().map(|(_, outcome)| outcome).collect();
    let (ok, refused) = ("ok", "limited");
    assert_eq!(outcomes, [ok, ok, ok, refused, ok, refused, ok, ok, ok, refused], "each is recorded");
    let record = &house.records().await[3];
    assert!(String::from_utf8_lossy(&record.result).contains(told), "as the client was told it");
    let measures = &house.server.measures()[0];
    assert_eq!(measures.limited.map(|(by, count)| (by.as_str(), count))[1], ("caller", 3));
    assert_eq!(measures.calls.iter().map(|(_, count)| count).sum::<u64>(), 10);
}

#[tokio::test]
async fn callers_are_apart_and_so_are_tools_that_are_limited_by_themselves() {
    let house = House::new(|builder| {
        builder.tool(limited("one", rate(1, 60))).tool(limited("two", rate(1, 60))).tool(free("free"))
    });
    assert_eq!(by(&house, ann(), "one").await, None);
    assert_eq!(by(&house, ann(), "one").await, Some(LimitedBy::Tool));
    assert_eq!(by(&house, ann(), "two").await, None, "another tool");
    assert_eq!(by(&house, bob(), "one").await, None, "another caller");
    assert_eq!(by(&house, Caller::new("other", "ann"), "one").await, None, "the same name in another tenant");
    for _ in 0..10 {
        assert_eq!(by(&house, ann(), "free").await, None);
    }
}

#[tokio::test]
async fn all_callers_together_are_limited_and_who_is_refused_by_a_limit_of_their_own_takes_nothing_from_others() {
    let house =
        House::new(|builder| builder.tool(free("tool")).rate_limit_per_caller(rate(2, 60)).rate_limit(rate(3, 60)));
    let mut ended = Vec::new();
    for _ in 0..5 {
        ended.push(by(&house, ann(), "tool").await);
    }
    let caller = Some(LimitedBy::Caller);
    assert_eq!(ended, [None, None, caller, caller, caller]);
    assert_eq!(by(&house, bob(), "tool").await, None, "one of the three is left");
    assert_eq!(by(&house, bob(), "tool").await, Some(LimitedBy::Server));
    assert_eq!(by(&house, Caller::new("other", "eve"), "tool").await, Some(LimitedBy::Server), "of all tenants");
}

#[tokio::test]
async fn what_is_answered_without_its_tool_takes_nothing() {
    let cached = tool_fn("cached", "Does nothing.", nothing).cached(Duration::from_secs(60), "t");
    let house = House::new(|builder| builder.tool(cached).tool(free("plain")).rate_limit_per_caller(rate(2, 3_600)));
    for _ in 0..10 {
        assert_eq!(by(&house, ann(), "cached").await, None, "from the cache");
    }
    let key = "k".parse().unwrap();
    for _ in 0..10 {
        let answer = house.server.call_tool_once(ann(), &key, "plain", Arguments::none()).await;
        assert!(answer.is_ok(), "as the first was answered: {answer:?}");
    }
    assert_eq!(by(&house, ann(), "plain").await, Some(LimitedBy::Caller), "both tokens are taken");
}

#[tokio::test]
async fn what_was_refused_is_made_when_it_is_sent_again_under_its_key() {
    let house = House::new(|builder| builder.tool(limited("tool", rate(1, 10))));
    assert_eq!(by(&house, ann(), "tool").await, None);
    let key = "k".parse().unwrap();
    let call = || house.server.call_tool_once(ann(), &key, "tool", Arguments::none());
    for _ in 0..2 {
        let refused = call().await;
        assert!(
            matches!(&refused, Err(CallError::Tool { error: ToolError::Limited(_), replayed: false, .. })),
            "{refused:?}"
        );
    }
    house.clock.advance(Duration::from_secs(10));
    assert!(!call().await.unwrap().is_replayed(), "it was never made before");
    assert!(call().await.unwrap().is_replayed());
}

#[tokio::test]
async fn a_call_within_a_call_counts_for_its_own_tool_alone() {
    async fn outer(_: NoInput, cx: Context) -> Result<String, ToolError> {
        for n in 0..5 {
            match cx.call("inner", Arguments::none()).await {
                Ok(_) => {}
                Err(ToolError::Unavailable(cause)) => {
                    let limited = cause.downcast_ref::<Limited>().expect("a limit is the cause");
                    return Ok(format!("{n}: {}", limited.by.as_str()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok("never".to_owned())
    }
    let house = House::new(|builder| {
        let tools = builder.tool(tool_fn("outer", "Calls.", outer)).tool(limited("inner", rate(2, 60)));
        tools.rate_limit_per_caller(rate(1, 60))
    });
    let ended = house.server.call_tool(ann(), "outer", Arguments::none()).await.unwrap();
    assert_eq!(ended.first_text(), Some("2: tool"), "a caller who has called once has called once");
}

#[tokio::test]
async fn a_head_tells_how_it_stands_with_the_limits_in_each_era() {
    let house = House::new(|builder| {
        builder.tool(limited("tool", rate(2, 60))).tool(free("free")).rate_limit_per_caller(rate(100, 50))
    });
    let names = ["ratelimit-policy", "ratelimit", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
    let modern = house.send(&Request::call("tool", json!({}))).await;
    let policy = r#""tool";q=2;w=60, "caller";q=100;w=50"#;
    assert_eq!(
        names.map(|name| modern.header(name).unwrap()),
        [policy, r#""tool";r=1;t=30, "caller";r=99;t=1"#, "2", "1", "30"]
    );
    assert_eq!((modern.status, modern.header("retry-after")), (200, None));
    let legacy = house.send(&Request::legacy("tools/call", json!({"name": "tool"}))).await;
    assert_eq!(legacy.header("ratelimit"), Some(r#""tool";r=0;t=60, "caller";r=98;t=1"#));

    // Who is refused is told by a result, which every client shows, and by the head, which some read.
    for request in [Request::call("tool", json!({})), Request::legacy("tools/call", json!({"name": "tool"}))] {
        let refused = house.send(&request).await;
        assert_eq!((refused.status, refused.header("retry-after")), (200, Some("30")));
        assert_eq!(refused.header("ratelimit"), Some(r#""tool";r=0;t=30"#));
        assert_eq!(refused.result()["isError"], true);
    }
    let other = house.send(&Request::modern("tools/list", json!({}))).await;
    assert!(other.header("ratelimit").is_none(), "what is not counted says nothing");

    let mut open = house.server.open_call(local(), &ToolCall::new("free", Arguments::none())).unwrap();
    open.end().await.unwrap();
    assert_eq!(open.quotas().headers()[1], ("ratelimit", r#""caller";r=97;t=2"#.to_owned()));
}

#[tokio::test]
async fn without_limits_a_head_says_nothing_of_them() {
    let house = House::new(|builder| builder.tool(free("tool")));
    let reply = house.send(&Request::call("tool", json!({}))).await;
    assert!(reply.headers.iter().all(|(name, _)| !name.starts_with("ratelimit")), "{:?}", reply.headers);
}

#[test]
fn a_rate_that_allows_nothing_or_all_is_refused_when_the_server_is_built() {
    let build = |builder: mcp_core::ServerBuilder| {
        let clock = std::sync::Arc::new(mcp_core::clock::simulated::SimulatedClock::new());
        builder.clock(clock).build().map(drop).unwrap_err()
    };
    for wrong in [rate(0, 1), rate(1, 0)] {
        let builder = || Server::builder("house", "1.0.0");
        let of_tool = build(builder().tool(limited("tool", wrong)));
        assert!(matches!(&of_tool, BuildError::Tool(bad) if bad.to_string().contains("a rate of")), "{of_tool}");
        for of_server in [builder().rate_limit(wrong), builder().rate_limit_per_caller(wrong)] {
            let error = build(of_server);
            assert!(matches!(&error, BuildError::Rate(fault) if fault.contains("one at least")), "{error}");
        }
    }
}
