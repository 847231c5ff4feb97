//! From what a run has recorded to what is told of it.

use std::collections::BTreeMap;

use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::decision::Decision;
use super::event::{Cursor, Decided, Happened, RunEvent};
use super::order::Order;
use super::performing::{APPROVAL, CAME, Round};
use super::runner::{begun_for, is_turn};
use super::step::{AGENT, Delegation, Step, ToolCall};
use super::transcript::Delegated;
use super::{KIND, questions};
use crate::store::runs::{self, RunId, RunRecord, StepKind, StepRecord};
use crate::tool::output::ToolOutput;

/// Tells what the steps of a run's journal say, one after the other from the first one on. It is the same whoever tells it: so an event
/// has its place, and a reader who comes again is told all behind the one that they know.
pub(super) struct Telling {
    run: RunId,
    /// The calls of the last decision of which no end was told, by their places in it.
    open: BTreeMap<usize, Open>,
    /// By which name the journal has that decision.
    turn: String,
}

/// A call of which no end was told.
struct Open {
    tool: String,
    arguments: Box<RawValue>,
    run: Option<RunId>,
    is_started: bool,
}

impl Telling {
    pub(super) fn of(run: RunId) -> Self {
        Self { run, open: BTreeMap::new(), turn: String::new() }
    }

    /// That it was begun.
    pub(super) fn started(run: &RunRecord) -> RunEvent {
        let agent = if run.kind == KIND { Order::of(run).ok().map(|order| order.agent) } else { None };
        RunEvent { id: Cursor::START, at: run.at, epoch: 0, what: Happened::Started { kind: run.kind.clone(), agent } }
    }

    /// That it has ended.
    pub(super) fn ended(run: &RunRecord) -> RunEvent {
        let what = Happened::Ended { state: run.state, result: serde_json::from_slice(&run.result).ok() };
        RunEvent { id: Cursor::END, at: run.ended.unwrap_or(run.at), epoch: run.epoch, what }
    }

    /// What the next step of the journal says. What is no step of an agent says nothing.
    pub(super) fn tell(&mut self, StepRecord { epoch, step }: &StepRecord) -> Vec<RunEvent> {
        let mut told = Vec::new();
        self.read(step, &mut told);
        let at = |part: usize| Cursor::of(step.number, u32::try_from(part).unwrap_or(u32::MAX));
        let event = |(part, what)| RunEvent { id: at(part), at: step.at, epoch: *epoch, what };
        told.into_iter().enumerate().map(event).collect()
    }

    fn read(&mut self, step: &runs::Step, told: &mut Vec<Happened>) {
        if step.kind == StepKind::Noted {
            if let Some(name) = questions::name(&step.key) {
                // Whether it may be made is asked before it begins; all else is asked by what has begun.
                if let Some((place, _)) = self.place(name).filter(|(_, part)| *part != APPROVAL) {
                    self.start(place, told);
                }
                let request = serde_json::from_slice(&step.body).unwrap_or_default();
                return told.push(Happened::Question { name: name.to_owned(), request });
            }
            if is_turn(&step.key) {
                if let Ok(decision) = serde_json::from_slice(&step.body) {
                    self.decided(&step.key, decision, told);
                }
                return;
            }
        }
        let Some((place, part)) = self.place(&step.key) else { return };
        let output = match step.kind {
            StepKind::Noted if part == CAME => {
                serde_json::from_slice::<Delegated>(&step.body).ok().map(|came| came.output())
            }
            StepKind::Failed => {
                let why = serde_json::from_slice::<String>(&step.body).unwrap_or_default();
                Some(ToolOutput::text(why).as_error())
            }
            StepKind::Done => {
                if let Ok(Round::Output(output)) = serde_json::from_slice(&step.body) {
                    return self.end(place, Some(output), told);
                }
                None
            }
            _ => None,
        };
        match output {
            Some(output) => self.end(place, serde_json::from_slice(&output.to_json()).ok(), told),
            // Something of it is on record, so it has begun.
            None => self.start(place, told),
        }
    }

    /// An agent has decided: all that was decided before has ended.
    fn decided(&mut self, key: &str, decision: Decision, told: &mut Vec<Happened>) {
        let before: Vec<_> = self.open.keys().copied().collect();
        before.into_iter().for_each(|place| self.end(place, None, told));
        key.clone_into(&mut self.turn);
        let Decision { agent, spent, step, later, .. } = decision;
        let decided = match &step {
            Step::Call(_) => Decided::Call,
            Step::Delegate(..) => Decided::Delegate,
            Step::HandOff(_) => Decided::HandOff,
            Step::Ask(_) => Decided::Ask,
            Step::Done(_) => Decided::Done,
        };
        told.push(Happened::Step { step: key.to_owned(), agent: agent.clone(), decided, spent });
        match step {
            Step::Call(calls) => {
                let made = calls.into_iter().enumerate().filter(|(_, call)| call.refused.is_none());
                self.open = made.map(|(place, call)| (place, self.call(place, call))).collect();
            }
            Step::Delegate(delegations, _) => {
                let left = delegations.into_iter().enumerate();
                self.open = left.map(|(place, delegation)| (place, self.delegation(place, delegation))).collect();
            }
            Step::HandOff(to) => told.push(Happened::HandOff { from: agent, to }),
            Step::Ask(_) | Step::Done(_) => {}
        }
        // The others say when they begin.
        let first: Vec<_> = self.open.keys().copied().filter(|place| later.binary_search(place).is_err()).collect();
        first.into_iter().for_each(|place| self.start(place, told));
    }

    fn call(&self, place: usize, call: ToolCall) -> Open {
        let run = matches!(call.delegated(), Some(Ok(_))).then(|| begun_for(self.run, &self.key(place)));
        Open { tool: call.tool, arguments: call.arguments, run, is_started: false }
    }

    fn delegation(&self, place: usize, delegation: Delegation) -> Open {
        let Delegation { agent, input, .. } = delegation;
        let arguments = to_raw_value(&json!({"input": input})).unwrap_or_default();
        let run = Some(begun_for(self.run, &self.key(place)));
        Open { tool: format!("{AGENT}{agent}"), arguments, run, is_started: false }
    }

    fn start(&mut self, place: usize, told: &mut Vec<Happened>) {
        let call = self.key(place);
        let Some(open) = self.open.get_mut(&place).filter(|open| !open.is_started) else { return };
        open.is_started = true;
        let Open { tool, arguments, run, .. } = open;
        told.push(Happened::ToolStarted { call, tool: tool.clone(), arguments: arguments.clone(), run: *run });
    }

    fn end(&mut self, place: usize, result: Option<Box<RawValue>>, told: &mut Vec<Happened>) {
        self.start(place, told);
        if let Some(Open { tool, .. }) = self.open.remove(&place) {
            told.push(Happened::ToolEnded { call: self.key(place), tool, result });
        }
    }

    /// By which name the journal has the call in this place of the last decision.
    fn key(&self, place: usize) -> String {
        format!("{}/{place}", self.turn)
    }

    /// To the call in which place of the last decision a key belongs, and what it says behind that.
    fn place<'k>(&self, key: &'k str) -> Option<(usize, &'k str)> {
        let rest = key.strip_prefix(&*self.turn)?.strip_prefix('/')?;
        let (digits, part) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        Some((digits.parse().ok()?, part))
    }
}
