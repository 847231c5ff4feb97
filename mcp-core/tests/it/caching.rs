//! Results that are used again, and runs that callers share.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use mcp_core::caller::{Caller, Tenant};
use mcp_core::store::StoreError;
use mcp_core::store::cache::Cache;
use mcp_core::tool::function::NoInput;
use mcp_core::{Arguments, CallError, Context, Stores, ToolError, ToolOutput, tool_fn, tool_with};
use serde_json::json;

use crate::support::{House, look, puppet, settle, until};

const LIFETIME: Duration = Duration::from_secs(300);

type Called = Result<ToolOutput, CallError>;

fn ann() -> Caller {
    Caller::new("t", "ann")
}

fn text(called: Called) -> String {
    called.expect("it goes well").first_text().expect("it gives a text").to_owned()
}

fn failed(called: Called) -> String {
    called.expect_err("it fails").to_string()
}

/// Counts its calls.
async fn count(calls: Arc<AtomicU64>, _: NoInput) -> Result<String, ToolError> {
    Ok((calls.fetch_add(1, Ordering::SeqCst) + 1).to_string())
}

async fn nothing() -> Result<(), ToolError> {
    Ok(())
}

#[tokio::test]
async fn fifty_callers_at_once_share_one_run() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.read_only().cached(LIFETIME, "notes")));
    let call = || house.server.call_tool(ann(), "puppet", Arguments::none());
    let mut all = pin!(join_all((0..50).map(|_| call())));
    assert!(look(all.as_mut()).await.is_pending());
    strings.finish("one");
    let Poll::Ready(all) = look(all).await else { panic!("the one run has ended") };
    assert_eq!(all.into_iter().map(text).collect::<Vec<_>>(), vec!["one"; 50]);
    assert_eq!(text(call().await), "one", "and those who come later");
    assert_eq!(strings.diary.read(), ["called", "dropped"]);
    assert_eq!(house.stores.history.calls(&Tenant::from("t"), &Default::default()).await.unwrap().len(), 51);
}

#[tokio::test]
async fn an_error_is_shared_and_not_kept() {
    type Ending = fn() -> Result<ToolOutput, ToolError>;
    let endings: [(Ending, &str); 3] = [
        (|| Err(ToolError::failed("closed")), "closed"),
        (
            || Err(ToolError::Unavailable("a secret".into())),
            "a service that this call needs is unavailable; try again later",
        ),
        (
            || Err(std::io::Error::other("a secret").into()),
            "the tool failed inside; the server's log has the cause under",
        ),
    ];
    for (ending, told) in endings {
        let (tool, strings) = puppet("puppet");
        let house = House::new(|builder| builder.tool(tool.read_only().cached(LIFETIME, "notes")));
        let call = || house.server.call_tool(ann(), "puppet", Arguments::none());
        let mut all = pin!(join_all((0..10).map(|_| call())));
        assert!(look(all.as_mut()).await.is_pending());
        strings.order(move |_| Some(ending()));
        let Poll::Ready(all) = look(all).await else { panic!("the one run has ended") };
        for error in all.into_iter().map(failed) {
            assert!(error.starts_with(told) && !error.contains("secret"), "{error}");
        }
        strings.finish("open again");
        assert_eq!(text(call().await), "open again");
        strings.order(|_| Some(Ok(ToolOutput::text("half done").as_error())));
        assert_eq!(text(call().await), "open again", "that is kept");
    }
}

#[tokio::test]
async fn an_output_that_is_an_error_is_not_kept() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.read_only().cached(LIFETIME, "notes")));
    let call = || house.server.call_tool(ann(), "puppet", Arguments::none());
    strings.order(|_| Some(Ok(ToolOutput::text("half done").as_error())));
    assert!(call().await.unwrap().is_error());
    strings.finish("done");
    assert_eq!(text(call().await), "done");
}

#[tokio::test]
async fn a_leader_that_leaves_hands_over() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.read_only().cached(LIFETIME, "notes")));
    let call = || house.server.call_tool(ann(), "puppet", Arguments::none());
    let mut leader = Box::pin(call());
    assert!(look(leader.as_mut()).await.is_pending());
    let mut others = pin!(join_all((0..9).map(|_| call())));
    assert!(look(others.as_mut()).await.is_pending());
    assert_eq!(strings.diary.read(), ["called"]);
    drop(leader);
    assert!(look(others.as_mut()).await.is_pending());
    assert_eq!(strings.diary.read(), ["called", "dropped", "called"]);
    strings.finish("done");
    let Poll::Ready(others) = look(others).await else { panic!("the second run has ended") };
    assert_eq!(others.into_iter().map(text).collect::<Vec<_>>(), vec!["done"; 9]);
}

