//! A run as a model is told of it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::super::step::ToolCall;
use super::super::thread::{ASSISTANT, Said};
use super::super::transcript::{Performed, Transcript, Turn};
use super::super::{AgentError, Step};
use super::refused;
use super::toolbox::{HAND_OFF, Tools};
use crate::model::message::{self, Message, ToolResult};
use crate::model::request::{BYTES_PER_TOKEN, ToolDefinition};
use crate::nearest::nearest;
use crate::tool::output::ToolOutput;

/// What was said so far. Its steps are kept apart, each with what came of it, so that of a step all is left out or nothing.
pub(super) struct Conversation {
    instructions: Option<Arc<Message>>,
    /// What was said before in its thread.
    said: Vec<Arc<Message>>,
    /// What the run is to do.
    input: Arc<Message>,
    steps: Vec<Vec<Arc<Message>>>,
    /// What the model was told of replies that were of no use.
    corrections: Vec<Arc<Message>>,
    /// Whether steps were left out.
    is_shorter: bool,
    tools: Tools,
}

/// How many calls of one reply are made.
const MOST_CALLS: usize = 64;
/// How many bytes of what a call has given a model is told.
const LONGEST_RESULT: usize = 32 * 1024;
/// How often the same call may be made in a row before the model is told that this does not help.
const SAME_CALLS: usize = 3;

impl Conversation {
    pub(super) fn of(instructions: &str, so_far: &Transcript, tools: Tools) -> Result<Self, AgentError> {
        let instructions = (!instructions.is_empty()).then(|| Arc::new(Message::system(instructions)));
        let said = so_far.said().iter().map(heard).map(Arc::new).collect();
        let input = Arc::new(Message::user(so_far.input_text()));
        let mut steps = so_far.turns().iter().map(step).collect::<Result<Vec<_>, _>>()?;
        if is_in_a_loop(so_far.turns()) {
            let told = "You have made the same call several times, and it says the same. Do something else, or give your answer.";
            steps.push(vec![Arc::new(Message::user(told))]);
        }
        Ok(Self { instructions, said, input, steps, corrections: Vec::new(), is_shorter: false, tools })
    }

    pub(super) fn messages(&self) -> Vec<Arc<Message>> {
        let mut messages: Vec<_> = self.head().cloned().collect();
        if self.is_shorter {
            messages.push(Arc::new(Message::user("(Earlier steps are left out here.)")));
        }
        messages.extend(self.steps.iter().flatten().chain(&self.corrections).cloned());
        messages
    }

    fn head(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.instructions.iter().chain(&self.said).chain([&self.input])
    }

    pub(super) fn tools(&self) -> Arc<[ToolDefinition]> {
        self.tools.definitions.clone()
    }

    /// Roughly how many tokens it takes.
    pub(super) fn estimated_tokens(&self) -> u64 {
        tokens(self.size())
    }

    fn size(&self) -> usize {
        size(self.head().chain(self.steps.iter().flatten()).chain(&self.corrections))
    }

    /// Leaves out what was said before, and then steps, the oldest first, until it takes no more than this; but never the last step.
    pub(super) fn shorten(&mut self, most: u64) {
        let mut bytes = self.size();
        let mut is_too_much = |size: usize| {
            let is_so = tokens(bytes) > most;
            bytes -= if is_so { size } else { 0 };
            is_so
        };
        let said = self.said.iter().take_while(|message| is_too_much(message.size())).count();
        let last = self.steps.len().saturating_sub(1);
        let steps = self.steps[..last].iter().take_while(|step| is_too_much(size(step.iter()))).count();
        self.said.drain(..said);
        self.steps.drain(..steps);
        self.is_shorter |= steps > 0;
    }

    pub(super) fn can_be_shorter(&self) -> bool {
        self.steps.len() > 1 || !self.said.is_empty()
    }

    /// Tells the model why what it said is of no use.
    pub(super) fn correct(&mut self, mut said: Message, why: &str) {
        let results: Vec<_> = said
            .tool_calls()
            .map(|call| ToolResult { id: call.id.clone(), content: why.to_owned(), is_error: true })
            .collect();
        if said.parts.is_empty() {
            said = Message::assistant("…");
        }
        self.corrections.push(Arc::new(said));
        let told = if results.is_empty() { Message::user(why) } else { Message::results(results) };
        self.corrections.push(Arc::new(told));
    }

    /// What the calls of a reply come to.
    pub(super) fn decide(&self, calls: &[&message::ToolCall]) -> Result<Step, String> {
        if let Some(call) = calls.iter().find(|call| call.name == HAND_OFF && !self.tools.successors.is_empty()) {
            return self.hand_off(call, calls.len());
        }
        Ok(Step::Call(calls.iter().enumerate().map(|(n, call)| self.call(n, call)).collect()))
    }

