//! Time that a call is given again when it says how far it has come.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use mcp_core::tool::function::NoInput;
use mcp_core::{Arguments, CallError, Context, Progress, ToolError, ToolOutput, tool_fn};

use crate::support::{House, Strings, local, look, puppet};

const FIVE: Duration = Duration::from_secs(5);

type Called = Result<ToolOutput, CallError>;

/// What the call of a puppet comes to that reports its progress after each of these seconds.
async fn after(house: &House, strings: &Strings, seconds: &[u64], last: u64) -> Poll<Called> {
    let mut call = pin!(house.server.call_tool(local(), "puppet", Arguments::none()));
    assert!(look(call.as_mut()).await.is_pending());
    for (n, seconds) in seconds.iter().enumerate() {
        house.clock.advance(Duration::from_secs(*seconds));
        assert!(look(call.as_mut()).await.is_pending(), "it has its time again: {n}");
        strings.pull(|cx| cx.progress(Progress::new(1.0)));
        assert!(look(call.as_mut()).await.is_pending());
    }
    house.clock.advance(Duration::from_secs(last));
    look(call).await
}

fn stopped(ended: Poll<Called>) -> String {
    let Poll::Ready(Err(error)) = ended else { panic!("its time is over") };
    error.to_string()
}

#[tokio::test]
async fn each_report_gives_a_call_its_time_again_also_where_nobody_listens() {
    let (tool, strings) = puppet("puppet");
    let tool = tool.read_only().timeout(FIVE).timeout_extended_by_progress(Duration::from_secs(60));
    let house = House::new(|builder| builder.tool(tool));
    assert!(after(&house, &strings, &[4, 4, 4], 4).await.is_pending());
    let told = stopped(after(&house, &strings, &[4, 4], 5).await);
    assert_eq!(told, "the tool took longer than 13s and was stopped");
    let told = stopped(after(&house, &strings, &[], 5).await);
    assert_eq!(told, "the tool took longer than 5s and was stopped", "one that says nothing has its time");
}

#[tokio::test]
async fn however_much_it_reports_a_call_ends_when_it_has_taken_all() {
    let (tool, strings) = puppet("puppet");
    let tool = tool.read_only().timeout(FIVE).timeout_extended_by_progress(Duration::from_secs(14));
    let house = House::new(|builder| builder.tool(tool));
    assert!(after(&house, &strings, &[4, 4, 4], 1).await.is_pending());
    let told = stopped(after(&house, &strings, &[4, 4, 4], 2).await);
    assert_eq!(told, "the tool took longer than 14s and was stopped");
}

#[tokio::test]
async fn without_that_word_progress_gives_no_time() {
    let (tool, strings) = puppet("puppet");
    let house = House::new(|builder| builder.tool(tool.read_only().timeout(FIVE)));
    let told = stopped(after(&house, &strings, &[4], 1).await);
    assert_eq!(told, "the tool took longer than 5s and was stopped");
}

#[tokio::test]
async fn what_a_tool_within_reports_counts_for_the_outer_call_as_well() {
    async fn outer(_: NoInput, cx: Context) -> Result<String, ToolError> {
        let output = cx.call("puppet", Arguments::none()).await?;
        Ok(output.first_text().unwrap_or_default().to_owned())
    }
    let (inner, strings) = puppet("puppet");
    let outer = tool_fn("outer", "Calls.", outer).timeout(FIVE).timeout_extended_by_progress(Duration::from_secs(60));
    let house = House::new(|builder| builder.tool(outer).tool(inner.timeout(Duration::from_secs(30))));
    let mut call = pin!(house.server.call_tool(local(), "outer", Arguments::none()));
    assert!(look(call.as_mut()).await.is_pending());
    for _ in 0..3 {
        house.clock.advance(Duration::from_secs(4));
        assert!(look(call.as_mut()).await.is_pending());
        strings.pull(|cx| cx.progress(Progress::new(1.0)));
        assert!(look(call.as_mut()).await.is_pending());
    }
    strings.finish("done");
    let Poll::Ready(Ok(output)) = look(call).await else { panic!("it has ended") };
    assert_eq!(output.first_text(), Some("done"));
}
