//! What is done of a step: one call of a tool, or one thing that is left to another agent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use futures_util::stream::{self, FuturesUnordered};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracing::Instrument;

use super::budget::{Budget, Limit, Spent};
use super::order::Order;
use super::runner::{Runner, begun_for, post, unknown};
use super::step::{Delegation, Inquiry, ToolCall, Until};
use super::transcript::Delegated;
use super::{AgentSpec, KIND, questions, spans};
use crate::ask::InputRequired;
use crate::capability::ClientCapabilities;
use crate::context::key::Key;
use crate::json;
use crate::run::call::{Ended, RunCall};
use crate::run::{Begun, RunError, of_store};
use crate::store::runs::{InputKind, LARGEST, NewRun};
use crate::tool::output::ToolOutput;

/// How one round of a call ended, as it is recorded.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Round {
    Output(Box<RawValue>),
    Asked(Asked),
}

/// The questions of a round.
#[derive(Serialize, Deserialize)]
pub(super) struct Asked {
    /// The requests of the protocol, by the tool's keys.
    requests: BTreeMap<String, Value>,
    /// What is known in the next round.
    state: Box<RawValue>,
}

impl Runner<'_> {
    /// Makes calls side by side, so many at a time, all but those that come `later` at once; gives what came of each, in their order, and
    /// what that has used beside the calls themselves. `by` is the agent that has decided on them; `is_known`, where whoever held the run before has decided on them.
    pub(super) async fn call_all(
        &self,
        key: &str,
        calls: &[ToolCall],
        by: &AgentSpec,
        later: &[usize],
        is_known: bool,
    ) -> Result<(Vec<ToolOutput>, Spent), RunError> {
        let delegations = calls.iter().filter(|call| call.delegated().is_some()).count();
        let share = self.left().shared(u32::try_from(delegations).unwrap_or(u32::MAX));
        let most = by.calls_at_once;
        let each: Vec<_> = calls
            .iter()
            .enumerate()
            .map(|(i, call)| {
                let is_later = later.binary_search(&i).is_ok();
                // Of what had begun when it was decided nobody is asked any more.
                let is_asked = is_later && self.takes_approval(call, by);
                let begun = match is_known {
                    // It waits, for others or for an answer, and says when it begins.
                    _ if is_later => Begun::Recorded,
                    true => Begun::Perhaps,
                    false => Begun::No,
                };
                self.called(format!("{key}/{i}"), call, begun, is_asked, share)
            })
            .collect();
        let results: Vec<_> = stream::iter(each).buffered(most).try_collect().await?;
        let spent = results.iter().fold(Spent::default(), |spent, (_, more)| spent.and(*more));
        Ok((results.into_iter().map(|(output, _)| output).collect(), spent))
    }

    /// Which calls do not begin at once, by their places in rising order: those for which there is no room beside the others, and those of
    /// which somebody is asked before.
    pub(super) fn later(&self, calls: &[ToolCall], by: &AgentSpec) -> Vec<usize> {
        let places = calls.iter().enumerate();
        places.filter(|(i, call)| *i >= by.calls_at_once || self.takes_approval(call, by)).map(|(i, _)| i).collect()
    }

    fn takes_approval(&self, call: &ToolCall, by: &AgentSpec) -> bool {
        by.approval.fit(&call.tool) || self.server.takes_approval(&call.tool)
    }

    /// Makes a call, and gives what came of it, and what that has used beside the call itself: that of an agent is left to the agent.
    async fn called(
        &self,
        key: String,
        call: &ToolCall,
        begun: Begun,
        is_asked: bool,
        share: Budget,
    ) -> Result<(ToolOutput, Spent), RunError> {
        if let Some(why) = &call.refused {
            return Ok((ToolOutput::text(why).as_error(), Spent::default()));
        }
        if is_asked && let Some(why) = self.disapproved(&key, call).await? {
            return Ok((ToolOutput::text(why).as_error(), Spent::default()));
        }
        match call.delegated() {
            None => {
                let called = self.call(key, call, begun).instrument(spans::execute_tool(call));
                Ok((called.await?, Spent::default()))
            }
            Some(Err(why)) => Ok((ToolOutput::text(why).as_error(), Spent::default())),
            Some(Ok(delegation)) => {
                let delegated = self.delegate(key, &delegation, share).await?;
                Ok((delegated.output(), delegated.spent))
            }
        }
    }

    /// Makes a call of a tool, and gives what came of it: also that there is no such tool, or that it failed.
    async fn call(&self, key: String, call: &ToolCall, begun: Begun) -> Result<ToolOutput, RunError> {
        let tool = match self.server.find_tool(&self.caller, &call.tool) {
            Ok(tool) => tool,
            Err(unseen) => return Ok(ToolOutput::text(unseen.to_string()).as_error()),
        };
        let arguments = match call.checked() {
            Ok(arguments) => arguments,
            Err(error) => return Ok(ToolOutput::text(error.to_string()).as_error()),
        };
        let (mut state, mut answers): (Option<Box<RawValue>>, _) = (None, BTreeMap::new());
        for n in 0_u32.. {
            let (step, begun) = if n == 0 { (key.clone(), begun) } else { (format!("{key}.{n}"), Begun::Recorded) };
            let made = RunCall {
                server: self.server.clone(),
                caller: self.caller.clone(),
                tool: tool.clone(),
                arguments: arguments.clone(),
                key: Key::in_run(&self.caller, &call.tool, format!("run {} {key}", self.run.id())),
                client: ClientCapabilities::of_forms(),
            };
            let (sent, known) = (std::mem::take(&mut answers), state.as_deref().map(RawValue::get));
            match made.perform(self.run, &step, begun, known, sent, Round::of).await {
                Ok(Round::Output(output)) => return Ok(ToolOutput::from_json(output.get().as_bytes())?),
                Ok(Round::Asked(asked)) => {
                    answers = self.answers(&step, &asked.requests).await?;
                    state = Some(asked.state);
                }
                Err(RunError::OutcomeUnknown { .. }) => return self.unknown(&step, call).await,
                // What broke inside is the call's own, and is recorded as such.
                Err(error) => return Err(error),
            }
        }
        Err(RunError::failed("the call asks for ever"))
    }

    /// Asks something under this name, and waits for the answer.
    pub(super) async fn inquire(&self, name: &str, inquiry: &Inquiry) -> Result<Value, RunError> {
        self.run.record(&questions::key(name), &inquiry.request()).await?;
        Ok(self.inbox.answer(name).await)
    }

    /// Asks whether a call may be made, and gives what the agent is told where it may not.
    async fn disapproved(&self, key: &str, call: &ToolCall) -> Result<Option<String>, RunError> {
        let name = format!("{key}{APPROVAL}");
        let message = format!("May {} be called? Its arguments: {}", call.tool, shortened(call.arguments.get()));
        let schema = json!({
            "type": "object",
            "required": ["approve"],
            "properties": {
                "approve": {"type": "boolean", "title": "It may be called"},
                "why": {"type": "string", "title": "Why, or why not", "description": "The agent is told where it may not."},
            },
        });
        let answer = self.inquire(&name, &Inquiry { message, schema: json::object(schema) }).await?;
        let content = &answer["content"];
        if answer["action"] == "accept" && content["approve"] == true {
            return Ok(None);
        }
        let why = content["why"].as_str().filter(|why| !why.is_empty());
        Ok(Some(format!(
            "The call was not made: whoever is asked did not approve of it{}",
            match why {
                Some(why) => format!(": {}", shortened(why)),
                None => ".".to_owned(),
            }
        )))
    }

    /// Waits for the answers to the questions of a call.
    async fn answers(
        &self,
        step: &str,
        requests: &BTreeMap<String, Value>,
    ) -> Result<BTreeMap<String, Value>, RunError> {
        let mut answers = BTreeMap::new();
        // All are asked before the first answer is waited for.
        for (key, request) in requests {
            self.run.record(&questions::key(&format!("{step}/{key}")), request).await?;
        }
        for key in requests.keys() {
            answers.insert(key.clone(), self.inbox.answer(&format!("{step}/{key}")).await);
        }
        Ok(answers)
    }

    /// Asks what has become of a call that was begun by somebody who is gone, and that must not be made twice unasked.
    async fn unknown(&self, step: &str, call: &ToolCall) -> Result<ToolOutput, RunError> {
        let name = format!("{step}/outcome");
        let message = format!(
            "The call of {} was begun, and whoever made it is gone: nobody knows whether it was done. Its arguments: {}",
            call.tool,
            shortened(call.arguments.get())
        );
        let schema = json!({"type": "object", "required": ["outcome"], "properties": {"outcome": {
            "type": "string", "title": "What is so", "enum": ["done", "not done", "repeat"],
            "description": "`done`: it was done; `not done`: it was not, and is not to be; `repeat`: make it again",
        }}});
        let answer = self.inquire(&name, &Inquiry { message, schema: json::object(schema) }).await?;
        match answer["content"]["outcome"].as_str() {
            Some("repeat") => Box::pin(self.call(format!("{step}.again"), call, Begun::Recorded)).await,
            Some("done") => Ok(ToolOutput::text("The call was done; what it said is not known.")),
            Some("not done") => Ok(ToolOutput::text("The call was begun and not ended; it was not done.").as_error()),
            _ => Ok(ToolOutput::text("The call was begun and not ended; nobody knows whether it was done.").as_error()),
        }
    }

    /// Leaves something to other agents, and waits until so much has come of it.
    pub(super) async fn delegate_all(
        &self,
        key: &str,
        delegations: &[Delegation],
        until: Until,
    ) -> Result<Vec<Delegated>, RunError> {
        let share = self.left().shared(u32::try_from(delegations.len()).unwrap_or(u32::MAX));
        let each = delegations.iter().enumerate().map(async |(i, delegation)| {
            let delegated = self.delegate(format!("{key}/{i}"), delegation, share).await?;
            Ok::<_, RunError>((i, delegated))
        });
        let mut under_way: FuturesUnordered<_> = each.collect();
        let mut results: Vec<Option<Delegated>> = delegations.iter().map(|_| None).collect();
        while let Some((i, delegated)) = under_way.try_next().await? {
            let is_enough = match until {
                Until::All => false,
                Until::OneFails => delegated.result.is_err(),
                Until::OneSucceeds => delegated.result.is_ok(),
            };
            results[i] = Some(delegated);
            if is_enough {
                break;
            }
        }
        drop(under_way);
        let mut all = Vec::with_capacity(results.len());
        for (i, result) in results.into_iter().enumerate() {
            all.push(match result {
                Some(result) => result,
                None => self.end(&format!("{key}/{i}")).await?,
            });
        }
        Ok(all)
    }

    /// Ends what is not needed any more, since enough has come of the others.
    async fn end(&self, key: &str) -> Result<Delegated, RunError> {
        let ended = Delegated::not_begun("it was ended: enough has come of the others".to_owned(), None);
        self.run.record(&came(key), &ended).await?;
        let run = self.run.run();
        let child = begun_for(run.id, key);
        post(self.server, run, child, InputKind::Cancel, bytes::Bytes::new()).await.map_err(of_store)?;
        Ok(ended)
    }

    /// Leaves something to another agent, in a run of its own, and waits for it. What came of it is recorded: that run may be gone before
    /// this one ends.
    async fn delegate(&self, key: String, delegation: &Delegation, share: Budget) -> Result<Delegated, RunError> {
        if let Some(delegated) = self.run.recorded(&came(&key))? {
            return Ok(delegated);
        }
        let delegated = self.await_delegated(&key, delegation, share).await?;
        self.run.record(&came(&key), &delegated).await?;
        Ok(delegated)
    }

    async fn await_delegated(&self, key: &str, delegation: &Delegation, share: Budget) -> Result<Delegated, RunError> {
        let Delegation { agent, input, budget } = delegation;
        if self.server.agents().seen_by(&self.caller).find(agent).is_err() {
            return Ok(Delegated::not_begun(unknown(agent, self.server, &self.caller), None));
        }
        let budget = budget.map_or(share, |own| own.and(share));
        let Some(budget) = budget.deeper() else {
            let why = "agents leave things to agents as deep as they may".to_owned();
            return Ok(Delegated::not_begun(why, Some(Limit::Depth)));
        };
        let parent = self.run.run();
        let id = begun_for(parent.id, key);
        let runs = self.server.run_store();
        let mut known = runs.run(&parent.tenant, id).await.map_err(of_store)?;
        if known.is_none() {
            let order = Order::new(&self.caller, agent, input.clone(), budget).in_thread(self.thread);
            let run = NewRun {
                id,
                tenant: parent.tenant.clone(),
                principal: parent.principal.clone(),
                kind: KIND.to_owned(),
                parent: Some(parent.id),
                arguments: serde_json::to_vec(&order)?.into(),
                at: self.server.clock().now(),
            };
            runs.create(&run).await.map_err(of_store)?;
            self.server.hints().tell(id, KIND).await;
        }
        for look in 0_u32.. {
            if let Some(delegated) = known.as_ref().and_then(Delegated::of) {
                return Ok(delegated);
            }
            self.inbox.ended(id, key, look).await?;
            known = runs.run(&parent.tenant, id).await.map_err(of_store)?;
        }
        Err(RunError::failed("the other agent never ends"))
    }
}

