//! How long requests of the protocol take, as OpenTelemetry's conventions for MCP count them (`mcp.server.operation.duration`).

use std::sync::OnceLock;
use std::time::Duration;

use super::Server;
use crate::context::Context;
use crate::measure::{Distribution, Histogram, OperationMeasures};
use crate::protocol::encoding::Outcome;
use crate::tool::registry::OfferedTool;

/// The methods that there are; every other counts as the last.
const METHODS: [&str; 19] = [
    CALL,
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "subscriptions/listen",
    "server/discover",
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "_OTHER",
];

const CALL: &str = "tools/call";

/// By what a request has failed, as in the `error.type` of its span; every other counts as the last.
const FAULTS: [&str; 17] = [
    "tool_error",
    "invalid",
    "timed_out",
    "internal",
    "outcome_unknown",
    "limited",
    LEFT,
    "-32700",
    "-32600",
    "-32601",
    "-32602",
    "-32603",
    "-32020",
    "-32021",
    "-32022",
    "-32002",
    "_OTHER",
];

/// Its client has left before it was answered.
const LEFT: &str = "cancelled";

/// How long requests of one kind took: those that went well, and those that failed by each fault. Of what never was there is no
/// histogram.
#[derive(Default)]
pub(crate) struct Times([OnceLock<Box<Histogram>>; FAULTS.len() + 1]);

impl Times {
    fn observe(&self, took: Duration, fault: Option<&str>) {
        let place = fault.map_or(0, |fault| 1 + place_in(&FAULTS, fault));
        self.0[place].get_or_init(Box::default).observe(took);
    }

    fn read(&self) -> impl Iterator<Item = (Option<&'static str>, Distribution)> {
        let faults = [None].into_iter().chain(FAULTS.map(Some));
        faults.zip(&self.0).filter_map(|(fault, times)| Some((fault, times.get()?.read())))
    }
}

fn place_in(words: &[&str], word: &str) -> usize {
    words.iter().position(|known| *known == word).unwrap_or(words.len() - 1)
}

/// The requests of one server by their methods, but for calls of a tool: the tool has those.
#[derive(Default)]
pub(crate) struct Operations([Times; METHODS.len()]);

/// A request that is measured, from when its method was read until its answer is there.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    method: usize,
    started: Duration,
}

impl Operation {
    /// Begins to measure, if `server` does so.
    pub(crate) fn begin(server: &Server, method: &str) -> Option<Self> {
        server.is_measured().then(|| Self { method: place_in(&METHODS, method), started: server.clock().monotonic() })
    }

    /// Counts it, with the tool that it called and by what it has failed.
    pub(crate) fn end(self, server: &Server, tool: Option<&OfferedTool>, fault: Option<&str>) {
        let took = server.clock().monotonic().saturating_sub(self.started);
        let times = tool.map_or(&server.0.operations.0[self.method], |tool| &tool.operations);
        times.observe(took, fault);
    }
}

/// A request that is being answered, and is counted when this is dropped: before its end, its client has left.
pub(crate) struct Answering<'a> {
    cx: &'a Context,
    tool: Option<&'a OfferedTool>,
    /// By what it has failed.
    pub(crate) fault: Option<&'static str>,
}

impl<'a> Answering<'a> {
    pub(crate) fn begin(cx: &'a Context, tool: Option<&'a OfferedTool>) -> Self {
        Self { cx, tool, fault: Some(LEFT) }
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        if let Some(operation) = self.cx.operation() {
            operation.end(&self.cx.inner().server, self.tool, self.fault);
        }
    }
}

/// Counts the request that is answered in this context, if there is one, when `read` has ended.
pub(crate) async fn counted<T: Outcome>(read: impl Future<Output = T>, cx: Context) -> T {
    let mut answering = Answering::begin(&cx, None);
    let ended = read.await;
    answering.fault = ended.fault();
    ended
}

impl Server {
    /// How long requests of the protocol took, by method, by tool, and by what they failed: each that there was; nothing, unless
    /// [`ServerBuilder::measured`](super::ServerBuilder::measured) was asked for.
    ///
    /// One is in it when its answer is there. A subscription is none, and is in it only where it was refused; nor are notifications.
    pub fn operations(&self) -> Vec<OperationMeasures> {
        let methods = METHODS.into_iter().zip(&self.0.operations.0);
        let of_methods = methods.flat_map(|(method, times)| times.read().map(move |read| (method, None, read)));
        let tools = self.0.tools.list().into_iter().chain(self.0.tools.list_off());
        let of_tools = tools.flat_map(|tool| {
            let name = tool.spec().name().to_owned();
            let read: Vec<_> = tool.operations.read().map(|read| (CALL, Some(name.clone()), read)).collect();
            read
        });
        let measures = |(method, tool, (fault, durations))| OperationMeasures { method, tool, fault, durations };
        of_methods.chain(of_tools).map(measures).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::errors::RpcError;
    use crate::spans::fault_of;
    use crate::store::ledger::Outcome;

    #[test]
    fn what_is_not_known_is_counted_as_other() {
        let times = Times::default();
        times.observe(Duration::ZERO, Some("hunter2"));
        let read: Vec<_> = times.read().map(|(fault, durations)| (fault, durations.count())).collect();
        assert_eq!(read, [(Some("_OTHER"), 1)]);
        assert_eq!(METHODS[place_in(&METHODS, "hunter2")], "_OTHER");
    }

    #[test]
    fn each_fault_of_a_span_has_a_place_of_its_own() {
        let outcomes = Outcome::ALL.into_iter().filter(|outcome| outcome.is_failure() && *outcome != Outcome::Error);
        let codes = [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022, -32002];
        let faults = outcomes.map(Outcome::as_str).chain(codes.map(|code| fault_of(&RpcError::new(200, code, ""))));
        for fault in faults.chain(["tool_error"]) {
            assert_eq!(FAULTS[place_in(&FAULTS, fault)], fault);
            assert_ne!(fault, "_OTHER");
        }
        assert_eq!(fault_of(&RpcError::new(200, 1, "")), "_OTHER");
    }
}