#[tokio::test]
async fn a_leader_that_heeds_the_sign_hands_over_as_well() {
    async fn heeds(calls: Arc<AtomicU64>, _: NoInput, cx: Context) -> Result<String, ToolError> {
        if calls.fetch_add(1, Ordering::SeqCst) > 0 {
            return Ok("done".to_owned());
        }
        cx.cancelled().await;
        Err(ToolError::Cancelled)
    }
    let calls = Arc::new(AtomicU64::new(0));
    let tool = tool_with("heeds", "Heeds.", calls.clone(), heeds).cached(LIFETIME, "notes");
    let house = House::new(|builder| builder.tool(tool));
    let call = || house.server.call_tool(ann(), "heeds", Arguments::none());
    let mut leader = Box::pin(call());
    assert!(look(leader.as_mut()).await.is_pending());
    let mut other = pin!(call());
    assert!(look(other.as_mut()).await.is_pending());
    drop(leader);
    let Poll::Ready(other) = look(other).await else { panic!("it runs by itself now") };
    assert_eq!((text(other), calls.load(Ordering::SeqCst)), ("done".to_owned(), 2));
}

#[tokio::test]
async fn each_who_waits_has_a_time_of_its_own() {
    let (tool, strings) = puppet("puppet");
    let tool = tool.read_only().timeout(Duration::from_secs(5)).cached(LIFETIME, "notes");
    let house = House::new(|builder| builder.tool(tool));
    let call = || house.server.call_tool(ann(), "puppet", Arguments::none());
    let mut leader = pin!(call());
    assert!(look(leader.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(3));
    let mut other = pin!(call());
    assert!(look(other.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(2));
    let Poll::Ready(leader) = look(leader).await else { panic!("its time is over") };
    assert_eq!(failed(leader), "the tool took longer than 5s and was stopped");
    assert!(look(other.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(2));
    assert!(look(other.as_mut()).await.is_pending());
    strings.finish("done");
    let Poll::Ready(other) = look(other).await else { panic!("it has ended in time") };
    assert_eq!(text(other), "done");
}

#[tokio::test]
async fn one_who_waits_and_leaves_is_gone_at_once() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.cached(LIFETIME, "notes")));
    let call = || house.server.call_tool(ann(), "puppet", Arguments::none());
    let mut leader = pin!(call());
    assert!(look(leader.as_mut()).await.is_pending());
    let mut other = Box::pin(call());
    assert!(look(other.as_mut()).await.is_pending());
    drop(other);
    settle().await;
    house.clock.advance(Duration::from_secs(1));
    let recorded = async || house.stores.history.calls(&Tenant::from("t"), &Default::default()).await.unwrap();
    settle().await;
    assert_eq!(recorded().await.iter().map(|call| call.outcome.as_str()).collect::<Vec<_>>(), ["cancelled"]);
    strings.finish("done");
    let Poll::Ready(leader) = look(leader).await else { panic!("its run has ended") };
    assert_eq!(text(leader), "done");
    assert_eq!(strings.diary.read(), ["called", "dropped"]);
}