    fn hand_off(&self, call: &message::ToolCall, calls: usize) -> Result<Step, String> {
        #[derive(Deserialize)]
        struct To {
            agent: String,
        }
        let successors = self.tools.successors.join(", ");
        match serde_json::from_str::<To>(&call.arguments) {
            Ok(To { agent }) if self.tools.successors.contains(&agent) && calls == 1 => Ok(Step::HandOff(agent)),
            Ok(_) if calls > 1 => Err(format!("{HAND_OFF} is called alone: whoever goes on makes the other calls.")),
            _ => Err(format!("{HAND_OFF} is given the name of one of these agents: {successors}.")),
        }
    }

    fn call(&self, n: usize, call: &message::ToolCall) -> ToolCall {
        let names = || self.tools.definitions.iter().map(|tool| &*tool.name);
        let arguments = match call.arguments.trim() {
            "" => RawValue::from_string("{}".to_owned()),
            text => RawValue::from_string(text.to_owned()),
        };
        let (id, tool) = (&*call.id, &*call.name);
        let arguments = match arguments {
            Ok(arguments) if arguments.get().starts_with('{') => arguments,
            Ok(arguments) => return refused(id, tool, arguments, "The arguments must be a JSON object.".to_owned()),
            Err(error) => {
                let text = to_raw_value(&call.arguments).unwrap_or_default();
                return refused(id, tool, text, format!("The arguments are no JSON: {error}."));
            }
        };
        if n >= MOST_CALLS {
            return refused(
                id,
                tool,
                arguments,
                format!("It was not called: {MOST_CALLS} calls are made at once at the most."),
            );
        }
        if !names().any(|name| name == tool) {
            let meant = nearest(tool, names()).map(|name| format!(" Did you mean {name:?}?")).unwrap_or_default();
            let all = names().collect::<Vec<_>>().join(", ");
            let there = if all.is_empty() { "There are none.".to_owned() } else { format!("There are: {all}.") };
            return refused(id, tool, arguments, format!("There is no tool {tool:?}.{meant} {there}"));
        }
        ToolCall { id: id.to_owned(), tool: tool.to_owned(), arguments, refused: None }
    }
}

fn size<'m>(messages: impl Iterator<Item = &'m Arc<Message>>) -> usize {
    messages.map(|message| message.size()).sum()
}

fn tokens(bytes: usize) -> u64 {
    (bytes / BYTES_PER_TOKEN) as u64
}

/// What was said in a thread. Whoever wrote there, it instructs nobody.
fn heard(said: &Said) -> Message {
    match &*said.role {
        ASSISTANT => Message::assistant(&said.text),
        _ => Message::user(&said.text),
    }
}

/// What a turn was, as the model has said it, and what came of it.
fn step(turn: &Turn) -> Result<Vec<Arc<Message>>, AgentError> {
    let decided = turn.kept::<Message>()?;
    let came_of_it = match &turn.performed {
        Performed::Called(calls) => {
            let results = calls.iter().map(|(call, output)| ToolResult {
                id: call.id.clone(),
                content: text(output),
                is_error: output.is_error(),
            });
            match decided {
                Some(_) => Some(Message::results(results)),
                // Another kind of agent has called them.
                None => Some(Message::user(format!(
                    "What {} has found: {}",
                    turn.agent(),
                    results.map(|result| result.content).collect::<Vec<_>>().join("\n")
                ))),
            }
        }
        Performed::Delegated(delegations) => Some(Message::user(
            delegations
                .iter()
                .map(|(delegation, delegated)| format!("{} says: {}", delegation.agent, delegated.text()))
                .collect::<Vec<_>>()
                .join("\n"),
        )),
        Performed::HandedOff(agent) => decided.as_ref().map(|message| {
            let goes_on = format!("{agent} goes on.");
            Message::results(message.tool_calls().map(|call| ToolResult {
                id: call.id.clone(),
                content: goes_on.clone(),
                is_error: false,
            }))
        }),
        Performed::Asked(inquiry, answer) => {
            Some(Message::user(format!("Asked: {}\nAnswered: {}", inquiry.message, answer["content"])))
        }
    };
    Ok(decided.into_iter().chain(came_of_it).map(Arc::new).collect())
}

/// What a model is told of an output: its texts, and of other things that they are there.
fn text(output: &ToolOutput) -> String {
    let mut text = String::new();
    for content in output.content().iter() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(content.as_text().unwrap_or("(something that is no text)"));
    }
    if text.len() > LONGEST_RESULT {
        let whole = text.len();
        text.truncate(text.floor_char_boundary(LONGEST_RESULT));
        text.push_str(&format!("\n(The first {LONGEST_RESULT} of {whole} bytes.)"));
    }
    text
}

/// Whether the same calls were made again and again.
fn is_in_a_loop(turns: &[Turn]) -> bool {
    let calls = |turn: &Turn| match &turn.performed {
        Performed::Called(calls) => {
            Some(calls.iter().map(|(call, _)| (call.tool.clone(), call.arguments.get().to_owned())).collect::<Vec<_>>())
        }
        _ => None,
    };
    let Some(last) = turns.last().and_then(calls) else { return false };
    turns.len() >= SAME_CALLS && turns.iter().rev().take(SAME_CALLS).all(|turn| calls(turn).as_ref() == Some(&last))
}
