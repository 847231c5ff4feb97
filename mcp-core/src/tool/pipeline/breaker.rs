//! The stage that does not call a tool which fails, call after call.

use std::sync::Mutex;
use std::time::Duration;

use crate::context::Context;
use crate::measure::CircuitState;
use crate::memory::lock;
use crate::tool::error::ToolError;
use crate::tool::limited::{Limited, LimitedBy};
use crate::tool::output::ToolOutput;
use crate::tool::spec::CircuitBreaker;

/// The breaker of one tool in this process.
pub(crate) struct Breaker {
    of: CircuitBreaker,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    /// Calls go through; so many have failed, one after the other.
    Closed { failures: u32 },
    /// No call goes through before this moment, and then one.
    Open { until: Duration },
    /// One call finds out whether all is well again.
    HalfOpen,
}

/// What a call has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Well,
    Ill,
    Nothing,
}

impl Breaker {
    pub(super) fn new(of: CircuitBreaker) -> Self {
        Self { of, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Lets a call through, whose end is then to be told.
    pub(super) fn pass<'a>(&'a self, cx: &'a Context) -> Result<Passing<'a>, ToolError> {
        let (mut state, now) = (lock(&self.state), cx.clock().monotonic());
        let left = match *state {
            State::Closed { .. } => return Ok(Passing { breaker: self, cx, probes: false, shown: Shown::Nothing }),
            State::Open { until } if until <= now => {
                *state = State::HalfOpen;
                return Ok(Passing { breaker: self, cx, probes: true, shown: Shown::Nothing });
            }
            State::Open { until } => until - now,
            // How long that one takes, nobody knows.
            State::HalfOpen => Duration::from_secs(1),
        };
        Err(ToolError::Limited(Box::new(Limited::by_state(LimitedBy::CircuitBreaker, left))))
    }

    /// A call has taken too long, wherever it was.
    pub(super) fn timed_out(&self, cx: &Context) {
        let half_open = matches!(*lock(&self.state), State::HalfOpen);
        self.learn(Shown::Ill, half_open, cx);
    }

    pub(crate) fn state(&self) -> CircuitState {
        match *lock(&self.state) {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen => CircuitState::HalfOpen,
        }
    }

    /// Goes by what a call has shown. One that began before it opened changes nothing any more.
    fn learn(&self, shown: Shown, probes: bool, cx: &Context) {
        let (mut state, now) = (lock(&self.state), cx.clock().monotonic());
        let opened = State::Open { until: now.saturating_add(self.of.pause) };
        *state = match (*state, shown) {
            (State::Closed { .. }, Shown::Well) => State::Closed { failures: 0 },
            (State::Closed { failures }, Shown::Ill) if failures + 1 < self.of.failures => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, Shown::Ill) => opened,
            (State::HalfOpen, Shown::Well) if probes => State::Closed { failures: 0 },
            (State::HalfOpen, Shown::Ill) if probes => opened,
            // The next one finds out.
            (State::HalfOpen, Shown::Nothing) if probes => State::Open { until: now },
            (state, _) => state,
        };
    }
}

/// A call that was let through. Dropped in the middle, it has shown nothing.
pub(super) struct Passing<'a> {
    breaker: &'a Breaker,
    cx: &'a Context,
    probes: bool,
    shown: Shown,
}

impl Passing<'_> {
    /// Tells how it has ended. A tool that answers is well, also where it says that it cannot do this.
    pub(super) fn end(mut self, result: &Result<ToolOutput, ToolError>) {
        self.shown = match result {
            Err(ToolError::Unavailable(_) | ToolError::Internal(_) | ToolError::TimedOut(_)) => Shown::Ill,
            Err(ToolError::Cancelled | ToolError::NeedsInput(_) | ToolError::Limited(_)) => Shown::Nothing,
            _ => Shown::Well,
        };
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.breaker.learn(self.shown, self.probes, self.cx);
    }
}
