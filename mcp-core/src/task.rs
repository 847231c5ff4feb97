//! Calls that go on without their client (the extension `io.modelcontextprotocol/tasks`): each is a run, which any replica does, and of
//! which any replica tells. The tool is the same function, and asks as it does elsewhere: in rounds, whose state the run keeps.

mod desk;
mod order;
mod round;
mod view;
mod watch;
mod work;

pub(crate) use desk::{Refused, Tasks};
pub(crate) use watch::Watch;
pub(crate) use work::TaskWork;

use std::time::Duration;

/// The kind of the runs that are tasks.
pub(crate) const KIND: &str = "tools/call";

/// How often a client should look what becomes of its task.
const POLL: Duration = Duration::from_secs(1);

/// What the keys of a task's rounds begin with, in the journal of its run.
const ROUND: &str = "call.";
