//! Calls that are tried again, and tools that are left alone for a while.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mcp_core::measure::CircuitState;
use mcp_core::tool::function::NoInput;
use mcp_core::tool::limited::LimitedBy;
use mcp_core::tool::registry::OfferedTool;
use mcp_core::tool::retry::Retry;
use mcp_core::{Arguments, CallError, Context, Question, Tool, ToolError, ToolOutput, tool_fn};
use serde_json::json;

use crate::support::{House, Request, Strings, local, look, puppet, settle};

type Called = Result<ToolOutput, CallError>;
type Call<'a> = Pin<Box<dyn Future<Output = Called> + 'a>>;

/// Longer than any pause that is due.
const LONG: Duration = Duration::from_secs(2);

fn begin(house: &House) -> Call<'_> {
    Box::pin(house.server.call_tool(local(), "puppet", Arguments::none()))
}

fn unavailable(strings: &Strings) {
    strings.order(|_| Some(Err(ToolError::Unavailable("the archive is away".into()))));
}

fn broken(strings: &Strings) {
    strings.order(|_| Some(Err(ToolError::Internal("it is broken".into()))));
}

/// How often the puppet was called.
fn calls(strings: &Strings) -> usize {
    strings.diary.read().iter().filter(|line| **line == "called").count()
}

fn retries(house: &House) -> u64 {
    house.server.measures()[0].retries
}

fn circuit(house: &House) -> CircuitState {
    house.server.measures()[0].circuit
}

fn error(called: Called) -> ToolError {
    match called.expect_err("it fails") {
        CallError::Tool { error, .. } => error,
        error => panic!("{error}"),
    }
}

/// Ends a call, whatever pauses it makes.
async fn end(house: &House, mut call: Call<'_>) -> Called {
    loop {
        if let Poll::Ready(called) = look(call.as_mut()).await {
            return called;
        }
        house.clock.advance(LONG);
    }
}

#[tokio::test]
async fn what_was_not_there_is_asked_again_after_a_pause_and_recorded_once() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.repeatable().retry(Retry::default())).measured());
    let mut call = begin(&house);
    unavailable(&strings);
    assert!(look(call.as_mut()).await.is_pending());
    assert_eq!(calls(&strings), 1);
    house.clock.advance(Duration::from_millis(49));
    assert!(look(call.as_mut()).await.is_pending());
    assert_eq!(calls(&strings), 1, "half of a tenth of a second is the least");
    house.clock.advance(Duration::from_millis(51));
    assert!(look(call.as_mut()).await.is_pending());
    assert_eq!(calls(&strings), 2);
    unavailable(&strings);
    assert!(look(call.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_millis(99));
    assert!(look(call.as_mut()).await.is_pending());
    assert_eq!(calls(&strings), 2, "and then twice as long");
    house.clock.advance(Duration::from_millis(101));
    assert!(look(call.as_mut()).await.is_pending());
    strings.finish("there it is");
    let Poll::Ready(called) = look(call.as_mut()).await else { panic!("it has ended") };
    assert_eq!(called.unwrap().first_text(), Some("there it is"));
    assert_eq!((calls(&strings), retries(&house)), (3, 2));
    assert_eq!(house.outcomes().await, [("puppet".to_owned(), "ok")]);
}

#[tokio::test]
async fn there_are_so_many_attempts_and_the_last_is_how_it_ends() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.read_only().retry(Retry::default().attempts(4))).measured());
    for _ in 0..4 {
        unavailable(&strings);
    }
    assert!(matches!(error(end(&house, begin(&house)).await), ToolError::Unavailable(_)));
    assert_eq!((calls(&strings), retries(&house)), (4, 3));
    assert_eq!(house.outcomes().await, [("puppet".to_owned(), "internal")]);
}

#[tokio::test]
async fn what_is_an_answer_or_is_broken_is_not_asked_again() {
    type End = fn() -> Result<ToolOutput, ToolError>;
    let ends: [End; 5] = [
        || Ok(ToolOutput::text("it is closed").as_error()),
        || Err(ToolError::failed("it is closed")),
        || Err(ToolError::arguments("not this")),
        || Err(ToolError::Internal("it is broken".into())),
        || Err(ToolError::Cancelled),
    ];
    for ending in ends {
        let (tool, strings) = puppet("puppet");
        let house = House::new(|builder| builder.tool(tool.repeatable().retry(Retry::default())));
        strings.order(move |_| Some(ending()));
        let Poll::Ready(_) = look(begin(&house).as_mut()).await else { panic!("it has ended") };
        assert_eq!(calls(&strings), 1);
    }
}

#[tokio::test]
async fn in_an_outage_no_more_is_tried_again_than_the_budget_has() {
    let (tool, strings) = puppet("puppet");
    let tool = tool.repeatable().retry(Retry::default().budget(20));
    let house = House::new(|builder| builder.tool(tool).measured());
    const CALLS: u64 = 200;
    for _ in 0..CALLS {
        let before = calls(&strings);
        let mut call = begin(&house);
        let called = loop {
            unavailable(&strings);
            if let Poll::Ready(called) = look(call.as_mut()).await {
                break called;
            }
            house.clock.advance(LONG);
        };
        assert!(matches!(error(called), ToolError::Unavailable(_)));
        assert!(calls(&strings) - before <= 3);
    }
    assert_eq!(retries(&house), 10 + (CALLS - 1) / 5, "what was saved up, and one in five of those that came then");
}

