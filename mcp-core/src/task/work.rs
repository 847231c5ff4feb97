//! What becomes of a run that is a task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::ROUND;
use super::order::Order;
use super::round::{Answers, Asked, Round};
use crate::changes::Change;
use crate::run::call::RunCall;
use crate::run::{Begun, RunContext, RunError, Work};
use crate::server::{CallError, Server};
use crate::store::runs::RunRecord;
use crate::tool::arguments::Arguments;
use crate::tool::registry::OfferedTool;

/// Makes the calls that are tasks.
pub(crate) struct TaskWork {
    server: Server,
}

#[async_trait]
impl Work for TaskWork {
    /// Makes the call, in rounds: each is an effect, which is made once, or again where the tool may be. Between them the run waits for
    /// answers, and nobody holds it.
    async fn run(&self, cx: RunContext) -> Result<Bytes, RunError> {
        let mut order = Order::of(cx.run())?;
        let tool = match self.server.find_tool(&order.caller(cx.run()), &order.tool) {
            Ok(tool) => tool,
            // It was made when they were there.
            Err(CallError::Forbidden(lacking)) => return Err(RunError::failed(lacking.to_string())),
            Err(unknown) => return Err(RunError::again(unknown.to_string())),
        };
        let (mut state, mut answers, mut used) = (order.state.take(), BTreeMap::new(), BTreeSet::new());
        for n in 0_u32.. {
            let (sent, known) = (std::mem::take(&mut answers), state.as_deref().map(RawValue::get));
            let (call, key) = (self.call(&cx, &order, tool.clone()), format!("{ROUND}{n}"));
            let round = |ended| Round::of(ended, &used);
            match call.perform(&cx, &key, Begun::Recorded, known, sent, round).await? {
                Round::Output(output) => return Ok(Box::<str>::from(output).into_boxed_bytes().into()),
                Round::Error(error) => {
                    let result = json!({"error": error["message"], "code": "failed", "rpc": error});
                    return Err(RunError::FailedAs(result.to_string().into()));
                }
                Round::Asked(asked) => {
                    used.extend(asked.questions.keys().cloned());
                    answers = self.answers(&cx, n, &asked).await?;
                    state = Some(asked.state);
                }
            }
        }
        Err(RunError::failed("the call asks for ever"))
    }

    fn is_wanted(&self) -> bool {
        self.server.does_tasks()
    }

    async fn let_go(&self, run: &RunRecord) {
        // Who is not told sees it at the next look.
        let _ = self.server.changes().tell(Some(&run.tenant), &Change::Task(run.id)).await;
    }
}

impl TaskWork {
    pub(crate) fn new(server: Server) -> Self {
        Self { server }
    }

    /// The call of the tool.
    fn call(&self, cx: &RunContext, order: &Order, tool: Arc<OfferedTool>) -> RunCall {
        let caller = order.caller(cx.run());
        RunCall {
            server: self.server.clone(),
            key: order.key(&caller, cx.run()),
            caller,
            tool,
            arguments: Arguments::from_checked(Bytes::copy_from_slice(order.arguments.get().as_bytes())),
            client: order.client.clone(),
        }
    }

    /// Waits until each question of a round is answered, for as long as the task lives.
    async fn answers(&self, cx: &RunContext, round: u32, asked: &Asked) -> Result<BTreeMap<String, Value>, RunError> {
        let lifetime = self.server.limits().task_ttl;
        let left = lifetime.saturating_sub(cx.run().at.until(cx.clock().now()));
        let mut answers = BTreeMap::new();
        while answers.len() < asked.questions.len() {
            let Some(input) = cx.input_within(&format!("answers.{round}"), left).await? else {
                return Err(RunError::failed(unanswered(lifetime)));
            };
            for (name, answer) in Answers::read(&input.body) {
                if let Some(question) = asked.questions.get(&name) {
                    answers.entry(question.key.clone()).or_insert(answer);
                }
            }
        }
        Ok(answers)
    }
}

fn unanswered(lifetime: Duration) -> String {
    format!("nobody has answered in the {lifetime:?} that the task was to live")
}
