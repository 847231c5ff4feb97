//! Saying what a language model says, to those who watch a run.

use crate::model::delta::Delta;
use crate::model::message::Part;
use crate::model::reply::Draft;
use crate::run::RunContext;
use crate::run::delta::{Attempt, ModelDelta};
use crate::run::watching::News;

/// Says what a model says in one attempt at a step. Where nobody watches the run it costs one look at a number for each delta.
pub(super) struct Voice<'c> {
    run: &'c RunContext,
    step: &'c str,
    agent: &'c str,
    attempt: Attempt,
    /// How many characters were said so far; it is not known while nobody watches.
    said: Option<u64>,
}

/// How many characters of a tool's name are told.
const LONGEST_NAME: usize = 64;

impl<'c> Voice<'c> {
    /// A model is asked now, for this step of this agent.
    pub(super) fn new(run: &'c RunContext, step: &'c str, agent: &'c str) -> Self {
        Self { run, step, agent, attempt: run.next_attempt(), said: None }
    }

    /// Says the next delta of a reply, of which `draft` has those before it.
    pub(super) fn say(&mut self, delta: &Delta, draft: &Draft) {
        if !self.run.watched().is_watched(self.run.id()) {
            self.said = None;
            return;
        }
        let from = self.said.unwrap_or_else(|| characters(draft.so_far()));
        self.said = Some(from);
        match delta {
            Delta::Text { text } => self.say_text(from, text),
            Delta::ToolCall(piece) if !piece.name.is_empty() && !draft.has_call(piece.index) => {
                let name = piece.name.chars().take(LONGEST_NAME).collect();
                self.tell(from, String::new(), Some(name));
            }
            _ => {}
        }
    }

    fn say_text(&mut self, mut from: u64, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.floor_char_boundary(ModelDelta::LARGEST));
            self.tell(from, piece.to_owned(), None);
            from += piece.chars().count() as u64;
            rest = more;
        }
        self.said = Some(from);
    }

    fn tell(&self, from: u64, text: String, tool: Option<String>) {
        let (step, agent) = (self.step.to_owned(), self.agent.to_owned());
        let delta = ModelDelta { step, agent, attempt: self.attempt, from, text, tool };
        self.run.watched().tell(self.run.id(), &News::Said(delta));
    }
}

/// How many characters of text there are.
fn characters(parts: &[Part]) -> u64 {
    let of = |part: &Part| if let Part::Text { text } = part { text.chars().count() } else { 0 };
    parts.iter().map(of).sum::<usize>() as u64
}