#[tokio::test]
async fn questions_go_out_at_once_and_who_was_asked_is_not_asked_twice() {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Name {
        name: String,
    }
    async fn ask(_: NoInput, cx: Context) -> Result<String, ToolError> {
        let Name { name } = cx.ask("name", Question::form("What is your name?")).await?;
        Err(ToolError::Unavailable(format!("{name} is away").into()))
    }
    let tool = tool_fn("ask", "Asks.", ask).read_only().retry(Retry::default());
    let house = House::new(|builder| builder.tool(tool).measured());
    let capabilities = json!({"elicitation": {"form": {}}});
    let request = |params: serde_json::Value| {
        let mut params = params;
        params["name"] = json!("ask");
        let mut request = Request::modern("tools/call", params);
        let mut body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
        request.body = body.to_string().into_bytes();
        request
    };
    let asked = house.send(&request(json!({"arguments": {}}))).await.result();
    assert_eq!(asked["resultType"], "input_required");
    let answers = json!({"name": {"action": "accept", "content": {"name": "Ann"}}});
    let answered = request(json!({
        "arguments": {}, "inputResponses": answers, "requestState": asked["requestState"],
    }));
    let mut answered = pin!(house.send(&answered));
    let Poll::Ready(reply) = look(answered.as_mut()).await else { panic!("it is not tried again") };
    assert_eq!((reply.status, retries(&house)), (503, 0));
    let outcomes: Vec<_> = house.outcomes().await.into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, ["input_required", "internal"]);
}

#[tokio::test]
async fn an_attempt_finds_the_answers_of_the_calls_that_the_one_before_has_made() {
    let (inner, strings) = puppet("puppet");
    async fn outer(_: NoInput, cx: Context) -> Result<String, ToolError> {
        let first = cx.call("puppet", Arguments::none()).await?;
        let second = cx.call("puppet", Arguments::none()).await?;
        Ok(format!("{} {}", first.first_text().unwrap_or_default(), second.first_text().unwrap_or_default()))
    }
    let outer = tool_fn("outer", "Calls.", outer).repeatable().retry(Retry::default());
    let house = House::new(|builder| builder.tool(outer).tool(inner.repeatable().deduplicated()));
    strings.finish("one");
    unavailable(&strings);
    strings.finish("two");
    let key = "k".parse().unwrap();
    let call = Box::pin(house.server.call_tool_once(local(), &key, "outer", Arguments::none()));
    assert_eq!(end(&house, call).await.unwrap().first_text(), Some("one two"));
    assert_eq!(calls(&strings), 3, "the first of them was made once");
}

#[tokio::test]
async fn who_leaves_in_a_pause_ends_the_call() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.repeatable().retry(Retry::default())));
    let mut call = begin(&house);
    unavailable(&strings);
    assert!(look(call.as_mut()).await.is_pending());
    drop(call);
    settle().await;
    house.clock.advance(LONG);
    settle().await;
    assert_eq!(calls(&strings), 1);
    assert_eq!(house.outcomes().await, [("puppet".to_owned(), "cancelled")]);
}

#[tokio::test]
async fn pauses_take_part_in_the_time_of_a_call() {
    let (tool, strings) = puppet("puppet");
    let retry = Retry::default().backoff(Duration::from_secs(30), Duration::from_secs(30));
    let tool = tool.repeatable().timeout(Duration::from_secs(5)).retry(retry);
    let house = House::new(|builder| builder.tool(tool));
    let mut call = begin(&house);
    unavailable(&strings);
    assert!(look(call.as_mut()).await.is_pending());
    house.clock.advance(Duration::from_secs(5));
    let Poll::Ready(called) = look(call.as_mut()).await else { panic!("its time is over") };
    assert!(matches!(error(called), ToolError::TimedOut(_)));
    assert_eq!(calls(&strings), 1);
    let record = house.records().await.remove(0);
    assert_eq!(
        (record.duration, record.waited),
        (Duration::from_secs(5), Duration::from_secs(5)),
        "it was all a pause"
    );
}