#[tokio::test]
async fn a_result_belongs_to_its_caller_its_arguments_and_its_time() {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Page {
        #[expect(dead_code, reason = "only the text of the arguments matters")]
        page: Option<u8>,
    }
    async fn count_page(calls: Arc<AtomicU64>, _: Page) -> Result<String, ToolError> {
        Ok((calls.fetch_add(1, Ordering::SeqCst) + 1).to_string())
    }
    let tool = || tool_with("count", "Counts.", Arc::new(AtomicU64::new(0)), count_page).read_only();
    let house = House::new(|builder| builder.tool(tool().cached(Duration::from_secs(5), "notes")));
    let call = async |tenant: &str, principal: &str, arguments: &'static str| {
        let arguments = Arguments::from_json(arguments).unwrap();
        text(house.server.call_tool(Caller::new(tenant, principal), "count", arguments).await)
    };
    for _ in 0..2 {
        assert_eq!(call("t", "ann", "{}").await, "1");
        assert_eq!(call("t", "ann", r#"{"page":1}"#).await, "2");
        assert_eq!(call("t", "bob", "{}").await, "3");
        assert_eq!(call("u", "ann", "{}").await, "4");
    }
    house.clock.advance(Duration::from_millis(4_999));
    assert_eq!(call("t", "ann", "{}").await, "1");
    house.clock.advance(Duration::from_millis(1));
    assert_eq!(call("t", "ann", "{}").await, "5");
}

#[tokio::test]
async fn a_write_ends_what_was_cached_of_that_caller_and_of_that_tag() {
    let counter =
        |name: &str, tag| tool_with(name, "Counts.", Arc::new(AtomicU64::new(0)), count).cached(LIFETIME, tag);
    async fn fails() -> Result<(), ToolError> {
        Err(ToolError::failed("after half of it"))
    }
    let house = House::new(|builder| {
        builder
            .tool(counter("notes", "notes"))
            .tool(counter("files", "files"))
            .tool(tool_fn("write", "Writes.", nothing).invalidates("notes"))
            .tool(tool_fn("fails", "Fails.", fails).invalidates("notes").invalidates("files"))
    });
    let call = async |principal: &str, tool: &str| {
        house.server.call_tool(Caller::new("t", principal), tool, Arguments::none()).await
    };
    let seen = async || {
        let mut seen = Vec::new();
        for principal in ["ann", "bob"] {
            for tool in ["notes", "files"] {
                seen.push(text(call(principal, tool).await));
            }
        }
        seen
    };
    assert_eq!(seen().await, ["1", "1", "2", "2"]);
    call("ann", "write").await.unwrap();
    assert_eq!(seen().await, ["3", "1", "2", "2"]);
    // What failed may have written.
    failed(call("bob", "fails").await);
    assert_eq!(seen().await, ["3", "1", "4", "3"]);
    assert_eq!(seen().await, ["3", "1", "4", "3"]);
}

#[tokio::test]
async fn a_write_that_is_dropped_may_have_written() {
    let (write, strings) = puppet("write");
    async fn hasty(_: NoInput, cx: Context) -> Result<(), ToolError> {
        let mut call = pin!(cx.call("write", Arguments::none()));
        assert!(futures_util::poll!(&mut call).is_pending());
        Ok(())
    }
    let calls = Arc::new(AtomicU64::new(0));
    let house = House::new(|builder| {
        builder
            .tool(tool_with("notes", "Counts.", calls, count).cached(LIFETIME, "notes"))
            .tool(write.invalidates("notes"))
            .tool(tool_fn("hasty", "Does not wait.", hasty))
    });
    let call = async |tool: &str| house.server.call_tool(ann(), tool, Arguments::none()).await;
    assert_eq!(text(call("notes").await), "1");
    call("hasty").await.unwrap();
    until("the write is dropped", || strings.diary.has("dropped")).await;
    settle().await;
    assert_eq!(text(call("notes").await), "2");
}

#[tokio::test]
async fn what_was_computed_before_a_write_is_not_shown_after_it() {
    let data = Arc::new(Mutex::new("old"));
    let (read, strings) = puppet("read");
    async fn write(data: Arc<Mutex<&'static str>>, _: NoInput) -> Result<(), ToolError> {
        *data.lock().unwrap() = "new";
        Ok(())
    }
    let house = House::new(|builder| {
        builder
            .tool(read.read_only().cached(LIFETIME, "notes"))
            .tool(tool_with("write", "Writes.", data.clone(), write).invalidates("notes"))
    });
    let call = |tool: &'static str| house.server.call_tool(ann(), tool, Arguments::none());
    // The reader has looked at the data, and has not answered yet.
    let mut early = pin!(call("read"));
    assert!(look(early.as_mut()).await.is_pending());
    let seen = *data.lock().unwrap();
    call("write").await.unwrap();
    // One who asks after the write does not wait for the early run.
    let mut late = pin!(call("read"));
    assert!(look(late.as_mut()).await.is_pending());
    assert_eq!(strings.diary.read(), ["called", "called"]);
    strings.finish(seen);
    let Poll::Ready(early) = look(early).await else { panic!("the early run has ended") };
    assert_eq!(text(early), "old");
    strings.finish("new");
    let Poll::Ready(late) = look(late).await else { panic!("the late run has ended") };
    assert_eq!(text(late), "new");
    assert_eq!(text(call("read").await), "new", "and the old value was not kept over the new one");
}

#[tokio::test]
async fn what_comes_from_the_cache_is_what_came_from_the_tool() {
    async fn structured() -> Result<Vec<Option<f64>>, ToolError> {
        Ok(vec![Some(1.0), None])
    }
    async fn nothing_found() -> Result<Option<u8>, ToolError> {
        Ok(None)
    }
    async fn mixed() -> Result<ToolOutput, ToolError> {
        let output = ToolOutput::structured(&json!({"n": 1}))?;
        Ok(output.and(mcp_core::Content::text("a \"text\"\n")).and(mcp_core::Content::image("image/png", [0, 255])))
    }
    let house = House::new(|builder| {
        builder
            .tool(tool_fn("structured", "", structured).cached(LIFETIME, "t"))
            .tool(tool_fn("nothing_found", "", nothing_found).cached(LIFETIME, "t"))
            .tool(tool_fn("mixed", "", mixed).cached(LIFETIME, "t"))
            .tool(tool_fn("nothing", "", nothing).cached(LIFETIME, "t"))
    });
    for tool in ["structured", "nothing_found", "mixed", "nothing"] {
        let first = house.call(tool, json!({})).await;
        assert_eq!(house.call(tool, json!({})).await, first, "{tool}");
        assert_eq!(first.get("structuredContent").is_some(), tool != "nothing", "{tool}: {first}");
    }
}

#[tokio::test]
async fn an_output_that_is_too_large_is_not_kept() {
    async fn long(calls: Arc<AtomicU64>, _: NoInput) -> Result<String, ToolError> {
        Ok("x".repeat(if calls.fetch_add(1, Ordering::SeqCst) == 0 { 1_000 } else { 10 }))
    }
    let tool = tool_with("long", "Writes.", Arc::default(), long).max_output(500).cached(LIFETIME, "t");
    let house = House::new(|builder| builder.tool(tool));
    assert_eq!(house.call("long", json!({})).await["isError"], true);
    assert_eq!(house.call("long", json!({})).await["content"][0]["text"], "xxxxxxxxxx");
}

/// A cache of which one method is gone, or does the least that it promises.
struct Broken {
    inner: Arc<dyn Cache>,
    method: &'static str,
}

impl Broken {
    fn check(&self, method: &str) -> Result<(), StoreError> {
        if method == self.method { Err(StoreError::Unavailable { store: "cache", source: None }) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl Cache for Broken {
    async fn load(&self, tenant: &Tenant, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.check("load")?;
        match self.method {
            "nonsense" => Ok(Some(Bytes::from_static(b"{}"))),
            _ => self.inner.load(tenant, key).await,
        }
    }

    async fn store(&self, tenant: &Tenant, key: &str, value: Bytes, lifetime: Duration) -> Result<(), StoreError> {
        self.check("store")?;
        self.inner.store(tenant, key, value, lifetime).await
    }

    async fn version(&self, tenant: &Tenant, tag: &str) -> Result<u64, StoreError> {
        self.check("version")?;
        match self.method {
            "equal versions" => Ok(1),
            _ => self.inner.version(tenant, tag).await,
        }
    }

    async fn invalidate(&self, tenant: &Tenant, tag: &str) -> Result<(), StoreError> {
        self.check("invalidate")?;
        self.inner.invalidate(tenant, tag).await
    }
}

#[tokio::test]
async fn a_cache_that_fails_is_a_cache_that_is_empty() {
    for method in ["version", "load", "store", "nonsense"] {
        let tool = tool_with("count", "Counts.", Arc::new(AtomicU64::new(0)), count).cached(LIFETIME, "t");
        let broken = |mut stores: Stores| {
            stores.cache = Arc::new(Broken { inner: stores.cache, method });
            stores
        };
        let house = House::with_stores(broken, |builder| builder.tool(tool));
        for expected in ["1", "2"] {
            assert_eq!(house.call("count", json!({})).await["content"][0]["text"], expected, "{method}");
        }
    }
}

#[tokio::test]
async fn callers_are_apart_though_their_tags_have_equal_versions() {
    let broken = |mut stores: Stores| {
        stores.cache = Arc::new(Broken { inner: stores.cache, method: "equal versions" });
        stores
    };
    let calls = Arc::new(AtomicU64::new(0));
    let counter = |name: &str| tool_with(name, "Counts.", calls.clone(), count).cached(LIFETIME, "t");
    let house = House::with_stores(broken, |builder| builder.tool(counter("one")).tool(counter("two")));
    let call = async |tenant: &str, principal: &str, tool: &str| {
        text(house.server.call_tool(Caller::new(tenant, principal), tool, Arguments::none()).await)
    };
    for _ in 0..2 {
        assert_eq!(call("t", "ann", "one").await, "1");
        assert_eq!(call("t", "bob", "one").await, "2");
        assert_eq!(call("u", "ann", "one").await, "3");
        assert_eq!(call("t", "ann", "two").await, "4");
    }
}

#[tokio::test]
async fn a_write_is_answered_even_if_the_cache_cannot_be_told() {
    let broken = |mut stores: Stores| {
        stores.cache = Arc::new(Broken { inner: stores.cache, method: "invalidate" });
        stores
    };
    let tool = tool_fn("write", "Writes.", nothing).invalidates("t");
    let house = House::with_stores(broken, |builder| builder.tool(tool));
    assert_eq!(house.call("write", json!({})).await["content"], json!([]));
}
