//! Whether a holder may still write.

use super::{Hold, RunState, Turn};

/// What is known of a run when something is to be written under a [`Hold`] of it: for whoever implements a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Under which epoch it was last claimed.
    pub epoch: u64,
    /// What becomes of it.
    pub state: RunState,
}

/// What is to be done with a step or a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is written.
    New,
    /// It is there already: its commit was made before, and the answer was lost.
    Again,
    /// It is refused, and with it all of its commit.
    Conflict,
}

impl Stand {
    /// Judges a step; `there` is the epoch under which the one in its place was written.
    pub fn step(&self, hold: &Hold, there: Option<u64>) -> Verdict {
        match there {
            Some(epoch) if epoch == hold.epoch => Verdict::Again,
            None if self.epoch == hold.epoch && self.state == RunState::Running => Verdict::New,
            _ => Verdict::Conflict,
        }
    }

    /// Judges a turn, which the next ones are then judged by.
    pub fn turn(&mut self, hold: &Hold, turn: &Turn) -> Verdict {
        let state = turn.state();
        if self.epoch != hold.epoch {
            Verdict::Conflict
        } else if self.state == RunState::Running {
            self.state = state;
            Verdict::New
        } else if self.state == state {
            Verdict::Again
        } else {
            Verdict::Conflict
        }
    }
}