/// So much of a text as a question shows.
fn shortened(text: &str) -> Cow<'_, str> {
    const SHOWN: usize = 2_000;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// With what the names end of the questions whether a call may be made.
pub(super) const APPROVAL: &str = "/approval";

/// With what the keys end under which it is recorded what came of a delegation.
pub(super) const CAME: &str = ".came";

fn came(key: &str) -> String {
    format!("{key}{CAME}")
}

impl Round {
    fn of(ended: Ended) -> Result<Self, RunError> {
        Ok(match ended {
            Ended::Output(output) => Self::ended(&output)?,
            Ended::Refused(error) => Self::ended(&ToolOutput::text(error.message.to_string()).as_error())?,
            Ended::Asked(required) => Self::Asked(Asked::of(&required)?),
        })
    }

    /// Ends with what a run may keep of an output.
    fn ended(output: &ToolOutput) -> Result<Self, serde_json::Error> {
        /// What stands around it.
        const FRAME: usize = 64;
        let json = output.to_json();
        if json.len() + FRAME > LARGEST {
            let told = format!(
                "The call was made, and its result is lost: it has {} bytes, and a run keeps {LARGEST} of one.",
                json.len()
            );
            return Ok(Self::Output(serde_json::from_slice(&ToolOutput::text(told).as_error().to_json())?));
        }
        Ok(Self::Output(serde_json::from_slice(&json)?))
    }
}

impl Asked {
    fn of(required: &InputRequired) -> Result<Self, serde_json::Error> {
        let requests: BTreeMap<String, Value> = serde_json::from_str(&required.requests)?;
        Ok(Self { requests, state: RawValue::from_string(required.state.clone())? })
    }
}