#[tokio::test]
async fn after_so_many_failures_a_tool_is_left_alone_until_one_call_finds_it_well() {
    let (tool, strings) = puppet("puppet");
    let tool = tool.circuit_breaker(3, Duration::from_secs(30));
    let house = House::new(|builder| builder.tool(tool).measured());
    let ready = async |mut call: Call<'_>| match look(call.as_mut()).await {
        Poll::Ready(called) => called,
        Poll::Pending => panic!("it has ended"),
    };
    for fail in [unavailable, broken] {
        fail(&strings);
        ready(begin(&house)).await.expect_err("it fails");
    }
    strings.order(|_| Some(Err(ToolError::failed("it is closed"))));
    ready(begin(&house)).await.expect_err("it answers, so it is well");
    for fail in [broken, unavailable, broken] {
        assert_eq!(circuit(&house), CircuitState::Closed);
        fail(&strings);
        ready(begin(&house)).await.expect_err("it fails");
    }
    assert_eq!((circuit(&house), calls(&strings)), (CircuitState::Open, 6));

    house.clock.advance(Duration::from_secs(10));
    let reply = house.send(&Request::call("puppet", json!({}))).await;
    let told = "this tool has failed too often, and is not called for now; try again in 20 s";
    assert_eq!((reply.header("retry-after"), &reply.result()["content"][0]["text"]), (Some("20"), &json!(told)));
    assert_eq!(calls(&strings), 6);

    house.clock.advance(Duration::from_secs(20));
    let mut probe = begin(&house);
    assert!(look(probe.as_mut()).await.is_pending());
    assert_eq!((circuit(&house), calls(&strings)), (CircuitState::HalfOpen, 7));
    let refused = error(ready(begin(&house)).await);
    assert!(matches!(&refused, ToolError::Limited(limited) if limited.by == LimitedBy::CircuitBreaker), "{refused}");
    broken(&strings);
    ready(probe).await.expect_err("it is not well");
    assert_eq!(circuit(&house), CircuitState::Open);

    house.clock.advance(Duration::from_secs(30));
    let mut probe = begin(&house);
    assert!(look(probe.as_mut()).await.is_pending());
    strings.finish("well again");
    ready(probe).await.expect("it is well");
    assert_eq!(circuit(&house), CircuitState::Closed);
    for _ in 0..2 {
        broken(&strings);
        ready(begin(&house)).await.expect_err("it fails");
    }
    assert_eq!(circuit(&house), CircuitState::Closed, "it counts from the beginning");
    let outcomes: Vec<_> = house.outcomes().await.into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "limited").count(), 2);
    let limited = house.server.measures()[0].limited[LimitedBy::CircuitBreaker as usize];
    assert_eq!((limited.0.as_str(), limited.1), ("circuit_breaker", 2));
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_a_failure_and_one_whose_client_leaves_shows_nothing() {
    let (tool, strings) = puppet("puppet");
    let tool = tool.read_only().timeout(Duration::from_secs(5)).circuit_breaker(2, Duration::from_secs(30));
    let house = House::new(|builder| builder.tool(tool).measured());
    for state in [CircuitState::Closed, CircuitState::Open] {
        let mut call = begin(&house);
        assert!(look(call.as_mut()).await.is_pending());
        let mut leaves = begin(&house);
        assert!(look(leaves.as_mut()).await.is_pending());
        drop(leaves);
        house.clock.advance(Duration::from_secs(5));
        assert!(look(call.as_mut()).await.is_ready());
        assert_eq!(circuit(&house), state);
    }
    house.clock.advance(Duration::from_secs(30));
    // The client of the one that finds out leaves, and the next one finds out.
    let mut probe = begin(&house);
    assert!(look(probe.as_mut()).await.is_pending());
    drop(probe);
    settle().await;
    assert_eq!(circuit(&house), CircuitState::Open);
    let mut probe = begin(&house);
    assert!(look(probe.as_mut()).await.is_pending());
    assert_eq!(circuit(&house), CircuitState::HalfOpen);
    // It takes too long as well.
    house.clock.advance(Duration::from_secs(5));
    assert!(look(probe.as_mut()).await.is_ready());
    assert_eq!((circuit(&house), calls(&strings)), (CircuitState::Open, 6));
    assert!(matches!(error(end(&house, begin(&house)).await), ToolError::Limited(_)));
}

#[tokio::test]
async fn a_breaker_that_opens_ends_the_attempts() {
    let (tool, strings) = puppet("puppet");
    let tool = tool.read_only().retry(Retry::default().attempts(9)).circuit_breaker(2, Duration::from_secs(3_600));
    let house = House::new(|builder| builder.tool(tool).measured());
    unavailable(&strings);
    unavailable(&strings);
    let ended = error(end(&house, begin(&house)).await);
    assert!(matches!(&ended, ToolError::Unavailable(_)), "as its last attempt: {ended}");
    assert_eq!((calls(&strings), circuit(&house)), (2, CircuitState::Open));
}

#[test]
fn what_cannot_be_meant_is_refused_when_the_tool_is_offered() {
    let fault = |tool: Box<dyn FnOnce() -> Result<OfferedTool, mcp_core::tool::registry::BadTool>>| match tool() {
        Ok(_) => panic!("it is offered"),
        Err(bad) => bad.to_string(),
    };
    let offered = |tool: crate::support::Puppet| OfferedTool::new(Arc::new(tool) as Arc<dyn Tool>);
    let once = fault(Box::new(move || offered(puppet("tool").0.retry(Retry::default()))));
    assert!(once.contains("`read_only` or `repeatable`"), "{once}");
    for (failures, pause) in [(0, Duration::from_secs(1)), (1, Duration::ZERO)] {
        let never = fault(Box::new(move || offered(puppet("tool").0.circuit_breaker(failures, pause))));
        assert!(never.contains("circuit breaker"), "{never}");
    }
}
